"""The truth of a prepared image, read by region: labels, ignored pixels, classes."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unetflow.labels.encoding import class_target, separate_touching
from unetflow.store.arrays import read_array, read_lazily
from unetflow.store.names import CLASS, IGNORE, TRUTH, of_labels
from unetflow.tiles.regions import Region, with_halo

if TYPE_CHECKING:
    import dask.array as da


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
