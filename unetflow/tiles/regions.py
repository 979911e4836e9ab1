"""Regions of arrays: tuples of slices in pixels, (row, column), ends excluded; and their shards."""

import itertools
import math
from collections.abc import Sequence

Region = tuple[slice, ...]
PLANE = 2  # axes of an image; a volume has one more
SIDES = ("planes", "rows", "columns")


def squares(shape_px: Sequence[int], side_px: int) -> int:
    """How many squares of a side an image has, begun ones with them."""
    return math.prod(-(-size // side_px) for size in shape_px)


def side_px(square_px: int, axes: int) -> int:
    """Side of what stands for a square along so many axes: of a cube an eighth of the square's.

    512 px squared have as many pixels as 64 px cubed.
    """
    return square_px if axes <= PLANE else max(1, square_px // 8)


def sides_of(axes: int) -> tuple[str, ...]:
    """What the parts of a region are along so many axes: planes, rows and columns."""
    return SIDES[-axes:]


def in_words(region: Region) -> str:
    """A region for a message: `rows 0 to 512, columns 512 to 1024`."""
    named = zip(sides_of(len(region)), region, strict=True)
    return ", ".join(f"{side} {part.start} to {part.stop}" for side, part in named)


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
