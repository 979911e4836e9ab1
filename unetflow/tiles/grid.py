"""Grids of tiles: write regions that partition a level, or that overlap to be blended."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unetflow.tiles.regions import Region


@dataclass(frozen=True, slots=True)
class Tile:
    """One unit of inference.

    |<------------------ read ------------------->|
    |  halo  |<----------- write --------->|  halo |
    """

    write: Region  # [px], inside the level; write regions partition it
    read: Region  # [px], one shape for all tiles of a grid; may leave the level (mirrored)


def tile_grid(
    shape: Sequence[int], write_px: int, before_px: int, read_px: int, origin: Sequence[int] = ()
) -> list[Tile]:
    """Tiles whose write regions partition a level of `shape`, for any number of axes.

    Write regions start at multiples of `write_px` from `origin` (default 0) and are clipped at the
    end of the level; each tile reads `read_px` pixels along each axis, from `before_px` before its
    write region on, and so may leave the level. Order: last axis fastest.
    """
    if min(write_px, read_px) < 1 or before_px < 0 or before_px + write_px > read_px:
        raise ValueError(
            f"a tile reads {read_px} px and writes {write_px} px from {before_px} px on: the read "
            "region must hold the write region, and sizes must be positive"
        )
    origin = origin or (0,) * len(shape)
    starts = [range(first, first + n, write_px) for first, n in zip(origin, shape, strict=True)]
    ends = [first + n for first, n in zip(origin, shape, strict=True)]
    return [
        Tile(
            write=tuple(
                slice(start, min(start + write_px, end))
                for start, end in zip(corner, ends, strict=True)
            ),
            read=tuple(slice(start - before_px, start - before_px + read_px) for start in corner),
        )
        for corner in itertools.product(*starts)
    ]


def overlapping_grid(
    shape: Sequence[int],
    region: Region,
    write_px: int,
    overlap_px: int,
    before_px: int,
    read_px: int,
) -> list[Tile]:
    """Tiles of a level that reach into `region`; their write regions overlap, to be blended.

        |<----- write_px ----->|<----- write_px ----->|
        |            tile 1            |                  each reaches overlap_px beyond its own
                       |            tile 2            |   part, as far as the level goes

    The same for any region: tiles lie at multiples of `write_px` of the level.
    """
    ranges = [
        range(
            max(0, part.start - overlap_px) // write_px,
            (min(part.stop + overlap_px, size) - 1) // write_px + 1,
        )
        for part, size in zip(region, shape, strict=True)
    ]
    tiles = []
    for corner in itertools.product(*ranges):
        write = tuple(
            slice(max(0, k * write_px - overlap_px), min(size, (k + 1) * write_px + overlap_px))
            for k, size in zip(corner, shape, strict=True)
        )
        starts = [part.start - before_px for part in write]
        tiles.append(Tile(write, tuple(slice(start, start + read_px) for start in starts)))
    return tiles


def blend_weights(
    write: Region, write_px: int, overlap_px: int, shape: Sequence[int]
) -> np.ndarray:
    """Weights (float32) of a tile of `overlapping_grid`; those of all tiles sum to 1 everywhere.

    Along each axis they fall linearly over the pixels that two tiles share.
    """
    weights = np.ones((1,) * len(write), np.float32)
    for axis, (part, size) in enumerate(zip(write, shape, strict=True)):
        number = (part.start + overlap_px) // write_px if part.start else 0
        centres = np.arange(part.start, part.stop) + 0.5
        along = np.ones(len(centres))
        for border, sign in ((number * write_px, 1), ((number + 1) * write_px, -1)):
            if 0 < border < size:
                ramp = 0.5 + sign * (centres - border) / (2 * overlap_px)
                along = np.minimum(along, ramp)
        others = [k for k in range(len(write)) if k != axis]
        weights = weights * np.expand_dims(along.astype(np.float32), others)
    return weights
