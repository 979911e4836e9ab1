"""Where an image is annotated, and where its objects lie: training draws its patches there."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetflow.store.arrays import StoredArray, read_array
from unetflow.store.levels import level_factors, level_shapes
from unetflow.store.names import IGNORE, TRUTH, of_labels
from unetflow.tiles.regions import PLANE, shard_grid, shard_region

MOST = 100_000  # places, spread evenly over all


@dataclass(frozen=True, slots=True)
class Part:
    """What is annotated of an image that is not annotated as a whole, in cells of a level."""

    corners_NA: np.ndarray  # (row, column) [px] of the first pixel of cells, evenly over all
    cell_px: tuple[int, ...]
    pixels: float  # of all its cells


def part_of(store: str | Path, most_px: int) -> Part | None:
    """What of an image is annotated, on the first level up to `most_px` along each side.

    None where no pixel of the level is ignored. Of a volume on the finest: single planes may be
    annotated, and coarser levels lack most planes.
    """
    ignore, factors = _level(store, IGNORE, most_px)
    corners, count = _places(ignore, lambda ignored: ignored == 0)
    if count == math.prod(ignore.shape):
        return None
    return Part(corners * np.array(factors, np.int32), factors, float(count * math.prod(factors)))


def places_of_objects(store: str | Path, most_px: int) -> np.ndarray:
    """(row, column) [px] of pixels of objects on the first level up to `most_px`, (N, 2).

    Of a volume (plane, row, column) on the finest.
    """
    truth, factors = _level(store, TRUTH, most_px)
    if len(truth.shape) > PLANE:
        return _places(truth, lambda labels: labels != 0)[0]
    # their order decides which patches a seed draws
    places: np.ndarray = np.argwhere(truth[:] != 0) * np.array(factors)
    return places.astype(np.int32)[:: max(1, len(places) // MOST)]


def _level(store: str | Path, name: str, most_px: int) -> tuple[StoredArray, tuple[int, ...]]:
    """An array of the truth at a level, and how many pixels of the finest one is of it."""
    finest = read_array(store, of_labels(name))
    if len(finest.shape) > PLANE:
        return finest, (1,) * len(finest.shape)
    sizes = level_shapes(finest.shape)
    level = next(k for k, size_px in enumerate(sizes) if max(size_px) <= most_px)
    return read_array(store, of_labels(name, level)), level_factors(finest.shape)[level]


def _places(
    array: StoredArray, wanted: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, int]:
    """Where an array is as `wanted`, (N, axes), of very many `MOST`; and how many there are.

    Evenly over all, one at random in each of as many parts.
    """
    shape, blocks = array.shape, shard_grid(array.shape, array.shards)
    regions = [shard_region(index, shape, array.shards) for index in blocks]
    counts = [int(np.count_nonzero(wanted(np.asarray(array[region])))) for region in regions]
    total = sum(counts)
    ranks = np.arange(total if total <= MOST else 0)
    if total > MOST:
        at = np.arange(MOST) + np.random.default_rng(0).random(MOST)
        ranks = (at * (total / MOST)).astype(np.int64)
    found, before = [np.zeros((0, len(shape)), np.int32)], 0
    for region, count in zip(regions, counts, strict=True):
        own = ranks[np.searchsorted(ranks, before) : np.searchsorted(ranks, before + count)]
        if own.size:
            places = np.argwhere(wanted(np.asarray(array[region])))[own - before]
            found.append((places + [part.start for part in region]).astype(np.int32))
        before += count
    return np.concatenate(found), total
