"""Grids of tiles: write regions that partition a level, or that overlap to be blended."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unetflow.arguments import list_of, whole_number_of
from unetflow.tiles.regions import Region

Lengths = int | Sequence[int]  # [px], one for all axes or one for each


@dataclass(frozen=True, slots=True)
class Tile:
    """One unit of inference.

    |<------------------ read ------------------->|
    |  halo  |<----------- write --------->|  halo |
    """

    write: Region  # [px], inside the level; write regions partition it
    read: Region  # [px], one shape for all tiles of a grid; may leave the level (mirrored)


def tile_grid(
    shape: Sequence[int],
    write_px: Lengths,
    before_px: Lengths,
    read_px: Lengths,
    origin: Sequence[int] = (),
) -> list[Tile]:
    """Tiles whose write regions partition a level of `shape`, for any number of axes.

    Write regions start at multiples of `write_px` from `origin` (default 0) and are clipped at the
    end of the level; each tile reads `read_px` pixels along each axis, from `before_px` before its
    write region on, and so may leave the level. Order: last axis fastest. Raises ValueError for
    sizes that are no whole numbers, or not one for each axis.
    """
    shape = [whole_number_of(size, "shape", least=0) for size in list_of(shape)]
    writes = _each(write_px, len(shape), "write_px")
    befores = _each(before_px, len(shape), "before_px")
    reads = _each(read_px, len(shape), "read_px")
    for write, before, read in zip(writes, befores, reads, strict=True):
        if min(write, read) < 1 or before < 0 or before + write > read:
            raise ValueError(
                f"a tile reads {read} px and writes {write} px from {before} px on: the read "
                "region must hold the write region, and sizes must be positive"
            )
    origins = _each(origin, len(shape), "origin") if len(origin) else (0,) * len(shape)
    ends = [first + n for first, n in zip(origins, shape, strict=True)]
    starts = [
        range(first, end, step) for first, end, step in zip(origins, ends, writes, strict=True)
    ]
    tiles = []
    for corner in itertools.product(*starts):
        write_region = tuple(
            slice(start, min(start + step, end))
            for start, step, end in zip(corner, writes, ends, strict=True)
        )
        tiles.append(Tile(write_region, _read(write_region, befores, reads)))
    return tiles


def overlapping_grid(
    shape: Sequence[int],
    region: Region,
    write_px: Lengths,
    overlap_px: Lengths,
    before_px: Lengths,
    read_px: Lengths,
) -> list[Tile]:
    """Tiles of a level that reach into `region`; their write regions overlap, to be blended.

        |<----- write_px ----->|<----- write_px ----->|
        |            tile 1            |                  each reaches overlap_px beyond its own
                       |            tile 2            |   part, as far as the level goes

    The same for any region: tiles lie at multiples of `write_px` of the level.
    """
    axes = len(shape)
    writes, overlaps = _each(write_px, axes, "write_px"), _each(overlap_px, axes, "overlap_px")
    befores, reads = _each(before_px, axes, "before_px"), _each(read_px, axes, "read_px")
    numbers = [
        range(
            max(0, part.start - overlap) // step,
            (min(part.stop + overlap, size) - 1) // step + 1,
        )
        for part, size, step, overlap in zip(region, shape, writes, overlaps, strict=True)
    ]
    tiles = []
    for corner in itertools.product(*numbers):
        write_region = tuple(
            slice(max(0, k * step - overlap), min(size, (k + 1) * step + overlap))
            for k, size, step, overlap in zip(corner, shape, writes, overlaps, strict=True)
        )
        tiles.append(Tile(write_region, _read(write_region, befores, reads)))
    return tiles


def blend_weights(
    write: Region, write_px: Lengths, overlap_px: Lengths, shape: Sequence[int]
) -> np.ndarray:
    """Weights (float32) of a tile of `overlapping_grid`; those of all tiles sum to 1 everywhere.

    Along each axis they fall linearly over the pixels that two tiles share.
    """
    axes = len(shape)
    weights = np.ones((1,) * axes, np.float32)
    writes, overlaps = _each(write_px, axes, "write_px"), _each(overlap_px, axes, "overlap_px")
    sizes = zip(write, shape, writes, overlaps, strict=True)
    for axis, (part, size, step, overlap) in enumerate(sizes):
        number = (part.start + overlap) // step if part.start else 0
        centres = np.arange(part.start, part.stop) + 0.5
        along = np.ones(len(centres))
        for border, sign in ((number * step, 1), ((number + 1) * step, -1)):
            if 0 < border < size:
                ramp = 0.5 + sign * (centres - border) / (2 * overlap)
                along = np.minimum(along, ramp)
        others = [k for k in range(axes) if k != axis]
        weights = weights * np.expand_dims(along.astype(np.float32), others)
    return weights


def _each(lengths: Lengths, axes: int, name: str) -> tuple[int, ...]:
    """One length for each axis, of as many or of one for all."""
    each = tuple(whole_number_of(length, name, least=0) for length in list_of(lengths))
    if len(each) not in (1, axes):
        raise ValueError(f"{name} is {lengths}: must be one for all axes, or {axes} of them.")
    return each if len(each) == axes else each * axes


def _read(write: Region, before_px: Sequence[int], read_px: Sequence[int]) -> Region:
    """What a tile reads for its write region."""
    return tuple(
        slice(part.start - before, part.start - before + size)
        for part, before, size in zip(write, before_px, read_px, strict=True)
    )
