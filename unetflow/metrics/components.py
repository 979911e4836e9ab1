"""4-connected components of a binary image, numbered in raster order."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


def label_interior(interior: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Number the 4-connected components of a binary (Y, X) image.

    0 is membrane; ids run from 1 in the order of each component's first pixel in raster order.

        1 1 0 1        1 1 0 2
        0 0 1 0   ->   0 0 3 0      (diagonal neighbours stay apart)
    """
    return np.asarray(_label_4(np.ascontiguousarray(interior, dtype=np.bool_)))


@njit(cache=True)
def _label_4(interior):
    """Two passes with union-find; the root of a set is its smallest provisional label."""
    labels, parent = _label_provisionally(interior)
    # A parent is never larger than its child, so one ascending pass resolves and renumbers.
    count = np.uint32(0)
    for label in range(1, parent.size):
        if parent[label] == label:
            count += np.uint32(1)
            parent[label] = count
        else:
            parent[label] = parent[parent[label]]
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            labels[y, x] = parent[labels[y, x]]
    return labels


@njit(cache=True)
def _label_provisionally(interior):
    """A label for each start of a component seen in raster order, and which labels are one."""
    height, width = interior.shape
    labels = np.zeros((height, width), np.uint32)
    parent = np.zeros(1 + _count_starts(interior), np.uint32)
    following = 1
    for y in range(height):
        for x in range(width):
            if not interior[y, x]:
                continue
            above = labels[y - 1, x] if y > 0 else np.uint32(0)
            before = labels[y, x - 1] if x > 0 else np.uint32(0)
            if above == 0 and before == 0:
                parent[following] = following
                labels[y, x] = following
                following += 1
            elif above == 0 or above == before:
                labels[y, x] = before
            elif before == 0:
                labels[y, x] = above
            else:
                above, before = _root(parent, above), _root(parent, before)
                root = min(above, before)
                parent[above] = root
                parent[before] = root
                labels[y, x] = root
    return labels, parent


@njit(cache=True)
def _count_starts(interior):
    """Interior pixels with membrane above and before: as many as there are provisional labels."""
    count = 0
    for y in range(interior.shape[0]):
        for x in range(interior.shape[1]):
            if interior[y, x] and not (
                (y > 0 and interior[y - 1, x]) or (x > 0 and interior[y, x - 1])
            ):
                count += 1
    return count


@njit(cache=True)
def _root(parent, label):
    """The smallest label of the set, halving the path to it."""
    while parent[label] != label:
        parent[label] = parent[parent[label]]
        label = parent[label]
    return label
