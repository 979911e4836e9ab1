"""The geometry of overlap-tile: sizes, halos, tiles and mirrored padding. Pure arithmetic.

The paper's network (Ronneberger et al. 2015, figure 1) only has valid convolutions, so its output
is smaller than its input, by twice the halo, and only some input sizes pass its poolings evenly:

    |<------------------ read ------------------->|      700 px
    |  halo  |<----------- write --------->| halo |   92 + 512 + 96 px

Pooling makes the network shift-equivariant only in steps of 2**depth px. Write regions that start
at multiples of it therefore give exactly what the whole image would give; the surplus output
pixels (the network returns 516 of 700) are cut at the end of each axis.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Region = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """One unit of inference.

    |<------------------ read ------------------->|
    |  halo  |<----------- write --------->|  halo |
    """

    write: Region  # [px], inside the level; write regions partition it
    read: Region  # [px], one shape for all tiles of a grid; may leave the level (mirrored)


def squares(shape_px: Sequence[int], side_px: int) -> int:
    """How many squares of a side an image has, begun ones with them."""
    return math.prod(-(-size // side_px) for size in shape_px)


def _output_or_none(input_px: int, depth: int) -> int | None:
    """Output size of the U-Net, or None where a size turns odd before a pooling or vanishes."""
    size_px = input_px
    for _ in range(depth):
        size_px -= 4  # two valid 3x3 convolutions
        if size_px <= 0 or size_px % 2:
            return None
        size_px //= 2
    size_px -= 4
    for _ in range(depth):
        size_px = 2 * size_px - 4
    return size_px if size_px > 0 else None


def output_size_px(input_px: int, depth: int = 4) -> int:
    """Pixels that the U-Net of `depth` poolings returns of `input_px` pixels: 572 -> 388.

    Raises ValueError, with the nearest valid sizes, where a pooling would meet an odd size or
    nothing would be left. Source: Ronneberger et al. 2015, figure 1 and section 2.
    """
    output_px = _output_or_none(input_px, depth)
    if output_px is None:
        raise ValueError(
            f"an input of {input_px} px is not possible for a U-Net of depth {depth}: every "
            f"pooling needs an even size and something must be left; the nearest valid sizes are "
            + " and ".join(f"{size} px" for size in nearest_input_sizes_px(input_px, depth))
        )
    return output_px


def nearest_input_sizes_px(input_px: int, depth: int = 4) -> list[int]:
    """The nearest valid input sizes at or below and above `input_px` (below may not exist)."""
    above = valid_input_px(1, depth)
    while above < input_px:
        above += 2**depth
    below = above - 2**depth
    return [size for size in (below, above) if _output_or_none(size, depth) is not None]


def valid_input_px(output_px: int, depth: int = 4) -> int:
    """The smallest valid input whose output has at least `output_px` pixels: 512 -> 700."""
    # Valid inputs are all congruent modulo 2**depth: search one period from the first candidate.
    smallest = output_px + 2 * halo_px(depth)
    for size_px in range(smallest, smallest + 2 ** (depth + 3)):
        if _output_or_none(size_px, depth) is not None:
            return size_px
    raise AssertionError(f"no valid input for {output_px} px at depth {depth}")


def halo_px(depth: int = 4) -> int:
    """Pixels of context on each side of an output pixel: 92 for the paper's depth of 4.

    Each level loses four pixels of its own on the way down and four on the way up, the lowest
    four: 8 (2**depth - 1) + 4 * 2**depth on both sides together.
    """
    return (8 * (2**depth - 1) + 4 * 2**depth) // 2


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


def mirror(positions: np.ndarray, size_px: int) -> np.ndarray:
    """Where positions outside [0, size) lie after mirroring, the edge pixel not repeated.

    As `numpy.pad(mode="reflect")`, again and again where the level is smaller than the reach:
    positions -2 -1 0 1 2 3 4 of a level of 3 px are 2 1 0 1 2 1 0.
    """
    if size_px == 1:
        return np.zeros_like(positions)
    period = 2 * (size_px - 1)
    folded = np.abs(positions) % period
    return np.minimum(folded, period - folded)


def read_mirrored(array: Any, region: Region) -> np.ndarray:
    """Read `region` of an array's last axes, mirrored where it leaves the array.

    `array` is anything with `shape` and slicing (NumPy, Zarr); axes before the region's are read
    whole. Only pixels of the array that the region needs are read, each once.
    """
    leading = (slice(None),) * (len(array.shape) - len(region))
    sizes_px = array.shape[len(leading) :]
    inside = []  # what is read, as slices of the array
    picks = []  # where each pixel of the region lies in what was read
    for part, size_px in zip(region, sizes_px, strict=True):
        positions = mirror(np.arange(part.start, part.stop), size_px)
        first = int(positions.min())
        inside.append(slice(first, int(positions.max()) + 1))
        picks.append(positions - first)
    pixels = np.asarray(array[(*leading, *inside)])
    for axis, pick in enumerate(picks, start=len(leading)):
        if len(pick) != pixels.shape[axis] or pick[0] != 0:
            pixels = np.take(pixels, pick, axis=axis)
    return pixels


def with_halo(
    region: Region, halo_px: Sequence[int], shape: Sequence[int]
) -> tuple[Region, Region]:
    """A region widened on all sides as far as the array goes, and where it lies in that."""
    wide = tuple(
        slice(max(0, part.start - halo), min(size, part.stop + halo))
        for part, halo, size in zip(region, halo_px, shape, strict=True)
    )
    return wide, within(region, wide)


def common(one: Sequence[slice], other: Sequence[slice]) -> Region:
    """The pixels of two regions that overlap."""
    return tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )


def within(region: Sequence[slice], whole: Sequence[slice]) -> Region:
    """Where a region lies in a larger one."""
    return tuple(
        slice(part.start - of.start, part.stop - of.start)
        for part, of in zip(region, whole, strict=True)
    )


def shard_grid(shape: Sequence[int], shard: Sequence[int]) -> list[tuple[int, ...]]:
    """Indices of the shards that cover `shape`, last axis fastest."""
    counts = [range(-(-n // s)) for n, s in zip(shape, shard, strict=True)]
    return list(itertools.product(*counts))


def touched(region: Sequence[slice], shard: Sequence[int]) -> list[tuple[int, ...]]:
    """Indices of the shards that a region reaches into, last axis fastest."""
    along = [
        range(part.start // size, -(-part.stop // size))
        for part, size in zip(region, shard, strict=True)
    ]
    return list(itertools.product(*along))


def shard_region(index: Sequence[int], shape: Sequence[int], shard: Sequence[int]) -> Region:
    """The pixels of one shard, clipped at the end of the array."""
    return tuple(
        slice(i * s, min((i + 1) * s, n)) for i, s, n in zip(index, shard, shape, strict=True)
    )
