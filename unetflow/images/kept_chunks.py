"""Large chunks of a file, such as its strips, decoded once and kept while their part is read."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from unetflow.images.opened import Unclear

KEPT_BYTES = 512 * 2**20  # of decoded pixels; one piece at least
LEAST_PX = 256  # side of what is decoded together: thinner chunks are joined
REGION_PX = 1024  # what is read at once: chunks of which that holds whole ones are left alone


class KeptChunks:
    """An array whose pieces, chunks or several thin ones, are decoded whole and kept.

        strips of a file                 regions that are read, one after the other
        +---------------------------+    +------+------+------+------+
        | decoded once              |    |  1   |  2   |  3   |  4   |
        +---------------------------+    |      |      |      |      |
        | decoded once              |    |      |      |      |      |
        +---------------------------+    +------+------+------+------+

    Without it a strip would be decoded for each region that it crosses.
    """

    def __init__(self, array: Any, axes: str) -> None:
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype = array.dtype
        self._array = array
        self._at = axes.index("Y"), axes.index("X")
        self._piece_px = tuple(_piece_px(array.chunks[axis]) for axis in self._at)
        self._kept: OrderedDict[object, np.ndarray] = OrderedDict()
        self._bytes = 0

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        """The pixels of a key of slices without steps, and of numbers on axes that go."""
        gone = [axis for axis, part in enumerate(key) if not isinstance(part, slice)]
        y, x = (axis - sum(each < axis for each in gone) for axis in self._at)
        rows, columns = (_bounds(key[axis], self.shape[axis]) for axis in self._at)
        high, wide = self._piece_px
        bands = []
        for row in range(rows.start // high, -(-rows.stop // high)):
            pieces = [
                _cut(self._piece(key, row, column), columns, column * wide, x)
                for column in range(columns.start // wide, -(-columns.stop // wide))
            ]
            band = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=x)
            bands.append(_cut(band, rows, row * high, y))
        return bands[0] if len(bands) == 1 else np.concatenate(bands, axis=y)

    def _piece(self, key: Sequence[slice | int], row: int, column: int) -> np.ndarray:
        whole = list(key)
        for axis, number, size in zip(self._at, (row, column), self._piece_px, strict=True):
            whole[axis] = slice(number * size, min((number + 1) * size, self.shape[axis]))
        name = tuple((part.start, part.stop) if isinstance(part, slice) else part for part in whole)
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        piece = np.asarray(self._array[tuple(whole)])
        self._kept[name] = piece
        self._bytes += piece.nbytes
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes
        return piece


def keep_chunks(array: Any, axes: str) -> Any:
    """The array, with its chunks kept where regions that are read cross them.

    Raises Unclear for chunks without pixels, as a damaged header has them.
    """
    chunks = getattr(array, "chunks", None)
    if not chunks or not axes.count("Y") == axes.count("X") == 1:
        return array
    sides = [min(chunks[axes.index(name)], array.shape[axes.index(name)]) for name in "YX"]
    sizes = [array.shape[axes.index(name)] for name in "YX"]
    if 0 in sides:
        raise Unclear(
            f"its tiles have no pixels (size {sides[0]}x{sides[1]}): it is damaged",
            "path",
            "Copy the file anew, or correct {}.",
        )
    if all(
        REGION_PX % side == 0 or size <= REGION_PX for side, size in zip(sides, sizes, strict=True)
    ):
        return array
    return KeptChunks(array, axes)


def _piece_px(chunk_px: int) -> int:
    return chunk_px * max(1, LEAST_PX // chunk_px)


def _bounds(part: slice | int, size: int) -> slice:
    if not isinstance(part, slice):
        raise TypeError("rows and columns are read as slices")
    start, stop, _ = part.indices(size)
    return slice(start, stop)


def _cut(piece: np.ndarray, wanted: slice, first: int, axis: int) -> np.ndarray:
    """The wanted part of a piece that begins at `first`."""
    key: list[slice] = [slice(None)] * piece.ndim
    key[axis] = slice(max(0, wanted.start - first), wanted.stop - first)
    return piece[tuple(key)]
