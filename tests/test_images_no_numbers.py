"""Pixels that are no numbers: what they become, and how they are told."""

from collections.abc import Sequence

import numpy as np
import pytest

from unetflow.images.no_numbers import MOST_PLACES, without_numbers
from unetflow.tiles.regions import Region


def covered(places: Sequence[Region], shape_YX: tuple[int, int]) -> np.ndarray:
    """How many of the places hold each pixel."""
    times = np.zeros(shape_YX, int)
    for place in places:
        times[place] += 1
    return times


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_places_are_rectangles_of_exactly_those_pixels(dtype: type[np.floating]) -> None:
    random = np.random.default_rng(0)
    pixels = random.random((2, 40, 50)).astype(dtype)
    pixels[0, 10:20, 5:30], pixels[1, 15:25, 20:35], pixels[1, 39, 49] = np.nan, np.inf, -np.inf
    bad = ~np.isfinite(pixels)
    found, places = without_numbers(pixels)
    assert found.dtype == dtype and np.isnan(pixels).any()  # the image that came is left alone
    np.testing.assert_array_equal(found, np.where(bad, 0, pixels))
    np.testing.assert_array_equal(covered(places, (40, 50)), bad.any(axis=0))
    assert places[:2] == [(slice(10, 15), slice(5, 30)), (slice(15, 20), slice(5, 35))]
    assert len(places) == 4


def test_a_round_field_of_view_is_told_in_squares() -> None:
    y, x = np.mgrid[:1030, :1100]
    bad = (y - 500) ** 2 + (x - 500) ** 2 > 450**2
    _, places = without_numbers(np.where(bad, np.nan, np.float32(1))[None])
    times = covered(places, (1030, 1100))
    assert len(places) <= MOST_PLACES and times.max() == 1
    assert (times[bad] == 1).all()
    assert (times[~bad] == 1).mean() < 0.03  # pixels that go with their neighbours


def test_numbers_are_handed_through() -> None:
    for pixels in (np.full((1, 4, 5), 1e18, np.float32), np.full((1, 4, 5), 255, np.uint8)):
        found, places = without_numbers(pixels)
        assert found is pixels and places == []
