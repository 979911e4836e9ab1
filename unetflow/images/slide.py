"""Any image file as levels of (C, Y, X), finest first, read by region.

Never a level at once, formats without tiles (PNG, JPEG) excepted.
"""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from unetflow.errors import SlideError
from unetflow.images.readers import READABLE, Opened, frame_file, open_file
from unetflow.images.sources import split_dataset

log = logging.getLogger(__name__)


ZARR_MARKS = ("zarr.json", ".zgroup", ".zarray")  # of a folder that is a store
NEAR = 0.05  # of a resolution: what two sources may differ by
SENSIBLE_MPP = (0.05, 50.0)  # [um/px] what is beyond is a unit taken for another


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a pyramid."""

    shape_px: tuple[int, int]  # (Y, X)
    mpp: float | None  # [um/px], None where the file does not say


class _Asked(NamedTuple):
    """Which image of a file is wanted, and how its axes lie if the file does not say."""

    plane: int | None
    time: int | None
    axes: str | None


class Slide:
    """An opened image file; a context manager. Raises SlideError for what it cannot read."""

    def __init__(
        self,
        path: str | Path,
        *,
        plane: int | None = None,
        time: int | None = None,
        axes: str | None = None,
        mpp: float | None = None,
    ):
        """Open a file; `plane` and `time` choose one image of a stack or series.

        `axes` names the axes of an array that has none, such as "czyx"; `mpp` overrules what the
        file says of its resolution.
        """
        self.path = Path(path)
        self._asked = _Asked(plane, time, axes)
        self._open()
        shapes = [self._pick.shape_px(array.shape) for array in self._opened.levels]
        known = [mpp] if mpp else self._opened.mpp[:1]
        listed = [None if mpp else own for own in self._opened.mpp]
        finest_mpp = known[0]
        own_mpp = self._opened.mpp[0]
        if mpp and own_mpp and abs(mpp / own_mpp - 1) > NEAR:
            log.warning(
                "%s: says %.4g um/px and is taken as %.4g, as given (for its finest level)",
                path,
                own_mpp,
                mpp,
            )
        self.levels = tuple(
            Level(shape, own or (finest_mpp and finest_mpp * shapes[0][1] / shape[1]))
            for shape, own in zip(shapes, listed, strict=True)
        )
        self.axes = self._pick.axes  # as they lie in the file
        self.channels = self._pick.channels(self._opened.levels[0].shape)
        self.dtype = np.dtype(self._opened.levels[0].dtype)

    def _open(self) -> None:
        file, _ = split_dataset(self.path)
        if not file.exists():
            raise SlideError(f"{self.path}: there is no such file. Correct the sheet's path.")
        source, (plane, time, axes) = self.path, self._asked
        try:
            if file.is_dir() and not any((file / name).exists() for name in ZARR_MARKS):
                source, plane = frame_file(file, time, plane)
                time = None
            opened = open_file(source, axes=axes)
        except Exception as error:  # decoders raise many kinds
            why, _, _ = str(error).partition("\n")  # behind it are all decoders that were tried
            raise SlideError(
                f"{self.path}: cannot be opened as an image ({type(error).__name__}: {why}). "
                f"Readable are {READABLE}; check that the file is whole, or take it out of the "
                "sheet."
            ) from error
        self._opened: Opened = opened
        try:
            self._pick = _Pick.of(self.path, opened.axes, opened.levels[0].shape, plane, time)
        except SlideError:
            self.close()
            raise

    def reopen(self) -> None:
        """Open the file again: what a network drive lost may be there now."""
        with contextlib.suppress(Exception):  # of a file that is gone
            self.close()
        self._open()

    def read(self, level: int, rows: slice, columns: slice) -> np.ndarray:
        """Pixels (C, Y, X) of a region of a level. Raises SlideError where they do not decode."""
        try:
            return self._pick.read(self._opened.levels[level], rows, columns)
        except Exception as error:  # decoders raise many kinds
            why, _, _ = str(error).partition("\n")
            raise SlideError(
                f"{self.path}: level {level} cannot be read at rows {rows.start} to {rows.stop}, "
                f"columns {columns.start} to {columns.stop} ({type(error).__name__}: {why}). The "
                "file is damaged or its compression is not known: convert it, or take it out of "
                "the sheet."
            ) from error

    def close(self) -> None:
        self._opened.close()

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
    def of(
        cls, path: Path, axes: str, shape: Sequence[int], plane: int | None, time: int | None
    ) -> Self:
        if min(shape, default=0) == 0:
            raise SlideError(f"{path}: has no pixels (shape {tuple(shape)}, axes {axes})")
        if not axes:
            raise SlideError(
                f"{path}: its axes have no names and its shape is {tuple(shape)}: say what they "
                "are in the sheet's axes column, such as czyx or yxc"
            )
        channels = [i for i, a in enumerate(axes) if a in "CS" and shape[i] > 1]
        stacked = [i for i, a in enumerate(axes) if a not in "YXSC" and shape[i] > 1]
        series = [i for i in stacked if axes[i] == "T" and (len(stacked) > 1 or time is not None)]
        planes = [i for i in stacked if i not in series]
        if len(planes) > 1 or len(channels) > 1 or not axes.count("Y") == axes.count("X") == 1:
            raise SlideError(
                f"{path}: axes {axes} of shape {tuple(shape)} are not an image, a stack or a "
                "series of stacks. Save the image to be used as a file of its own."
            )
        for name, asked, found in (("time", time, series), ("plane", plane, planes)):
            count = shape[found[0]] if found else 1
            if (found and asked is None) or not 0 <= (asked or 0) < count:
                raise SlideError(
                    f"{path}: is a stack of {count} images along axis "
                    f"{axes[found[0]] if found else 'none'} and the {name} asked for is {asked}. "
                    f"Set the sheet's {name} column to 0 to {count - 1}."
                )
        chosen = {**dict.fromkeys(series, time), **dict.fromkeys(planes, plane)}
        read = [i for i, a in enumerate(axes) if a in "YX" or i in channels]
        fixed = tuple(None if i in read else chosen.get(i, 0) for i in range(len(axes)))
        order = tuple(sorted(range(len(read)), key=lambda k: "CSYX".index(axes[read[k]])))
        return cls(axes, fixed, order)

    def shape_px(self, shape: Sequence[int]) -> tuple[int, int]:
        return shape[self.axes.index("Y")], shape[self.axes.index("X")]

    def channels(self, shape: Sequence[int]) -> int:
        read = [i for i, index in enumerate(self.fixed) if index is None]
        return next((shape[i] for i in read if self.axes[i] in "CS"), 1)

    def read(self, array: Any, rows: slice, columns: slice) -> np.ndarray:
        parts = {"Y": rows, "X": columns}
        key = tuple(
            parts.get(axis, slice(None)) if index is None else index
            for axis, index in zip(self.axes, self.fixed, strict=True)
        )
        pixels = np.transpose(np.asarray(array[key]), self.order)
        return pixels if pixels.ndim == 3 else pixels[None]
