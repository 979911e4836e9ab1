"""Connected objects of images of any size: labelled block by block, merged over the edges.

Blocks are labelled twice, once to learn which pieces are one object and once to write, so that
nothing of the size of the image is in memory: only edges of blocks and numbers per piece. The
result is that of labelling the whole image at once, to the number.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unetflow.components.groups_of_block import Settled, settle
from unetflow.components.pieces_of_block import (
    Faces,
    Labelling,
    Sums,
    add_up,
    find_pieces,
    sums_of,
    touching_pieces,
)
from unetflow.components.runs import roots, unite
from unetflow.engine.each import in_order
from unetflow.tiles.regions import Region, shard_grid, shard_region

AHEAD = 2  # blocks per thread that are labelled before they are merged
Index = tuple[int, ...]
Read = Callable[[Region], tuple[np.ndarray, np.ndarray, np.ndarray | None]]
"""Mask (bool) and foreground (any number) of a region, and what belongs to other objects (bool).

Background that holds such pixels is no hole; None: there are none.
"""


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of an image: to which the pieces of each block belong, and their sums."""

    sums: Sums  # of objects 1, 2, ...
    _numbers: np.ndarray  # uint32, of each group of all blocks; 0: none
    _blocks: dict[Index, tuple[int, np.ndarray]]  # where its groups begin, and `Settled.of_piece`
    _how: Labelling

    @property
    def count(self) -> int:
        return len(self.sums.area_px)

    def draw(self, index: Index, mask: np.ndarray) -> np.ndarray:
        """Numbers of the objects (uint32) in a block with this mask."""
        start, of_piece = self._blocks[index]
        own = np.zeros(of_piece.max() + 1, np.uint32)
        own[1:] = self._numbers[start:][: len(own) - 1]
        return find_pieces(mask, self._how).painted(own[of_piece])


def find_objects(
    read: Read, shape: Sequence[int], block: Sequence[int], how: Labelling, threads: int = 1
) -> Objects:
    """Number the objects of an image, (Y, X) or (Z, Y, X), in the order of their first pixels.

    Holes are background that neither reaches the image's border nor holds what belongs to others;
    they are filled, and join what they touch. Objects under `min_area_px` are left out.
    """
    merged = _Merged(tuple(shape), how)
    for index, region, faces, settled in _blocks(read, shape, block, how, threads):
        merged.add(index, region, faces, settled)
    return merged.objects()


@dataclass
class _Merged:
    """Groups of the blocks so far, in raster order of the blocks, and what is known of them.

    On a face of a block a pixel is 1 + number of the group, negative for background, 0 for none.
    """

    shape: tuple[int, ...]
    how: Labelling
    total: int = 0
    blocks: dict[Index, tuple[int, np.ndarray]] = field(default_factory=dict)
    sums: list[Sums] = field(default_factory=list)
    is_object: list[np.ndarray] = field(default_factory=list)
    joined: list[np.ndarray] = field(default_factory=list)  # groups (N, 2) that are one
    touching: list[np.ndarray] = field(default_factory=list)  # background and object (N, 2)
    outside: list[np.ndarray] = field(default_factory=list)  # groups of background, no holes

    def __post_init__(self) -> None:
        # of each axis, over the whole image along the axes after it: where the layer of blocks
        # before ends, where this one begins, and where it ends
        nothing = [np.zeros(0, np.int64)] * len(self.shape)
        self._before, self._begins, self._ends = nothing, nothing.copy(), nothing.copy()

    def add(self, index: Index, region: Region, faces: Faces, settled: Settled) -> None:
        """The next block; a layer of blocks is joined with the one before when it is complete."""
        count = len(settled.is_object)
        signs = np.where(settled.is_object, 1, -1)
        named = np.concatenate([[0], signs * np.arange(self.total + 1, self.total + count + 1)])
        named = named[settled.of_piece]
        self.blocks[index] = self.total, settled.of_piece
        self.sums.append(settled.sums)
        self.is_object.append(settled.is_object)
        self.touching.append(settled.touching + self.total)
        self.outside.append(settled.outside + self.total)
        self.total += count
        before: tuple[int, ...] = ()
        for axis, (part, (begins, ends)) in enumerate(zip(region, faces, strict=True)):
            after, sizes = region[axis + 1 :], self.shape[axis + 1 :]
            if all(each.start == 0 for each in after):
                whole = (2, *before, *sizes)
                self._begins[axis], self._ends[axis] = np.zeros(whole, np.int64)
            where: tuple[Any, ...] = (..., *after)
            self._begins[axis][where] = named[begins]
            self._ends[axis][where] = named[ends]
            if all(each.stop == size for each, size in zip(after, sizes, strict=True)):
                self._complete(axis, part)
            before = (*before, part.stop - part.start)

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
        self.outside.append(np.unique(-face[face < 0] - 1))

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
        """All groups as objects, numbered."""
        inside = _joined(self.is_object, bool)
        parent = np.arange(self.total)
        unite(parent, _joined(self.joined, np.int64).reshape(-1, 2))
        if self.how.fill_holes:
            root = roots(parent)
            outside = np.zeros(self.total, bool)
            outside[root[_joined(self.outside, np.int64)]] = True
            hole = ~inside & ~outside[root]
            touching = _joined(self.touching, np.int64).reshape(-1, 2)
            unite(parent, touching[hole[touching[:, 0]]])
            inside |= hole
        root, of = np.unique(roots(parent)[inside], return_inverse=True)
        # one kind of sum after the other: there may be very many groups
        sums = Sums(
            *(
                add_up(
                    name,
                    np.concatenate([getattr(of_block, name) for of_block in self.sums])[inside],
                    of,
                    len(root),
                )
                for name in Sums._fields
            )
        )
        kept = np.flatnonzero(sums.area_px >= max(self.how.min_area_px, 1))
        order = kept[np.argsort(sums.first[kept], kind="stable")]
        number_of = np.zeros(len(root), np.uint32)
        number_of[order] = np.arange(1, len(order) + 1)
        numbers = np.zeros(self.total, np.uint32)
        numbers[inside] = number_of[of]
        return Objects(Sums(*(part[order] for part in sums)), numbers, self.blocks, self.how)


def _blocks(
    read: Read, shape: Sequence[int], block: Sequence[int], how: Labelling, threads: int
) -> Iterator[tuple[Index, Region, Faces, Settled]]:
    """The pieces of each block, settled, in raster order of the blocks, several at a time."""

    def label(index: Index) -> tuple[Index, Region, Faces, Settled]:
        region = shard_region(index, shape, block)
        mask, foreground, of_others = read(region)
        pieces = find_pieces(mask, how)
        faces = pieces.faces()
        sums = sums_of(pieces, foreground, [part.start for part in region], shape)
        touching, kept_open = np.zeros((0, 2), np.int64), np.zeros(pieces.count, bool)
        if how.fill_holes:
            touching = touching_pieces(pieces, how.connectivity)
            kept_open = pieces.reach_into(of_others)
        settled = settle(faces, sums, pieces.are_objects(), touching, kept_open, how)
        return index, region, faces, settled

    return in_order(label, shard_grid(shape, block), threads=threads, ahead=AHEAD * threads)


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *(part.ravel() for part in parts)]).astype(
        dtype, copy=False
    )
