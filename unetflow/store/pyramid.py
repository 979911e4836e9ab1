"""Coarser levels of images and labels, each half of the one before: what viewers show first.

Of a volume whose planes lie far apart those are halved alone at first, until both are alike.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from unetflow.engine.each import for_each
from unetflow.store.arrays import StoredArray
from unetflow.store.levels import level_shapes
from unetflow.store.shards import Index, Layout, ShardedArray, clear, open_array

Reduce = Callable[[np.ndarray, Sequence[int]], np.ndarray]
"""A block halved along the axes whose factor is 2, not 1."""


def write_coarser(
    store: str | Path,
    finest: ShardedArray,
    name: str,
    reduce: Reduce,
    *,
    axes: tuple[str, ...],
    decided_by: Mapping[str, object],
    threads: int,
    spacing: Sequence[float] | None = None,
) -> None:
    """The levels below `finest`, in arrays of a store; `reduce` halves a block.

    `name` is that of an array, with {} for the number of its level; `spacing` as of
    `level_factors`.
    """
    whole, spatial = finest.array.shape, sum(axis != "c" for axis in axes)
    leading, shapes = whole[:-spatial], level_shapes(whole[-spatial:], spacing)
    levels = [finest] + [
        open_array(
            store,
            name.format(k),
            Layout((*leading, *shape_px), str(finest.array.dtype), axes),
            decided_by=decided_by,
        )
        for k, shape_px in enumerate(shapes[1:], start=1)
    ]
    clear_levels(store, name, len(shapes))
    for finer, coarser in itertools.pairwise(levels):
        halve(finer, coarser, reduce, threads)


def clear_levels(store: str | Path, name: str, first: int) -> None:
    """Remove levels from this one on: those of a larger image that was here before.

    `name` is as of `write_coarser`. The coarsest goes first: after a kill none is overlooked.
    """
    levels = (Path(store) / name.format(k) for k in itertools.count(first))
    there = list(itertools.takewhile(Path.exists, levels))
    for path in [Path(store) / name.format(first + len(there)), *reversed(there)]:
        clear(path)  # of the first, which is gone, what a kill left


def halve(finer: ShardedArray, coarser: ShardedArray, reduce: Reduce, threads: int = 1) -> None:
    """The next level from the one before, shard by shard."""
    sizes, halves = finer.array.shape, coarser.array.shape
    factors = [2 if half < size else 1 for size, half in zip(sizes, halves, strict=True)]
    make = _Halve(finer.array, coarser, reduce, factors)
    for_each(make, coarser.missing(), threads=threads, sendable=True)


@dataclass(frozen=True, slots=True)
class _Halve:
    finer: StoredArray
    coarser: ShardedArray
    reduce: Reduce
    factors: Sequence[int]

    def __call__(self, index: Index) -> None:
        sides = zip(self.coarser.region(index), self.factors, self.finer.shape, strict=True)
        region = tuple(
            slice(factor * part.start, min(factor * part.stop, size))
            for part, factor, size in sides
        )
        self.coarser.write(index, self.reduce(self.finer[region], self.factors))


def every_second(labels: np.ndarray, factors: Sequence[int] = (2, 2)) -> np.ndarray:
    """One pixel of each 2x2, or of as many as the factors say: numbers are never mixed."""
    return labels[tuple(slice(None, None, factor) for factor in factors)]


def halved(block: np.ndarray, factors: Sequence[int] = (1, 2, 2)) -> np.ndarray:
    """Means of 2x2 pixels of (C, Y, X), in the block's dtype; a last odd row or column alone.

    Or of as many as the factors say, of a block of any axes. Integers are rounded to the nearest,
    halves to even, and summed in 64 bits.
    """
    if block.dtype == bool:
        return halved(block.view(np.uint8), factors).view(bool)
    whole = np.issubdtype(block.dtype, np.integer)
    if whole and tuple(factors) == (1, 2, 2):
        return np.asarray(_compiled_halving()(np.ascontiguousarray(block)))
    odd = [(0, -size % factor) for size, factor in zip(block.shape, factors, strict=True)]
    even = np.pad(block, odd, mode="edge").astype(np.int64 if whole else np.float64)
    pairs = [n for size, f in zip(even.shape, factors, strict=True) for n in (size // f, f)]
    cells, within = even.reshape(pairs), tuple(range(1, len(pairs), 2))
    if not whole:
        return np.asarray(cells.mean(axis=within).astype(block.dtype))
    quotient, rest = np.divmod(cells.sum(axis=within), count := math.prod(factors))
    up = (2 * rest > count) | ((2 * rest == count) & (quotient % 2 == 1))
    return np.asarray((quotient + up).astype(block.dtype))


@cache
def _compiled_halving() -> Callable[[np.ndarray], np.ndarray]:
    """`_halved_integers`, compiled where it is first needed: a second that small images spare."""
    from unetflow.engine.compiled import compiled

    return compiled(_halved_integers)


def _halved_integers(block: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels of integers (C, Y, X)."""
    channels, height, width = block.shape
    out = np.empty((channels, (height + 1) // 2, (width + 1) // 2), block.dtype)
    for c in range(channels):
        for i in range(out.shape[1]):
            top, bottom = block[c, 2 * i], block[c, min(2 * i + 1, height - 1)]
            for j in range(out.shape[2]):
                left, right = 2 * j, min(2 * j + 1, width - 1)
                total = (
                    np.int64(top[left])
                    + np.int64(top[right])
                    + np.int64(bottom[left])
                    + np.int64(bottom[right])
                )
                quotient, rest = total >> 2, total & 3
                up = rest == 3 or (rest == 2 and quotient & 1)
                out[c, i, j] = quotient + up
    return out
