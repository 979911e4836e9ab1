"""Connected components of images of any size: labelled block by block, merged over the seams.

Blocks are labelled twice, once to learn which components are one object and once to write, so that
nothing of the size of the image is in memory: only faces of blocks and numbers per component. The
result is that of labelling the whole image at once, to the number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from unetflow.components.groups_of_block import Settled, reach_a_face, settle, too_large
from unetflow.components.pieces_of_block import (
    Faces,
    Labelling,
    Sums,
    add_up,
    distinct_pairs,
    find_components,
    sums_of,
    touching_components,
)
from unetflow.components.runs import Ints, roots, unite
from unetflow.components.seams import Seams, pairs_across
from unetflow.engine.each import in_order
from unetflow.tiles.regions import Region, shard_grid, shard_region

AHEAD = 2  # blocks per thread that are labelled before they are merged
Index = tuple[int, ...]
Read = Callable[[Region], tuple[np.ndarray, np.ndarray | None, np.ndarray | None]]
"""Mask (bool) and foreground (any number) of a region, and what belongs to other objects (bool).

Without a foreground its sums are 0. Background that holds pixels of others is no hole; None: there
are none.
"""


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of an image: to which the components of each block belong, and their sums."""

    sums: Sums  # of objects 1, 2, ...
    _numbers: np.ndarray  # uint32, of each group of all blocks; 0: none
    _blocks: dict[Index, tuple[int, np.ndarray]]  # where its groups begin, `Settled.of_component`
    _how: Labelling

    @property
    def count(self) -> int:
        return len(self.sums.area_px)

    def numbers_in(self, index: Index) -> np.ndarray:
        """Of each component of a block the number of its object (uint32), 0 for 0."""
        start, of_component = self._blocks[index]
        own = np.zeros(of_component.max() + 1, np.uint32)
        own[1:] = self._numbers[start:][: len(own) - 1]
        return np.asarray(own[of_component])

    def draw(self, index: Index, mask: np.ndarray) -> np.ndarray:
        """Numbers of the objects (uint32) in a block with this mask."""
        return draw_objects(mask, self.numbers_in(index), self._how)


def draw_objects(mask: np.ndarray, numbers: np.ndarray, how: Labelling) -> np.ndarray:
    """A block with this mask as an image of its objects; `numbers` are `Objects.numbers_in`."""
    return find_components(mask, how).painted(numbers)


def find_objects(
    read: Read,
    shape: Sequence[int],
    block: Sequence[int],
    how: Labelling,
    threads: int = 1,
    *,
    sendable: bool = False,
) -> Objects:
    """Number the objects of an image, (Y, X) or (Z, Y, X), in the order of their first pixels.

    Holes are background that neither reaches the image's border nor holds what belongs to others;
    they are filled up to `max_hole_px` of background, and join what they touch. Objects under
    `min_area_px` are left out. Blocks are `sendable` where `read` is (`unetflow.engine.each`).
    """
    merged = _Merged(tuple(shape), how)
    label = _Label(read, tuple(shape), tuple(block), how)
    blocks = in_order(
        label,
        shard_grid(shape, block),
        threads=threads,
        ahead=AHEAD * threads,
        sendable=sendable,
    )
    for index, region, faces, settled in blocks:
        merged.add(index, region, faces, settled)
    return merged.objects()


def label_image(mask: np.ndarray, how: Labelling) -> np.ndarray:
    """Number the objects of a mask in memory, of 1 to 3 axes, as `find_objects` does: uint32.

        1 1 0 1        1 1 0 2
        0 0 1 0   ->   0 0 3 0      (at connectivity 1 diagonal neighbours stay apart)

    Raises StoreError where they do not fit uint32.
    """
    if not mask.size:
        return np.zeros(mask.shape, np.uint32)
    components = find_components(mask, how)
    if not how.fill_holes and how.min_area_px <= 1:
        return components.labels()
    root: Ints = np.arange(components.count)
    inside, areas_px = components.are_objects(), components.areas_px()
    if how.fill_holes:
        hole = ~(inside | reach_a_face(components.faces(), components.count))
        hole &= ~too_large(areas_px, how)
        touching = touching_components(components, how.connectivity)
        unite(root, touching[hole[touching[:, 0]]])
        root, inside = roots(root), inside | hole
    area_px = add_up("area_px", areas_px, root, components.count)
    first = inside & (root == np.arange(components.count)) & (area_px >= how.min_area_px)
    numbers = np.zeros(components.count + 1, np.uint32)
    numbers[1:] = np.where(first, np.cumsum(first), 0)[root]
    return components.painted(numbers)


class _Merged:
    """Groups of the blocks so far, in raster order of the blocks, and what is known of them.

    On a face of a block a pixel is 1 + number of the group, negative for background, 0 for none.
    """

    def __init__(self, shape: Sequence[int], how: Labelling) -> None:
        self._how, self._seams = how, Seams(shape)
        self._total = 0
        self._blocks: dict[Index, tuple[int, np.ndarray]] = {}
        self._sums: list[Sums] = []
        self._is_object: list[np.ndarray] = []
        self._joined: list[np.ndarray] = []  # groups (N, 2) that are one
        self._touching: list[np.ndarray] = []  # background and object (N, 2)
        self._outside: list[np.ndarray] = []  # groups of background, no holes
        self._ground_px: list[np.ndarray] = []  # of each group, as of `Settled`

    def add(self, index: Index, region: Region, faces: Faces, settled: Settled) -> None:
        """The next block."""
        count = len(settled.is_object)
        signs = np.where(settled.is_object, 1, -1)
        named = np.concatenate([[0], signs * np.arange(self._total + 1, self._total + count + 1)])
        named = named[settled.of_component]
        self._blocks[index] = self._total, settled.of_component
        self._sums.append(settled.sums)
        self._is_object.append(settled.is_object)
        self._ground_px.append(settled.ground_px)
        self._touching.append(settled.touching + self._total)
        self._outside.append(settled.outside + self._total)
        self._total += count
        meeting, border = self._seams.add(region, [(named[a], named[b]) for a, b in faces])
        for one, other in meeting:
            self._join(one, other)
        for face in border:
            self._outside.append(np.unique(-face[face < 0] - 1))

    def _join(self, one: np.ndarray, other: np.ndarray) -> None:
        """What meets along two faces that lie side by side."""
        for away, pairs in pairs_across(one, other, self._how.connectivity):
            kinds = np.sign(pairs)
            same = (kinds[:, 0] == kinds[:, 1]) & ((kinds[:, 0] > 0) | (away == 0))
            self._joined.append(np.abs(pairs[same]) - 1)
            mixed = pairs[kinds[:, 0] != kinds[:, 1]]
            self._touching.append(np.abs(np.sort(mixed, axis=1)) - 1)  # negative: background first

    def objects(self) -> Objects:
        """All groups as objects, numbered."""
        inside = _in_a_row(self._is_object, bool)
        parent = np.arange(self._total)
        unite(parent, _in_a_row(self._joined, np.int64).reshape(-1, 2))
        if self._how.fill_holes:
            root = roots(parent)
            outside = np.zeros(self._total, bool)
            outside[root[_in_a_row(self._outside, np.int64)]] = True
            if self._how.max_hole_px is not None:
                ground_px = _in_a_row(self._ground_px, np.int64)
                outside |= too_large(add_up("area_px", ground_px, root, self._total), self._how)
            hole = ~inside & ~outside[root]
            touching = _in_a_row(self._touching, np.int64).reshape(-1, 2)
            unite(parent, touching[hole[touching[:, 0]]])
            inside |= hole
        root, of = np.unique(roots(parent)[inside], return_inverse=True)
        sums = self._sums_of(inside, of, len(root))
        kept = np.flatnonzero(sums.area_px >= max(self._how.min_area_px, 1))
        order = kept[np.argsort(sums.first[kept], kind="stable")]
        number_of = np.zeros(len(root), np.uint32)
        number_of[order] = np.arange(1, len(order) + 1)
        numbers = np.zeros(self._total, np.uint32)
        numbers[inside] = number_of[of]
        return Objects(Sums(*(part[order] for part in sums)), numbers, self._blocks, self._how)

    def _sums_of(self, inside: np.ndarray, of: np.ndarray, count: int) -> Sums:
        """Sums of `count` objects; `of` is that of each group that is inside one."""
        found = []
        for name in Sums._fields:  # one after the other: there may be very many groups
            values = np.concatenate([getattr(of_block, name) for of_block in self._sums])
            found.append(add_up(name, values[inside], of, count))
        return Sums(*found)


@dataclass(frozen=True, slots=True)
class _Label:
    """The components of a block, settled."""

    read: Read
    shape: tuple[int, ...]
    block: tuple[int, ...]
    how: Labelling

    def __call__(self, index: Index) -> tuple[Index, Region, Faces, Settled]:
        how, region = self.how, shard_region(index, self.shape, self.block)
        mask, foreground, of_others = self.read(region)
        found = find_components(mask, how)
        faces = found.faces()
        sums = sums_of(found, foreground, [part.start for part in region], self.shape)
        touching, kept_open = np.zeros((0, 2), np.int64), np.zeros(found.count, bool)
        if how.fill_holes:
            pairs = touching_components(found, how.connectivity)
            touching = distinct_pairs(pairs, found.count)
            kept_open = found.reach_into(of_others) | too_large(sums.area_px, how)
        settled = settle(faces, sums, found.are_objects(), touching, kept_open, how)
        return index, region, faces, settled


def _in_a_row(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *(part.ravel() for part in parts)]).astype(
        dtype, copy=False
    )
