"""Warping error, mismatch types, splits and mergers."""

import math
from typing import Any

import dask.array as da
import numpy as np
import pytest
from golden import MEMBRANE, arrays, equal, needs_golden, numbers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from unetflow import metrics
from unetflow.metrics import Mismatch

FIJI_NAMES = {
    "object_additions": Mismatch.OBJECT_ADDITION,
    "object_deletions": Mismatch.OBJECT_DELETION,
    "hole_additions": Mismatch.HOLE_ADDITION,
    "hole_deletions": Mismatch.HOLE_DELETION,
    "mergers": Mismatch.MERGER,
    "splits": Mismatch.SPLIT,
}
WRONG_TYPES = ("15_gt_all_cell", "17_both_all_cell", "28_checkerboard_vs_full")  # upstream fault
RIGHT_TYPES = [case for case in MEMBRANE if case not in WRONG_TYPES]
pairs_of_images = st.integers(1, 9).flatmap(
    lambda side: st.tuples(
        hnp.arrays(np.bool_, (side, 7)),
        hnp.arrays(np.float32, (side, 7), elements=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.8])),
    )
)


@needs_golden
def test_simple_points_equal_the_table() -> None:
    table = numbers()["simple_point_table_4fg_8bg"]["table"]
    assert metrics.simple_points().astype(int).tolist() == table


@needs_golden
@pytest.mark.parametrize("case", MEMBRANE)
def test_the_warped_truth_equals_fiji_bit_for_bit(case: str) -> None:
    data = arrays("membrane", case)
    warped = metrics.warped_truth(data["gt"], data["proposal"], 0.5, mask=data.get("mask"))
    np.testing.assert_array_equal(warped, data["fiji_warped_t05"] != 0)


@needs_golden
@pytest.mark.parametrize("case", MEMBRANE)
def test_the_warping_error_equals_fiji(case: str) -> None:
    data, fiji = arrays("membrane", case), numbers()["membrane"][case]["fiji"]
    for threshold, theirs in zip(numbers()["thresholds"], fiji["warping_error"], strict=True):
        ours = metrics.warping_error(data["gt"], data["proposal"], threshold, mask=data.get("mask"))
        assert equal(ours, theirs)


@needs_golden
@pytest.mark.parametrize("case", RIGHT_TYPES)
def test_mismatch_types_and_clusters_equal_fiji(case: str) -> None:
    data, fiji = arrays("membrane", case), numbers()["membrane"][case]["fiji"]
    rows = metrics.mismatches_by_threshold(
        data["gt"], data["proposal"], numbers()["thresholds"], mask=data.get("mask")
    )
    (whole,) = metrics.mismatches_by_threshold(
        data["gt"], data["proposal"], 0.5, radius_px=None, mask=data.get("mask")
    )
    for by_type, by_error, ours in (
        *zip(fiji["warping_by_type_r20"], fiji["warping_by_error_r20"], rows, strict=True),
        (fiji["warping_by_type_full_t05"], fiji["warping_by_error_full_t05"], whole),
    ):
        for name, kind in FIJI_NAMES.items():
            assert by_type is None or ours.pixels[kind] == by_type[name]
            assert by_error is None or ours.clusters[kind] == by_error[name]


@needs_golden
@pytest.mark.parametrize("case", RIGHT_TYPES)
def test_minimum_splits_and_mergers_equal_fiji(case: str) -> None:
    data, fiji = arrays("membrane", case), numbers()["membrane"][case]["fiji"]
    thresholds, mask = numbers()["thresholds"], data.get("mask")
    for used, key in (
        (thresholds, "min_splits_mergers_pixels_r20_0_1"),
        (thresholds[:10], "min_splits_mergers_pixels_r20_0_09"),
    ):
        ours = metrics.splits_and_mergers(data["gt"], data["proposal"], used, mask=mask)
        assert equal(ours, fiji[key])
    rows = metrics.mismatches_by_threshold(data["gt"], data["proposal"], thresholds, mask=mask)
    clusters = min(row.split_merger_cluster_error for row in rows)
    assert equal(clusters, fiji["min_splits_mergers_clusters_r20_0_1"])


def test_116_neighbourhoods_are_simple_whatever_the_orientation() -> None:
    simple = metrics.simple_points()
    assert simple.sum() == 116
    for index in range(256):
        ring = [bool(index >> bit & 1) for bit in range(8)]
        grid = np.insert(np.array(ring), 4, False).reshape(3, 3)
        for turned in (np.rot90(grid), grid.T):
            bits = np.delete(turned.ravel(), 4)
            assert simple[index] == simple[int((bits << np.arange(8)).sum())]


def _warp_by_definition(
    truth: NDArray[np.bool_], proposal: NDArray[np.float32], threshold: float
) -> NDArray[np.bool_]:
    """metrics.warping_error in plain Python: every position, every pass, components by SciPy."""
    image, target = np.pad(truth, 1), np.pad(proposal.astype(np.float64) > threshold, 1)
    sure = np.abs(np.pad(proposal, 1).astype(np.float64) - threshold)
    places = [(y, x) for x in range(image.shape[1]) for y in range(image.shape[0])]
    places = sorted((p for p in places if image[p] != target[p]), key=lambda p: -sure[p])
    flipped = True
    while flipped:
        flipped = False
        for y, x in places:
            around = image[y - 1 : y + 2, x - 1 : x + 2].copy()
            around[1, 1] = False
            labels, _ = ndimage.label(around)
            touching = {labels[0, 1], labels[1, 0], labels[1, 2], labels[2, 1]} - {0}
            if image[y, x] != target[y, x] and len(touching) == 1 and around.sum() < 8:
                image[y, x] ^= True
                flipped = True
    return image[1:-1, 1:-1]


@given(pairs_of_images)
def test_warping_equals_its_definition(pair: tuple[NDArray[Any], NDArray[Any]]) -> None:
    truth, proposal = pair
    expected = _warp_by_definition(truth, proposal, 0.5)
    np.testing.assert_array_equal(metrics.warped_truth(truth, proposal), expected)
    left = np.count_nonzero(expected != (proposal > np.float64(0.5)))
    assert metrics.warping_error(truth, proposal) == left / truth.size


@given(pairs_of_images)
def test_warping_keeps_the_topology(pair: tuple[NDArray[Any], NDArray[Any]]) -> None:
    truth, warped = pair[0], metrics.warped_truth(*pair)
    for image_a, image_b, structure in (
        (truth, warped, None),
        (np.pad(~truth, 1, constant_values=True), np.pad(~warped, 1, constant_values=True), "8"),
    ):
        neighbours = np.ones((3, 3)) if structure else None
        counts = [ndimage.label(image, neighbours)[1] for image in (image_a, image_b)]
        assert counts[0] == counts[1]


def _types_by_definition(
    warped: NDArray[np.bool_], target: NDArray[np.bool_], radius: int
) -> NDArray[np.uint8]:
    """The rules of mismatch types, with the window labelled anew by SciPy."""
    image = np.pad(warped, 1)
    labels, _ = ndimage.label(image)
    types = np.zeros(warped.shape, np.uint8)
    for y, x in zip(*np.nonzero(warped != target), strict=True):
        ids = set(np.delete(labels[y : y + 3, x : x + 3].ravel(), 4).tolist())
        inside = bool(warped[y, x])
        if len(ids) == 2 and inside:
            top, left = max(y + 1 - radius, 0), max(x + 1 - radius, 0)
            window = image[top : y + 2 + radius, left : x + 2 + radius].copy()
            window[y + 1 - top, x + 1 - left] = False
            again, _ = ndimage.label(np.pad(window, 1))
            cy, cx = y + 2 - top, x + 2 - left
            ids = set(np.delete(again[cy - 1 : cy + 2, cx - 1 : cx + 2].ravel(), 4).tolist())
            types[y, x] = Mismatch.SPLIT if len(ids) > 2 else Mismatch.HOLE_DELETION
        elif len(ids) > 2:
            types[y, x] = Mismatch.SPLIT if inside else Mismatch.MERGER
        elif len(ids) == 2:
            types[y, x] = Mismatch.HOLE_ADDITION
        elif ids == {0}:
            types[y, x] = Mismatch.OBJECT_DELETION if inside else Mismatch.OBJECT_ADDITION
        else:
            types[y, x] = Mismatch.HOLE_ADDITION if inside else Mismatch.HOLE_DELETION
    return types


@given(pairs_of_images, st.integers(1, 4))
def test_types_equal_their_definition(pair: tuple[NDArray[Any], NDArray[Any]], radius: int) -> None:
    truth, proposal = pair
    expected = _types_by_definition(
        metrics.warped_truth(truth, proposal), proposal > np.float64(0.5), radius
    )
    ours = metrics.mismatch_image(truth, proposal, radius_px=radius)
    np.testing.assert_array_equal(ours, expected)


def test_a_shifted_border_costs_nothing() -> None:
    truth = np.zeros((8, 12))
    truth[2:6, 2:6] = 1
    assert metrics.warping_error(truth, np.roll(truth, 1, axis=1)) == 0
    assert metrics.splits_and_mergers(truth, np.roll(truth, 1, axis=1), 0.5) == 0


def test_the_order_of_a_truth_in_memory_changes_nothing() -> None:
    truth = np.zeros((8, 12), np.uint8)
    truth[2:6, 2:6] = 1
    shifted, fortran = np.roll(truth, 1, axis=1), np.asfortranarray(truth)
    np.testing.assert_array_equal(metrics.warped_truth(fortran, shifted), shifted)
    rng = np.random.default_rng(0)
    truth, proposal = rng.integers(0, 2, (20, 30), np.uint8), rng.random((20, 30))
    fortran = np.asfortranarray(truth)
    for metric in (metrics.mismatches_by_threshold, metrics.splits_and_mergers):
        assert metric(fortran, proposal, [0.5]) == metric(truth, proposal, [0.5])
    types = metrics.mismatch_image(truth, proposal)
    np.testing.assert_array_equal(metrics.mismatch_image(fortran, proposal), types)


def _drawing(rows: str) -> NDArray[np.float64]:
    return np.array([[char == "#" for char in row] for row in rows.split()], float)


@pytest.mark.parametrize(
    ("truth", "proposal", "kind", "pixels"),
    [
        ("..... ..... .....", "..... ..#.. .....", Mismatch.OBJECT_ADDITION, 1),
        ("..... ..##. .....", "..... ..... .....", Mismatch.OBJECT_DELETION, 1),
        ("##### ##### #####", "##### ##.## #####", Mismatch.HOLE_ADDITION, 1),
        ("##### ##.## #####", "##### ##### #####", Mismatch.HOLE_DELETION, 1),
        ("##.## ##.## ##.##", "##.## ##### ##.##", Mismatch.MERGER, 1),
        ("##### ##### #####", "##.## ##.## ##.##", Mismatch.SPLIT, 1),
    ],
)
def test_each_type_in_a_toy(truth: str, proposal: str, kind: Mismatch, pixels: int) -> None:
    (row,) = metrics.mismatches_by_threshold(_drawing(truth), _drawing(proposal), 0.5)
    assert {each: count for each, count in row.pixels.items() if count} == {kind: pixels}
    assert {each: count for each, count in row.clusters.items() if count} == {kind: 1}
    expected = pixels / 15 if kind in (Mismatch.SPLIT, Mismatch.MERGER) else 0
    assert metrics.splits_and_mergers(_drawing(truth), _drawing(proposal), [0.5]) == expected
    assert row.warping_error == pixels / 15


def test_a_split_is_judged_within_the_window() -> None:
    ring = np.ones((9, 9))
    ring[2:-2, 2:-2] = 0
    cut = ring.copy()
    cut[4, :2] = 0  # a ring that is cut once stays in one piece
    ring[1:-1, 1:-1] = cut[1:-1, 1:-1] = 0
    (near,) = metrics.mismatches_by_threshold(ring, cut, 0.5, radius_px=2)
    (whole,) = metrics.mismatches_by_threshold(ring, cut, 0.5, radius_px=None)
    assert near.pixels[Mismatch.SPLIT] == 1
    assert whole.pixels[Mismatch.SPLIT] == 0 and whole.pixels[Mismatch.HOLE_DELETION] == 1


def test_outside_the_mask_nothing_is_flipped_or_counted() -> None:
    truth, proposal = _drawing("##.## ##.## ##.##"), _drawing("##.## ##### ##.##")
    mask = np.ones(truth.shape)
    mask[1, 2] = 0
    assert metrics.warping_error(truth, proposal) == 1 / 15
    assert metrics.warping_error(truth, proposal, mask=mask) == 0
    np.testing.assert_array_equal(metrics.warped_truth(truth, proposal, mask=mask), truth != 0)


def test_where_nothing_is_annotated_nothing_is_right() -> None:
    truth, proposal = _drawing("##.## ##.## ##.##"), _drawing("##.## ##### ##.##")
    stack, twice = np.stack([truth] * 2), np.stack([proposal] * 2)
    none = np.zeros(truth.shape)
    assert math.isnan(metrics.warping_error(truth, proposal, mask=none))
    assert math.isnan(metrics.warping_error(stack, twice, mask=none))
    assert math.isnan(metrics.splits_and_mergers(truth, proposal, [0.3, 0.5], mask=none))
    (left,) = metrics.mismatches_by_threshold(truth, proposal, 0.5, mask=none)
    assert math.isnan(left.warping_error) and math.isnan(left.split_merger_cluster_error)
    assert (left.interior_px, left.inside_px, left.total_px) == (0, 0, 15)
    (other,) = metrics.mismatches_by_threshold(truth, proposal, 0.5)
    assert (left + other).warping_error == 1 / 30
    scores = metrics.isbi2012_scores(truth, proposal, ignore=np.ones(truth.shape))
    assert scores.pop("thresholds_without_interior") == 0
    assert all(map(math.isnan, scores.values()))


def test_an_interior_that_is_ignored_has_vanished() -> None:
    truth, proposal = _drawing("##.## ##.## ##.##"), _drawing("##... ##... ##...") * 1.0
    ignore = np.zeros(truth.shape)
    ignore[:, :2] = 1
    scores = metrics.isbi2012_scores(truth, proposal, ignore=ignore)
    assert scores["thresholds_without_interior"] == 11
    inverted = np.where(ignore == 1, 1 - truth, truth)  # only where nobody looks
    assert metrics.isbi2012_scores(truth, inverted, ignore=ignore)["pixel_error_min"] == 0


def test_one_mask_serves_all_slices_of_a_stack() -> None:
    truth = np.stack([_drawing("##.## ##.## ##.##")] * 2)
    proposal = np.ones(truth.shape)
    mask = np.zeros(truth.shape[1:])
    mask[:, 1:4] = 1
    assert metrics.warping_error(truth, proposal, mask=mask) == metrics.warping_error(
        truth[0], proposal[0], mask=mask
    )
    assert metrics.warping_error(truth, proposal) == metrics.warping_error(truth[0], proposal[0])
    assert metrics.mismatch_image(truth, proposal).shape == truth.shape


def test_a_vanished_foreground_is_flagged() -> None:
    truth, proposal = _drawing("##.## ##.## ##.##"), np.full((3, 5), 0.4)
    rows = metrics.mismatches_by_threshold(truth, proposal, [0.3, 0.5])
    assert [row.interior_px for row in rows] == [15, 0]
    assert rows[1].split_merger_error == 0 < rows[0].split_merger_error
    assert rows[1].pixels[Mismatch.OBJECT_DELETION] == 2
    assert metrics.isbi2012_scores(truth, proposal)["thresholds_without_interior"] == 7


def test_a_blob_that_grows_by_a_ring_per_pass_is_warped_in_one_piece() -> None:
    side = 401  # 200 passes: every ring is surer than the next inner one
    y, x = np.mgrid[:side, :side] - side // 2
    proposal = 0.6 + 0.4 * np.hypot(y, x) / np.hypot(side, side)
    truth = (y == 0) & (x == 0)
    assert metrics.warping_error(truth, proposal) == 0


def test_bad_radius_and_thresholds_are_refused() -> None:
    truth = np.ones((2, 2))
    with pytest.raises(ValueError, match=r"radius_px is 0 \(int\): must be .*, 1 or more"):
        metrics.splits_and_mergers(truth, truth, [0.5], radius_px=0)
    with pytest.raises(ValueError, match="thresholds is empty"):
        metrics.splits_and_mergers(truth, truth, [])
    with pytest.raises(ValueError, match="threshold is nan"):
        metrics.splits_and_mergers(truth, truth, [math.nan])


def test_declared_regions_are_warped_apart_and_pooled() -> None:
    random = np.random.default_rng(3)
    truth, proposal = random.random((2, 40, 50)).astype(np.float32)
    regions = [(slice(0, 20), slice(0, 50)), (slice(20, 40), slice(10, 50))]
    zarr_like = da.from_array(truth > 0.3, chunks=16), da.from_array(proposal, chunks=13)
    found = metrics.mismatches_of_regions(*zarr_like, [0.3, 0.6], regions)
    for k, threshold in enumerate([0.3, 0.6]):
        parts = [
            metrics.mismatches_by_threshold(truth[region] > 0.3, proposal[region], threshold)[0]
            for region in regions
        ]
        assert found[k] == parts[0] + parts[1]
        assert found[k].total_px == 20 * 50 + 20 * 40
    whole = (slice(None), slice(None))
    assert metrics.mismatches_of_regions(
        *zarr_like, 0.5, [whole]
    ) == metrics.mismatches_by_threshold(truth > 0.3, proposal, 0.5)
    with pytest.raises(ValueError, match="regions is empty"):
        metrics.mismatches_of_regions(*zarr_like, 0.5, [])
    with pytest.raises(ValueError, match=r"at thresholds 0.3 and 0.6: must be of one"):
        found[0] + found[1]
