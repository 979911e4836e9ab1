"""Large chunks are decoded once, whatever regions are read."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetflow.images import kept_chunks
from unetflow.images.kept_chunks import KeptChunks, keep_chunks
from unetflow.images.opened import Unclear

PIXELS = np.random.default_rng(0).integers(0, 255, (2, 2100, 1900, 3), dtype=np.uint8)


class Counted:
    """An array that counts how often each place is read."""

    def __init__(self, pixels: np.ndarray, chunks: tuple[int, ...]) -> None:
        self._pixels, self.chunks = pixels, chunks
        self.shape, self.dtype = pixels.shape, pixels.dtype
        self.read: Counter[str] = Counter()

    def __getitem__(self, key: Any) -> np.ndarray:
        self.read[str(key)] += 1
        return np.asarray(self._pixels[key])


@pytest.mark.parametrize("chunks", [(1, 2100, 1900, 3), (1, 64, 1900, 3), (1, 1, 1900, 3)])
def test_each_piece_is_decoded_once_for_all_regions(chunks: tuple[int, ...]) -> None:
    counted = Counted(PIXELS, chunks)
    kept = keep_chunks(counted, (1, 2))
    for row in range(0, 2100, 1024):
        for column in range(0, 1900, 1024):
            region = slice(row, min(row + 1024, 2100)), slice(column, min(column + 1024, 1900))
            np.testing.assert_array_equal(
                kept[(1, *region, slice(None))], PIXELS[(1, *region, slice(None))]
            )
    assert set(counted.read.values()) == {1}
    assert len(counted.read) <= -(-2100 // max(chunks[1], 256))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_region_of_any_chunks_holds_its_pixels(data: st.DataObject) -> None:
    high, wide = (data.draw(st.integers(1, 2100)) for _ in range(2))
    kept = KeptChunks(Counted(PIXELS, (1, high, wide, 3)), (1, 2))
    for _ in range(3):
        key: list[slice] = []
        for size in PIXELS.shape[1:3]:
            start = data.draw(st.integers(0, size - 1))
            key.append(slice(start, data.draw(st.integers(start + 1, size))))
        plane: int | slice = 1 if data.draw(st.booleans()) else slice(None)
        region = (plane, *key, slice(None))
        np.testing.assert_array_equal(kept[region], PIXELS[region])


def test_what_is_kept_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_chunks, "KEPT_BYTES", 2 * 256 * 1900 * 3)
    counted = Counted(PIXELS, (1, 256, 1900, 3))
    kept = KeptChunks(counted, (1, 2))
    everything = (0, slice(None), slice(0, 10), slice(None))
    for _ in range(2):
        np.testing.assert_array_equal(kept[everything], PIXELS[everything])
    assert set(counted.read.values()) == {2}


def test_chunks_of_which_regions_hold_whole_ones_are_left_alone() -> None:
    tiles = Counted(PIXELS, (1, 256, 256, 3))
    assert keep_chunks(tiles, (1, 2)) is tiles
    assert keep_chunks(PIXELS, (1, 2)) is PIXELS  # in memory


@pytest.mark.parametrize("chunks", [(1, 0, 256, 3), (1, 256, 0, 3)])
def test_chunks_without_pixels_are_refused(chunks: tuple[int, ...]) -> None:
    with pytest.raises(Unclear, match="tiles have no pixels"):
        keep_chunks(Counted(PIXELS, chunks), (1, 2))


def test_of_a_volume_all_is_kept_that_regions_side_by_side_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unetflow.images.kept_chunks.KEPT_BYTES", 1)
    monkeypatch.setattr("unetflow.images.kept_chunks.REGION_PX", 8 * 4)
    pixels = np.random.default_rng(0).integers(0, 255, (9, 20, 30), np.uint8)
    counted = Counted(pixels, (1, 20, 30))
    kept = keep_chunks(counted, (0, 1, 2))
    for x in range(0, 30, 4):
        region = slice(4, 8), slice(0, 4), slice(x, min(30, x + 4))
        np.testing.assert_array_equal(kept[region], pixels[region])
    assert counted.read.total() == 4  # each plane once
