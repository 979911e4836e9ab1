"""The truth of a prepared image, read by region: labels, ignored pixels, classes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unetflow.labels.encoding import class_target, separate_touching
from unetflow.store.arrays import StoredArray, read_array, read_lazily
from unetflow.store.levels import level_factors, level_shapes
from unetflow.store.names import CLASS, IGNORE, TRUTH, of_labels
from unetflow.tiles.regions import PLANE, Region, shard_grid, shard_region, with_halo

if TYPE_CHECKING:
    import dask.array as da


MOST_PLACES = 100_000  # of objects, spread evenly over the image


class Annotation:
    """Arrays (Y, X) of a store: `labels`, as `unetflow.labels.reading` has them, and `ignore`.

    Of a volume (Z, Y, X).
    """

    def __init__(self, store: str | Path, kind: str, classes: int) -> None:
        """`kind` of truth and number of classes are the dataset's."""
        self.kind, self._store = kind, store
        self.labels = read_array(store, of_labels(TRUTH))
        self.ignore = read_array(store, of_labels(IGNORE))
        several = has_class_array(kind, classes)
        self._classes = read_array(store, of_labels(CLASS)) if several else None

    def target(self, region: Region) -> np.ndarray:
        """The class of each pixel that the network is asked for, uint8, 0 background."""
        wide, inner = with_halo(region, (1,) * self.labels.ndim, self.labels.shape)
        classes = None if self._classes is None else np.asarray(self._classes[wide])
        return class_target(np.asarray(self.labels[wide]), self.kind, classes)[inner]

    def places_of_objects(self, most_px: int) -> np.ndarray:
        """(row, column) [px] of pixels of objects on the first level up to `most_px`, (N, 2).

        Of a volume (plane, row, column) on the finest: others lack most planes.
        """
        shape = self.labels.shape
        if len(shape) > PLANE:
            return places_in(self.labels, lambda labels: labels != 0, MOST_PLACES)[0]
        factors, shapes = level_factors(shape), level_shapes(shape)
        level = next(k for k, of_level in enumerate(shapes) if max(of_level) <= most_px)
        coarse = np.asarray(read_array(self._store, of_labels(TRUTH, level))[:])
        places: np.ndarray = np.argwhere(coarse != 0) * np.array(factors[level])
        return places.astype(np.int32)[:: max(1, len(places) // MOST_PLACES)]


def places_in(
    array: StoredArray, wanted: Callable[[np.ndarray], np.ndarray], most: int
) -> tuple[np.ndarray, int]:
    """Where an array is as `wanted`, (N, axes) [px], of very many `most`; and how many there are.

    Evenly over all, one at random in each of as many parts.
    """
    shape, blocks = array.shape, shard_grid(array.shape, array.shards)
    regions = [shard_region(index, shape, array.shards) for index in blocks]
    counts = [int(np.count_nonzero(wanted(np.asarray(array[region])))) for region in regions]
    total = sum(counts)
    ranks = np.arange(total if total <= most else 0)
    if total > most:
        at = np.arange(most) + np.random.default_rng(0).random(most)
        ranks = (at * (total / most)).astype(np.int64)
    found, before = [np.zeros((0, len(shape)), np.int32)], 0
    for region, count in zip(regions, counts, strict=True):
        own = ranks[np.searchsorted(ranks, before) : np.searchsorted(ranks, before + count)]
        if own.size:
            places = np.argwhere(wanted(np.asarray(array[region])))[own - before]
            found.append((places + [part.start for part in region]).astype(np.int32))
        before += count
    return np.concatenate(found), total


def has_class_array(kind: str, classes: int) -> bool:
    """Whether the class of an object stands in an array of its own."""
    return kind == "instances" and classes > 1


def read_class_lazily(
    store: str | Path, kind: str, classes: int, number: int
) -> "tuple[da.Array, da.Array]":
    """Labels of the objects of one class, and its pixels after separating what touches (bool)."""
    labels = read_lazily(store, of_labels(TRUTH))
    if kind == "classes":
        return labels * (labels == number), labels == number
    separated = labels.map_overlap(separate_touching, depth=1, boundary="none") != 0
    if not has_class_array(kind, classes):
        return labels, separated
    of_class = read_lazily(store, of_labels(CLASS)) == number
    return labels * of_class, separated & of_class
