"""Slides that openslide reads: MIRAX, Leica, Ventana, Hamamatsu VMS, DICOM."""

from pathlib import Path
from typing import Any

import numpy as np

from unetflow.images.opened import Opened
from unetflow.images.units import pixel_of, um_of

SUFFIXES = (".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".dcm", ".zvi", ".czi")


def open_with_openslide(file: Path) -> Opened:
    """The slide, without its label and macro image; ValueError where openslide is missing."""
    try:
        import openslide
    except ImportError as error:
        raise ValueError(
            "this format needs openslide: pip install 'unetflow[slides]', or convert the file"
        ) from error
    slide = openslide.OpenSlide(file)
    levels = [_Level(slide, level) for level in range(slide.level_count)]
    names = openslide.PROPERTY_NAME_MPP_Y, openslide.PROPERTY_NAME_MPP_X
    height, width = (um_of(slide.properties.get(name), "um") for name in names)
    pixels = [pixel_of(height, width), *[None] * (len(levels) - 1)]
    return Opened(levels, "YXS", pixels, slide.close)


class _Level:
    """A level of an openslide file as an array (Y, X, 3), transparent pixels white."""

    dtype = np.dtype(np.uint8)

    def __init__(self, slide: Any, level: int) -> None:
        self._slide, self._level = slide, level
        width, height = slide.level_dimensions[level]
        self.shape = (height, width, 3)

    def __getitem__(self, key: tuple[slice, slice, slice]) -> np.ndarray:
        (top, bottom, _), (left, right, _) = (
            part.indices(size) for part, size in zip(key[:2], self.shape, strict=False)
        )
        scale = self._slide.level_downsamples[self._level]
        corner = (round(left * scale), round(top * scale))  # openslide's (x, y) of level 0
        size = (right - left, bottom - top)
        rgba = np.asarray(self._slide.read_region(corner, self._level, size))
        opaque = rgba[..., 3:] > 0
        return np.where(opaque, rgba[..., :3], 255)[..., key[2]].astype(np.uint8)
