"""The pieces of one block: connected pixels of a mask, and of its background, and their sums.

Rows are taken as runs of background and object in turns; runs are joined, not pixels.
"""

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


Faces = list[tuple[np.ndarray, np.ndarray]]
"""Along each axis of a block what its first and its last pixels are, all of the other axes."""

# Of each of them: the least of several is kept (-1), the greatest (1), or all are added (0).
_KEEPS = dict(zip(Sums._fields, (0, -1, -1, 1, 0, 0), strict=True))


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of a block: numbers 1 to `count` in raster order, of each run (`_runs`)."""

    count: int
    shape: tuple[int, ...]
    begin: np.ndarray
    ends: np.ndarray
    of_run: np.ndarray  # 0: none

    def painted(self, numbers: np.ndarray | None = None) -> np.ndarray:
        """The block as an image of its pieces, or of another number for each (count + 1)."""
        of_run = self.of_run if numbers is None else numbers[self.of_run]
        return self._rows(np.arange(len(self.begin) - 1), of_run).reshape(self.shape)

    def faces(self) -> Faces:
        """The pieces on the faces of the block."""
        depth, height, _ = _as_volume_shape(self.shape)
        rows = np.arange(depth * height).reshape(depth, height)
        planes = [(rows[0], rows[-1]), (rows[:, 0], rows[:, -1])][3 - len(self.shape) :]
        faces = [tuple(self._rows(plane, self.of_run) for plane in pair) for pair in planes]
        first, last = self.begin[:-1], self.begin[1:] - 1
        first = first + (self.ends[first] == 0)  # no background before the first object
        faces.append((self.of_run[first], self.of_run[last]))
        sizes = [self.shape[:axis] + self.shape[axis + 1 :] for axis in range(len(self.shape))]
        return [(a.reshape(n), b.reshape(n)) for (a, b), n in zip(faces, sizes, strict=True)]

    def _rows(self, rows: np.ndarray, of_run: np.ndarray) -> np.ndarray:
        """Some rows as an image of numbers of their runs."""
        return np.asarray(_painted(self.begin, self.ends, of_run, rows, self.shape[-1]))

    def are_objects(self) -> np.ndarray:
        """Whether each piece is of the mask, not of its background."""
        return np.asarray(_are_objects(self.begin, self.of_run, self.count))


def find_pieces(mask: np.ndarray, how: Labelling) -> Pieces:
    """Pieces of a block, (Y, X) or (Z, Y, X): of the mask, and of its background for holes.

    Those of the mask join as `connectivity` says, those of the background by edges.
    """
    volume = _as_volume(mask)
    begin, ends = _runs(volume)
    rows = _rows_back(mask.ndim)
    of_run, count = _pieces(begin, ends, volume.shape[1], rows, how.connectivity, how.fill_holes)
    return Pieces(count, mask.shape, begin, ends, of_run)


def touching_pieces(pieces: Pieces, connectivity: int) -> np.ndarray:
    """Pairs (background, object) of pieces that touch in a block, from 0: (N, 2)."""
    height = _as_volume_shape(pieces.shape)[1]
    found = _touching(
        *(pieces.begin, pieces.ends, pieces.of_run, pieces.count),
        *(height, _rows_back(len(pieces.shape)), connectivity),
    )
    return distinct_pairs(found - 1, pieces.count)


def distinct_pairs(pairs: np.ndarray, count: int) -> np.ndarray:
    """Pairs (N, 2) of numbers below `count`, each once."""
    return np.stack(np.divmod(np.unique(pairs @ (count, 1)), max(count, 1)), axis=1)


def sums_of(
    pieces: Pieces, foreground: np.ndarray, origin: Sequence[int], shape: Sequence[int]
) -> Sums:
    """Sums of the pieces of a block that starts at `origin` of an image of `shape`."""
    runs = pieces.begin, pieces.ends, pieces.of_run
    return _sums_of_runs(runs, pieces.count, foreground, origin, shape)


def sums_of_labels(
    labels: np.ndarray, foreground: np.ndarray, origin: Sequence[int], shape: Sequence[int]
) -> Sums:
    """Sums of what is labelled 1 to n in a region that starts at `origin` of an image."""
    runs = _runs_of_labels(_as_volume(labels))
    return _sums_of_runs(runs, int(labels.max(initial=0)), foreground, origin, shape)


def no_sums(axes: int) -> Sums:
    """Sums of no pieces at all."""
    empty = np.zeros((1,) * axes, np.int32)
    return sums_of_labels(empty, empty, (0,) * axes, empty.shape)


def _sums_of_runs(
    runs: tuple[np.ndarray, np.ndarray, np.ndarray],
    count: int,
    foreground: np.ndarray,
    origin: Sequence[int],
    shape: Sequence[int],
) -> Sums:
    axes = foreground.ndim
    if foreground.dtype == np.float16:  # which numba does not have
        foreground = foreground.astype(np.float32)
    area, first, start, stop, at, light = _sums(
        *runs,
        count,
        _as_volume(foreground),
        np.array([0, *origin][-3:], np.int64),
        np.array([1, *shape][-3:], np.int64),
    )
    return Sums(area, first, start[:, -axes:], stop[:, -axes:], at[:, -axes:], light)


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
    return array.reshape(_as_volume_shape(array.shape))


def _as_volume_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) * (3 - len(shape)) + shape


@cache
def _rows_back(axes: int) -> np.ndarray:
    """To the rows (z, y) around a row that come before it in raster order, (N, 2)."""
    if axes == 2:
        return np.array([(0, -1)])
    return np.array([(0, -1), (-1, -1), (-1, 0), (-1, 1)])


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

    `steps` lead to the rows before (z, y) that a row touches.
    """
    parent = np.arange(len(ends), dtype=np.int32)
    for row in range(len(begin) - 1):
        z, y = divmod(row, height)
        for step in steps:
            if z + step[0] < 0 or not 0 <= y + step[1] < height:
                continue
            other = row + step[0] * height + step[1]
            away = abs(step[0]) + abs(step[1])
            if away > connectivity:
                continue
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
def _painted(begin, ends, pieces, rows, width):
    """Some rows as an image of the pieces of their runs, or of other numbers."""
    labels = np.zeros((len(rows), width), pieces.dtype)
    for number, row in enumerate(rows):
        at = 0
        for k in range(begin[row], begin[row + 1]):
            if pieces[k] != 0:
                labels[number, at : ends[k]] = pieces[k]
            at = ends[k]
    return labels


@njit(cache=True, nogil=True)
def _are_objects(begin, pieces, count):
    """Whether each piece is of the mask."""
    found = np.zeros(count + 1, np.bool_)
    for row in range(len(begin) - 1):
        for k in range(begin[row] + 1, begin[row + 1], 2):
            found[pieces[k]] = True
    return found[1:]


@njit(cache=True, nogil=True)
def _runs_of_labels(labels):
    """The rows of a label image as runs of one label each, and their labels; as `_runs`."""
    depth, height, width = labels.shape
    begin = np.zeros(depth * height + 1, np.int64)
    for z in range(depth):
        for y in range(height):
            count = 1
            for x in range(1, width):
                count += labels[z, y, x] != labels[z, y, x - 1]
            begin[z * height + y + 1] = count
    begin = np.cumsum(begin)
    ends, of_run = np.empty(begin[-1], np.int32), np.empty(begin[-1], labels.dtype)
    k = 0
    for z in range(depth):
        for y in range(height):
            for x in range(1, width + 1):
                if x == width or labels[z, y, x] != labels[z, y, x - 1]:
                    ends[k], of_run[k] = x, labels[z, y, x - 1]
                    k += 1
    return begin, ends, of_run


@njit(cache=True, nogil=True)
def _sums(begin, ends, pieces, count, foreground, origin, image):
    """Sums of the pieces 1 to `count` of the runs of a block at `origin` of an image."""
    area, first = np.zeros(count, np.int64), np.zeros(count, np.int64)
    start, stop = np.zeros((count, 3), np.int64), np.zeros((count, 3), np.int64)
    at, light = np.zeros((count, 3)), np.zeros(count)
    height = foreground.shape[1]
    for row in range(len(begin) - 1):
        i, j = divmod(row, height)
        z, y = origin[0] + i, origin[1] + j
        right = 0
        for run in range(begin[row], begin[row + 1]):
            left, right = right, ends[run]
            if pieces[run] == 0:
                continue
            k = np.int64(pieces[run]) - 1
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
            total = 0 * foreground[i, j, left]  # in 64 bits, whole numbers of whole numbers
            for x in range(left, right):
                total += foreground[i, j, x]
            light[k] += total
    return area, first, start, stop, at, light


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
def _touching(begin, ends, pieces, count, height, steps, connectivity):
    """Pairs (background, object) of pieces that touch in a block, some of them repeated."""
    pairs = [(0, 0) for _ in range(0)]
    latest = np.zeros(count + 1, np.int32)  # background that each object was last seen with
    for row in range(len(begin) - 1):
        for k in range(begin[row] + (ends[begin[row]] == 0), begin[row + 1] - 1):
            object_first = (k - begin[row]) % 2 == 1
            ground, piece = pieces[k + object_first], pieces[k + 1 - object_first]
            if latest[piece] != ground:
                latest[piece] = ground
                pairs.append((ground, piece))
        z, y = divmod(row, height)
        for step in steps:
            away = abs(step[0]) + abs(step[1])
            if z + step[0] < 0 or not 0 <= y + step[1] < height or away > connectivity:
                continue
            other = row + step[0] * height + step[1]
            reach = 1 if away < connectivity else 0
            _meet(pairs, latest, begin, ends, pieces, row, other, reach)
            _meet(pairs, latest, begin, ends, pieces, other, row, reach)
    found = np.empty((len(pairs), 2), np.int64)
    for k in range(len(pairs)):
        found[k, 0], found[k, 1] = pairs[k]
    return found


@njit(cache=True, nogil=True)
def _meet(pairs, latest, begin, ends, pieces, background_row, object_row, reach):
    """Add the pairs of background in one row and objects in another that touch, as above."""
    i, j = begin[background_row], begin[object_row] + 1
    while i < begin[background_row + 1] and j < begin[object_row + 1]:
        start_i = ends[i - 1] if i > begin[background_row] else 0
        if start_i == ends[i] or ends[i] + reach <= ends[j - 1]:
            i += 2
        elif ends[j] + reach <= start_i:
            j += 2
        else:
            if latest[pieces[j]] != pieces[i]:
                latest[pieces[j]] = pieces[i]
                pairs.append((pieces[i], pieces[j]))
            if ends[i] < ends[j]:
                i += 2
            else:
                j += 2
