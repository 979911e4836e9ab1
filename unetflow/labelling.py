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
from typing import Any

import numpy as np

from unetflow.pieces import (
    Labelling,
    Sums,
    find_pieces,
    roots,
    sums_of,
    touching_pieces,
    unite,
)
from unetflow.tiles import Region, shard_grid, shard_region

AHEAD = 2  # blocks per thread that are labelled before they are merged

Index = tuple[int, ...]
Read = Callable[[Region], tuple[np.ndarray, np.ndarray]]
"""Mask (bool) and foreground (any number) of a region."""


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
        pieces = find_pieces(mask, self._how)
        own = np.zeros(pieces.count + 1, np.uint32)
        own[1:] = self._numbers[self._starts[index] :][: pieces.count]
        return pieces.painted(own)


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
        unite(parent, _joined(self.joined, np.int64).reshape(-1, 2))
        if self.how.fill_holes:
            root = roots(parent)
            outside = np.zeros(self.total, bool)
            outside[root[_joined(self.at_border, np.int64)]] = True
            hole = ~inside & ~outside[root]
            touching = _joined(self.touching, np.int64).reshape(-1, 2)
            unite(parent, touching[hole[touching[:, 0]]])
            inside |= hole
        root, of = np.unique(roots(parent)[inside], return_inverse=True)
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
        pieces = find_pieces(mask, how)
        labels = pieces.painted()
        origin = [part.start for part in region]
        sums, is_object = sums_of(labels, pieces.count, mask, foreground, origin, shape)
        if not how.fill_holes:
            return labels, sums, is_object, np.zeros((0, 2), np.int64)
        touching = touching_pieces(labels, pieces.count, mask, how.connectivity)
        return labels, sums, is_object, touching

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
