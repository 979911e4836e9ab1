"""A pixel beside its surroundings: the same bits in any region, and what they are."""

import itertools
from typing import Any

import numpy as np
import pytest

from unetflow.store.pixels import Normalised, normalised

LOCAL: dict[str, Any] = {"mean": [90.0, 30.0], "deviation": [40.0, 9.0], "scale": "local", "px": 24}
LOG: dict[str, Any] = {"mean": [4.0, 3.0], "deviation": [0.5, 0.7], "scale": "log"}


def image_of(dtype: str, shape: tuple[int, ...] = (2, 83, 101)) -> np.ndarray:
    pixels = np.random.default_rng(3).gamma(2, 40, shape)
    return pixels.clip(0, 250).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("intensity", [LOCAL, LOG], ids=["local", "log"])
def test_any_region_has_the_bits_that_it_has_in_the_whole(
    dtype: str, intensity: dict[str, Any]
) -> None:
    image = Normalised(image_of(dtype), intensity)
    whole = image[:, 0:83, 0:101]
    assert whole.shape == (2, 83, 101) and whole.dtype == np.float32
    for height, width in ((1, 1), (7, 40), (24, 12), (83, 50)):
        for top, left in itertools.product(range(0, 83, height + 5), range(0, 101, width + 3)):
            region = slice(None), slice(top, top + height), slice(left, left + width)
            np.testing.assert_array_equal(image[region], whole[region])


def test_at_a_node_it_is_mean_and_deviation_of_the_window_around_it() -> None:
    pixels = image_of("float32", (2, 96, 96))
    found = Normalised(pixels, LOCAL)[:, 0:96, 0:96]
    # the four pixels that meet at a node lie half a pixel from it: interpolated almost nothing
    window = pixels[:, 36:60, 24:48].astype(np.float64)
    mean, deviation = window.mean(axis=(1, 2)), window.std(axis=(1, 2))
    wanted = (pixels[:, 47:49, 35:37].mean(axis=(1, 2)) - mean) / deviation
    np.testing.assert_allclose(found[:, 47:49, 35:37].mean(axis=(1, 2)), wanted, atol=0.05)


def test_faint_objects_are_as_high_as_bright_ones_and_flat_ground_is_flat() -> None:
    pixels = np.full((1, 200, 200), 10.0, np.float32)
    pixels[:, :, 100:] += np.random.default_rng(1).normal(0, 0.01, (1, 200, 100))
    pixels[:, 40:50, 40:50] = 250
    pixels[:, 140:150, 40:50] = 20
    one = {"mean": [12.0], "deviation": [10.0], "scale": "local", "px": 40}
    found = Normalised(pixels, one)[:, 0:200, 0:200][0]
    assert found[145, 45] > found[45, 45] / 2 > 0  # by linear intensities 0.8 beside 24
    assert np.abs(found[:, 150:]).max() < 0.1  # noise of a thousandth of the deviation stays small


def test_an_image_smaller_than_a_cell_has_one_mean() -> None:
    pixels = image_of("uint8", (2, 5, 7))
    found = Normalised(pixels, LOCAL | {"px": 64})[:, 0:5, 0:7]
    np.testing.assert_allclose(found.mean(axis=(1, 2)), 0, atol=1e-6)


def test_the_logarithm_is_that_of_one_more_than_the_pixel() -> None:
    pixels = np.array([[[0, 1, 255]], [[3, 7, 9]]])
    wanted = (np.log1p(pixels) - [[[4]], [[3]]]) / [[[0.5]], [[0.7]]]
    for dtype in ("uint8", "uint16", "int32", "float64"):
        np.testing.assert_allclose(normalised(pixels.astype(dtype), LOG), wanted, rtol=1e-6)
    below = np.array([[[-5.0]], [[0.0]]])
    np.testing.assert_array_equal(normalised(below, LOG), normalised(np.zeros((2, 1, 1)), LOG))


def test_pixels_alone_have_no_surroundings() -> None:
    with pytest.raises(ValueError, match="read them through Normalised"):
        normalised(image_of("uint8"), LOCAL)
