"""Moments of pixels that come block by block."""

import numpy as np
import pytest

from unetflow.images.intensities import Moments, percentiles_of


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_moments_of_blocks_are_those_of_all_pixels(dtype: type[np.number]) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (2, 60, 70)).astype(dtype)
    moments = Moments()
    for rows in (slice(0, 1), slice(1, 40), slice(40, 40), slice(40, 60)):  # one of no pixels
        moments.add(pixels[:, rows])
    flat = pixels.reshape(2, -1).astype(np.float64)
    assert moments.count == 60 * 70
    np.testing.assert_allclose(moments.mean, flat.mean(axis=1), rtol=1e-12)  # sums in any order
    np.testing.assert_allclose(moments.deviation, flat.std(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(moments.low, flat.min(axis=1))
    np.testing.assert_array_equal(moments.high, flat.max(axis=1))


def test_parts_that_are_merged_are_the_whole() -> None:
    pixels = np.random.default_rng(1).integers(0, 60_000, (3, 20, 30)).astype(np.uint16)
    whole, parts = Moments.of(pixels), Moments()
    for part in np.array_split(pixels, 4, axis=1):
        parts.merge(Moments.of(part))
    parts.merge(Moments())
    assert parts.count == whole.count
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.deviation, whole.deviation, rtol=1e-12)


def test_a_small_deviation_on_a_large_mean_is_not_lost() -> None:
    pixels = 1e9 + np.array([[-1.0, 1.0, -1.0, 1.0]])
    assert Moments.of(pixels).deviation.tolist() == [1.0]


def test_pixels_of_one_value_have_no_deviation() -> None:
    moments = Moments.of(np.full((1, 5, 5), 7, np.uint8))
    assert (moments.mean[0], moments.deviation[0]) == (7, 0)
    assert (moments.low[0], moments.high[0]) == (7, 7)


def values_of(dtype: str, count: int) -> np.ndarray:
    random = np.random.default_rng(2)
    if np.dtype(dtype).kind == "f":
        return (random.standard_cauchy(count) * 7).astype(dtype)  # with far outliers, and negative
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, count, dtype, endpoint=True)


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]
)
def test_percentiles_are_values_of_the_sorted_pixels(dtype: str) -> None:
    pixels = values_of(dtype, 2 * 1000).reshape(2, 40, 25)
    percents = (0, 0.1, 7, 50, 99, 99.9, 100)
    found = percentiles_of(
        lambda: iter((pixels[:, :7], pixels[:, 7:])),
        percents,
        dtype=pixels.dtype,
        channels=2,
        count=1000,
    )
    assert found.dtype == pixels.dtype and found.shape == (7, 2)
    ordered = np.sort(pixels.reshape(2, -1), axis=1)
    for percent, values in zip(percents, found, strict=True):
        rank = max(1, round(percent * 10))  # of 1000 pixels
        np.testing.assert_array_equal(values, ordered[:, rank - 1])


@pytest.mark.parametrize("hot", [1e5, 3e38, -3e38])
def test_one_hot_pixel_does_not_move_percentiles(hot: float) -> None:
    pixels = np.random.default_rng(0).random((1, 300, 400), np.float32)
    pixels[0, 7, 9] = hot
    low, high = percentiles_of(
        lambda: [pixels], (1, 99), dtype=pixels.dtype, channels=1, count=pixels.size
    )
    assert (low[0], high[0]) == pytest.approx((0.01, 0.99), abs=0.002)  # of 120,000 drawn pixels
