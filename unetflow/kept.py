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
from functools import lru_cache, partial
from typing import Any, Protocol

import numpy as np

from unetflow.forward import ImageLike
from unetflow.stores import CHUNK_PX, Index
from unetflow.tiles import common, shard_region, touched, within

KEPT_BYTES = 128 * 2**20  # of pixels as they are stored
CHUNK = (CHUNK_PX, CHUNK_PX)


class Pixels(ImageLike, Protocol):
    """An image (C, Y, X) that knows the type of its pixels."""

    @property
    def dtype(self) -> np.dtype: ...


class KeptChunks:
    """An image (C, Y, X) whose chunks are read once and kept, the last used of them.

    Threads may read together; each chunk is read by one of them.
    """

    def __init__(self, image: Pixels, kept_bytes: int = KEPT_BYTES) -> None:
        self._image = image
        self.shape, self.dtype = image.shape, image.dtype
        bytes_of_chunk = self.shape[0] * CHUNK_PX**2 * self.dtype.itemsize
        self.most = max(1, kept_bytes // bytes_of_chunk)
        self._chunk = lru_cache(self.most)(partial(_Chunk, image))

    def __getitem__(self, key: Any) -> np.ndarray:
        """Pixels (C, H, W) of a key (slice(None), rows, columns) inside the image."""
        _, *region = key
        sizes = (part.stop - part.start for part in region)
        pixels_CHW = np.empty((self.shape[0], *sizes), self.dtype)
        for index in touched(region, CHUNK):
            chunk = self._chunk(index)
            shared = common(chunk.region, region)
            there, here = within(shared, chunk.region), within(shared, region)
            pixels_CHW[(slice(None), *here)] = chunk.read()[(slice(None), *there)]
        return pixels_CHW

    def in_strips(self, shards: Sequence[Index], shard_px: int) -> list[Index]:
        """Shards (.., y, x) in an order in which the chunks that are kept suffice.

        Strips that are as wide as that allows, each from above to below:

            1 2 | 7 8
            3 4 | 9 ..
            5 6 |
        """
        rows = -(-shard_px // CHUNK_PX) + 2  # with those of the halo
        columns = self.most // rows - 2
        width = max(1, columns * CHUNK_PX // shard_px)
        return sorted(shards, key=lambda index: (index[-1] // width, index[-2], index[-1]))


class _Chunk:
    """One chunk, read when it is first needed; the other threads wait for it."""

    def __init__(self, image: Pixels, index: Index) -> None:
        self.region = shard_region(index, image.shape[1:], CHUNK)
        self._image, self._reading = image, threading.Lock()
        self._pixels_CHW: np.ndarray | None = None

    def read(self) -> np.ndarray:
        with self._reading:
            if self._pixels_CHW is None:
                self._pixels_CHW = self._image[(slice(None), *self.region)]
        return self._pixels_CHW
