"""Large chunks of a file, such as its strips, decoded once and kept while their part is read."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from unetflow.images.opened import Unclear
from unetflow.tiles.regions import PLANE, Region, common, shard_region, side_px, touched, within

KEPT_BYTES = 512 * 2**20  # of decoded pixels; one piece at least, of volumes more: `layer_bytes`
LEAST_PX = 256  # side of what is decoded together: thinner chunks are joined
REGION_PX = 1024  # what is read at once: chunks of which that holds whole ones are left alone;
# of volumes cubes (`unetflow.tiles.regions.side_px`), and planes are never joined


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

    def __init__(self, array: Any, spatial: Sequence[int]) -> None:
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype = array.dtype
        self._array = array
        self._at = tuple(spatial)
        *planes, high, wide = (array.chunks[axis] for axis in self._at)
        self._piece_px = (*planes, _piece_px(high), _piece_px(wide))
        self._kept: OrderedDict[object, np.ndarray] = OrderedDict()
        self._bytes, self._most = 0, KEPT_BYTES

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        """The pixels of a key of slices without steps, and of numbers on axes that go."""
        gone = [axis for axis, part in enumerate(key) if not isinstance(part, slice)]
        here = [axis - sum(each < axis for each in gone) for axis in self._at]  # in what is read
        region = [_bounds(key[axis], self.shape[axis]) for axis in self._at]
        sizes = [self.shape[axis] for axis in self._at]
        indices = touched(region, self._piece_px)
        if len(indices) == 1:
            piece = shard_region(indices[0], sizes, self._piece_px)
            return _cut(self._piece(key, piece), within(region, piece), here)
        found: np.ndarray | None = None
        for index in indices:
            piece = shard_region(index, sizes, self._piece_px)
            shared = common(piece, region)
            part = _cut(self._piece(key, piece), within(shared, piece), here)
            if found is None:
                shape = list(part.shape)
                for axis, of in zip(here, region, strict=True):
                    shape[axis] = of.stop - of.start
                found = np.empty(shape, part.dtype)
            _cut(found, within(shared, region), here)[...] = part
        assert found is not None
        return found

    def _piece(self, key: Sequence[slice | int], region: Region) -> np.ndarray:
        whole = list(key)
        for axis, part in zip(self._at, region, strict=True):
            whole[axis] = part
        name = tuple((part.start, part.stop) if isinstance(part, slice) else part for part in whole)
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        piece = np.asarray(self._array[tuple(whole)])
        self._kept[name] = piece
        self._bytes += piece.nbytes
        channels = piece.size // math.prod(part.stop - part.start for part in region)
        self._most = max(self._most, layer_bytes(self._array, self._at, channels))
        while self._bytes > self._most and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes
        return piece


def keep_chunks(array: Any, spatial: Sequence[int]) -> Any:
    """The array, with its chunks kept where regions that are read cross them.

    `spatial` are its axes Y, X, or Z, Y, X of a volume.
    Raises Unclear for chunks without pixels, as a damaged header has them.
    """
    chunks = getattr(array, "chunks", None)
    if not chunks:
        return array
    sides = [min(chunks[axis], array.shape[axis]) for axis in spatial]
    sizes = [array.shape[axis] for axis in spatial]
    region_px = side_px(REGION_PX, len(sides))
    if 0 in sides:
        raise Unclear(
            f"its tiles have no pixels (size {'x'.join(map(str, sides))}): it is damaged",
            "path",
            "Copy the file anew, or correct {}.",
        )
    if all(
        region_px % side == 0 or size <= region_px for side, size in zip(sides, sizes, strict=True)
    ):
        return array
    return KeptChunks(array, spatial)


def layer_bytes(array: Any, spatial: Sequence[int], channels: int) -> int:
    """What is decoded for the regions of a volume that lie side by side along x; of an image 0.

    Where less is kept, each plane is decoded again for each of them.
    """
    chunks = getattr(array, "chunks", None)
    if len(spatial) <= PLANE or not chunks:
        return 0
    sizes = [array.shape[axis] for axis in spatial]
    pieces = [chunks[axis] for axis in spatial]
    pieces[1] = _piece_px(pieces[1])
    region_px = side_px(REGION_PX, len(sizes))
    deep, high = (
        min(size, (-(-region_px // piece) + 1) * piece)
        for size, piece in zip(sizes, pieces[:-1], strict=False)
    )
    return int(deep * high * sizes[-1] * channels * array.dtype.itemsize)


def _piece_px(chunk_px: int) -> int:
    return chunk_px * max(1, LEAST_PX // chunk_px)


def _bounds(part: slice | int, size: int) -> slice:
    if not isinstance(part, slice):
        raise TypeError("rows and columns are read as slices")
    start, stop, _ = part.indices(size)
    return slice(start, stop)


def _cut(array: np.ndarray, region: Region, axes: Sequence[int]) -> np.ndarray:
    """A region along some of the axes."""
    key: list[slice] = [slice(None)] * array.ndim
    for axis, part in zip(axes, region, strict=True):
        key[axis] = part
    return array[tuple(key)]
