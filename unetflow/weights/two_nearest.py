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
        moved = 1 < axis == labels.ndim - 1
        if moved:
            fields = [np.ascontiguousarray(np.moveaxis(each, axis, axis - 1)) for each in fields]
        shape = fields[0].shape
        along = axis - moved
        flat = (math.prod(shape[:along]), shape[along], math.prod(shape[along + 1 :]))
        a, owner_a, b, owner_b = (each.reshape(flat) for each in fields)
        part = parts[axis]
        done = _scan(a, owner_a, b, owner_b, spacing[axis], reach, part.start, part.stop)
        fields = [each.reshape(*shape[:along], -1, *shape[along + 1 :]) for each in done]
        if moved:
            fields = [np.moveaxis(each, axis - 1, axis) for each in fields]
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
) -> tuple[Squares, Labels, Squares, Labels]:
    """Along the middle axis: what a pixel sees of the lines at every distance up to the reach.

    Of (planes, n, X) those of lines `start` to `stop`.
    """
    planes, n, width = first.shape
    out = np.empty((2, planes, (stop - start) * width), np.float32)
    owner = np.empty((2, planes, (stop - start) * width), np.uint32)
    far = np.int64(reach / step)
    # one plane with room on both sides, so that no step looks beyond it
    nothing = np.full((n + 2 * far) * width, np.float32(np.inf))
    qa, qb = nothing.copy(), nothing.copy()
    la, lb = np.zeros(nothing.size, np.uint32), np.zeros(nothing.size, np.uint32)
    plane = slice(far * width, (far + n) * width)
    lines = max(1, AT_ONCE // width)
    for z in range(planes):
        qa[plane], la[plane] = first[z].ravel(), first_owner[z].ravel()
        qb[plane], lb[plane] = second[z].ravel(), second_owner[z].ravel()
        for line in range(start, stop, lines):
            size = min(lines, stop - line) * width
            own = slice((line - start) * width, (line - start) * width + size)
            q1, l1, q2, l2 = out[0, z, own], owner[0, z, own], out[1, z, own], owner[1, z, own]
            here = slice((far + line) * width, (far + line) * width + size)
            q1[:], l1[:], q2[:], l2[:] = qa[here], la[here], qb[here], lb[here]
            for s in range(1, far + 1):
                added = np.float32((s * step) ** 2)
                if s % 4 == 1 and not (q2 > added).any():
                    break
                for at in (far + line - s, far + line + s):
                    there = slice(at * width, at * width + size)
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
