"""Boundary F1 and Hausdorff distance."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from skimage.metrics import hausdorff_distance

from unetflow import metrics

TRUTH = np.zeros((12, 14), int)
TRUTH[2:8, 3:10] = 1
label_images = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=3, max_side=6), elements=st.integers(0, 2)
)


def test_the_boundary_of_a_toy() -> None:
    labels = [[1, 1, 1, 0], [1, 1, 2, 2], [1, 1, 2, 2]]
    wanted = [[0, 0, 1, 0], [0, 1, 1, 1], [0, 1, 1, 0]]
    np.testing.assert_array_equal(metrics.boundary_pixels(labels), np.array(wanted, bool))


def test_a_shift_within_the_tolerance_costs_nothing() -> None:
    shifted = np.roll(TRUTH, 1, axis=1)
    assert metrics.boundary_f1(TRUTH, shifted, tolerance_px=1) == (1, 1, 1)
    assert metrics.boundary_f1(TRUTH, shifted, tolerance_px=0.9).f < 1
    assert metrics.hausdorff_distance_px(TRUTH, shifted) == 1


def test_a_surplus_object_costs_precision_alone() -> None:
    predicted = TRUTH.copy()
    predicted[11, 13] = 2
    score = metrics.boundary_f1(TRUTH, predicted)
    edge = 2 * (6 + 7) - 4
    assert score.f == pytest.approx(2 * edge / (2 * edge + 1))
    assert (score.precision, score.recall) == (edge / (edge + 1), 1)
    swapped = metrics.boundary_f1(predicted, TRUTH)
    assert (swapped.precision, swapped.recall) == (score.recall, score.precision)


def test_a_stray_pixel_decides_the_largest_distance_and_not_its_percentile() -> None:
    predicted = TRUTH.copy()
    predicted[11, 13] = 2
    assert metrics.hausdorff_distance_px(TRUTH, predicted) == math.hypot(4, 4)
    assert metrics.hausdorff_distance_px(TRUTH, predicted, percentile=95) == 0


@given(label_images, st.data())
def test_the_distance_is_that_of_scikit_image(labels: NDArray[Any], data: st.DataObject) -> None:
    other = data.draw(hnp.arrays(np.uint8, labels.shape, elements=st.integers(0, 2)))
    a, b = metrics.boundary_pixels(labels), metrics.boundary_pixels(other)
    found = metrics.hausdorff_distance_px(labels, other)
    if not a.any() and not b.any():
        assert math.isnan(found)  # scikit-image says 0
    else:
        assert found == pytest.approx(hausdorff_distance(a, b))


def test_renaming_changes_nothing_and_perfect_is_perfect() -> None:
    assert metrics.boundary_f1(TRUTH, 7 * TRUTH) == (1, 1, 1)
    assert metrics.hausdorff_distance_px(TRUTH, 7 * TRUTH) == 0
    volume = np.stack([TRUTH] * 3)
    assert metrics.boundary_f1(volume, volume, tolerance_px=0) == (1, 1, 1)


def test_ignored_pixels_are_no_boundary() -> None:
    predicted = TRUTH.copy()
    predicted[11, 13] = 2
    ignore = np.zeros(TRUTH.shape, bool)
    ignore[11] = True
    assert metrics.boundary_f1(TRUTH, predicted, ignore=ignore) == (1, 1, 1)
    assert metrics.hausdorff_distance_px(TRUTH, predicted, ignore=ignore) == 0


def test_without_boundaries_the_scores_are_undefined() -> None:
    nothing = np.zeros(TRUTH.shape, int)
    assert all(map(math.isnan, metrics.boundary_f1(nothing, nothing + 1)))
    assert math.isnan(metrics.hausdorff_distance_px(nothing, nothing))
    missed = metrics.boundary_f1(TRUTH, nothing)
    assert (missed.f, missed.recall) == (0, 0)
    assert math.isnan(missed.precision)
    assert metrics.hausdorff_distance_px(nothing, TRUTH) == math.inf


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(12, 14\) and predicted_labels \(12, 13\)"):
        metrics.boundary_f1(TRUTH, TRUTH[:, 1:])
    with pytest.raises(ValueError, match="dtype float64 holds .*: must be whole numbers"):
        metrics.hausdorff_distance_px(TRUTH, TRUTH * 0.5)
    with pytest.raises(ValueError, match="tolerance_px is -1: must be 0 or more"):
        metrics.boundary_f1(TRUTH, TRUTH, tolerance_px=-1)
    with pytest.raises(ValueError, match=r"percentile is 0: must lie in \(0, 100\]"):
        metrics.hausdorff_distance_px(TRUTH, TRUTH, percentile=0)
