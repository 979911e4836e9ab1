"""What is certain of the components of one block, whatever lies beside it.

    . . . . . . . .        a hole that reaches no face of the block is filled: it and the
    . 1 1 1 . . 2 .        object around it are one group
    . 1 . 1 . . . .        what is too small, reaches no face and has one background around
    . 1 1 1 . . 3 3        it (2) will be part of that: of a hole, or of nothing
    . . . . . . 3 3

Where small objects are left out, few groups remain of the noise of a poor network; those of all
blocks must be in memory.
"""

import itertools
from typing import NamedTuple

import numpy as np

from unetflow.components.pieces_of_block import Faces, Labelling, Sums, add_up, distinct_pairs
from unetflow.components.runs import roots, unite


class Settled(NamedTuple):
    """Groups 1 to n of the components of a block."""

    of_component: np.ndarray  # int32: the group of each; [0] is 0, as of those that are dropped
    is_object: np.ndarray  # bool, of each group
    sums: Sums  # of each group
    touching: np.ndarray  # groups (background, object) that touch, from 0: (N, 2)
    outside: np.ndarray  # groups of background, from 0, that are no holes
    ground_px: np.ndarray  # int64, of each group: its pixels of background that is filled nowhere


def settle(
    faces: Faces,
    sums: Sums,
    is_object: np.ndarray,
    touching: np.ndarray,
    kept_open: np.ndarray,
    how: Labelling,
) -> Settled:
    """Groups of the components 1 to n of a block, as `pieces_of_block` finds them.

    `faces` are those of the block, as of `Components.faces`; background that is `kept_open` (bool,
    of each component) is filled nowhere. Where holes are not filled there are no components of
    background, and what is too small and reaches no face is in no group.
    """
    count = len(is_object)
    goes_on = reach_a_face(faces, count)
    hole = ~is_object & ~goes_on & ~kept_open
    in_hole = hole[touching[:, 0]]
    parent = np.arange(count)
    unite(parent, touching[in_hole])
    joined = roots(parent)
    small = add_up("area_px", sums.area_px, joined, count) < max(how.min_area_px, 1)
    small[joined[goes_on]] = False
    outer = touching[~in_hole]
    if how.fill_holes:
        around, absorbed = _one_background(outer, joined, small)
        unite(parent, np.stack([around, absorbed], axis=1))
        kept = np.ones(count, bool)
        own = is_object & ~np.isin(joined, absorbed)
    else:
        kept = ~small[joined]
        own = is_object & kept
    groups, of = np.unique(roots(parent)[kept], return_inverse=True)
    of_component = np.zeros(count + 1, np.int32)
    of_component[1:][kept] = of + 1
    objects = np.zeros(len(groups), bool)
    objects[of_component[1:][own] - 1] = True
    pairs = of_component[1:][outer] - 1
    ground = kept & ~is_object & ~hole
    ground_px = add_up("area_px", sums.area_px[ground], of_component[1:][ground] - 1, len(groups))
    return Settled(
        of_component,
        objects,
        Sums(*(add_up(name, part[kept], of, len(groups)) for name, part in sums._asdict().items())),
        distinct_pairs(pairs[objects[pairs[:, 1]]], len(groups)),
        np.unique(of_component[1:][kept_open & kept & ~is_object] - 1),
        ground_px,
    )


def reach_a_face(faces: Faces, count: int) -> np.ndarray:
    """Whether each component reaches a face of its block: it may go on in the next one."""
    found = np.zeros(count + 1, bool)
    for face in itertools.chain(*faces):
        found[face] = True
    return found[1:]


def too_large(areas_px: np.ndarray, how: Labelling) -> np.ndarray:
    """Whether background of these areas is more than a hole may have."""
    if how.max_hole_px is None:
        return np.zeros(len(areas_px), bool)
    return areas_px > how.max_hole_px


def _one_background(
    touching: np.ndarray, joined: np.ndarray, small: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Small groups that touch one background alone: that, and the group."""
    background, component = touching.T
    first, last = np.full(len(joined), len(joined)), np.full(len(joined), -1)
    np.minimum.at(first, joined[component], background)
    np.maximum.at(last, joined[component], background)
    found = np.flatnonzero(small & (first == last))
    return first[found], found
