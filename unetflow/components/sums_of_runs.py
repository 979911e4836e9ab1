"""Sums of connected components that are run-length encoded as in `runs`, compiled."""

import numpy as np
from numpy.typing import NDArray

from unetflow.components.runs import Begin, Ends, Ints
from unetflow.engine.compiled import compiled

Numbers = NDArray[np.int64] | NDArray[np.float64]


@compiled
def areas(begin: Begin, ends: Ends, of_run: Ints, count: int) -> NDArray[np.int64]:
    """Pixels of each component 1 to `count`."""
    found = np.zeros(count + 1, np.int64)
    for row in range(len(begin) - 1):
        at = 0
        for k in range(begin[row], begin[row + 1]):
            found[of_run[k]] += ends[k] - at
            at = ends[k]
    return found[1:]


@compiled
def sums(
    begin: Begin,
    ends: Ends,
    of_run: Ints,
    count: int,
    height: int,
    origin: NDArray[np.int64],
    image: NDArray[np.int64],
) -> tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]
]:
    """Sums of the components 1 to `count` of a block at `origin` of an image."""
    area, first = np.zeros(count, np.int64), np.zeros(count, np.int64)
    start, stop = np.zeros((count, 3), np.int64), np.zeros((count, 3), np.int64)
    at = np.zeros((count, 3))
    for row in range(len(begin) - 1):
        z, y = origin[0] + row // height, origin[1] + row % height
        right = 0
        for run in range(begin[row], begin[row + 1]):
            left, right = right, ends[run]
            if of_run[run] == 0:
                continue
            k = np.int64(of_run[run]) - 1
            here = (z, y, origin[2] + left)
            if area[k] == 0:
                first[k] = (z * image[1] + y) * image[2] + here[2]
                for axis in range(3):
                    start[k, axis] = here[axis]
            pixels = right - left
            area[k] += pixels
            start[k, 1] = min(start[k, 1], y)
            start[k, 2] = min(start[k, 2], here[2])
            stop[k, 0] = z + 1
            stop[k, 1] = max(stop[k, 1], y + 1)
            stop[k, 2] = max(stop[k, 2], origin[2] + right)
            at[k, 0] += z * pixels
            at[k, 1] += y * pixels
            at[k, 2] += (2 * here[2] + pixels - 1) * pixels / 2
    return area, first, start, stop, at


@compiled
def sums_of_pixels(
    begin: Begin, ends: Ends, of_run: Ints, count: int, pixels: NDArray[np.generic]
) -> NDArray[np.float64]:
    """The pixels (rows, X) of each component 1 to `count`, summed: float64."""
    found = np.zeros(count)
    for row in range(len(begin) - 1):
        right = 0
        for run in range(begin[row], begin[row + 1]):
            left, right = right, ends[run]
            if of_run[run] != 0:
                total = 0  # of whole numbers it stays one
                for x in range(left, right):
                    total += pixels[row, x]
                found[np.int64(of_run[run]) - 1] += total
    return found


@compiled
def add_up(values: Numbers, of: Ints, total: Numbers, sign: int) -> None:
    """Add values to their groups, or keep the least (`sign` -1) or the greatest (1) of each."""
    for member in range(len(values)):
        group = of[member]
        for k in range(values.shape[1]):
            if sign < 0:
                total[group, k] = min(total[group, k], values[member, k])
            elif sign > 0:
                total[group, k] = max(total[group, k], values[member, k])
            else:
                total[group, k] += values[member, k]
