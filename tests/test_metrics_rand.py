"""V_Rand, V_Info, thinning and the numbers of the ISBI 2012 challenge."""

import math
from typing import Any

import numpy as np
import pytest
from golden import MEMBRANE, NO_TRUTH, arrays, equal, needs_golden, numbers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from unetflow import metrics
from unetflow.metrics.rand import _sum_of_squares

binary_images = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))
label_images = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6), elements=st.integers(0, 4)
)


@needs_golden
@pytest.mark.parametrize("case", MEMBRANE)
def test_thinned_labels_equal_fiji_bit_for_bit(case: str) -> None:
    data = arrays("membrane", case)
    thinned = [metrics.thin_membranes(metrics.binarise(each, 0.5)) for each in data["proposal"]]
    np.testing.assert_array_equal(thinned, data["fiji_thinned_labels_t05"])


@needs_golden
@pytest.mark.parametrize("case", MEMBRANE)
def test_rand_scores_equal_fiji(case: str) -> None:
    data, fiji = arrays("membrane", case), numbers()["membrane"][case]["fiji"]
    truth, proposal = data["gt"], data["proposal"]
    for index, threshold in enumerate(numbers()["thresholds"]):
        for thinned, key in ((False, "rand_fg_stats_n2"), (True, "vrand_thinned_stats_micro")):
            ours = metrics.rand_score(truth, proposal, threshold, thinned=thinned, reduce="pooled")
            theirs = fiji[key][index]
            if case in NO_TRUTH:
                assert all(map(math.isnan, ours))
                continue
            assert equal(ours.f, theirs["f"])
            assert equal(ours.merge, theirs["precision"])
            assert equal(ours.split, theirs["recall"])
        macro = metrics.rand_score(truth, proposal, threshold, thinned=True).f
        assert case in NO_TRUTH or equal(macro, fiji["vrand_thinned_macro_f"][index])


@needs_golden
@pytest.mark.parametrize("case", MEMBRANE)
def test_info_scores_equal_fiji(case: str) -> None:
    data, fiji = arrays("membrane", case), numbers()["membrane"][case]["fiji"]
    for index, threshold in enumerate(numbers()["thresholds"]):
        plain = metrics.info_score(data["gt"], data["proposal"], threshold)
        thinned = metrics.info_score(data["gt"], data["proposal"], threshold, thinned=True)
        assert equal(plain.vi, fiji["vi_fg"][index])
        if case in NO_TRUTH:
            assert math.isnan(plain.f) and math.isnan(thinned.f)
        else:
            assert equal(plain.f, fiji["vinfo_fg_fscore"][index])
            assert equal(thinned.f, fiji["vinfo_thinned_f"][index])


@needs_golden
@pytest.mark.parametrize("case", MEMBRANE)
def test_rand_index_equals_fiji_and_adapted_error_equals_skimage(case: str) -> None:
    data, golden = arrays("membrane", case), numbers()["membrane"][case]
    truth = [metrics.label_interior(each != 0) for each in data["gt"]]
    for index, threshold in enumerate(numbers()["thresholds"]):
        labels = [metrics.label_interior(metrics.binarise(p, threshold)) for p in data["proposal"]]
        ours = [metrics.rand_index(t, p) for t, p in zip(truth, labels, strict=True)]
        assert equal(float(np.mean(ours)), golden["fiji"]["rand_index_stats"][index]["metric"])
    for t, p, theirs in zip(truth, data["proposal"], golden["skimage_t05_per_slice"], strict=True):
        labels_05 = metrics.label_interior(metrics.binarise(p, 0.5))
        assert equal(metrics.adapted_rand_error(t, labels_05), theirs["are"][0])


@needs_golden
@pytest.mark.parametrize("case", [case for case in MEMBRANE if not case.startswith("32_mask")])
def test_isbi2012_scores_equal_fiji(case: str) -> None:
    data, fiji = arrays("membrane", case), numbers()["membrane"][case]["fiji"]
    ours = metrics.isbi2012_scores(data["gt"], data["proposal"])
    assert equal(ours["warping_error_min"], fiji["warping_min"])
    assert equal(ours["pixel_error_min"], min(fiji["pixel_error"]))
    if case[:2] not in ("15", "17", "28"):  # types wrong upstream on a constant truth
        assert equal(ours["splits_mergers_min"], fiji["min_splits_mergers_pixels_r20_0_1"])
        assert equal(ours["splits_mergers_min_to_09"], fiji["min_splits_mergers_pixels_r20_0_09"])
    if case in NO_TRUTH:
        assert math.isnan(ours["v_rand_thinned_macro_max"])
        assert math.isnan(ours["rand_error_2012_threshold"])
        return
    assert equal(ours["v_rand_thinned_macro_max"], fiji["vrand_thinned_max_macro"])
    assert equal(ours["v_rand_thinned_pooled_max"], fiji["vrand_thinned_max_micro"])
    assert equal(ours["v_info_thinned_macro_max"], fiji["vinfo_thinned_max"])
    assert equal(ours["rand_error_2012"], 1 - fiji["rand_fg_fscore_max"])
    assert equal(ours["pixel_error_2012"], 1 - fiji["pixel_max_fscore"])


def test_slices_of_several_sizes_are_scored_together() -> None:
    random = np.random.default_rng(0)
    truth = random.random((3, 20, 30)) > 0.2
    proposal = np.clip(0.5 * truth + 0.5 * random.random(truth.shape), 0, 1)
    assert metrics.isbi2012_scores([*truth], [*proposal]) == metrics.isbi2012_scores(
        truth, proposal
    )
    smaller = [truth[0], truth[1, :10]], [proposal[0], proposal[1, :10]]
    rows = metrics.scores_by_threshold(*smaller, [0.5])
    sums = [metrics.rand_sums_by_slice(t, p)[0] for t, p in zip(*smaller, strict=True)]
    assert rows[0]["v_rand_pooled"] == metrics.pool_rand_sums(sums).score.f
    assert rows[0]["pixel_error"] == 1 - np.mean(
        np.concatenate([(t == (p > 0.5)).ravel() for t, p in zip(*smaller, strict=True)])
    )
    with pytest.raises(ValueError, match="1 frames of truth, 2 predicted"):
        metrics.isbi2012_scores([truth[0]], [*proposal[:2]])


def test_an_inverted_proposal_is_refused_and_a_poor_one_is_scored() -> None:
    random = np.random.default_rng(0)
    truth = random.random((20, 30)) > 0.2
    with pytest.raises(ValueError, match=r"0.00 on average inside .* 1.00 on its membranes"):
        metrics.isbi2012_scores(truth, ~truth)
    poor = random.random(truth.shape) - 0.1 * truth
    assert metrics.isbi2012_scores(truth, np.clip(poor, 0, 1))["pixel_error_min"] < 0.5
    metrics.check_polarity(np.ones((2, 2)), np.zeros((2, 2)))
    metrics.check_polarity(truth, np.zeros(truth.shape))


def test_rand_sums_of_a_toy() -> None:
    sums = metrics.rand_sums([1, 1, 1, 1], [1, 1, 0, 2])
    assert (sums.ab, sums.a, sums.b, sums.z, sums.n) == (6, 16, 6, 1, 4)
    assert sums.score == (12 / 22, 6 / 16, 1)


def test_a_merger_costs_the_merge_score_and_a_split_the_split_score() -> None:
    two, one = [1, 1, 2, 2], [5, 5, 5, 5]
    assert metrics.rand_sums(two, one).score == (2 * 8 / 24, 1, 1 / 2)
    assert metrics.rand_sums(one, two).score == (2 * 8 / 24, 1 / 2, 1)
    merged = metrics.info_score_of_labels([1, 1, 2, 2, 3, 3], [1, 1, 1, 1, 3, 3])
    assert merged.split == pytest.approx(1) and merged.merge < 0.9  # rounding of the logarithms
    cut = metrics.info_score_of_labels([1, 1, 1, 1, 3, 3], [1, 1, 2, 2, 3, 3])
    assert cut.merge == pytest.approx(1) and cut.split < 0.9


def test_info_score_of_a_toy() -> None:
    score = metrics.info_score_of_labels([1, 1, 2, 2], [1, 1, 1, 2])
    h_a, h_b = math.log(2), -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    h_ab = -0.5 * math.log(0.5) - 2 * 0.25 * math.log(0.25)
    mutual = h_a + h_b - h_ab
    assert score == pytest.approx(
        (2 * mutual / (h_a + h_b), mutual / h_b, mutual / h_a, 2 * h_ab - h_a - h_b)
    )


def test_one_region_has_no_information() -> None:
    perfect = metrics.info_score(np.ones((3, 3)), np.ones((3, 3)))
    assert perfect.f == 0 and perfect.vi == 0
    assert math.isnan(perfect.split) and math.isnan(perfect.merge)


def test_perfect_is_perfect() -> None:
    truth = np.kron(np.eye(3), np.ones((4, 4)))  # three squares, no 4-neighbours of each other
    for thinned in (False, True):
        assert metrics.rand_score(truth, truth, thinned=thinned) == (1, 1, 1)
        info = metrics.info_score(truth, truth, thinned=thinned)
        assert info == pytest.approx((1, 1, 1, 0), abs=1e-12)  # rounding of the logarithms
    scores = metrics.isbi2012_scores(truth, truth)
    for name in ("rand_error_2012", "pixel_error_2012", "splits_mergers_min", "warping_error_min"):
        assert scores[name] == 0
    assert scores["v_rand_thinned_macro_max"] == 1
    assert scores["thresholds_without_interior"] == 0


def test_macro_and_pooled_differ_and_undefined_slices_are_left_out() -> None:
    truth = np.zeros((3, 4, 8))
    truth[0], truth[1, :, :3] = 1, 1
    proposal = truth.copy()
    proposal[0, :, 4] = 0
    slices = metrics.rand_sums_by_slice(truth, proposal)
    assert [each.n for each in slices] == [32, 12, 0]
    macro = metrics.rand_score(truth, proposal, reduce="macro")
    assert macro.f == (slices[0].score.f + 1) / 2
    pooled = metrics.rand_score(truth, proposal, reduce="pooled")
    assert pooled == metrics.pool_rand_sums(slices).score != macro
    assert math.isnan(metrics.rand_score(truth[2], proposal[2]).f)


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(ValueError, match='reduce is \'mean\': must be "macro" or "pooled"'):
        metrics.rand_score(np.ones((2, 2)), np.ones((2, 2)), reduce="mean")  # type: ignore[arg-type]


def test_ignored_pixels_are_in_no_sum() -> None:
    truth, proposal = np.ones((4, 6)), np.ones((4, 6))
    proposal[:, 3] = 0
    assert metrics.rand_score(truth, proposal).split < 1
    ignore = np.zeros((4, 6), np.bool_)
    ignore[:, 3:] = True
    assert metrics.rand_score(truth, proposal, ignore=ignore) == (1, 1, 1)
    assert metrics.isbi2012_scores(truth, proposal, ignore=ignore)["rand_error_2012"] == 0


def test_squares_of_large_areas_do_not_overflow() -> None:
    assert _sum_of_squares(np.array([2**32, 46341])) == 2**64 + 46341**2
    assert _sum_of_squares(np.array([2**30, 5])) == 2**60 + 25


@given(label_images, st.permutations(range(1, 5)))
def test_renaming_changes_nothing(labels: NDArray[Any], names: list[int]) -> None:
    renamed = np.array([0, *names])[labels]
    other = np.roll(labels, 1)
    assert metrics.rand_sums(labels, other) == metrics.rand_sums(renamed, other)
    assert metrics.rand_sums(other, labels) == metrics.rand_sums(other, renamed)
    np.testing.assert_equal(
        metrics.info_score_of_labels(labels, other), metrics.info_score_of_labels(renamed, other)
    )


@given(binary_images)
def test_components_equal_scipy(interior: NDArray[Any]) -> None:
    np.testing.assert_array_equal(metrics.label_interior(interior), ndimage.label(interior)[0])


def test_thinning_meets_in_the_middle() -> None:
    wide = np.array([[1, 0, 0, 0, 1]] * 2, np.bool_)
    assert metrics.thin_membranes(wide).tolist() == [[1, 1, 0, 2, 2]] * 2
    even = np.array([[1, 0, 0, 1]] * 2, np.bool_)  # the first in column-major order wins
    assert metrics.thin_membranes(even).tolist() == [[1, 1, 0, 2]] * 2


def test_thinning_an_image_without_interior_gives_one_region() -> None:
    assert metrics.thin_membranes(np.zeros((2, 3), np.bool_)).tolist() == [[1, 1, 1]] * 2


@given(binary_images)
def test_thinning_keeps_the_regions(interior: NDArray[Any]) -> None:
    thinned = metrics.thin_membranes(interior)
    before = metrics.label_interior(interior)
    if interior.any():
        pairs = set(zip(before[interior], thinned[interior], strict=True))
        assert len(pairs) == before.max() == thinned.max()  # one to one, none lost, none new
        _, count = ndimage.label(thinned == 1)
        assert count == 1
