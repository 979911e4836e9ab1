"""Tilings: write regions that partition an image, tiles that are put together again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tiles_geometry import VOLUME

from unetflow.tiles.mirror import read_mirrored
from unetflow.tiles.tiling import Tiling
from unetflow.tiles.valid_sizes import unet_geometry


def test_the_papers_tile() -> None:
    tiling = Tiling.square(unet_geometry(), 512)
    assert (tiling.write_px, tiling.read_px, tiling.overlap_px) == ((512, 512), (700, 700), (0, 0))
    blended = Tiling.square(unet_geometry(norm="instance"), 512)
    assert (blended.read_px, blended.overlap_px) == ((956, 956), (128, 128))
    first = blended.grid((700, 20))[0]  # on its own, where tiles are not blended
    assert first.read == (slice(-92, 608), slice(-92, 608))


def test_a_write_region_off_the_step_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="write_px = 388 px .*multiples of 16 px.*384 px and 400"):
        Tiling.square(unet_geometry(), 388)
    with pytest.raises(ValueError, match="multiples of 4 px.* 4 px and 8 px"):
        Tiling(VOLUME, (1, 2, 8))
    assert Tiling.at_least(unet_geometry(), 388).write_px == (400, 400)
    assert Tiling.at_least(unet_geometry(), 384).write_px == (384, 384)


def test_a_small_image_has_a_small_tile() -> None:
    tiling = Tiling.square(unet_geometry(3), 512)
    for shape, side_px in (((200, 250), 256), ((3, 1), 8), ((40, 505), 512), ((40, 5000), 512)):
        assert tiling.for_image(shape).write_px == (side_px, side_px)


def test_tiles_are_halved_down_to_one_step() -> None:
    tiling = Tiling.square(unet_geometry(2), 1004)
    sides = []
    while tiling != tiling.halved():
        tiling = tiling.halved()
        sides.append(tiling.side_px)
    assert sides == [504, 252, 128, 64, 32, 16, 8, 4]
    assert Tiling(VOLUME, (1, 16, 4)).halved().write_px == (1, 8, 4)


def test_a_trimmed_tile_reads_what_its_write_region_needs() -> None:
    tiling = Tiling.square(unet_geometry(2), 64)
    last = tiling.grid((70, 100))[-1]
    assert last.write == (slice(64, 70), slice(64, 100))
    halo, sizes = unet_geometry(2).before_px[0], (48, 76)
    starts = [part.start - halo for part in last.write]
    wanted = tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
    assert tiling.trimmed(last).read == wanted


def output_of(seen: np.ndarray) -> np.ndarray:
    """What a network of `VOLUME` might say: the sum of the corners that an output pixel sees."""
    shape = [n - a - b for n, a, b in zip(seen.shape, (6, 20, 20), (0, 20, 24), strict=True)]
    first = seen[tuple(slice(0, n) for n in shape)]
    last = seen[tuple(slice(-n, None) for n in shape)]
    return np.asarray((3 * first + last)[None])


@given(
    st.tuples(st.integers(1, 12), st.integers(1, 30), st.integers(1, 30)),
    st.tuples(st.integers(2, 5), st.integers(2, 5), st.integers(2, 5)),
    st.data(),
)
@settings(max_examples=40)
def test_tiles_of_a_volume_make_any_region_of_it(
    shape: tuple[int, int, int], steps: tuple[int, int, int], data: st.DataObject
) -> None:
    volume = np.random.default_rng(0).normal(size=shape)
    tiling = Tiling(VOLUME, (steps[0], 4 * steps[1], 4 * steps[2]))
    corner = [data.draw(st.integers(0, n - 1)) // 4 * 4 for n in shape]
    region = tuple(slice(start, n) for start, n in zip(corner, shape, strict=True))
    whole = tuple(slice(-a, n + b) for n, a, b in zip(shape, (6, 20, 20), (0, 20, 24), strict=True))
    wanted = output_of(read_mirrored(volume, whole))[(slice(None), *region)]
    found = np.full_like(wanted, np.nan)
    for tile in tiling.tiles(shape, region):
        for each in (tile, tiling.trimmed(tile)):
            made = output_of(read_mirrored(volume, each.read))
            written = tuple(slice(part.stop - part.start) for part in each.write)
            tiling.put(found, region, made[(slice(None), *written)], each, shape)
    np.testing.assert_array_equal(found, wanted)


@given(st.tuples(st.integers(1, 90), st.integers(1, 90)), st.integers(1, 8), st.data())
def test_what_is_blended_is_the_same_for_any_region(
    shape: tuple[int, int], steps: int, data: st.DataObject
) -> None:
    tiling = Tiling.square(unet_geometry(2, norm="instance"), 4 * steps)
    values = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    start = [data.draw(st.integers(0, n - 1)) for n in shape]
    region = tuple(slice(at, n) for at, n in zip(start, shape, strict=True))
    found = np.zeros((1, *(part.stop - part.start for part in region)), np.float32)
    for tile in tiling.tiles(shape, region):
        tiling.put(found, region, values[(slice(None), *tile.write)], tile, shape)
    np.testing.assert_allclose(found, values[(slice(None), *region)], atol=1e-5)
