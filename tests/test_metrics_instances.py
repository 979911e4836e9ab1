"""SEG, DET, AP, PQ and AJI."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from golden import INSTANCES, arrays, equal, needs_golden, numbers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from unetflow import metrics
from unetflow.metrics.matching import assign

CTC_FAULTS = ("25_", "26_", "30_")  # py-ctcmetrics takes its lowest id for the background, wraps
EMPTY_TRUTH = ("13_empty_gt", "14_both_empty")
SCORES = (
    metrics.seg_score,
    metrics.det_score,
    metrics.average_precision,
    metrics.dsb2018_score,
    metrics.panoptic_quality,
    metrics.aggregated_jaccard,
    metrics.aggregated_jaccard_plus,
)
label_images = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, max_side=5), elements=st.integers(0, 4)
)
pairs_of_labels = hnp.array_shapes(min_dims=1, max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.uint8, shape, elements=st.integers(0, 4)),
        hnp.arrays(np.uint8, shape, elements=st.integers(0, 4)),
    )
)


@needs_golden
def test_there_are_24_instance_cases() -> None:
    assert len(INSTANCES) == 24


@needs_golden
@pytest.mark.parametrize("case", INSTANCES)
def test_seg_equals_its_definition_and_py_ctcmetrics(case: str) -> None:
    data, golden = arrays("instances", case), numbers()["instances"][case]
    sums = metrics.seg_sums(data["gt"], data["pred"])
    assert equal(sums.score, golden["SEG_definition"])
    assert sums.objects == len(golden["SEG_per_object"])
    assert equal(sums.iou_sum, sum(golden["SEG_per_object"].values()))
    if not case.startswith(CTC_FAULTS) and case not in EMPTY_TRUTH:
        assert equal(sums.score, golden["py_ctcmetrics"]["SEG"])


@needs_golden
@pytest.mark.parametrize("case", INSTANCES)
def test_det_equals_py_ctcmetrics(case: str) -> None:
    data, golden = arrays("instances", case), numbers()["instances"][case]
    theirs = golden["py_ctcmetrics"]["DET"]
    ours = metrics.det_score([data["gt"]] * 2, [data["pred"]] * 2)
    assert equal(ours, metrics.det_score(data["gt"], data["pred"]))
    if theirs is None:  # it crashes on an empty image
        assert math.isnan(ours) or case.startswith(("12_", "26_"))
    elif not case.startswith(CTC_FAULTS):
        assert equal(ours, theirs)


@needs_golden
@pytest.mark.parametrize("case", INSTANCES)
def test_average_precision_equals_stardist(case: str) -> None:
    data, golden = arrays("instances", case), numbers()["instances"][case]
    rows = metrics.matching_sums_at_ious(data["gt"], data["pred"])
    for ours, theirs in zip(rows, golden["stardist_matching"], strict=True):
        assert ours.true_positives == theirs["tp"]
        assert ours.predicted_objects - ours.true_positives == theirs["fp"]
        assert ours.truth_objects - ours.true_positives == theirs["fn"]
        if case == "14_both_empty":  # StarDist prints 0
            assert math.isnan(ours.average_precision)
            continue
        assert equal(ours.average_precision, theirs["accuracy"])
        assert equal(ours.f1, theirs["f1"])
    mean = metrics.dsb2018_score(data["gt"], data["pred"])
    assert case == "14_both_empty" or equal(mean, golden["dsb2018_mean_ap"])


@needs_golden
@pytest.mark.parametrize("case", INSTANCES)
def test_panoptic_quality_and_jaccard_equal_hovernet(case: str) -> None:
    data, golden = arrays("instances", case), numbers()["instances"][case]
    quality = metrics.panoptic_quality(data["gt"], data["pred"])
    matched = metrics.panoptic_sums(data["gt"], data["pred"]).true_positives
    theirs = golden["hovernet_dq_sq_pq"]
    if isinstance(theirs, list):  # a dictionary where it crashed
        assert equal(quality.dq, theirs[0])
        shrink = matched / (matched + 1e-6)  # HoVer-Net divides by TP + 1e-6
        if matched:
            assert equal(quality.sq * shrink, theirs[1])
        assert equal(quality.pq * shrink, theirs[2])
    for score, key in (
        (metrics.aggregated_jaccard, "hovernet_aji"),
        (metrics.aggregated_jaccard_plus, "hovernet_aji_plus"),
    ):
        if not isinstance(golden[key], dict):
            assert equal(score(data["gt"], data["pred"]), golden[key])


@needs_golden
@pytest.mark.parametrize("case", INSTANCES)
def test_adapted_rand_error_equals_skimage(case: str) -> None:
    data, golden = arrays("instances", case), numbers()["instances"][case]
    assert equal(metrics.adapted_rand_error(data["gt"], data["pred"]), golden["skimage_are"][0])


def test_seg_of_a_toy() -> None:
    truth, predicted = [[1, 1, 1, 2]], [[7, 7, 0, 0]]
    assert metrics.seg_score(truth, predicted) == (2 / 3 + 0) / 2
    assert metrics.seg_sums(truth, predicted) == metrics.SegSums(2 / 3, 2)


def test_half_of_an_object_is_not_enough_for_seg() -> None:
    assert metrics.seg_score([1, 1, 1, 1], [5, 5, 0, 0]) == 0
    assert metrics.seg_score([1, 1, 1, 1], [5, 5, 5, 0]) == 3 / 4


def test_a_list_of_frames_is_pooled_over_objects() -> None:
    truth = [np.array([1, 1, 0]), np.array([1, 2, 3])]
    predicted = [np.array([1, 1, 0]), np.array([1, 0, 0])]
    assert metrics.seg_score(truth, predicted) == 2 / 4  # not (1 + 1/3) / 2
    assert metrics.seg_score(np.stack(truth), np.stack(predicted)) != 2 / 4  # a volume
    single = [metrics.seg_sums(t, p) for t, p in zip(truth, predicted, strict=True)]
    assert (single[0] + single[1]).score == 2 / 4
    ignore = [np.zeros(3, np.bool_), np.array([False, True, True])]
    assert metrics.seg_score(truth, predicted, ignore=ignore) == 1


@pytest.mark.parametrize(
    "score",
    [
        *(metrics.average_precision, metrics.dsb2018_score, metrics.panoptic_quality),
        *(metrics.aggregated_jaccard, metrics.object_errors, metrics.boundary_f1),
    ],
)
def test_objects_of_frames_are_not_joined_by_their_numbers(score: Any) -> None:
    truth = [np.array([[1, 1, 0]]), np.array([[0, 0, 1]])]
    predicted = [truth[0], np.zeros((1, 3), int)]  # the second was missed
    with pytest.raises(ValueError, match="predicted_labels is a list of images: .* add the sums"):
        score(np.stack(truth), predicted)
    with pytest.raises(ValueError, match="truth_labels is a list of images: .* pass numpy.stack"):
        score(truth, predicted)
    score(np.stack(truth), np.stack(predicted))


def test_frames_that_do_not_fit_are_refused() -> None:
    frame = np.array([1, 2])
    with pytest.raises(ValueError, match="1 frames of truth, 2 predicted, 1 of ignore"):
        metrics.seg_score([frame], [frame, frame])
    with pytest.raises(ValueError, match="a list of frames and the other one array"):
        metrics.seg_score([frame], frame)


def test_det_of_a_toy() -> None:
    # 8 covers objects 1 and 2, 9 covers nothing, object 3 is missed
    sums = metrics.det_sums([1, 2, 3, 0], [8, 8, 0, 9])
    assert sums == metrics.DetSums(merged=1, missed=1, added=1, objects=3)
    assert sums.score == 1 - (5 + 10 + 1) / 30
    assert metrics.det_score([1, 0, 0], [0, 2, 3]) == 0  # never below 0


def test_average_precision_of_a_toy() -> None:
    truth, predicted = [1, 1, 2, 2, 0], [5, 5, 6, 0, 7]
    assert metrics.average_precision(truth, predicted) == 2 / 3  # IoU 1/2 is enough
    assert metrics.average_precision(truth, predicted, 0.51) == 1 / 4
    assert metrics.matching_sums(truth, predicted).f1 == 4 / 5


def test_two_halves_match_once() -> None:
    assert metrics.average_precision([1, 1], [5, 6]) == 1 / 2
    assert metrics.panoptic_quality([1, 1], [5, 6]).pq == 0  # strictly above 1/2


def test_at_a_low_iou_as_many_as_possible_are_matched() -> None:
    # 1 overlaps 5 and 6, 2 only 5: the better pair (1, 5) would leave 2 without a partner
    truth, predicted = [1, 1, 1, 2, 1], [5, 5, 5, 5, 6]
    sums = metrics.matching_sums(truth, predicted, 0.2)
    assert sums.true_positives == 2
    assert sums.iou_sum == 1 / 4 + 1 / 4


def test_an_iou_outside_its_range_is_refused() -> None:
    for iou in (0, 1.5, math.nan):
        with pytest.raises(ValueError, match=r"iou is .*: must lie in \(0, 1\]"):
            metrics.average_precision([1], [1], iou)


def test_panoptic_quality_of_a_toy() -> None:
    quality = metrics.panoptic_quality([1, 1, 1, 2, 0], [5, 5, 0, 0, 6])
    assert quality == (2 / 3 / 2, 1 / 2, 2 / 3)
    nothing = metrics.panoptic_quality([1, 0], [0, 5])
    assert nothing.pq == nothing.dq == 0 and math.isnan(nothing.sq)


def test_jaccard_reuses_a_prediction_and_the_plus_does_not() -> None:
    truth, predicted = [1, 1, 2, 0], [5, 5, 5, 6]
    # AJI: (1, 5) 2/3 and (2, 5) 1/3, and 6 alone; AJI+: (1, 5) 2/3, 2 alone, 6 alone
    assert metrics.aggregated_jaccard(truth, predicted) == (2 + 1) / (3 + 3 + 1)
    assert metrics.aggregated_jaccard_plus(truth, predicted) == 2 / (3 + 1 + 1)
    double = metrics.jaccard_sums(truth, predicted) + metrics.jaccard_sums(truth, predicted)
    assert double == metrics.JaccardSums(6, 14)


@given(label_images)
def test_perfect_is_perfect(labels: NDArray[Any]) -> None:
    expected = 1.0 if labels.any() else math.nan
    for score in SCORES:
        np.testing.assert_equal(np.unique(score(labels, labels)), [expected])


@given(pairs_of_labels, st.permutations(range(1, 5)))
def test_renaming_changes_nothing(pair: tuple[NDArray[Any], ...], names: list[int]) -> None:
    truth, predicted = pair
    rename = np.array([0, *(2**32 - 5 + np.array(names))], np.uint32)
    for score in SCORES:
        expected = score(truth, predicted)
        np.testing.assert_equal(score(rename[truth], predicted), expected)
        np.testing.assert_equal(score(truth, rename[predicted]), expected)


@given(pairs_of_labels)
def test_one_to_one_scores_are_symmetric(pair: tuple[NDArray[Any], ...]) -> None:
    for score in (metrics.average_precision, metrics.dsb2018_score):
        np.testing.assert_equal(score(*pair), score(*pair[::-1]))
    forth, back = metrics.panoptic_quality(*pair), metrics.panoptic_quality(*pair[::-1])
    np.testing.assert_allclose(forth, back, rtol=1e-12)  # the IoUs are added in another order


@given(pairs_of_labels)
def test_the_number_of_axes_does_not_matter(pair: tuple[NDArray[Any], ...]) -> None:
    flat = tuple(each.ravel() for each in pair)
    for score in SCORES:
        np.testing.assert_equal(score(*pair), score(*flat))


@pytest.mark.parametrize("score", SCORES)
def test_two_empty_images_are_undefined(score: Any) -> None:
    assert np.isnan(score(np.zeros((4, 4), int), np.zeros((4, 4), int))).all()


@pytest.mark.parametrize("score", SCORES)
def test_only_false_positives_are_undefined_for_ctc_and_zero_for_others(score: Any) -> None:
    value = np.atleast_1d(score([0, 0], [1, 2]))[0]
    assert math.isnan(value) if score in SCORES[:2] else value == 0


@pytest.mark.parametrize("score", SCORES)
def test_ignored_pixels_are_in_no_instance_score(score: Any) -> None:
    truth, predicted = np.array([1, 1, 2, 0]), np.array([1, 1, 3, 4])
    ignore = np.array([False, False, True, True])
    np.testing.assert_equal(np.unique(score(truth, predicted, ignore=ignore)), [1])


@pytest.mark.parametrize("score", SCORES)
def test_bad_labels_are_refused(score: Any) -> None:
    with pytest.raises(ValueError, match=r"float64 holds 0.5: must be whole numbers"):
        score(np.full((2, 2), 0.5), np.zeros((2, 2), int))
    with pytest.raises(ValueError, match="holds -1: ids must be 0 or above"):
        score(np.array([[-1]]), np.array([[1]]))
    with pytest.raises(ValueError, match="must be the same image"):
        score(np.zeros((2, 2), int), np.zeros((2, 3), int))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8, unique=True), st.data()
)
def test_assignment_is_the_best_of_all(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(1, 9), min_size=len(pairs), max_size=len(pairs)))

    def total(chosen: tuple[int, ...]) -> int:
        rows, columns = {pairs[k][0] for k in chosen}, {pairs[k][1] for k in chosen}
        one_to_one = len(rows) == len(columns) == len(chosen)
        return sum(weights[k] for k in chosen) if one_to_one else -1

    subsets = (itertools.combinations(range(len(pairs)), size) for size in range(len(pairs) + 1))
    best = max(total(chosen) for size in subsets for chosen in size)
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    assert total(tuple(assign(rows, columns, np.array(weights, float)).tolist())) == best
