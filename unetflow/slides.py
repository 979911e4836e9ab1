"""Open any image file: TIFF in its kinds (stacks, pyramids, OME, SVS), PNG and JPEG.

Every file is seen as levels of (C, Y, X), finest first, and read by region, never a level at once
(formats without tiles excepted).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import tifffile
import zarr

from unetflow.errors import SlideError

SENSIBLE_MPP = (0.05, 50.0)
UM_PER_UNIT = {"m": 1e6, "mm": 1e3, "cm": 1e4, "µm": 1.0, "um": 1.0, "nm": 1e-3, "in": 25400.0}
RESOLUTION_UNIT_UM = {2: 25400.0, 3: 1e4}  # TIFF's ResolutionUnit: inch, centimetre


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a pyramid."""

    shape_px: tuple[int, int]  # (Y, X)
    mpp: float | None  # [um/px], None where the file does not say


class Slide:
    """An opened image file; a context manager. Raises SlideError for what it cannot read."""

    def __init__(self, path: str | Path, *, plane: int | None = None, mpp: float | None = None):
        """Open a file; `plane` chooses one of a stack, `mpp` overrules what the file says."""
        self.path = Path(path)
        self._tiff: tifffile.TiffFile | None = None
        if not self.path.is_file():
            raise SlideError(f"{self.path}: there is no such file. Correct the sheet's path.")
        try:
            if self.path.suffix.lower() in (".png", ".jpg", ".jpeg"):
                pixels = imagecodecs.imread(self.path)
                arrays, axes, finest_mpp = [pixels], "YXS"[: pixels.ndim], None
            else:
                self._tiff = tifffile.TiffFile(self.path)
                series = self._tiff.series[0]
                axes, finest_mpp = series.axes, _tiff_mpp(self._tiff)
                arrays = [
                    zarr.open_array(series.aszarr(level=k), mode="r")
                    for k in range(len(series.levels))
                ]
        except Exception as error:  # decoders raise many kinds
            self.close()
            raise SlideError(
                f"{self.path}: cannot be opened as an image ({type(error).__name__}: {error}). "
                "Readable are TIFF (OME, BigTIFF, SVS, stacks), PNG and JPEG; check that the file "
                "is whole, or take it out of the sheet."
            ) from error
        self._arrays: list[Any] = arrays
        try:
            self._pick = _Pick.of(self.path, axes, arrays[0].shape, plane)
        except SlideError:
            self.close()
            raise
        shapes = [self._pick.shape_px(array.shape) for array in arrays]
        finest_mpp = mpp or finest_mpp
        self.levels = tuple(
            Level(shape, finest_mpp and finest_mpp * shapes[0][1] / shape[1]) for shape in shapes
        )
        self.channels = self._pick.channels(arrays[0].shape)
        self.dtype = np.dtype(arrays[0].dtype)

    def read(self, level: int, rows: slice, columns: slice) -> np.ndarray:
        """Pixels (C, Y, X) of a region of a level. Raises SlideError where they do not decode."""
        try:
            return self._pick.read(self._arrays[level], rows, columns)
        except Exception as error:  # decoders raise many kinds
            raise SlideError(
                f"{self.path}: level {level} cannot be read at rows {rows.start} to {rows.stop}, "
                f"columns {columns.start} to {columns.stop} ({type(error).__name__}: {error}). The "
                "file is damaged or its compression is not known: convert it, or take it out of "
                "the sheet."
            ) from error

    def level_at(self, want_mpp: float, tolerance: float = 0.05) -> int:
        """The level of a resolution [um/px]. Raises SlideError, listing those there are."""
        known = [(i, level.mpp) for i, level in enumerate(self.levels) if level.mpp]
        if not known or not SENSIBLE_MPP[0] <= known[0][1] <= SENSIBLE_MPP[1]:
            raise SlideError(
                f"{self.path}: its resolution is {known[0][1] if known else 'not known'} um/px, "
                f"but the dataset wants {want_mpp} um/px. Fill in the sheet's mpp column."
            )
        for index, mpp in known:
            if abs(mpp / want_mpp - 1) <= tolerance:
                return index
        raise SlideError(
            f"{self.path}: no level at {want_mpp} um/px (tolerance {tolerance:.0%}); it has "
            + ", ".join(f"level {i}: {mpp:.4g} um/px" for i, mpp in known)
            + ". Set the dataset's mpp to one of these, or the image's level column."
        )

    def close(self) -> None:
        if self._tiff is not None:
            self._tiff.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Pick:
    """How (C, Y, X) lies in an array with named axes: which index of the others, which order."""

    axes: str
    fixed: tuple[int | None, ...]  # index on axes that are not read, None on those that are
    order: tuple[int, ...]  # of the axes that are read, to make them (C,) Y, X

    @classmethod
    def of(cls, path: Path, axes: str, shape: Sequence[int], plane: int | None) -> Self:
        if min(shape, default=0) == 0:
            raise SlideError(f"{path}: has no pixels (shape {tuple(shape)}, axes {axes})")
        stacked = [i for i, a in enumerate(axes) if a not in "YXSC" and shape[i] > 1]
        if len(stacked) > 1 or axes.count("C") + axes.count("S") > 1 or not {"Y", "X"} <= {*axes}:
            raise SlideError(
                f"{path}: axes {axes} of shape {tuple(shape)} are not an image or a stack of "
                "images. Save the plane to be used as a file of its own."
            )
        planes = shape[stacked[0]] if stacked else 1
        if (stacked and plane is None) or not 0 <= (plane or 0) < planes:
            raise SlideError(
                f"{path}: is a stack of {planes} images and the plane asked for is {plane}. Set "
                f"the sheet's plane column to 0 to {planes - 1}."
            )
        fixed = tuple(
            None if a in "YXSC" else (plane if [i] == stacked else 0) for i, a in enumerate(axes)
        )
        kept = [a for a in axes if a in "YXSC"]
        order = tuple(sorted(range(len(kept)), key=lambda i: "CSYX".index(kept[i])))
        return cls(axes, fixed, order)

    def shape_px(self, shape: Sequence[int]) -> tuple[int, int]:
        return shape[self.axes.index("Y")], shape[self.axes.index("X")]

    def channels(self, shape: Sequence[int]) -> int:
        return next((shape[i] for i, a in enumerate(self.axes) if a in "CS"), 1)

    def read(self, array: Any, rows: slice, columns: slice) -> np.ndarray:
        parts = {"Y": rows, "X": columns}
        key = tuple(
            parts.get(axis, slice(None)) if index is None else index
            for axis, index in zip(self.axes, self.fixed, strict=True)
        )
        pixels = np.transpose(np.asarray(array[key]), self.order)
        return pixels if pixels.ndim == 3 else pixels[None]


def _tiff_mpp(tiff: tifffile.TiffFile) -> float | None:
    """Resolution of the finest level [um/px] by OME-XML, Aperio's description or TIFF's tags."""
    page = tiff.series[0].keyframe
    if tiff.is_ome and tiff.ome_metadata:
        pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
        size = None if pixels is None else pixels.get("PhysicalSizeX")
        unit = "µm" if pixels is None else pixels.get("PhysicalSizeXUnit", "µm")
        return float(size) * UM_PER_UNIT[unit] if size and unit in UM_PER_UNIT else None
    if tiff.is_svs:
        mpp = tifffile.tifffile.svs_description_metadata(page.description).get("MPP")
        return float(mpp) if mpp else None
    unit_um = RESOLUTION_UNIT_UM.get(int(getattr(page, "resolutionunit", 1)))
    resolution = page.resolution[0] if page.resolution else 0
    return unit_um / resolution if unit_um and resolution > 0 else None
