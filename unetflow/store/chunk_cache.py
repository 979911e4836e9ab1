"""Images read with a halo: chunks that were decoded are kept for their neighbours.

The tiles of a shard reach into all shards around it, and a chunk is decoded whole or not at all. If
each shard were read on its own, every chunk would be decoded four times:

    o o o o
    o x x o      x  chunks of the shard
    o x x o      o  chunks that its tiles need too
    o o o o
"""

import threading
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from unetflow.store.arrays import StoredArray
from unetflow.store.pixels import Pixels
from unetflow.store.shards import CHUNK_PX, SHARD_PX, Index
from unetflow.tiles.regions import Region, common, shard_region, side_px, touched, within

CACHE_BYTES = 32 * 2**20  # of pixels as they are stored; more where the shards in work need it


class CachedChunks:
    """An image (C, Y, X) or a volume whose chunks are read once and kept, the last used of them.

    `together` threads may read it, each the tiles of a shard; `shard_px` is the side of one.
    """

    def __init__(
        self, image: Pixels, together: int, shard_px: int, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self.shape, self.dtype = image.shape, image.dtype
        self._chunk_px, self._shard_px = _chunk_px(image), shard_px
        self._rows, axes = _rows(image, shard_px), _axes(image)
        self._most = max(cache_bytes // _bytes_of_chunk(image), together * self._rows**axes)
        self._sides = (self._chunk_px,) * axes
        self._chunk = lru_cache(self._most)(
            lambda index: _Chunk(image, shard_region(index, image.shape[1:], self._sides))
        )
        self._looking = threading.Lock()

    def __getitem__(self, key: Region) -> np.ndarray:
        """Pixels (C, H, W) of a key (slice(None), rows, columns) inside the image.

        Of a volume (C, D, H, W), of planes, rows and columns.
        """
        _, *region = key
        sizes = (part.stop - part.start for part in region)
        pixels_CHW = np.empty((self.shape[0], *sizes), self.dtype)
        for index in touched(region, self._sides):
            with self._looking:  # else two threads might each make the chunk that is missing
                chunk = self._chunk(index)
            shared = common(chunk.region, region)
            there, here = within(shared, chunk.region), within(shared, region)
            pixels_CHW[(slice(None), *here)] = chunk.read()[(slice(None), *there)]
        return pixels_CHW

    def in_strips(self, shards: Sequence[Index]) -> list[Index]:
        """Shards (.., y, x) in an order in which the chunks that are kept suffice.

        Strips that are as wide as that allows, each from above to below:

            1 2 | 7 8
            3 4 | 9 ..
            5 6 |

        Of a volume all planes of one before the next.
        """
        columns = self._most // self._rows ** (len(self._sides) - 1) - 2
        width = max(1, columns * self._chunk_px // self._shard_px)
        return sorted(shards, key=lambda index: (index[-1] // width, *index))


def bytes_around(image: Pixels, shard_px: int) -> int:
    """Of the chunks that the tiles of one shard reach into, which are kept at least."""
    return int(_rows(image, shard_px) ** _axes(image) * _bytes_of_chunk(image))


def _axes(image: Pixels) -> int:
    return len(image.shape) - 1


def _chunk_px(image: Pixels) -> int:
    """Of a store its chunks; files may be in strips, which are decoded whole, so larger ones."""
    return side_px(CHUNK_PX if isinstance(image, StoredArray) else SHARD_PX, _axes(image))


def _rows(image: Pixels, shard_px: int) -> int:
    """Of chunks of a shard and its halo."""
    return -(-shard_px // _chunk_px(image)) + 2


def _bytes_of_chunk(image: Pixels) -> int:
    return int(image.shape[0] * _chunk_px(image) ** _axes(image) * image.dtype.itemsize)


class _Chunk:
    """One chunk, read when it is first needed; the other threads wait for it."""

    def __init__(self, image: Pixels, region: Region) -> None:
        self.region = region
        self._image, self._reading = image, threading.Lock()
        self._pixels_CHW: np.ndarray | None = None

    def read(self) -> np.ndarray:
        with self._reading:
            if self._pixels_CHW is None:
                self._pixels_CHW = self._image[(slice(None), *self.region)]
        return self._pixels_CHW
