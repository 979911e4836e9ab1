"""Connected objects of images of any size: labelled block by block, merged over the edges.

Blocks are labelled twice, once to learn which pieces are one object and once to write, so that
nothing of the size of the image is in memory: only edges of blocks and numbers per piece. The
result is that of labelling the whole image at once, to the number.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numba import njit

from unetflow.tiles import Region, shard_grid, shard_region

AHEAD = 2  # blocks per thread that are labelled before they are merged

Index = tuple[int, ...]
Read = Callable[[Region], tuple[np.ndarray, np.ndarray]]
"""Mask (bool) and foreground (any number) of a region (Y, X)."""


class Sums(NamedTuple):
    """Of the pixels of each piece or object; arrays of one length."""

    area_px: np.ndarray  # int64
    first: np.ndarray  # int64: place of the first pixel in raster order of the image
    top: np.ndarray  # int64, rows and columns [px] of the smallest box, the ends excluded
    left: np.ndarray
    bottom: np.ndarray
    right: np.ndarray
    row: np.ndarray  # float64, summed over the pixels
    column: np.ndarray
    foreground: np.ndarray


NO_SUMS = Sums(*(np.zeros(0, np.int64) for _ in range(6)), *(np.zeros(0) for _ in range(3)))


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
        """Numbers of the objects (uint32) in a block with this mask (Y, X)."""
        labels, count = _label(mask, self._how.connectivity == 2, self._how.fill_holes)
        start = self._starts[index]
        own = np.zeros(count + 1, np.uint32)
        own[1:] = self._numbers[start : start + count]
        return own[labels]


def find_objects(
    read: Read, shape: Sequence[int], block: Sequence[int], how: Labelling, threads: int = 1
) -> Objects:
    """Number the objects of an image (Y, X) in the order of their first pixels.

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

    An edge is a line of pixels: 1 + number of the piece, negative for background, 0 for none.
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
        # edges over the width of the image: below the row of blocks before, and of this row
        self._above, self._upper, self._below = np.zeros((3, self.shape[1]), np.int64)
        self._before = np.zeros(0, np.int64)  # edge left of the block

    def add(
        self,
        index: Index,
        region: Region,
        labels: np.ndarray,
        sums: Sums,
        is_object: np.ndarray,
        touching: np.ndarray,
    ) -> None:
        """The next block; a row of blocks is joined with the one above when it is complete."""
        named = np.concatenate([[0], np.where(is_object, 1, -1) * np.arange(1, len(is_object) + 1)])
        named += np.sign(named) * self.total
        edges = [named[edge] for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1])]
        self.starts[index] = self.total
        self.sums.append(sums)
        self.is_object.append(is_object)
        self.touching.append(touching + self.total)
        self.total += len(is_object)
        rows, columns = region
        if columns.start:
            self._join(self._before, edges[2])
        self._before = edges[3]
        self._upper[columns], self._below[columns] = edges[:2]
        if columns.stop == self.shape[1]:
            if rows.start:
                self._join(self._above, self._upper)
            self._above = self._below.copy()
        outer = [
            edge
            for edge, is_outer in zip(
                edges,
                (
                    *(not rows.start, rows.stop == self.shape[0]),
                    *(not columns.start, columns.stop == self.shape[1]),
                ),
                strict=True,
            )
            if is_outer
        ]
        self.at_border += [np.unique(-edge[edge < 0] - 1) for edge in outer]

    def _join(self, one: np.ndarray, other: np.ndarray) -> None:
        """What meets along two edges that lie side by side."""
        for shift in (0, 1, -1)[: 3 if self.how.connectivity == 2 else 1]:
            a = one[max(0, -shift) : len(one) - max(0, shift)]
            b = other[max(0, shift) : len(other) - max(0, -shift)]
            pairs = np.unique(np.stack([a, b], axis=1)[(a != 0) & (b != 0)], axis=0)
            kinds = np.sign(pairs)
            same = (kinds[:, 0] == kinds[:, 1]) & ((kinds[:, 0] > 0) | (shift == 0))
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
        labels, count = _label(mask, how.connectivity == 2, how.fill_holes)
        origin = (region[0].start, region[1].start)
        sums, is_object = _sums(labels, count, mask, foreground, *origin, shape[1])
        if not how.fill_holes:
            return labels, Sums(*sums), is_object, np.zeros((0, 2), np.int64)
        pairs = _touching(labels, count, mask, how.connectivity == 2) - 1
        pairs = np.stack(np.divmod(np.unique(pairs @ (count, 1)), max(count, 1)), axis=1)
        return labels, Sums(*sums), is_object, pairs

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
    origin: tuple[int, int],
    image_width: int,
) -> Sums:
    """Sums of the pieces 1 to n of a region (Y, X) that starts at `origin` of an image."""
    found, _ = _sums(labels, int(labels.max()), mask, foreground, *origin, image_width)
    return Sums(*found)


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *(part.ravel() for part in parts)]).astype(
        dtype, copy=False
    )


def _summed(pieces: np.ndarray, of: np.ndarray, count: int, field: int) -> np.ndarray:
    """Sums of one kind of the objects, from those of their pieces; `of` is a piece's object."""
    name = Sums._fields[field]
    if name in ("first", "top", "left"):
        total = np.full(count, np.iinfo(np.int64).max, pieces.dtype)
        np.minimum.at(total, of, pieces)
    else:
        total = np.zeros(count, pieces.dtype)
        (np.maximum if name in ("bottom", "right") else np.add).at(total, of, pieces)
    return total


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
def _label(mask, corners, background):
    """Pieces of a block in raster order, 1 to n: of the mask, and of its background if wanted.

    Those of the mask join by edges, and by corners if wanted; those of the background by edges.
    """
    height, width = mask.shape
    labels = np.zeros((height, width), np.int32)
    parent = np.zeros(height * width + 1, np.int32)
    following = 1
    for y in range(height):
        for x in range(width):
            own = mask[y, x]
            if not own and not background:
                continue
            root = 0
            if x > 0 and mask[y, x - 1] == own:
                root = root_of(parent, labels[y, x - 1])
            if y > 0:
                reach = 1 if own and corners else 0
                for at in range(max(0, x - reach), min(width, x + reach + 1)):
                    if mask[y - 1, at] != own:
                        continue
                    other = root_of(parent, labels[y - 1, at])
                    if root == 0:
                        root = other
                    elif other != root:
                        low, high = min(root, other), max(root, other)
                        parent[high] = low
                        root = low
            if root == 0:
                root = following
                parent[root] = root
                following += 1
            labels[y, x] = root
    count = 0
    for piece in range(1, following):  # a root is never larger than what hangs on it
        if parent[piece] == piece:
            count += 1
            parent[piece] = count
        else:
            parent[piece] = parent[parent[piece]]
    for y in range(height):
        for x in range(width):
            labels[y, x] = parent[labels[y, x]]
    return labels, count


@njit(cache=True, nogil=True)
def _sums(labels, count, mask, foreground, top, left, image_width):
    """Sums of each piece of a block at (top, left) of an image, and whether it is of the mask."""
    area, first = np.zeros(count, np.int64), np.full(count, np.iinfo(np.int64).max)
    start_row, start_column = first.copy(), first.copy()
    end_row, end_column = np.zeros(count, np.int64), np.zeros(count, np.int64)
    rows, columns, light = np.zeros(count), np.zeros(count), np.zeros(count)
    is_object = np.zeros(count, np.bool_)
    for i in range(labels.shape[0]):
        y = top + i
        for j in range(labels.shape[1]):
            k = labels[i, j] - 1
            if k < 0:
                continue
            x = left + j
            if area[k] == 0:
                first[k], start_row[k], is_object[k] = y * image_width + x, y, mask[i, j]
            area[k] += 1
            start_column[k] = min(start_column[k], x)
            end_row[k] = y + 1
            end_column[k] = max(end_column[k], x + 1)
            rows[k] += y
            columns[k] += x
            light[k] += foreground[i, j]
    boxes = (start_row, start_column, end_row, end_column)
    return (area, first, *boxes, rows, columns, light), is_object


@njit(cache=True, nogil=True)
def _touching(labels, count, mask, corners):
    """Pairs (background, object) of pieces that touch in a block, some of them repeated."""
    height, width = mask.shape
    pairs = [(0, 0) for _ in range(0)]
    latest = np.zeros(count + 1, np.int32)  # background that each object was last seen with
    for y in range(height):
        for x in range(width):
            own = mask[y, x]
            if x + 1 < width and mask[y, x + 1] != own:
                _note(pairs, latest, labels[y, x], labels[y, x + 1], own)
            if y + 1 == height:
                continue
            if mask[y + 1, x] != own:
                _note(pairs, latest, labels[y, x], labels[y + 1, x], own)
            if corners and x + 1 < width and mask[y + 1, x + 1] != own:
                _note(pairs, latest, labels[y, x], labels[y + 1, x + 1], own)
            if corners and x > 0 and mask[y + 1, x - 1] != own:
                _note(pairs, latest, labels[y, x], labels[y + 1, x - 1], own)
    found = np.empty((len(pairs), 2), np.int64)
    for k in range(len(pairs)):
        found[k, 0], found[k, 1] = pairs[k]
    return found


@njit(cache=True, nogil=True)
def _note(pairs, latest, one, other, one_is_object):
    piece, ground = (one, other) if one_is_object else (other, one)
    if latest[piece] != ground:
        latest[piece] = ground
        pairs.append((ground, piece))
