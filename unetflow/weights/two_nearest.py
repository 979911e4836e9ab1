"""Distances to the nearest and the second nearest object, exactly, in one pass per axis.

A separable distance transform that keeps for each pixel the two nearest *different* objects. That
is enough: an object that is third along one axis is nowhere among the two nearest through that
pixel. Cost grows with pixels times reach at most, never with objects.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetflow.engine.compiled import compiled
from unetflow.tiles.regions import Region

Squares = NDArray[np.float32]
Labels = NDArray[np.uint32]
AT_ONCE = 2048  # pixels that are worked on together, and stay in a core's own memory


def two_nearest(
    labels: Labels, *, reach: float, spacing: Sequence[float], inner: Region | None = None
) -> tuple[Squares, Squares]:
    """Squared distances of each pixel to its nearest and second nearest object.

        labels    1  0  0  0  0  0  2
        nearest   0  1  4  9  4  1  0   squared
        second   36 25 16  9 16 25 36

    float32, of labels with any number of axes, 0 background, ids as sparse and high as they come.
    Euclidean between pixel centres; `spacing` is the size of a pixel along each axis, `reach` in
    the same unit: farther objects may be missing, and count as infinitely far. Of the pixels of
    `inner` alone, where that is given: the halo is left along each axis as soon as it is done.
    """
    parts = inner or tuple(slice(0, size) for size in labels.shape)
    columns = labels.reshape(len(labels), -1)
    found = _sweep(columns, spacing[0], reach, parts[0].start, parts[0].stop)
    fields: list[NDArray[Any]] = [each.reshape(-1, *labels.shape[1:]) for each in found]
    for axis in range(1, labels.ndim):
        # Lines are worked on side by side. Those of the last axis lie one after the other: of a
        # volume they are short, and laid side by side; of an image each is long enough alone.
        aside = 1 < axis == labels.ndim - 1
        shape, part = fields[0].shape, parts[axis]
        rows = axis - aside
        a, owner_a, b, owner_b = (
            each.reshape(math.prod(shape[:rows]), shape[rows], -1) for each in fields
        )
        done = _scan(a, owner_a, b, owner_b, spacing[axis], reach, part.start, part.stop, aside)
        wanted = (*shape[:axis], part.stop - part.start, *shape[axis + 1 :])
        if aside:  # the last: nobody asks for the owners
            return done[0].reshape(wanted), done[2].reshape(wanted)
        fields = [each.reshape(wanted) for each in done]
    return fields[0], fields[2]


@compiled
def _sweep(
    labels: Labels, step: float, reach: float, start: int, stop: int
) -> tuple[Squares, Labels, Squares, Labels]:
    """Along the first axis, there and back: squares and owners of the two nearest.

    Of rows `start` to `stop`.
    """
    n, columns = labels.shape
    first = np.empty((stop - start, columns), np.float32)
    second = np.empty((stop - start, columns), np.float32)
    first_owner = np.empty((stop - start, columns), np.uint32)
    second_owner = np.empty((stop - start, columns), np.uint32)
    far = np.int64(reach / step) + 1  # steps that are too many
    square = np.array([np.float32((k * step) ** 2) for k in range(far + 1)])
    square[far] = np.inf
    # of the last object seen in each column and of the last different one: label, steps since
    near, other = np.zeros(columns, np.uint32), np.zeros(columns, np.uint32)
    near_steps, other_steps = np.full(columns, far), np.full(columns, far)
    for k in range(2 * n):
        back = k >= n
        row = 2 * n - 1 - k if back else k
        i = row - start  # of what is found
        wanted = start <= row < stop
        if k == n:
            near[:] = 0
            other[:] = 0
            near_steps[:] = far
            other_steps[:] = far
        for j in range(columns):
            label = labels[row, j]
            other_steps[j] = min(other_steps[j] + 1, far)
            near_steps[j] = min(near_steps[j] + 1, far)
            if label != 0:
                if label != near[j]:
                    other[j], other_steps[j] = near[j], near_steps[j]
                    near[j] = label
                near_steps[j] = 0
            if not wanted:
                continue
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
    start: int,
    stop: int,
    aside: bool,
) -> tuple[Squares, Labels, Squares, Labels]:
    """Along the middle axis: what a pixel sees of the lines at every distance up to the reach.

    Of (planes, n, X) those of lines `start` to `stop`. With `aside` it is along the last axis, of
    (planes, Y, n), and owners are not given back: nobody asks for them any more.
    """
    planes, n, width = first.shape
    if aside:
        n, width = width, n
    size = (stop - start) * width
    out = np.empty((2, planes, size), np.float32)
    owner = np.empty((2, 1 if aside else planes, size), np.uint32)
    far = np.int64(reach / step)
    # one plane with room on both sides, so that no step looks beyond it
    nothing = np.full((n + 2 * far) * width, np.float32(np.inf))
    qa, qb = nothing.copy(), nothing.copy()
    la, lb = np.zeros(nothing.size, np.uint32), np.zeros(nothing.size, np.uint32)
    plane = slice(far * width, (far + n) * width)
    lines = max(1, AT_ONCE // width)
    found_a, found_b = np.empty(size, np.float32), np.empty(size, np.float32)
    for z in range(planes):
        if aside:
            _turn(first[z], qa[plane])
            _turn(second[z], qb[plane])
            _turn(first_owner[z], la[plane])
            _turn(second_owner[z], lb[plane])
        else:
            qa[plane], la[plane] = first[z].ravel(), first_owner[z].ravel()
            qb[plane], lb[plane] = second[z].ravel(), second_owner[z].ravel()
            found_a, found_b = out[0, z], out[1, z]
        owners = 0 if aside else z
        for line in range(start, stop, lines):
            begin, at_once = (line - start) * width, min(lines, stop - line) * width
            own = slice(begin, begin + at_once)
            q1, l1, q2, l2 = (
                found_a[own],
                owner[0, owners, own],
                found_b[own],
                owner[1, owners, own],
            )
            here = slice((far + line) * width, (far + line) * width + at_once)
            q1[:], l1[:], q2[:], l2[:] = qa[here], la[here], qb[here], lb[here]
            for s in range(1, far + 1):
                added = np.float32((s * step) ** 2)
                if s % 4 == 1 and not (q2 > added).any():
                    break
                for at in (far + line - s, far + line + s):
                    there = slice(at * width, at * width + at_once)
                    _take(q1, l1, q2, l2, qa[there], la[there], qb[there], lb[there], added)
        if aside:
            _turn(found_a.reshape(stop - start, width), out[0, z])
            _turn(found_b.reshape(stop - start, width), out[1, z])
    return out[0], owner[0], out[1], owner[1]


@compiled
def _turn(rows: NDArray[np.generic], into: NDArray[np.generic]) -> None:
    """Rows as columns, of a plane that stays in a core's own memory."""
    height, width = rows.shape
    for x in range(width):
        for y in range(height):
            into[x * height + y] = rows[y, x]


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
