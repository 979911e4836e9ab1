"""Coarser levels of images and labels, each half of the one before: what viewers show first."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from unetflow.engine.each import for_each
from unetflow.store.shards import Index, Layout, ShardedArray, clear, open_array

COARSEST_PX = 512  # a pyramid ends with the first level that is no larger
Reduce = Callable[[np.ndarray], np.ndarray]


def level_shapes(shape_px: Sequence[int]) -> list[tuple[int, int]]:
    """(Y, X) of all levels, finest first."""
    height, width = shape_px
    shapes = [(height, width)]
    while max(shapes[-1]) > COARSEST_PX:
        shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
    return shapes


def write_coarser(
    store: str | Path,
    finest: ShardedArray,
    name: str,
    reduce: Reduce,
    *,
    axes: tuple[str, ...],
    decided_by: Mapping[str, object],
    threads: int,
) -> None:
    """The levels below `finest`, in arrays of a store; `reduce` halves a block.

    `name` is that of an array, with {} for the number of its level.
    """
    leading, shapes = finest.array.shape[:-2], level_shapes(finest.array.shape[-2:])
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

    def make(index: Index) -> None:
        region = coarser.region(index)
        doubled = tuple(
            slice(2 * part.start, min(2 * part.stop, size))
            for part, size in zip(region[-2:], finer.array.shape[-2:], strict=True)
        )
        coarser.write(index, reduce(finer.array[(*region[:-2], *doubled)]))

    for_each(make, coarser.missing(), threads=threads)


def every_second(labels: np.ndarray) -> np.ndarray:
    """One pixel of each 2x2 of (..., Y, X): numbers are never mixed."""
    return labels[..., ::2, ::2]


def halved(block: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels of (C, Y, X), in the block's dtype; a last odd row or column alone.

    Integers are rounded to the nearest, halves to even, and summed in 64 bits.
    """
    if block.dtype == bool:
        return halved(block.view(np.uint8)).view(bool)
    if np.issubdtype(block.dtype, np.integer):
        return np.asarray(_compiled_halving()(np.ascontiguousarray(block)))
    odd = [(0, 0), *((0, size % 2) for size in block.shape[1:])]
    even = np.pad(block, odd, mode="edge").astype(np.float64)
    channels, height, width = even.shape
    means = even.reshape(channels, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    return np.asarray(means.astype(block.dtype))


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
