"""Chunks of an image that are kept for their neighbours."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetflow.store.chunk_cache import CachedChunks
from unetflow.store.shards import SHARD_PX
from unetflow.tiles.grid import tile_grid
from unetflow.tiles.mirror import read_mirrored
from unetflow.tiles.regions import shard_grid, shard_region

HALO_PX = 92


class Counted:
    """Pixels that say where they are, and how many chunks were read of them."""

    def __init__(self, *shape: int) -> None:
        self.shape, self.dtype = shape, np.dtype(np.uint16)
        self.read, self._lock = 0, threading.Lock()

    def __getitem__(self, key: Any) -> np.ndarray:
        time.sleep(0.001)
        with self._lock:
            self.read += 1
        c, y, x = np.ogrid[
            tuple(slice(*of.indices(n)) for of, n in zip(key, self.shape, strict=True))
        ]
        return np.asarray(7 * c + 3 * y + x, self.dtype)


@given(
    height=st.integers(1, 1100), width=st.integers(1, 1100), channels=st.integers(1, 3),
    cache_bytes=st.sampled_from([1, 2**22, 2**30]), data=st.data(),
)  # fmt: skip
def test_the_pixels_are_those_of_the_image(
    height: int, width: int, channels: int, cache_bytes: int, data: st.DataObject
) -> None:
    image = Counted(channels, height, width)
    kept = CachedChunks(image, 2, 1024, cache_bytes)
    for _ in range(3):
        rows, columns = (
            slice(
                *sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True)))
            )
            for n in (height, width)
        )
        key = (slice(None), rows, columns)
        np.testing.assert_array_equal(kept[key], image[key])


@pytest.mark.slow
@pytest.mark.parametrize(("cache_bytes", "most"), [(2**27, 1.2), (1, 4.0)])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_strip_of_chunks_is_kept_or_at_least_those_of_the_shards_in_work(
    cache_bytes: int, most: float, threads: int
) -> None:
    shape, shard_px = (1, 8192, 12288), 2048
    image = Counted(*shape)
    kept = CachedChunks(image, threads, shard_px, cache_bytes)

    def read(index: tuple[int, ...]) -> None:
        region = shard_region(index[1:], shape[1:], (shard_px,) * 2)
        for tile in tile_grid((shard_px,) * 2, 1024, HALO_PX, 1212, [p.start for p in region]):
            read_mirrored(kept, tile.read)

    shards = shard_grid(shape, (1, shard_px, shard_px))
    ordered = kept.in_strips(shards)
    assert sorted(ordered) == shards
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, ordered))
    chunks = shape[1] * shape[2] / SHARD_PX**2
    assert 1 <= image.read / chunks <= most


def test_strips_are_as_wide_as_what_is_kept() -> None:
    shards = shard_grid((1, 3072, 4096), (1, 1024, 1024))
    chunk_bytes = SHARD_PX**2 * 2
    two_wide = CachedChunks(Counted(1, 3072, 4096), 1, 1024, 3 * 4 * chunk_bytes).in_strips(shards)
    assert [index[1:] for index in two_wide[:7]] == [
        *[(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)],
        (0, 2),
    ]


def test_a_chunk_that_could_not_be_read_is_read_again() -> None:
    class Failing(Counted):
        def __getitem__(self, key: Any) -> np.ndarray:
            pixels = super().__getitem__(key)
            if self.read == 1:
                raise OSError("gone")
            return pixels

    kept = CachedChunks(Failing(1, 9, 9), 1, 1024)
    everywhere = (slice(None), slice(0, 9), slice(0, 9))
    with pytest.raises(OSError, match="gone"):
        kept[everywhere]
    assert kept[everywhere].shape == (1, 9, 9)
