"""One image at the wanted resolution, read by region, with a record of what could not be read."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from unetflow.errors import SlideError
from unetflow.images.slide import Level, Slide
from unetflow.images.units import SENSIBLE_MPP, is_square, shown
from unetflow.tiles.grid import tile_grid
from unetflow.tiles.regions import Region, within

log = logging.getLogger(__name__)


TOLERANCE = 0.05  # of a resolution: a level this near to the wanted one is taken as it is
FINEST_FACTOR = 0.5  # a finer resolution than the file has is invented up to this factor, no more
MOST_PX = 2048  # side of the regions of the source that are resampled at once
SMALLEST_PX = 256  # side of the regions to which an unreadable place is narrowed down
REACH = 4.0  # deviations of the Gaussian before downsampling that are read beyond a region


class Lost(TypedDict):
    """A place that could not be read."""

    rows: list[int]  # start and stop [px] of the source level
    columns: list[int]
    why: str


@dataclass(frozen=True, slots=True)
class Source:
    """A level of a file, resampled where the wanted resolution is another.

    `factor` is source pixels per pixel along (Y, X); 1 leaves the pixels as they are.
    """

    slide: Slide
    level: int
    shape_px: tuple[int, int]  # of the result
    mpp: float | None  # [um/px] of the result

    @property
    def factor(self) -> tuple[float, float]:
        size_px = self.slide.levels[self.level].shape_px
        return size_px[0] / self.shape_px[0], size_px[1] / self.shape_px[1]

    def read(self, rows: slice, columns: slice, lost: list[Lost]) -> np.ndarray:
        """Pixels (C, Y, X) of a region of the result; unreadable places are 0 and in `lost`."""
        if self.factor == (1, 1):
            return read_or_mark(self.slide, self.level, rows, columns, lost)
        step = max(1, int(MOST_PX / max(self.factor)))
        result = np.empty(
            (self.slide.channels, rows.stop - rows.start, columns.stop - columns.start),
            self.slide.dtype,
        )
        for tile in tile_grid(result.shape[1:], step, 0, step, (rows.start, columns.start)):
            where = (slice(None), *within(tile.write, (rows, columns)))
            result[where] = self._read_part(tile.write, lost)
        return result

    def _read_part(self, region: Region, lost: list[Lost]) -> np.ndarray:
        """A region of the result that is small in the source too."""
        size_px = self.slide.levels[self.level].shape_px
        wide = [
            _source_part(part, factor, size)
            for part, factor, size in zip(region, self.factor, size_px, strict=True)
        ]
        pixels = read_or_mark(self.slide, self.level, wide[0], wide[1], lost)
        return _resampled(pixels, region, wide, self.factor)

    def place(self, lost: Lost) -> tuple[slice, slice]:
        """Where an unreadable place of the source lies in the result, as far as it reaches."""
        found = []
        for axis, (start, stop) in enumerate((lost["rows"], lost["columns"])):
            factor, size = self.factor[axis], self.shape_px[axis]
            margin = 0 if factor == 1 else _margin(factor)
            found.append(
                slice(
                    max(0, math.floor((start - margin) / factor)),
                    min(size, math.ceil((stop + margin) / factor)),
                )
            )
        return found[0], found[1]


def picked_channels(slide: Slide, channels: Sequence[int] | None) -> list[int]:
    """Channels to read, all if none are named. Raises SlideError where the file has others."""
    picked = list(channels or range(slide.channels))
    if not all(0 <= channel < slide.channels for channel in picked):
        asked = " ".join(map(str, picked))
        raise SlideError(
            f"{slide.path}: has channels 0 to {slide.channels - 1}, but {asked} were asked for. "
            f"Correct {slide.door('channels')}."
        )
    return picked


def source_at(slide: Slide, level: int | None, want_mpp: float | None) -> Source:
    """The given level, or the image at `want_mpp` [um/px], or the finest level.

    The level within `TOLERANCE`, else the next finer one, to be resampled, along each axis by its
    own factor where pixels are not square. Raises SlideError where the resolution is not known,
    absurd, or far coarser than what is wanted, and for pixels that are not square and stay so.
    """
    levels = slide.levels
    if level is not None:
        if not 0 <= level < len(levels):
            raise SlideError(
                f"{slide.path}: has no level {level}; set {slide.door('level')} to 0 to "
                f"{len(levels) - 1}, or leave it out."
            )
        return _as_it_is(slide, level)
    if want_mpp is None:
        return _as_it_is(slide, 0)
    known = [(index, each.pixel_um) for index, each in enumerate(levels) if each.pixel_um]
    low, high = SENSIBLE_MPP
    if not known or not all(low <= side <= high for side in known[0][1]):
        raise SlideError(
            f"{slide.path}: its resolution is {shown(known[0][1]) if known else 'not known'} "
            f"(sensible: {low:g} to {high:g} um/px), but {slide.door.wants} {shown(want_mpp)}. "
            f"Set {slide.door('mpp')} to the um per pixel of its finest level."
        )
    for index, pixel in known:
        if is_square(pixel) and abs(pixel[1] / want_mpp - 1) <= TOLERANCE:
            return Source(slide, index, levels[index].shape_px, pixel[1])
    finer = [(index, pixel) for index, pixel in known if max(pixel) <= want_mpp]
    index, pixel = finer[-1] if finer else known[0]
    if want_mpp / max(pixel) < FINEST_FACTOR:
        raise SlideError(
            f"{slide.path}: its finest level has {shown(pixel)}, {slide.door.wants} "
            f"{shown(want_mpp)}: that detail is not in the file. {slide.door.coarser}, or set "
            f"{slide.door('mpp')} if the file is wrong."
        )
    shape_px = tuple(
        max(1, round(size / (want_mpp / side)))
        for size, side in zip(levels[index].shape_px, pixel, strict=True)
    )
    return Source(slide, index, (shape_px[0], shape_px[1]), want_mpp)


def _as_it_is(slide: Slide, level: int) -> Source:
    """A level whose pixels stay what they are. Raises SlideError where they are not square."""
    of: Level = slide.levels[level]
    if of.pixel_um and not is_square(of.pixel_um):
        raise SlideError(
            f"{slide.path}: its pixels are {shown(of.pixel_um)}, but must be square: "
            f"{slide.door.resample}, or set {slide.door('mpp')} if the file is wrong."
        )
    return Source(slide, level, of.shape_px, of.mpp)


def read_or_mark(
    slide: Slide, level: int, rows: slice, columns: slice, lost: list[Lost]
) -> np.ndarray:
    """Pixels (C, Y, X); what cannot be read after reopening the file once is 0 and in `lost`.

    A place is narrowed down to regions of `SMALLEST_PX`. Raises SlideError where the file cannot
    be opened again.
    """
    try:
        return slide.read(level, rows, columns)
    except SlideError:
        log.info("%s: opened again, as a part of it cannot be read", slide.path)
    slide.reopen()
    block = np.zeros(
        (slide.channels, rows.stop - rows.start, columns.stop - columns.start), slide.dtype
    )
    waiting = [(rows, columns)]
    while waiting:
        part = waiting.pop()
        try:
            pixels = slide.read(level, *part)
        except SlideError as error:
            if halves := _quartered(*part):
                waiting += halves
                continue
            why = str(error.__cause__ or error).partition("\n")[0]
            lost.append({"rows": _ends(part[0]), "columns": _ends(part[1]), "why": why})
            continue
        inner = tuple(
            slice(own.start - whole.start, own.stop - whole.start)
            for own, whole in zip(part, (rows, columns), strict=True)
        )
        block[(slice(None), *inner)] = pixels
    lost.sort(key=lambda each: (each["rows"], each["columns"]))
    return block


def _quartered(rows: slice, columns: slice) -> list[tuple[slice, slice]]:
    """A region in up to four parts, none where it is small enough."""
    if max(rows.stop - rows.start, columns.stop - columns.start) <= SMALLEST_PX:
        return []
    return [(r, c) for r in _halved(rows) for c in _halved(columns)]


def _halved(part: slice) -> list[slice]:
    if part.stop - part.start <= SMALLEST_PX:
        return [part]
    middle = part.start + -(-(part.stop - part.start) // (2 * SMALLEST_PX)) * SMALLEST_PX
    return [slice(part.start, middle), slice(middle, part.stop)]


def _ends(part: slice) -> list[int]:
    return [part.start, part.stop]


def _margin(factor: float) -> int:
    """Source pixels that a resampled pixel sees beyond its own place."""
    return math.ceil(REACH * _deviation(factor)) + 2


def _deviation(factor: float) -> float:
    """Of the Gaussian that keeps finer detail from turning into false detail [source px]."""
    return max(0.0, (factor - 1) / 2)


def _source_part(part: slice, factor: float, size: int) -> slice:
    margin = _margin(factor)
    return slice(
        max(0, math.floor(part.start * factor) - margin),
        min(size, math.ceil(part.stop * factor) + margin),
    )


def _resampled(
    pixels: np.ndarray,
    parts: Region,
    wide: list[slice],
    factor: tuple[float, float],
) -> np.ndarray:
    """Smoothed by a Gaussian and interpolated linearly at the centres of the new pixels."""
    from scipy import ndimage  # a quarter of a second that few jobs need

    at = [
        (np.arange(part.start, part.stop) + 0.5) * f - 0.5 - far.start
        for part, far, f in zip(parts, wide, factor, strict=True)
    ]
    deviations = [_deviation(f) for f in factor]
    grid = np.meshgrid(*at, indexing="ij")
    channels = []
    for channel in pixels.astype(np.float32):
        smooth = ndimage.gaussian_filter(channel, deviations, mode="mirror", truncate=REACH)
        channels.append(ndimage.map_coordinates(smooth, grid, order=1, mode="nearest"))
    result = np.stack(channels)
    if np.issubdtype(pixels.dtype, np.integer):
        limits = np.iinfo(pixels.dtype)
        result = np.clip(np.rint(result), limits.min, limits.max)
    return result.astype(pixels.dtype)
