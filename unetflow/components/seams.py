"""What meets across the seams between the blocks of an image, and what is one by that.

    block 1 | block 2        1 1 | 3 3        1 and 3 meet at the seam:
            |           ->   0 0 | 0 4   ->   they are one

Numbers are those of all blocks, each block's after those of the blocks before it.
"""

import itertools
from collections.abc import Iterator, Sequence
from types import EllipsisType

import numpy as np
from numpy.typing import NDArray

from unetflow.components.pieces_of_block import Faces
from unetflow.components.runs import roots, unite
from unetflow.tiles.regions import Region

Numbers = NDArray[np.int64]


class Seams:
    """The faces of the blocks of an image, kept until those that meet are both whole.

    Of each axis two layers of faces over the axes after it are in memory, never the image.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self._shape = tuple(shape)
        # of each axis: where the layer of blocks before ends, where this one begins, where it ends
        nothing = [np.zeros(0, np.int64) for _ in self._shape]
        self._before, self._begins, self._ends = nothing, nothing.copy(), nothing.copy()

    def add(
        self, region: Region, faces: Faces
    ) -> tuple[list[tuple[Numbers, Numbers]], list[Numbers]]:
        """The next block in raster order, with the numbers on its faces.

        Of what is whole by this block: pairs of faces that lie side by side, and faces on the
        border of the image.
        """
        meeting: list[tuple[Numbers, Numbers]] = []
        border: list[Numbers] = []
        before: tuple[int, ...] = ()
        for axis, (part, (begins, ends)) in enumerate(zip(region, faces, strict=True)):
            after, sizes = region[axis + 1 :], self._shape[axis + 1 :]
            if all(each.start == 0 for each in after):
                self._begins[axis] = np.zeros((*before, *sizes), np.int64)
                self._ends[axis] = np.zeros((*before, *sizes), np.int64)
            where: tuple[slice | EllipsisType, ...] = (..., *after)
            self._begins[axis][where], self._ends[axis][where] = begins, ends
            if all(each.stop == size for each, size in zip(after, sizes, strict=True)):
                if part.start:
                    meeting.append((self._before[axis], self._begins[axis]))
                else:
                    border.append(self._begins[axis])
                if part.stop == self._shape[axis]:
                    border.append(self._ends[axis])
                self._before[axis] = self._ends[axis]
            before = (*before, part.stop - part.start)
        return meeting, border


def pairs_across(
    one: Numbers, other: Numbers, connectivity: int = 1
) -> Iterator[tuple[int, Numbers]]:
    """Pairs (N, 2) of numbers, none of them 0, that touch across two faces side by side.

    Before the pairs, along how many axes of the faces the pixels are apart: 0 of those that share
    an edge. Each pair comes once for each way.
    """
    for shifts in itertools.product((0, 1, -1), repeat=one.ndim):
        away = sum(map(abs, shifts))
        if away >= connectivity:
            continue
        moved = list(zip(shifts, one.shape, strict=True))
        a = one[tuple(slice(max(0, -by), size - max(0, by)) for by, size in moved)]
        b = other[tuple(slice(max(0, by), size - max(0, -by)) for by, size in moved)]
        pairs = np.stack([a, b], axis=-1)[(a != 0) & (b != 0)]
        fresh = np.ones(len(pairs), bool)  # the same pair goes on along the seam: sort few
        fresh[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
        yield away, np.unique(pairs[fresh], axis=0)


def numbers_of_joined(count: int, pairs: Sequence[Numbers]) -> Numbers:
    """Of each of the numbers 1 to `count` that of all it is one with by pairs, consecutive from 1.

    In the order of the first of each; [0] is 0.
    """
    parent = np.arange(count + 1)
    for each in pairs:
        unite(parent, each)
    root = np.asarray(roots(parent))
    return np.asarray((np.cumsum(root == np.arange(count + 1)) - 1)[root])
