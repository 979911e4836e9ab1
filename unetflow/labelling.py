"""Connected objects of images of any size: labelled block by block, merged over the edges.

Blocks are labelled twice, once to learn which pieces are one object and once to write, so that
nothing of the size of the image is in memory: only edges of blocks and numbers per piece. The
result is that of labelling the whole image at once, to the number.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from unetflow.tiles import Region, shard_grid, shard_region

AHEAD = 2  # blocks per thread that are labelled before they are merged

Index = tuple[int, ...]
Read = Callable[[Region], tuple[np.ndarray, np.ndarray]]
"""Mask (bool) and foreground (any number) of a region."""


class Sums(NamedTuple):
    """Of the pixels of each piece or object: arrays of N, or (N, axes)."""

    area_px: np.ndarray  # int64
    first: np.ndarray  # int64: place of the first pixel in raster order of the image
    start: np.ndarray  # int64 (N, axes): of the smallest box [px]
    stop: np.ndarray  # int64 (N, axes): its end, excluded
    at: np.ndarray  # float64 (N, axes): coordinates [px], summed over the pixels
    foreground: np.ndarray  # float64, summed over the pixels


class Labelling(NamedTuple):
    """How objects are made of a mask; as of `unetflow.instances.label_instances`."""

    min_area_px: int = 0
    fill_holes: bool = False
    connectivity: int = 1


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of an image: to which the pieces of each block belong, and their sums."""

    sums: Sums  # of objects 1, 2, ...
    _numbers: np.ndarray  # uint32, of each piece of all blocks; 0: none
    _starts: dict[Index, int]  # of a block in `_numbers`
    _how: Labelling

    @property
    def count(self) -> int:
        return len(self.sums.area_px)

    def draw(self, index: Index, mask: np.ndarray) -> np.ndarray:
        """Numbers of the objects (uint32) in a block with this mask."""
        begin, ends, pieces, count = _pieces_of(mask, self._how)
        own = np.zeros(count + 1, np.uint32)
        own[1:] = self._numbers[self._starts[index] :][:count]
        return _painted(begin, ends, own[pieces], _as_volume(mask).shape).reshape(mask.shape)


def find_objects(
    read: Read, shape: Sequence[int], block: Sequence[int], how: Labelling, threads: int = 1
) -> Objects:
    """Number the objects of an image, (Y, X) or (Z, Y, X), in the order of their first pixels.

    Holes are background that does not reach the image's border; they are filled, and join what
    they touch. Objects under `min_area_px` are left out.
    """
    merged = _Merged(tuple(shape), how)
    for index, region, labels, sums, is_object, touching in _blocks(
        read, shape, block, how, threads
    ):
        merged.add(index, region, labels, sums, is_object, touching)
    return merged.objects()


@dataclass
class _Merged:
    """Pieces of the blocks so far, in raster order of the blocks, and what is known of them.

    On a face of a block a pixel is 1 + number of the piece, negative for background, 0 for none.
    """

    shape: tuple[int, ...]
    how: Labelling
    total: int = 0
    starts: dict[Index, int] = field(default_factory=dict)
    sums: list[Sums] = field(default_factory=list)
    is_object: list[np.ndarray] = field(default_factory=list)
    joined: list[np.ndarray] = field(default_factory=list)  # pieces (N, 2) that are one
    touching: list[np.ndarray] = field(default_factory=list)  # background and object (N, 2)
    at_border: list[np.ndarray] = field(default_factory=list)  # pieces of background

    def __post_init__(self) -> None:
        # of each axis, over the whole image along the axes after it: where the layer of blocks
        # before ends, where this one begins, and where it ends
        nothing = [np.zeros(0, np.int64)] * len(self.shape)
        self._before, self._begins, self._ends = nothing, nothing.copy(), nothing.copy()

    def add(
        self,
        index: Index,
        region: Region,
        labels: np.ndarray,
        sums: Sums,
        is_object: np.ndarray,
        touching: np.ndarray,
    ) -> None:
        """The next block; a layer of blocks is joined with the one before when it is complete."""
        named = np.concatenate([[0], np.where(is_object, 1, -1) * np.arange(1, len(is_object) + 1)])
        named += np.sign(named) * self.total
        self.starts[index] = self.total
        self.sums.append(sums)
        self.is_object.append(is_object)
        self.touching.append(touching + self.total)
        self.total += len(is_object)
        for axis, part in enumerate(region):
            after, sizes = region[axis + 1 :], self.shape[axis + 1 :]
            if all(each.start == 0 for each in after):
                whole = (*labels.shape[:axis], *sizes)
                self._begins[axis], self._ends[axis] = np.zeros((2, *whole), np.int64)
            where: tuple[Any, ...] = (..., *after)
            self._begins[axis][where] = named[np.take(labels, 0, axis)]
            self._ends[axis][where] = named[np.take(labels, -1, axis)]
            if all(each.stop == size for each, size in zip(after, sizes, strict=True)):
                self._complete(axis, part)

    def _complete(self, axis: int, part: slice) -> None:
        """A layer of blocks along an axis is whole."""
        if part.start:
            self._join(self._before[axis], self._begins[axis])
        else:
            self._reaches_border(self._begins[axis])
        if part.stop == self.shape[axis]:
            self._reaches_border(self._ends[axis])
        self._before[axis] = self._ends[axis]

    def _reaches_border(self, face: np.ndarray) -> None:
        self.at_border.append(np.unique(-face[face < 0] - 1))

    def _join(self, one: np.ndarray, other: np.ndarray) -> None:
        """What meets along two faces that lie side by side."""
        for shifts in itertools.product((0, 1, -1), repeat=one.ndim):
            away = sum(map(abs, shifts))
            if away >= self.how.connectivity:
                continue
            moved = list(zip(shifts, one.shape, strict=True))
            a = one[tuple(slice(max(0, -by), size - max(0, by)) for by, size in moved)]
            b = other[tuple(slice(max(0, by), size - max(0, -by)) for by, size in moved)]
            pairs = np.unique(np.stack([a, b], axis=-1)[(a != 0) & (b != 0)], axis=0)
            kinds = np.sign(pairs)
            same = (kinds[:, 0] == kinds[:, 1]) & ((kinds[:, 0] > 0) | (away == 0))
            self.joined.append(np.abs(pairs[same]) - 1)
            mixed = pairs[kinds[:, 0] != kinds[:, 1]]
            self.touching.append(np.abs(np.sort(mixed, axis=1)) - 1)  # negative: background first

    def objects(self) -> Objects:
        """All pieces as objects, numbered."""
        inside = _joined(self.is_object, bool)
        parent = np.arange(self.total)
        _unite(parent, _joined(self.joined, np.int64).reshape(-1, 2))
        if self.how.fill_holes:
            root = _roots(parent)
            outside = np.zeros(self.total, bool)
            outside[root[_joined(self.at_border, np.int64)]] = True
            hole = ~inside & ~outside[root]
            touching = _joined(self.touching, np.int64).reshape(-1, 2)
            _unite(parent, touching[hole[touching[:, 0]]])
            inside |= hole
        root, of = np.unique(_roots(parent)[inside], return_inverse=True)
        # one kind of sum after the other: of noise there are very many pieces
        sums = Sums(
            *(
                _summed(
                    np.concatenate([of_block[k] for of_block in self.sums])[inside],
                    of,
                    len(root),
                    k,
                )
                for k in range(len(Sums._fields))
            )
        )
        kept = np.flatnonzero(sums.area_px >= max(self.how.min_area_px, 1))
        order = kept[np.argsort(sums.first[kept], kind="stable")]
        number_of = np.zeros(len(root), np.uint32)
        number_of[order] = np.arange(1, len(order) + 1)
        numbers = np.zeros(self.total, np.uint32)
        numbers[inside] = number_of[of]
        return Objects(Sums(*(part[order] for part in sums)), numbers, self.starts, self.how)


def _blocks(
    read: Read, shape: Sequence[int], block: Sequence[int], how: Labelling, threads: int
) -> Iterator[tuple[Index, Region, np.ndarray, Sums, np.ndarray, np.ndarray]]:
    """Each block labelled, in raster order, several at a time."""

    def label(region: Region) -> tuple[np.ndarray, Sums, np.ndarray, np.ndarray]:
        mask, foreground = read(region)
        begin, ends, pieces, count = _pieces_of(mask, how)
        labels = _painted(begin, ends, pieces, _as_volume(mask).shape).reshape(mask.shape)
        origin = [part.start for part in region]
        sums, is_object = _sums_of(labels, count, mask, foreground, origin, shape)
        if not how.fill_holes:
            return labels, sums, is_object, np.zeros((0, 2), np.int64)
        steps = _steps_back(mask.ndim, how.connectivity)
        pairs = _touching(_as_volume(labels), count, _as_volume(mask), steps) - 1
        pairs = np.stack(np.divmod(np.unique(pairs @ (count, 1)), max(count, 1)), axis=1)
        return labels, sums, is_object, pairs

    waiting: deque[tuple[Index, Region, Future[tuple[np.ndarray, Sums, np.ndarray, np.ndarray]]]]
    waiting = deque()
    with ThreadPoolExecutor(threads) as pool:
        for index in shard_grid(shape, block):
            region = shard_region(index, shape, block)
            waiting.append((index, region, pool.submit(label, region)))
            if len(waiting) > AHEAD * threads:
                first = waiting.popleft()
                yield *first[:2], *first[2].result()
        while waiting:
            first = waiting.popleft()
            yield *first[:2], *first[2].result()


def sums_of_pieces(
    labels: np.ndarray,
    mask: np.ndarray,
    foreground: np.ndarray,
    origin: Sequence[int],
    shape: Sequence[int],
) -> Sums:
    """Sums of the pieces 1 to n of a region that starts at `origin` of an image of `shape`."""
    return _sums_of(labels, int(labels.max()), mask, foreground, origin, shape)[0]


def no_sums(axes: int) -> Sums:
    """Sums of no pieces at all."""
    empty = np.zeros((1, 0, 0), np.int32).reshape((1,) * (axes - 1) + (0,))
    return _sums_of(empty, 0, empty != 0, empty, (0,) * axes, empty.shape)[0]


def _sums_of(
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


def _as_volume(array: np.ndarray) -> np.ndarray:
    """(Y, X) as (1, Y, X)."""
    return array.reshape((1,) * (3 - array.ndim) + array.shape)


def _pieces_of(mask: np.ndarray, how: Labelling) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Runs of a block (`_runs`), the piece of each, 1 to n in raster order, and n.

    Pieces of the mask, and of its background where holes are filled. Those of the mask join as
    `connectivity` says, those of the background by edges.
    """
    volume = _as_volume(mask)
    begin, ends = _runs(volume)
    steps = _steps_back(mask.ndim, how.connectivity)
    rows = steps[steps[:, 2] == 0]
    pieces, count = _pieces(begin, ends, volume.shape[1], rows, how.connectivity, how.fill_holes)
    return begin, ends, pieces, count


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *(part.ravel() for part in parts)]).astype(
        dtype, copy=False
    )


def _summed(pieces: np.ndarray, of: np.ndarray, count: int, field: int) -> np.ndarray:
    """Sums of one kind of the objects, from those of their pieces; `of` is a piece's object."""
    name = Sums._fields[field]
    shape = (count, *pieces.shape[1:])
    if name in ("first", "start"):
        total = np.full(shape, np.iinfo(np.int64).max, pieces.dtype)
        np.minimum.at(total, of, pieces)
    else:
        total = np.zeros(shape, pieces.dtype)
        (np.maximum if name == "stop" else np.add).at(total, of, pieces)
    return total


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
def _unite(parent, pairs):
    for k in range(len(pairs)):
        one, other = root_of(parent, pairs[k, 0]), root_of(parent, pairs[k, 1])
        if one != other:
            parent[max(one, other)] = min(one, other)


@njit(cache=True, nogil=True)
def _roots(parent):
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
