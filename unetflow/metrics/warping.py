"""Warping error: what is wrong in a proposal once shifted borders are forgiven.

The truth is warped towards the proposal by flipping one pixel at a time, never changing its
topology; the pixels that still differ are the error (Jain et al. 2010, "Boundary Learning by
Optimization with Topological Constraints", section 2.1). Foreground is 4-connected, background 8.
"""

import heapq
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unetflow.engine.compiled import compiled
from unetflow.metrics.checks import BoolArray, IntArray, binarise, membrane_pair
from unetflow.metrics.overlap import ratio

Bytes = NDArray[np.uint8]

# The 8 neighbours in raster order NW, N, NE, W, E, SW, S, SE: bit k of a neighbourhood's index.
_EDGES = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 6  # N, W, E, S touch the centre by an edge
_BESIDE = ((1, 3), (0, 2), (1, 4), (0, 5), (2, 7), (3, 6), (5, 7), (4, 6))  # 4-neighbours in ring


class Warped(NamedTuple):
    """One slice after warping, inside a ring of background of one pixel."""

    truth: Bytes  # (Y + 2, X + 2) 0 or 1
    mismatches: IntArray  # (M,) flat positions in `truth` that still differ from the proposal


def warping_error(
    truth: ArrayLike, proposal: ArrayLike, threshold: float = 0.5, *, mask: ArrayLike | None = None
) -> float:
    """Share of pixels that differ from proposal > threshold after warping the truth.

    truth 0 membrane, nonzero interior; proposal P(interior) in [0, 1]; (Y, X) or a stack (Z, Y, X),
    warped slice by slice. Pixels outside `mask` are neither flipped nor counted as mismatches, but
    stay in the denominator, as in Fiji; NaN where none is inside. A greedy minimum: flips go from
    the surest pixel to the least sure (|p - threshold| descending), ties in column-major order,
    which gives Fiji's digits.

    Never show it alone: a proposal without any interior costs one pixel per truth region.
    """
    interior, probability, inside = membrane_pair(truth, proposal, mask)
    left = sum(w.mismatches.size for w in _warped(interior, probability, inside, threshold))
    return ratio(left, interior.size if inside is None or inside.any() else 0)


def warped_truth(
    truth: ArrayLike, proposal: ArrayLike, threshold: float = 0.5, *, mask: ArrayLike | None = None
) -> BoolArray:
    """The truth after warping, of the truth's shape; arguments as `warping_error`."""
    slices = [w.truth[1:-1, 1:-1] for w in warp_slices(truth, proposal, threshold, mask)]
    warped: BoolArray = np.stack(slices).reshape(np.shape(truth)) != 0
    return warped


def warp_slices(
    truth: ArrayLike, proposal: ArrayLike, threshold: float, mask: ArrayLike | None
) -> Iterator[Warped]:
    """Warp each slice of a stack; arguments as `warping_error`."""
    yield from _warped(*membrane_pair(truth, proposal, mask), threshold)


def _warped(
    interior: BoolArray,
    probability: NDArray[np.generic],
    inside: BoolArray | None,
    threshold: float,
) -> Iterator[Warped]:
    for z in range(len(interior)):
        yield _warp_slice(
            interior[z], probability[z], threshold, None if inside is None else inside[z]
        )


def simple_points() -> BoolArray:
    """Whether the centre of each of the 256 neighbourhoods may be flipped: 116 may.

    Simple for 4-connected foreground and 8-connected background: exactly one 4-component of
    foreground among the 8 neighbours touches the centre by an edge, and at least one neighbour is
    background. The centre itself does not matter.
    """
    return np.array([_is_simple(neighbours) for neighbours in range(256)])


def _is_simple(neighbours: int) -> bool:
    if neighbours == 255:
        return False
    left, touching = neighbours, 0
    while left:
        component = grown = left & -left
        while grown:
            reach = 0
            for bit in range(8):
                if grown >> bit & 1:
                    reach |= 1 << _BESIDE[bit][0] | 1 << _BESIDE[bit][1]
            grown = reach & neighbours & ~component
            component |= grown
        left &= ~component
        touching += bool(component & _EDGES)
    return touching == 1


_SIMPLE = simple_points()


def _warp_slice(
    interior: BoolArray, probability: NDArray[np.generic], threshold: float, mask: BoolArray | None
) -> Warped:
    differs = interior != binarise(probability, threshold)
    if mask is not None:
        differs &= mask
    x, y = np.nonzero(differs.T)  # column-major: x outer
    sureness = np.abs(probability[y, x].astype(np.float64) - threshold)
    order = np.argsort(-sureness, kind="stable")
    # flipped in place below, hence in C order: of an image in Fortran's order, `ravel` is a copy
    padded = np.ascontiguousarray(np.pad(interior.view(np.uint8), 1))
    positions = ((y + 1) * padded.shape[1] + x + 1)[order]
    flipped = _flip_simple(padded.ravel(), padded.shape[1], positions)
    return Warped(padded, positions[~flipped])


@compiled
def _neighbourhood(image: Bytes, position: int, width: int) -> int:
    """Index of the 8 neighbours in the table of simple points."""
    above, below = position - width, position + width
    found: int = (
        image[above - 1]
        | image[above] << 1
        | image[above + 1] << 2
        | image[position - 1] << 3
        | image[position + 1] << 4
        | image[below - 1] << 5
        | image[below] << 6
        | image[below + 1] << 7
    )
    return found


@compiled
def _flip_simple(image: Bytes, width: int, positions: IntArray) -> BoolArray:
    """Flip in place, pass after pass in order, until a pass flips nothing; which positions flipped.

    Equal to looking at every position in every pass, but after the first pass only those whose
    neighbourhood changed are looked at: a blob that grows by a ring per pass stays linear.
    """
    rank = np.zeros(image.size, np.uint32)  # 1 + index in positions
    rank[positions] = np.arange(1, positions.size + 1)
    waiting = np.ones(positions.size, np.bool_)  # for its turn, in this pass or the next
    flipped = np.zeros(positions.size, np.bool_)
    scanned = 0
    this_pass, next_pass = list(range(0)), list(range(0))  # heaps of indices
    while True:
        if scanned < positions.size:
            k = scanned
            scanned += 1
        elif len(this_pass) > 0:
            k = heapq.heappop(this_pass)
        elif len(next_pass) > 0:
            this_pass, next_pass = next_pass, this_pass
            heapq.heapify(this_pass)
            continue
        else:
            return flipped
        waiting[k] = False
        position = positions[k]
        if not _SIMPLE[_neighbourhood(image, position, width)]:
            continue
        image[position] ^= 1
        flipped[k] = True
        for row in (-width, 0, width):
            for near in range(position + row - 1, position + row + 2):
                other = np.int64(rank[near]) - 1
                if other < 0 or waiting[other] or flipped[other]:
                    continue
                waiting[other] = True
                if other > k:
                    heapq.heappush(this_pass, int(other))
                else:
                    next_pass.append(int(other))
