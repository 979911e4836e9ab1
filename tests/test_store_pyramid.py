"""Levels of a pyramid: their shapes, and how four pixels become one."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from unetflow.store.levels import level_factors, level_shapes
from unetflow.store.pyramid import clear_levels, every_second, halved, write_coarser
from unetflow.store.shards import Layout, open_array, read_array


def test_levels_end_with_the_first_that_is_small() -> None:
    assert level_shapes((512, 512)) == [(512, 512)]
    assert level_shapes((513, 7)) == [(513, 7), (257, 4)]
    assert level_shapes((1, 4097)) == [(1, 4097), (1, 2049), (1, 1025), (1, 513), (1, 257)]


def test_of_thick_slices_planes_are_halved_until_a_voxel_is_a_cube() -> None:
    thick = level_factors((40, 600, 500), (4.0, 1.0, 1.0))
    assert thick == [(1, 1, 1), (1, 2, 2), (1, 4, 4), (2, 8, 8)]
    assert level_shapes((40, 600, 500), (4.0, 1.0, 1.0))[-1] == (20, 75, 63)
    thicker = level_factors((300, 300, 300), (3.0, 1.0, 1.0))
    assert thicker == [(1, 1, 1), (1, 2, 2), (2, 4, 4), (4, 8, 8)]  # 3 is no less than twice 1
    assert level_factors((200, 200, 200)) == [(1, 1, 1), (2, 2, 2)]
    assert level_factors((128, 128, 128)) == [(1, 1, 1)]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("factors", [(2, 2, 2), (1, 2, 2), (1, 1, 2)])
def test_a_voxel_is_the_mean_of_up_to_eight(
    factors: tuple[int, int, int], dtype: type[np.number]
) -> None:
    values = np.random.default_rng(0).integers(0, 120, (2, 5, 4, 7)).astype(dtype)
    found = halved(values, (1, *factors))
    sizes = [-(-size // factor) for size, factor in zip((5, 4, 7), factors, strict=True)]
    assert found.dtype == dtype and found.shape == (2, *sizes)
    for (c, *place), value in np.ndenumerate(found):
        cell = tuple(slice(f * i, f * i + f) for i, f in zip(place, factors, strict=True))
        mean = values[(c, *cell)].astype(np.float64).mean()
        assert value == dtype(mean if np.issubdtype(dtype, np.floating) else np.rint(mean))
    labels = every_second(values[0], factors)
    assert labels.shape == tuple(sizes) and labels[0, 0, 1] == values[0, 0, 0, factors[2]]


def test_a_volume_has_levels_in_its_store(tmp_path: Path) -> None:
    volume = np.random.default_rng(1).integers(0, 255, (1, 20, 150, 140)).astype(np.uint8)
    layout = Layout(volume.shape, "uint8", ("c", "z", "y", "x"))
    finest = open_array(tmp_path, "v", layout, decided_by={})
    for index in finest.missing():
        finest.write(index, volume[finest.region(index)])
    write_coarser(
        *(tmp_path, finest, "v_{}", halved),
        axes=layout.axes,
        decided_by={},
        threads=1,
        spacing=(2.0, 1.0, 1.0),
    )
    found = np.asarray(read_array(tmp_path, "v_1")[:])
    np.testing.assert_array_equal(found, halved(volume, (1, 1, 2, 2)))
    assert not (tmp_path / "v_2").exists()


def test_integers_are_rounded_to_the_nearest_and_halves_to_even() -> None:
    block = np.array([[[0, 1, 0, 1, 1, 2], [0, 0, 1, 0, 2, 1]]], np.uint8)
    assert halved(block).tolist() == [[[0, 0, 2]]]  # of 0.25, 0.5 and 1.5


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, np.float32])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 4), (3, 6, 7)])
def test_a_pixel_is_the_mean_of_up_to_four(
    shape: tuple[int, int, int], dtype: type[np.number]
) -> None:
    values = np.random.default_rng(0).integers(0, 120, shape).astype(dtype)
    found = halved(values)
    assert found.dtype == dtype
    assert found.shape == (shape[0], -(-shape[1] // 2), -(-shape[2] // 2))
    for (c, i, j), value in np.ndenumerate(found):
        four = values[c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].astype(np.float64)
        # at an odd end a pixel stands for the two that are not there: the same mean
        mean = four.mean() if np.issubdtype(dtype, np.floating) else np.rint(four.mean())
        assert value == dtype(mean)


def test_sums_of_large_integers_do_not_overflow() -> None:
    largest = np.full((1, 2, 2), 2**32 - 1, np.uint32)
    assert halved(largest).tolist() == [[[2**32 - 1]]]


def test_a_mask_stays_a_mask() -> None:
    found = halved(np.array([[[True, True], [True, False]]]))
    assert found.dtype == bool
    assert found.tolist() == [[[True]]]


def test_labels_are_never_mixed() -> None:
    labels = np.array([[1, 1, 2], [1, 9, 2], [3, 3, 4]], np.uint32)
    assert every_second(labels).tolist() == [[1, 2], [3, 4]]
    assert every_second(labels[None], (1, 2, 2)).tolist() == [[[1, 2], [3, 4]]]


@pytest.mark.parametrize("killed_at", range(3))
def test_levels_of_a_larger_image_go_whenever_the_first_try_is_killed(
    tmp_path: Path, killed_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finest went first: after a kill there the others were taken for none, and stayed."""
    for k in range(4):
        (tmp_path / str(k) / "c").mkdir(parents=True)
    calls = 0

    def die(path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls > killed_at:
            raise KeyboardInterrupt("killed while files are removed")
        remove(path)

    remove = shutil.rmtree
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="killed"):
        patch.setattr(shutil, "rmtree", die)
        clear_levels(tmp_path, "{}", 1)
    clear_levels(tmp_path, "{}", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


def test_an_image_lies_in_squares_and_a_volume_in_cubes_of_as_many_pixels() -> None:
    image = Layout((2, 3000, 2000), "uint8", ("c", "y", "x"))
    assert (image.shards, image.chunks) == ((2, 1024, 1024), (1, 512, 512))
    volume = Layout((2, 40, 3000, 2000), "uint8", ("c", "z", "y", "x"))
    assert (volume.shards, volume.chunks) == ((2, 128, 128, 128), (1, 64, 64, 64))
    labels = Layout((40, 300, 200), "uint32", ("z", "y", "x"), 512)
    assert (labels.shards, labels.chunks) == ((64, 64, 64), (64, 64, 64))
