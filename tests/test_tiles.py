"""Geometry: sizes, partition, mirrored padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetflow.tiles.grid import blend_weights, overlapping_grid, tile_grid
from unetflow.tiles.mirror import mirror, read_mirrored
from unetflow.tiles.regions import shard_grid, shard_region
from unetflow.tiles.valid_sizes import (
    halo_px,
    nearest_input_sizes_px,
    output_size_px,
    valid_input_px,
)


def test_the_papers_sizes() -> None:
    assert output_size_px(572) == 388
    assert halo_px() == 92
    assert [valid_input_px(n) for n in (512, 1024, 2048)] == [700, 1212, 2236]


def test_an_impossible_size_names_the_nearest_valid_ones() -> None:
    with pytest.raises(ValueError, match=r"571 px .* 556 px and 572 px"):
        output_size_px(571)
    with pytest.raises(ValueError, match=r"10 px .* 188 px"):
        output_size_px(10)


@given(st.integers(1, 900), st.integers(1, 5))
def test_the_nearest_sizes_are_valid_and_nearest(size_px: int, depth: int) -> None:
    found = nearest_input_sizes_px(size_px, depth)
    assert all(output_size_px(n, depth) > 0 for n in found)
    assert found[-1] >= size_px > found[-1] - 2**depth or found[-1] == valid_input_px(1, depth)


@given(st.integers(1, 700), st.integers(1, 5))
def test_the_smallest_valid_input_yields_enough_and_no_smaller_one_does(
    wanted_px: int, depth: int
) -> None:
    size_px = valid_input_px(wanted_px, depth)
    assert output_size_px(size_px, depth) == size_px - 2 * halo_px(depth) >= wanted_px
    smaller = [n for n in nearest_input_sizes_px(size_px - 1, depth) if n < size_px]
    assert all(output_size_px(n, depth) < wanted_px for n in smaller)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=3), st.sampled_from([16, 32, 48]))
def test_write_regions_partition_the_level(shape: list[int], write_px: int) -> None:
    counts = np.zeros(shape, int)
    for tile in tile_grid(shape, write_px, before_px=12, read_px=write_px + 28):
        counts[tile.write] += 1
        assert all(part.stop - part.start == write_px + 28 for part in tile.read)
        for write, read in zip(tile.write, tile.read, strict=True):
            assert write.start - read.start == 12
    assert (counts == 1).all()


def test_a_read_region_that_does_not_hold_its_write_region_is_refused() -> None:
    with pytest.raises(ValueError, match="reads 500 px and writes 512 px"):
        tile_grid((9, 9), 512, 92, 500)


@given(st.integers(1, 9), st.integers(0, 30), st.integers(0, 30))
def test_mirroring_is_numpys_reflect_again_and_again(size: int, before: int, after: int) -> None:
    found = mirror(np.arange(-before, size + after), size)
    wanted = np.pad(np.arange(size), (before, after), mode="reflect" if size > 1 else "edge")
    np.testing.assert_array_equal(found, wanted)


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_reading_mirrored_equals_padding_the_whole(
    height: int, width: int, data: st.DataObject
) -> None:
    image = np.arange(2 * height * width).reshape(2, height, width)
    top, left = data.draw(st.integers(-30, 30)), data.draw(st.integers(-30, 30))
    tall, wide = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    rows, columns = slice(top, top + tall), slice(left, left + wide)
    found = read_mirrored(image, (rows, columns))
    picked = image[:, mirror(np.arange(top, top + tall), height)]
    np.testing.assert_array_equal(found, picked[:, :, mirror(np.arange(left, left + wide), width)])


def test_shards_cover_the_array_once() -> None:
    counts = np.zeros((3, 25, 9), int)
    for index in shard_grid(counts.shape, (3, 10, 10)):
        counts[shard_region(index, counts.shape, (3, 10, 10))] += 1
    assert (counts == 1).all()


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.integers(4, 20),
    st.data(),
)
def test_weights_of_overlapping_tiles_sum_to_one(
    shape: tuple[int, int], write_px: int, data: st.DataObject
) -> None:
    overlap_px = data.draw(st.integers(1, write_px // 2))
    everywhere = tuple(slice(0, size) for size in shape)
    tiles = overlapping_grid(shape, everywhere, write_px, overlap_px, 5, write_px + 50)
    total = np.zeros(shape)
    for tile in tiles:
        assert [part.start - 5 for part in tile.write] == [part.start for part in tile.read]
        total[tile.write] += blend_weights(tile.write, write_px, overlap_px, shape)
    np.testing.assert_allclose(total, 1, atol=1e-6)
    start = [data.draw(st.integers(0, size - 1)) for size in shape]
    region = tuple(slice(at, size) for at, size in zip(start, shape, strict=True))
    reaching = [
        tile
        for tile in tiles
        if all(a.stop > b.start for a, b in zip(tile.write, region, strict=True))
    ]
    found = overlapping_grid(shape, region, write_px, overlap_px, 5, write_px + 50)
    assert [tile for tile in found if tile in reaching] == reaching
    assert all(tile in tiles for tile in found)
