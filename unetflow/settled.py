"""What is certain of the pieces of one block, whatever lies beside it.

    . . . . . . . .        a hole that reaches no face of the block is filled: it and the
    . 1 1 1 . . 2 .        object around it are one group
    . 1 . 1 . . . .        what is too small, reaches no face and has one background around
    . 1 1 1 . . 3 3        it (2) will be part of that: of a hole, or of nothing
    . . . . . . 3 3

Of the noise of a poor network few groups are left, of which all blocks' must be in memory.
"""

from typing import NamedTuple

import numpy as np

from unetflow.pieces import Labelling, Sums, add_up, distinct, roots, unite


class Settled(NamedTuple):
    """Groups 1 to n of the pieces of a block."""

    of_piece: np.ndarray  # int32: the group of each piece; [0] is 0, as of pieces that are dropped
    is_object: np.ndarray  # bool, of each group
    sums: Sums  # of each group
    touching: np.ndarray  # groups (background, object) that touch, from 0: (N, 2)


def settle(
    labels: np.ndarray,
    sums: Sums,
    is_object: np.ndarray,
    touching: np.ndarray,
    how: Labelling,
) -> Settled:
    """Groups of the pieces 1 to n of a block, as `unetflow.pieces` finds them."""
    count = len(is_object)
    reaches_face = np.zeros(count + 1, bool)
    for axis in range(labels.ndim):
        for end in (0, -1):
            reaches_face[np.take(labels, end, axis)] = True
    goes_on = reaches_face[1:]
    hole = ~is_object & ~goes_on
    in_hole = hole[touching[:, 0]]
    parent = np.arange(count)
    unite(parent, touching[in_hole])
    root = roots(parent)
    small = add_up("area_px", sums.area_px, root, count) < max(how.min_area_px, 1)
    small[root[goes_on]] = False
    touching = touching[~in_hole]
    kept = np.ones(count, bool)
    if how.fill_holes:
        around, piece = touching.T
        first, last = np.full(count, count), np.full(count, -1)
        np.minimum.at(first, root[piece], around)
        np.maximum.at(last, root[piece], around)
        absorbed = small & (first == last)
        unite(parent, np.stack([first, np.arange(count)], axis=1)[absorbed])
        is_object = is_object & ~absorbed[root]
        root = roots(parent)
    else:
        kept = ~small[root]
    groups, of = np.unique(root[kept], return_inverse=True)
    of_piece = np.zeros(count + 1, np.int32)
    of_piece[1:][kept] = of + 1
    objects = np.zeros(len(groups), bool)
    objects[of_piece[1:][is_object & kept] - 1] = True
    pairs = of_piece[1:][touching] - 1
    pairs = distinct(pairs[objects[pairs[:, 1]]], len(groups))
    own = (add_up(name, part[kept], of, len(groups)) for name, part in sums._asdict().items())
    return Settled(of_piece, objects, Sums(*own), pairs)
