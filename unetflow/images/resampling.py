"""One image at the wanted resolution, read by region, with a record of what could not be read."""

import itertools
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict, cast

import numpy as np

from unetflow.errors import SlideError
from unetflow.images.no_numbers import WHY, without_numbers
from unetflow.images.slide import Level, Slide
from unetflow.images.units import SENSIBLE_MPP, SENSIBLE_SPACING, PixelUm, is_square, shown
from unetflow.store.ome import PixelSize
from unetflow.tiles.grid import tile_grid
from unetflow.tiles.regions import PLANE, SIDES, Region, side_px, sides_of, within

log = logging.getLogger(__name__)


TOLERANCE = 0.05  # of a resolution: a level this near to the wanted one is taken as it is
FINEST_FACTOR = 0.5  # a finer resolution than the file has is invented up to this factor, no more
MOST_PX = 2048  # side of the regions of the source that are resampled at once
SMALLEST_PX = 256  # side of the regions to which an unreadable place is narrowed down
REACH = 4.0  # deviations of the Gaussian before downsampling that are read beyond a region


class Lost(TypedDict):
    """A place that could not be read."""

    planes: NotRequired[list[int]]  # start and stop [px] of the source level; of volumes
    rows: list[int]
    columns: list[int]
    why: str


def lost_at(region: Region, why: str) -> Lost:
    """A place that could not be read."""
    ends = dict(zip(sides_of(len(region)), map(_ends, region), strict=True))
    return cast(Lost, {**ends, "why": why})


def ends_of(lost: Mapping[str, Any]) -> list[list[int]]:
    """Start and stop of a place along each axis."""
    return [lost[side] for side in SIDES if side in lost]


def all_ends(places: Sequence[Mapping[str, Any]], axes: int) -> np.ndarray:
    """The ends of many places, (N, axes, 2)."""
    return np.array([ends_of(each) for each in places], np.int64).reshape(-1, axes, 2)


def marked(ends: np.ndarray, region: Region) -> np.ndarray:
    """Which pixels of a region lie in places with these ends, bool (Y, X)."""
    starts, stops = (np.array(of) for of in zip(*map(_ends, region), strict=True))
    lost = np.zeros(stops - starts, bool)
    near = ((ends[..., 0] < stops) & (ends[..., 1] > starts)).all(axis=1)
    for place in (ends[near] - starts[:, None]).tolist():
        lost[tuple(slice(max(0, start), stop) for start, stop in place)] = True
    return lost


@dataclass(frozen=True, slots=True)
class Source:
    """A level of a file, resampled where the wanted resolution is another.

    `factor` is source pixels per pixel along (Y, X), or (Z, Y, X); 1 leaves the pixels as they are.
    """

    slide: Slide
    level: int
    shape_px: tuple[int, ...]  # of the result
    size: PixelSize  # of a pixel of the result

    @property
    def mpp(self) -> float | None:
        """Side of a pixel of the result along Y and X [um], None where that is not known."""
        return self.size.um[-1] if self.size.um else None

    @property
    def factor(self) -> tuple[float, ...]:
        size_px = self.slide.levels[self.level].shape_px
        return tuple(size / own for size, own in zip(size_px, self.shape_px, strict=True))

    def read(
        self, region: Region, lost: list[Lost], channels: Sequence[int] | None = None
    ) -> np.ndarray:
        """Pixels (C, Y, X) of a region of the result, of these channels or all.

        Places that are unreadable or no numbers are 0 and in `lost`.
        """
        picked = list(range(self.slide.channels) if channels is None else channels)
        if all(factor == 1 for factor in self.factor):
            return self._read_source(region, lost, picked)
        step = max(1, int(side_px(MOST_PX, len(region)) / max(self.factor)))
        sizes = [part.stop - part.start for part in region]
        result = np.empty((len(picked), *sizes), self.slide.dtype)
        for tile in tile_grid(sizes, step, 0, step, [part.start for part in region]):
            where = (slice(None), *within(tile.write, region))
            result[where] = self._read_part(tile.write, lost, picked)
        return result

    def _read_source(self, region: Region, lost: list[Lost], channels: list[int]) -> np.ndarray:
        """A region of the source; what is no number there would spread when it is resampled."""
        pixels = read_or_mark(self.slide, self.level, region, lost)
        pixels, places = without_numbers(pixels[channels])
        for place in places:
            whole = zip(place, region, strict=True)
            there = (slice(p.start + of.start, p.stop + of.start) for p, of in whole)
            lost.append(lost_at(tuple(there), WHY))
        return pixels

    def _read_part(self, region: Region, lost: list[Lost], channels: list[int]) -> np.ndarray:
        """A region of the result that is small in the source too."""
        size_px = self.slide.levels[self.level].shape_px
        wide = [
            _source_part(part, factor, size)
            for part, factor, size in zip(region, self.factor, size_px, strict=True)
        ]
        pixels = self._read_source(tuple(wide), lost, channels)
        return _resampled(pixels, region, wide, self.factor)

    def place(self, lost: Lost) -> Region:
        """Where an unreadable place of the source lies in the result, as far as it reaches."""
        found = []
        for axis, (start, stop) in enumerate(ends_of(lost)):
            factor, size = self.factor[axis], self.shape_px[axis]
            margin = 0 if factor == 1 else _margin(factor)
            found.append(
                slice(
                    max(0, math.floor((start - margin) / factor)),
                    min(size, math.ceil((stop + margin) / factor)),
                )
            )
        return tuple(found)


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


def source_at(slide: Slide, level: int | None, want: float | Sequence[float] | None) -> Source:
    """The given level, or the image at `want` [um/px], or the finest level.

    Of a volume (z, y, x) is wanted. The level within `TOLERANCE`, else the next finer one, to be
    resampled, along each axis by its own factor where pixels are not square. Raises SlideError
    where the resolution is not known, absurd, or far coarser than what is wanted, and for pixels
    that are not square and stay so.
    """
    levels = slide.levels
    if level is not None:
        if not 0 <= level < len(levels):
            raise SlideError(
                f"{slide.path}: has no level {level}; set {slide.door('level')} to 0 to "
                f"{len(levels) - 1}, or leave it out."
            )
        return _as_it_is(slide, level)
    if want is None:
        return _as_it_is(slide, 0)
    wanted = (want, want) if isinstance(want, int | float) else tuple(want)
    known = [(index, each.pixel_um) for index, each in enumerate(levels) if each.pixel_um]
    low, high = SENSIBLE_MPP if len(wanted) <= PLANE else SENSIBLE_SPACING
    if not known or not all(low <= side <= high for side in known[0][1]):
        raise SlideError(
            f"{slide.path}: its resolution is {shown(known[0][1]) if known else 'not known'} "
            f"(sensible: {low:g} to {high:g} um/px), but {slide.door.wants} {shown(wanted)}. "
            + (
                f"Give {slide.resolution_at} in um: in px it does not say how large they are."
                if levels[0].ratio
                else f"Set {slide.resolution_at} to the um per pixel of its finest level."
            )
        )
    for index, pixel in known:
        *planes, _, wide = zip(pixel, wanted, strict=True)
        near = (abs(side / of - 1) <= TOLERANCE for side, of in (*planes, wide))
        if is_square(pixel) and all(near):
            return Source(slide, index, levels[index].shape_px, _size_of(pixel))
    finer = [(index, pixel) for index, pixel in known if _most(pixel, wanted) <= 1]
    index, pixel = finer[-1] if finer else known[0]
    if 1 / _most(pixel, wanted) < FINEST_FACTOR:
        raise SlideError(
            f"{slide.path}: its finest level has {shown(pixel)}, {slide.door.wants} "
            f"{shown(wanted)}: that detail is not in the file. {slide.door.coarser}, or set "
            f"{slide.resolution_at} if the file is wrong."
        )
    sizes = zip(levels[index].shape_px, pixel, wanted, strict=True)
    shape_px = tuple(max(1, round(size / (of / side))) for size, side, of in sizes)
    return Source(slide, index, shape_px, _size_of(wanted))


def _most(pixel: PixelUm, wanted: PixelUm) -> float:
    """By how much a pixel is longer than wanted, along the axis where that is most."""
    return max(side / of for side, of in zip(pixel, wanted, strict=True))


def _size_of(pixel: PixelUm) -> PixelSize:
    """Of pixels as high as wide."""
    return PixelSize((*pixel[:-2], pixel[-1], pixel[-1]), "micrometer")


def _as_it_is(slide: Slide, level: int) -> Source:
    """A level whose pixels stay what they are. Raises SlideError where they are not square."""
    of: Level = slide.levels[level]
    if of.pixel_um and not is_square(of.pixel_um):
        raise SlideError(
            f"{slide.path}: its pixels are {shown(of.pixel_um)}, but must be square: "
            f"{slide.door.resample}, or set {slide.resolution_at} if the file is wrong."
        )
    axes = len(of.shape_px)
    if of.ratio:
        return Source(slide, level, of.shape_px, PixelSize(of.ratio))
    if of.pixel_um:
        return Source(slide, level, of.shape_px, _size_of(of.pixel_um))
    if axes > PLANE:
        raise SlideError(
            f"{slide.path}: the size of its pixels along z, y and x is not known, but a volume "
            f"needs it: distances are measured by it. Set {slide.resolution_at}, such as 0.5 0.1 "
            "0.1 in um, or 5 1 1 px where no more is known than how they lie to one another."
        )
    return Source(slide, level, of.shape_px, PixelSize.square(None))


def read_or_mark(slide: Slide, level: int, region: Region, lost: list[Lost]) -> np.ndarray:
    """Pixels (C, Y, X); what cannot be read after reopening the file once is 0 and in `lost`.

    A place is narrowed down to regions of `SMALLEST_PX`, of volumes to cubes. Raises SlideError
    where the file cannot be opened again, and where it is decoded whole or not at all.
    """
    try:
        return slide.read(level, *region)
    except SlideError:
        log.info("%s: opened again, as a part of it cannot be read", slide.path)
    slide.reopen()
    if slide.decodes_whole:
        return slide.read(level, *region)
    block = np.zeros((slide.channels, *(part.stop - part.start for part in region)), slide.dtype)
    waiting = [region]
    while waiting:
        part = waiting.pop()
        try:
            pixels = slide.read(level, *part)
        except SlideError as error:
            if halves := _quartered(part):
                waiting += halves
                continue
            why = str(error.__cause__ or error).partition("\n")[0]
            lost.append(lost_at(part, why))
            continue
        block[(slice(None), *within(part, region))] = pixels
    lost.sort(key=ends_of)
    return block


def _quartered(region: Region) -> list[Region]:
    """A region in up to four parts, of a volume eight; none where it is small enough."""
    smallest_px = side_px(SMALLEST_PX, len(region))
    if max(part.stop - part.start for part in region) <= smallest_px:
        return []
    return [*itertools.product(*(_halved(part, smallest_px) for part in region))]


def _halved(part: slice, smallest_px: int) -> list[slice]:
    if part.stop - part.start <= smallest_px:
        return [part]
    middle = part.start + -(-(part.stop - part.start) // (2 * smallest_px)) * smallest_px
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
    factor: tuple[float, ...],
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
        highest = np.float32(limits.max)
        if int(highest) > limits.max:  # of 32 bits it is rounded up, and would become the lowest
            highest = np.nextafter(highest, np.float32(0))
        result = np.clip(np.rint(result), limits.min, highest)
    elif pixels.dtype == bool:
        result = np.rint(result)
    return result.astype(pixels.dtype)
