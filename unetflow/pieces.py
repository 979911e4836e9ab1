"""The pieces of one block: connected pixels of a mask, and of its background, and their sums.

Rows are taken as runs of background and object in turns; runs are joined, not pixels.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit


class Labelling(NamedTuple):
    """How objects are made of a mask; as of `unetflow.instances.label_instances`."""

    min_area_px: int = 0
    fill_holes: bool = False
    connectivity: int = 1


class Sums(NamedTuple):
    """Of the pixels of each piece or object: arrays of N, or (N, axes)."""

    area_px: np.ndarray  # int64
    first: np.ndarray  # int64: place of the first pixel in raster order of the image
    start: np.ndarray  # int64 (N, axes): of the smallest box [px]
    stop: np.ndarray  # int64 (N, axes): its end, excluded
    at: np.ndarray  # float64 (N, axes): coordinates [px], summed over the pixels
    foreground: np.ndarray  # float64, summed over the pixels


# Of each of them: the least of several is kept (-1), the greatest (1), or all are added (0).
_KEEPS = dict(zip(Sums._fields, (0, -1, -1, 1, 0, 0), strict=True))


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of a block: numbers 1 to `count` in raster order, of each run (`_runs`)."""

    count: int
    _begin: np.ndarray
    _ends: np.ndarray
    _of_run: np.ndarray  # 0: none
    _shape: tuple[int, ...]

    def painted(self, numbers: np.ndarray | None = None) -> np.ndarray:
        """The block as an image of its pieces, or of another number for each (count + 1)."""
        of_run = self._of_run if numbers is None else numbers[self._of_run]
        shape = (1,) * (3 - len(self._shape)) + self._shape
        return np.asarray(_painted(self._begin, self._ends, of_run, shape)).reshape(self._shape)


def find_pieces(mask: np.ndarray, how: Labelling) -> Pieces:
    """Pieces of a block, (Y, X) or (Z, Y, X): of the mask, and of its background for holes.

    Those of the mask join as `connectivity` says, those of the background by edges.
    """
    volume = _as_volume(mask)
    begin, ends = _runs(volume)
    steps = _steps_back(mask.ndim, how.connectivity)
    rows = steps[steps[:, 2] == 0]
    of_run, count = _pieces(begin, ends, volume.shape[1], rows, how.connectivity, how.fill_holes)
    return Pieces(count, begin, ends, of_run, mask.shape)


def touching_pieces(
    labels: np.ndarray, count: int, mask: np.ndarray, connectivity: int
) -> np.ndarray:
    """Pairs (background, object) of pieces that touch in a block, from 0: (N, 2)."""
    steps = _steps_back(mask.ndim, connectivity)
    return distinct_pairs(_touching(_as_volume(labels), count, _as_volume(mask), steps) - 1, count)


def distinct_pairs(pairs: np.ndarray, count: int) -> np.ndarray:
    """Pairs (N, 2) of numbers below `count`, each once."""
    return np.stack(np.divmod(np.unique(pairs @ (count, 1)), max(count, 1)), axis=1)


def sums_of(
    labels: np.ndarray,
    count: int,
    mask: np.ndarray,
    foreground: np.ndarray,
    origin: Sequence[int],
    shape: Sequence[int],
) -> tuple[Sums, np.ndarray]:
    """Sums of the pieces of a block, and whether each is of the mask."""
    axes = labels.ndim
    if foreground.dtype == np.float16:  # which numba does not have
        foreground = foreground.astype(np.float32)
    planes = (_as_volume(array) for array in (labels, mask, foreground))
    area, first, start, stop, at, light, is_object = _sums(
        *planes,
        count,
        np.array([0, *origin][-3:], np.int64),
        np.array([1, *shape][-3:], np.int64),
    )
    return Sums(area, first, start[:, -axes:], stop[:, -axes:], at[:, -axes:], light), is_object


def sums_of_pieces(
    labels: np.ndarray,
    mask: np.ndarray,
    foreground: np.ndarray,
    origin: Sequence[int],
    shape: Sequence[int],
) -> Sums:
    """Sums of the pieces 1 to n of a region that starts at `origin` of an image of `shape`."""
    return sums_of(labels, int(labels.max()), mask, foreground, origin, shape)[0]


def no_sums(axes: int) -> Sums:
    """Sums of no pieces at all."""
    empty = np.zeros((1, 0, 0), np.int32).reshape((1,) * (axes - 1) + (0,))
    return sums_of(empty, 0, empty != 0, empty, (0,) * axes, empty.shape)[0]


def add_up(name: str, values: np.ndarray, of: np.ndarray, count: int) -> np.ndarray:
    """One of the `Sums`, of `count` groups, from that of pieces; `of` is a piece's group from 0."""
    sign = _KEEPS[name]
    total = np.zeros((count, *values.shape[1:]), values.dtype)
    if sign < 0:
        total += np.iinfo(values.dtype).max
    if len(values):
        _add_up(values.reshape(len(values), -1), of, total.reshape(count, -1), sign)
    return total


def _as_volume(array: np.ndarray) -> np.ndarray:
    """(Y, X) as (1, Y, X)."""
    return array.reshape((1,) * (3 - array.ndim) + array.shape)


@cache
def _steps_back(axes: int, connectivity: int) -> np.ndarray:
    """To the neighbours (z, y, x) of a pixel that come before it in raster order, (N, 3)."""
    steps = [
        step
        for step in itertools.product((-1, 0, 1), repeat=3)
        if step < (0, 0, 0) and sum(map(abs, step)) <= connectivity and not any(step[: 3 - axes])
    ]
    return np.array(steps, np.int64)


@njit(cache=True, nogil=True)
def root_of(parent, piece):
    """The root of a piece in a forest of parents; paths are halved on the way."""
    while parent[piece] != piece:
        parent[piece] = parent[parent[piece]]
        piece = parent[piece]
    return piece


@njit(cache=True, nogil=True)
def unite(parent, pairs):
    for k in range(len(pairs)):
        one, other = root_of(parent, pairs[k, 0]), root_of(parent, pairs[k, 1])
        if one != other:
            parent[max(one, other)] = min(one, other)


@njit(cache=True, nogil=True)
def roots(parent):
    found = np.empty_like(parent)
    for piece in range(len(parent)):
        found[piece] = root_of(parent, piece)
    return found


@njit(cache=True, nogil=True)
def _runs(mask):
    """The rows (along x) of a mask as runs of background and object in turns, background first.

    Row r has runs begin[r] to begin[r + 1]; a run ends before pixel ends[k], where the next starts.
    The first is empty where a row starts with an object.
    """
    depth, height, width = mask.shape
    begin = np.zeros(depth * height + 1, np.int64)
    for z in range(depth):
        for y in range(height):
            count = 1 + mask[z, y, 0]
            for x in range(1, width):
                count += mask[z, y, x] != mask[z, y, x - 1]
            begin[z * height + y + 1] = count
    begin = np.cumsum(begin)
    ends = np.empty(begin[-1], np.int32)
    k = 0
    for z in range(depth):
        for y in range(height):
            own = False
            for x in range(width):
                if mask[z, y, x] != own:
                    ends[k] = x
                    k += 1
                    own = not own
            ends[k] = width
            k += 1
    return begin, ends


@njit(cache=True, nogil=True)
def _pieces(begin, ends, height, steps, connectivity, background):
    """The piece of each run, 1 to n in raster order of the pieces, 0 for none; and n.

    `steps` lead to the rows before (z, y, 0) that a row touches.
    """
    parent = np.arange(len(ends), dtype=np.int32)
    for row in range(len(begin) - 1):
        z, y = divmod(row, height)
        for step in steps:
            if z + step[0] < 0 or not 0 <= y + step[1] < height:
                continue
            other = row + step[0] * height + step[1]
            away = abs(step[0]) + abs(step[1])
            reach = 1 if away < connectivity else 0
            _unite_runs(parent, begin, ends, row, other, 1, reach)
            if background and away == 1:
                _unite_runs(parent, begin, ends, row, other, 0, 0)
    count = 0
    for row in range(len(begin) - 1):
        at = 0
        for k in range(begin[row], begin[row + 1]):
            is_object = (k - begin[row]) % 2 == 1
            if at == ends[k] or not (is_object or background):
                parent[k] = 0
            elif parent[k] == k:  # a root is never after what hangs on it
                count += 1
                parent[k] = -count
            else:
                parent[k] = parent[parent[k]]
            at = ends[k]
    return -parent, count


@njit(cache=True, nogil=True)
def _unite_runs(parent, begin, ends, row, other, kind, reach):
    """Unite the runs of one kind (0 background, 1 object) of two rows that touch.

    `reach` 1: also those that touch by a corner.
    """
    i, j = begin[other] + kind, begin[row] + kind
    while i < begin[other + 1] and j < begin[row + 1]:
        start_i = ends[i - 1] if i > begin[other] else 0
        start_j = ends[j - 1] if j > begin[row] else 0
        if start_i == ends[i] or ends[i] + reach <= start_j:
            i += 2
        elif start_j == ends[j] or ends[j] + reach <= start_i:
            j += 2
        else:
            a, b = root_of(parent, i), root_of(parent, j)
            if a != b:
                parent[max(a, b)] = min(a, b)
            if ends[i] < ends[j]:
                i += 2
            else:
                j += 2


@njit(cache=True, nogil=True)
def _painted(begin, ends, pieces, shape):
    """The runs as an image of their pieces, or of other numbers."""
    labels = np.zeros(shape, pieces.dtype)
    for row in range(len(begin) - 1):
        z, y = divmod(row, shape[1])
        at = 0
        for k in range(begin[row], begin[row + 1]):
            if pieces[k] != 0:
                labels[z, y, at : ends[k]] = pieces[k]
            at = ends[k]
    return labels


@njit(cache=True, nogil=True)
def _sums(labels, mask, foreground, count, origin, image):
    """Sums of each piece of a block at `origin` of an image, and whether it is of the mask."""
    area, first = np.zeros(count, np.int64), np.zeros(count, np.int64)
    start, stop = np.zeros((count, 3), np.int64), np.zeros((count, 3), np.int64)
    at, light = np.zeros((count, 3)), np.zeros(count)
    is_object = np.zeros(count, np.bool_)
    depth, height, width = labels.shape
    for i in range(depth):
        z = origin[0] + i
        for j in range(height):
            y = origin[1] + j
            right = 0
            while right < width:
                left, k = right, labels[i, j, right] - 1
                right += 1
                while right < width and labels[i, j, right] == k + 1:
                    right += 1
                if k < 0:
                    continue
                here = (z, y, origin[2] + left)
                if area[k] == 0:
                    first[k] = (z * image[1] + y) * image[2] + here[2]
                    is_object[k] = mask[i, j, left]
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
                for x in range(left, right):
                    light[k] += foreground[i, j, x]
    return area, first, start, stop, at, light, is_object


@njit(cache=True, nogil=True)
def _add_up(values, of, total, sign):
    """Add values to their groups, or keep the least (`sign` -1) or the greatest (1) of each."""
    for piece in range(len(values)):
        group = of[piece]
        for k in range(values.shape[1]):
            if sign < 0:
                total[group, k] = min(total[group, k], values[piece, k])
            elif sign > 0:
                total[group, k] = max(total[group, k], values[piece, k])
            else:
                total[group, k] += values[piece, k]


@njit(cache=True, nogil=True)
def _touching(labels, count, mask, steps):
    """Pairs (background, object) of pieces that touch in a block, some of them repeated."""
    depth, height, width = mask.shape
    pairs = [(0, 0) for _ in range(0)]
    latest = np.zeros(count + 1, np.int32)  # background that each object was last seen with
    for z in range(depth):
        for y in range(height):
            for step in steps:
                if z + step[0] < 0 or not 0 <= y + step[1] < height:
                    continue
                near, own = labels[z + step[0], y + step[1]], labels[z, y]
                kinds, kind = mask[z + step[0], y + step[1]], mask[z, y]
                for x in range(max(0, -step[2]), min(width, width - step[2])):
                    if kinds[x + step[2]] != kind[x]:
                        one, other = own[x], near[x + step[2]]
                        piece, ground = (one, other) if kind[x] else (other, one)
                        if latest[piece] != ground:
                            latest[piece] = ground
                            pairs.append((ground, piece))
    found = np.empty((len(pairs), 2), np.int64)
    for k in range(len(pairs)):
        found[k, 0], found[k, 1] = pairs[k]
    return found
