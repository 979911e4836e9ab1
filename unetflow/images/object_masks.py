"""A folder of masks as one label image: each file shows one object, as the Data Science Bowl's."""

from functools import cached_property
from pathlib import Path

import numpy as np

from unetflow.images.lossless import lossy_compression
from unetflow.images.opened import Opened, Unclear
from unetflow.images.sources import LITTER
from unetflow.images.whole import read_whole

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")  # JPEG to be told that it cannot be


class ObjectMasks:
    """Labels (Y, X), uint32: the files in the order of their names are 1, 2 and so on.

    The first is decoded at once, for their size, the others when a pixel is read. Where masks
    overlap the later one is seen; what is lost by it, and masks without a pixel, are told in
    `notes` once that is known.
    """

    ndim, dtype = 2, np.dtype(np.uint32)

    def __init__(self, files: list[Path], notes: list[str]) -> None:
        self._files, self._notes = files, notes
        first = read_mask(files[0])
        self.shape = first.shape
        self.peak_bytes = first.size * (self.dtype.itemsize + 4 * first.itemsize)

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        return self._labels[key]

    @cached_property
    def _labels(self) -> np.ndarray:
        labels = np.zeros(self.shape, self.dtype)
        empty, overlapping = 0, 0
        for number, file in enumerate(self._files, 1):
            mask = read_mask(file)
            if mask.shape != self.shape:
                raise Unclear(
                    f"its mask {file.name} is {_size(mask)} px, {self._files[0].name} "
                    f"{'x'.join(map(str, self.shape))} px",
                    "path",
                    "Masks of one image have its size.",
                )
            empty += not mask.any()
            overlapping += int(np.count_nonzero(labels[mask]))
            labels[mask] = number
        hidden = len(self._files) - empty - len(np.unique(labels[labels != 0]))
        said = {
            "masks show nothing": empty,
            "pixels lie in several masks: they are of the last": overlapping,
            "objects are covered by later masks, lost": hidden,
        }
        self._notes[:] = [f"{count} {what}" for what, count in said.items() if count]
        return labels


def open_object_masks(folder: Path) -> Opened:
    """The masks of a folder. Raises Unclear for one without any, or whose first is none."""
    files = sorted(file for file in folder.iterdir() if _is_mask(file.name))
    if not files:
        raise Unclear(
            f"it is a folder with neither Zarr nor masks ({', '.join(SUFFIXES[:3])}) in it", "path"
        )
    notes: list[str] = []
    return Opened([ObjectMasks(files, notes)], "YX", [None], notes=notes)


def _is_mask(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not LITTER.fullmatch(name)


def read_mask(file: Path) -> np.ndarray:
    """Pixels of the one object that a file shows, bool (Y, X). Raises Unclear for other files."""
    values = np.asarray(read_whole(file))
    if how := lossy_compression(file):
        raise Unclear(f"its mask {file.name} is compressed as {how}, which blurs it", "path")
    if values.ndim != 2:
        raise Unclear(
            f"its file {file.name} holds an array of shape {values.shape}, no mask (Y, X)", "path"
        )
    found = np.unique(values)
    if np.count_nonzero(found) > 1:
        raise Unclear(
            f"its file {file.name} holds the values {', '.join(map(str, found[:8]))}; in a folder "
            "that is a truth each file is a mask of one object, 0 and one other value",
            "time",
            "For folders of frames say which in {}, or name a file in the path.",
        )
    mask: np.ndarray = values != 0
    return mask


def _size(mask: np.ndarray) -> str:
    return "x".join(map(str, mask.shape))
