"""Distances to the nearest and the second nearest object, exactly, in one pass per axis.

A separable distance transform that keeps for each pixel the two nearest *different* objects. That
is enough: an object that is third along one axis is nowhere among the two nearest through that
pixel. Cost grows with pixels times reach at most, never with objects.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from unetflow.engine.compiled import compiled

Squares = NDArray[np.float32]
Labels = NDArray[np.uint32]
Array = TypeVar("Array", Squares, Labels)


def two_nearest(
    labels: Labels, *, reach: float, spacing: Sequence[float]
) -> tuple[Squares, Squares]:
    """Squared distances of each pixel to its nearest and second nearest object.

        labels    1  0  0  0  0  0  2
        nearest   0  1  4  9  4  1  0   squared
        second   36 25 16  9 16 25 36

    float32, of labels with any number of axes, 0 background, ids as sparse and high as they come.
    Euclidean between pixel centres; `spacing` is the size of a pixel along each axis, `reach` in
    the same unit: farther objects may be missing, and count as infinitely far.
    """
    columns = labels.reshape(len(labels), -1)
    first, first_owner, second, second_owner = _sweep(columns, spacing[0], reach)
    squares = [each.reshape(labels.shape) for each in (first, second)]
    owners = [each.reshape(labels.shape) for each in (first_owner, second_owner)]
    for axis in range(1, labels.ndim):
        a, b = (_as_rows(each, axis) for each in squares)
        owner_a, owner_b = (_as_rows(each, axis) for each in owners)
        first, first_owner, second, second_owner = _scan(
            a, owner_a, b, owner_b, spacing[axis], reach
        )
        shape = np.moveaxis(labels, axis, -1).shape
        squares = [np.moveaxis(each.reshape(shape), -1, axis) for each in (first, second)]
        owners = [
            np.moveaxis(each.reshape(shape), -1, axis) for each in (first_owner, second_owner)
        ]
    return squares[0], squares[1]


def _as_rows(array: Array, axis: int) -> Array:
    """The lines along an axis, one below the other."""
    along = np.ascontiguousarray(np.moveaxis(array, axis, -1))
    return along.reshape(-1, array.shape[axis])


@compiled
def _sweep(labels: Labels, step: float, reach: float) -> tuple[Squares, Labels, Squares, Labels]:
    """Along the first axis, there and back: squares and owners of the two nearest."""
    n, columns = labels.shape
    first = np.empty((n, columns), np.float32)
    second = np.empty((n, columns), np.float32)
    first_owner = np.empty((n, columns), np.uint32)
    second_owner = np.empty((n, columns), np.uint32)
    far = np.int64(reach / step) + 1  # steps that are too many
    square = np.array([np.float32((k * step) ** 2) for k in range(far + 1)])
    square[far] = np.inf
    # of the last object seen in each column and of the last different one: label, steps since
    near, other = np.zeros(columns, np.uint32), np.zeros(columns, np.uint32)
    near_steps, other_steps = np.full(columns, far), np.full(columns, far)
    for k in range(2 * n):
        back = k >= n
        i = 2 * n - 1 - k if back else k
        if k == n:
            near[:] = 0
            other[:] = 0
            near_steps[:] = far
            other_steps[:] = far
        for j in range(columns):
            label = labels[i, j]
            other_steps[j] = min(other_steps[j] + 1, far)
            near_steps[j] = min(near_steps[j] + 1, far)
            if label != 0:
                if label != near[j]:
                    other[j], other_steps[j] = near[j], near_steps[j]
                    near[j] = label
                near_steps[j] = 0
            if not back:
                first[i, j], first_owner[i, j] = square[near_steps[j]], near[j]
                second[i, j], second_owner[i, j] = square[other_steps[j]], other[j]
                continue
            for q, owner in (
                (square[near_steps[j]], near[j]),
                (square[other_steps[j]], other[j]),
            ):
                if q >= second[i, j]:
                    continue
                if owner == first_owner[i, j]:
                    first[i, j] = min(first[i, j], q)
                elif q < first[i, j]:
                    second[i, j], second_owner[i, j] = first[i, j], first_owner[i, j]
                    first[i, j], first_owner[i, j] = q, owner
                else:
                    second[i, j], second_owner[i, j] = q, owner
    return first, first_owner, second, second_owner


@compiled
def _scan(
    first: Squares,
    first_owner: Labels,
    second: Squares,
    second_owner: Labels,
    step: float,
    reach: float,
) -> tuple[Squares, Labels, Squares, Labels]:
    """Along rows: what each pixel sees through the columns at every distance up to the reach."""
    rows, n = first.shape
    out = np.empty((2, rows, n), np.float32)
    owner = np.empty((2, rows, n), np.uint32)
    far = np.int64(reach / step)
    # one row with room on both sides, so that no step looks beyond it
    nothing = np.full(n + 2 * far, np.float32(np.inf))
    qa, qb = nothing.copy(), nothing.copy()
    la, lb = np.zeros(nothing.size, np.uint32), np.zeros(nothing.size, np.uint32)
    row = slice(far, far + n)
    for r in range(rows):
        qa[row], la[row] = first[r], first_owner[r]
        qb[row], lb[row] = second[r], second_owner[r]
        q1, l1, q2, l2 = out[0, r], owner[0, r], out[1, r], owner[1, r]
        q1[:], l1[:], q2[:], l2[:] = first[r], first_owner[r], second[r], second_owner[r]
        for s in range(1, far + 1):
            added = np.float32((s * step) ** 2)
            if s % 4 == 1 and not (q2 > added).any():
                break
            for at in (far - s, far + s):
                there = slice(at, at + n)
                _take(q1, l1, q2, l2, qa[there], la[there], qb[there], lb[there], added)
    return out[0], owner[0], out[1], owner[1]


@compiled
def _take(
    q1: Squares,
    l1: Labels,
    q2: Squares,
    l2: Labels,
    qa: Squares,
    la: Labels,
    qb: Squares,
    lb: Labels,
    added: np.float32,
) -> None:
    """Take the two nearest of other pixels into account, `added` farther away.

    Without branches, so that the compiler makes vector instructions of it.
    """
    for x in range(q1.size):
        q, label = qa[x] + added, la[x]
        same, nearer = label == l1[x], q < q1[x]
        loser, loser_owner = (q1[x], l1[x]) if nearer else (q, label)
        second = loser <= q2[x] and not same  # equal too: the second may be the nearer one's own
        q2[x], l2[x] = (loser, loser_owner) if second else (q2[x], l2[x])
        q1[x], l1[x] = (q, label) if nearer else (q1[x], l1[x])
        q, label = qb[x] + added, lb[x]  # never nearer than the first
        second = q < q2[x] and label != l1[x]
        q2[x], l2[x] = (q, label) if second else (q2[x], l2[x])
