"""Truth as the network is asked for it: touching objects apart, a class for each pixel."""

import numpy as np
from numpy.typing import ArrayLike

from unetflow.arguments import labels_of

UINT32_MAX = 2**32 - 1


def separate_touching(labels: ArrayLike) -> np.ndarray:
    """Put background between touching instances, by removing the pixels where they touch.

    A pixel becomes 0 if a neighbour by an edge (4 in 2D, 6 in 3D) is of another instance; so both
    sides give one pixel, and renaming instances changes nothing:

        1 1 2 2        1 0 0 2
        1 1 2 2   ->   1 0 0 2
        1 1 0 2        1 1 0 2

    Any number of axes, label 0 is background; a new array of the same dtype. Every output pixel
    depends on its direct neighbours only. Source: Ronneberger et al. 2015, section 3 (there by
    morphological operations that are not given). Raises ValueError for what are no labels: whole
    numbers from 0 on that fit uint32, in any type.
    """
    labels = labels_of(labels, "labels")
    touches = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        before = tuple(slice(None, -1) if a == axis else slice(None) for a in range(labels.ndim))
        after = tuple(slice(1, None) if a == axis else slice(None) for a in range(labels.ndim))
        first, second = labels[before], labels[after]
        differ = (first != second) & (first != 0) & (second != 0)
        touches[before] |= differ
        touches[after] |= differ
    return np.where(touches, np.zeros_like(labels), labels)


def class_target(labels: np.ndarray, kind: str, classes: np.ndarray | None = None) -> np.ndarray:
    """The class of each pixel that a network is asked for, 0 background: uint8.

    Of truth of kind "classes" the labels themselves; of objects their class (`classes`, of the
    same shape; None: there is one, 1) after separating those that touch. Needs a halo of one pixel.
    """
    if kind == "classes":
        return labels.astype(np.uint8)
    objects = separate_touching(labels) != 0
    return np.where(objects, np.uint8(1) if classes is None else classes, 0).astype(np.uint8)
