"""Pixel scores, class scores and the contingency table."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from golden import MEMBRANE, arrays, equal, needs_golden, numbers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from unetflow import metrics
from unetflow.metrics.checks import thresholds_of

TRUTH = np.array([[1, 1, 0, 1], [1, 1, 0, 1]])
PROPOSAL = np.array([[0.9, 0.6, 0.5, 0.1], [0.9, 0.6, 0.7, 0.8]], np.float32)
label_images = hnp.arrays(
    np.uint16, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6), elements=st.integers(0, 4)
)


@needs_golden
def test_there_are_31_membrane_cases() -> None:
    assert len(MEMBRANE) == 31


@needs_golden
@pytest.mark.parametrize("case", MEMBRANE)
def test_pixel_scores_equal_fiji(case: str) -> None:
    data, fiji = arrays("membrane", case), numbers()["membrane"][case]["fiji"]
    best_f = -1.0
    for index, threshold in enumerate(numbers()["thresholds"]):
        counts = metrics.pixel_counts(data["gt"], data["proposal"], threshold)
        theirs = fiji["pixel_stats"][index]
        assert (*counts,) == tuple(theirs[key] for key in ("tp", "fp", "fn", "tn"))
        assert equal(
            metrics.pixel_error(data["gt"], data["proposal"], threshold), fiji["pixel_error"][index]
        )
        best_f = max(best_f, metrics.pixel_f_score(data["gt"], data["proposal"], threshold))
    if case == "18_both_all_membrane":  # no interior anywhere: Fiji prints 1, we say NaN
        best_f = 1.0
    assert equal(best_f, fiji["pixel_max_fscore"])


@needs_golden
def test_the_challenge_thresholds_are_accumulated_doubles() -> None:
    assert list(metrics.CHALLENGE_THRESHOLDS) == numbers()["thresholds"]


def test_pixel_counts_of_a_toy() -> None:
    counts = metrics.pixel_counts(TRUTH, PROPOSAL)  # the 0.5 is membrane: strictly above
    assert counts == (5, 1, 1, 1)
    assert counts.error == 2 / 8
    assert counts.f == 10 / 12


def test_binarisation_is_strict_and_does_not_narrow_the_threshold() -> None:
    above = np.array([np.float32(0.3)])  # 0.30000001192...
    assert metrics.binarise(above, 0.3).all()
    assert not metrics.binarise(np.array([0.5], np.float32), 0.5).any()
    assert metrics.binarise(np.array([0.1], np.float16), 0.09997).tolist() == [True]


def test_ignored_pixels_are_in_no_pixel_score() -> None:
    ignore = metrics.binarise(PROPOSAL, 0.5) != TRUTH
    assert metrics.pixel_error(TRUTH, PROPOSAL, ignore=ignore) == 0
    assert metrics.pixel_counts(TRUTH, PROPOSAL, ignore=ignore).true_positive == 5
    assert math.isnan(metrics.pixel_error(TRUTH, PROPOSAL, ignore=np.ones_like(TRUTH)))


def test_a_stack_pools_its_slices() -> None:
    stack = np.stack([TRUTH, 1 - TRUTH])
    proposals = np.stack([PROPOSAL, PROPOSAL])
    slices = [metrics.pixel_error(t, p) for t, p in zip(stack, proposals, strict=True)]
    assert metrics.pixel_error(stack, proposals) == np.mean(slices)


def test_a_pixel_f_score_without_interior_is_nan() -> None:
    assert math.isnan(metrics.pixel_f_score(np.zeros((2, 2)), np.zeros((2, 2))))


@pytest.mark.parametrize(
    ("truth", "proposal", "message"),
    [
        (TRUTH, PROPOSAL[:1], r"truth has shape \(2, 4\) and proposal \(1, 4\).*Crop or pad"),
        (TRUTH[0], PROPOSAL[0], "1 axes .*take one slice"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "no pixel to score"),
        (TRUTH, PROPOSAL * 255, "must lie in .*Divide an 8-bit proposal by 255"),
        (TRUTH, np.full(TRUTH.shape, 200, np.uint8), "uint8 spans 200 to 200.*Divide an 8-bit"),
        (TRUTH, PROPOSAL - 0.5, "spans -0.4.*sigmoid or softmax"),
        (TRUTH, np.where(TRUTH, np.nan, 0.5), "proposal holds NaN"),
        (np.where(TRUTH, np.nan, 0.5), PROPOSAL, "truth holds nan"),
        (-TRUTH, PROPOSAL, "truth holds -1: must be 0.*`ignore`"),
        (TRUTH, PROPOSAL.astype(str), "proposal is a ndarray and has dtype <U32"),
        (TRUTH.astype(str), PROPOSAL, "truth is a ndarray and has dtype <U21"),
    ],
)
def test_bad_membrane_input_is_refused(truth: Any, proposal: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.pixel_error(truth, proposal)


def test_bad_thresholds_and_masks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold is nan: must lie in \[0, 1\]"):
        metrics.pixel_error(TRUTH, PROPOSAL, math.nan)
    with pytest.raises(ValueError, match="thresholds is empty"):
        thresholds_of([])
    with pytest.raises(
        ValueError, match=r"mask \(or ignore\) has shape \(1, 4\).*must be the same"
    ):
        metrics.pixel_error(TRUTH, PROPOSAL, ignore=TRUTH[:1])
    with pytest.raises(ValueError, match="values other than 0, 1, 255"):
        metrics.pixel_error(TRUTH, PROPOSAL, ignore=TRUTH * 3)


@given(label_images, st.randoms())
def test_the_contingency_table_counts_every_pair(labels: NDArray[Any], random: Any) -> None:
    other = np.array([random.randint(0, 3) for _ in range(labels.size)]).reshape(labels.shape)
    table = metrics.contingency(labels, other)
    pairs = zip(table.truth_ids[table.rows], table.predicted_ids[table.columns], strict=True)
    ours = dict(zip(pairs, table.pixels.tolist(), strict=True))
    assert ours == Counter(zip(labels.ravel(), other.ravel(), strict=True))
    for ids, areas, image in (
        (table.truth_ids, table.truth_areas, labels),
        (table.predicted_ids, table.predicted_areas, other),
    ):
        assert dict(zip(ids, areas, strict=True)) == Counter(image.ravel())


def test_the_contingency_table_keeps_the_order_of_appearance() -> None:
    table = metrics.contingency([[7, 7, 3]], [[0, 5, 5]])
    assert table.truth_ids.tolist() == [7, 3]
    assert table.predicted_ids.tolist() == [0, 5]
    assert table.rows.tolist() == [0, 0, 1]
    assert table.columns.tolist() == [0, 1, 1]


def test_the_contingency_table_grows_and_takes_sparse_and_high_ids() -> None:
    truth = np.arange(5000, dtype=np.uint32) * 858993  # up to 4.29e9
    table = metrics.contingency(truth, truth[::-1])
    assert (table.pixels == 1).all()
    assert table.rows.tolist() == list(range(5000))
    assert table.truth_ids.tolist() == truth.tolist()
    assert metrics.contingency([2**32 - 1], [2**32 - 1]).truth_ids == 2**32 - 1


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([1, 2], [1, 2, 3], "must be the same image"),
        ([1.5, 2.0], [1, 2], "truth_labels of dtype float64 holds 1.5: .* whole.*label_instances"),
        ([1, 2], [1, -2], "predicted_labels holds -2: ids must be 0 or above"),
        ([2**32, 1], [1, 1], "holds id 4294967296: ids must fit uint32.*relabel_sequential"),
    ],
)
def test_bad_labels_are_refused(truth: Any, predicted: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.contingency(truth, predicted)


def test_iou_and_dice_per_class_of_a_toy() -> None:
    confusion = metrics.confusion_matrix([[0, 0, 1, 1]], [[0, 1, 1, 1]], classes=4)
    assert confusion[:2, :2].tolist() == [[1, 1], [0, 2]]
    np.testing.assert_equal(metrics.iou_per_class(confusion), [1 / 2, 2 / 3, np.nan, np.nan])
    np.testing.assert_equal(metrics.dice_per_class(confusion), [2 / 3, 4 / 5, np.nan, np.nan])


@pytest.mark.parametrize(("dtype", "most"), [("u1", 200), ("i4", 2**30 + 5), ("f2", 6e4)])
def test_confusion_of_a_narrow_type_is_scored_as_of_any(dtype: str, most: float) -> None:
    confusion = np.array([[most, 100], [0, most]], dtype)
    for score in (metrics.iou_per_class, metrics.dice_per_class):
        np.testing.assert_array_equal(score(confusion), score(confusion.astype(float)))


def test_a_class_only_in_one_image_scores_zero_and_pools() -> None:
    first = metrics.confusion_matrix([[1, 1]], [[0, 0]], classes=2)
    second = metrics.confusion_matrix([[1, 1]], [[1, 1]], classes=2)
    assert metrics.iou_per_class(first).tolist() == [0, 0]
    assert metrics.iou_per_class(first + second).tolist() == [0, 1 / 2]


def test_a_class_beyond_the_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match="highest class is 5 where 3 classes are possible"):
        metrics.confusion_matrix([5], [1], classes=3)
    with pytest.raises(ValueError, match="score instances with seg_score"):
        metrics.confusion_matrix([100_000], [1])
    with pytest.raises(ValueError, match=r"confusion has shape \(2, 3\): must be \(K, K\)"):
        metrics.iou_per_class(np.zeros((2, 3)))


@given(label_images)
def test_ignoring_a_pixel_equals_cutting_it_out(labels: NDArray[Any]) -> None:
    ignore = labels == 2
    table = metrics.contingency(labels, labels, ignore=ignore)
    assert table.pixels.sum() == np.count_nonzero(~ignore)
    assert 2 not in table.truth_ids
