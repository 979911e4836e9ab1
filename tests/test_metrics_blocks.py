"""Tables summed over blocks: equal to those of the whole array, in bounded memory."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from unetflow import metrics
from unetflow.metrics import blocks

LABEL_SCORES: dict[str, Any] = {
    "seg": metrics.seg_sums,
    "det": metrics.det_sums,
    "ap": metrics.matching_sums_at_ious,
    "dsb2018": metrics.dsb2018_score,
    "pq": metrics.panoptic_quality,
    "aji": metrics.aggregated_jaccard,
    "aji+": metrics.aggregated_jaccard_plus,
    "rand": metrics.rand_sums,
    "info": metrics.info_score_of_labels,
    "adapted rand": metrics.adapted_rand_error,
    "rand index": metrics.rand_index,
}


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few chunks, so that small arrays have many."""
    monkeypatch.setattr(blocks, "BLOCK_PX", 200)


def equal_tables(a: metrics.Contingency, b: metrics.Contingency) -> None:
    for field in fields(a):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), field.name)


def stored(path: Path, image: NDArray[Any], *, shards: Any = None, chunks: Any = (8, 8)) -> Any:
    array = zarr.create_array(
        path, shape=image.shape, dtype=image.dtype, chunks=chunks, shards=shards
    )
    array[:] = image
    return array


def drawn(seed: int, shape: tuple[int, ...] = (37, 53)) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two label images of blocky objects, the second a shifted and damaged copy."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 60, tuple(-(-side // 6) for side in shape))
    for axis, side in enumerate(shape):
        coarse = coarse.repeat(6, axis).take(range(side), axis)
    predicted = np.roll(coarse, 1, axis=-1) * (random.random(shape) > 0.05)
    return (coarse * 70_000_001 % 2**32).astype(np.uint32), predicted.astype(np.uint16)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shards", [None, (16, 16)])
def test_a_table_from_zarr_is_that_of_the_whole_array(tmp_path: Path, shards: Any) -> None:
    truth, predicted = drawn(0)
    ignore = np.random.default_rng(1).random(truth.shape) > 0.9
    zarrs = stored(tmp_path / "t", truth, shards=shards), stored(tmp_path / "p", predicted)
    equal_tables(metrics.contingency(*zarrs), metrics.contingency(truth, predicted))
    equal_tables(
        metrics.contingency(*zarrs, ignore=stored(tmp_path / "i", ignore, chunks=(9, 11))),
        metrics.contingency(truth, predicted, ignore=ignore),
    )


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", LABEL_SCORES)
def test_scores_from_zarr_and_from_a_table_are_those_of_the_whole_array(
    tmp_path: Path, name: str
) -> None:
    truth, predicted = drawn(2)
    zarrs = stored(tmp_path / "t", truth), stored(tmp_path / "p", predicted)
    score = LABEL_SCORES[name]
    assert score(*zarrs) == score(truth, predicted) == score(metrics.contingency(*zarrs))


@pytest.mark.usefixtures("small_blocks")
def test_volumes_and_dask_arrays_of_any_chunks_are_taken() -> None:
    truth, predicted = drawn(3, (5, 20, 30))
    table = metrics.contingency(
        da.from_array(truth, chunks=(2, 7, 11)), da.from_array(predicted, chunks=(5, 20, 4))
    )
    equal_tables(table, metrics.contingency(truth, predicted))
    equal_tables(metrics.contingency(da.from_array(truth, chunks=3), predicted), table)


@pytest.mark.usefixtures("small_blocks")
def test_frames_may_be_zarr_arrays(tmp_path: Path) -> None:
    pairs = [drawn(4), drawn(5)]
    frames = [
        [stored(tmp_path / f"{kind}{k}", pair[kind]) for k, pair in enumerate(pairs)]
        for kind in (0, 1)
    ]
    whole = metrics.seg_score([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    assert metrics.seg_score(*frames) == whole


@pytest.mark.usefixtures("small_blocks")
def test_a_confusion_matrix_from_blocks_is_that_of_the_whole_array(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    truth, predicted = random.integers(0, 4, (2, 30, 40)).astype(np.uint8)
    zarrs = stored(tmp_path / "t", truth), stored(tmp_path / "p", predicted)
    matrix = metrics.confusion_matrix(*zarrs)
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(truth, predicted))


def test_a_block_is_whole_shards_and_never_far_above_its_size(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "a",
        shape=(3, 30_000, 30_000),
        dtype="u4",
        chunks=(1, 512, 512),
        shards=(1, 1024, 1024),
    )
    corners = [corner for corner, _ in blocks.blocks_of([array, array])]
    assert corners[:2] == [(0, 0, 0), (0, 0, 4096)]
    assert len(corners) == 3 * 30 * 8


def test_a_table_comes_alone() -> None:
    table = metrics.contingency(*drawn(7))
    with pytest.raises(ValueError, match="the table alone is enough"):
        metrics.seg_score(table, np.zeros((2, 2), int))
    with pytest.raises(ValueError, match="predicted_labels is missing"):
        metrics.average_precision(np.zeros((2, 2), int))


@pytest.mark.usefixtures("small_blocks")
def test_bad_blocks_are_refused(tmp_path: Path) -> None:
    truth, predicted = drawn(8)
    zarrs = stored(tmp_path / "t", truth), stored(tmp_path / "p", predicted)
    with pytest.raises(ValueError, match=r"shape \(37, 53\) and another \(37, 52\)"):
        metrics.contingency(zarrs[0], predicted[:, 1:])
    with pytest.raises(ValueError, match="holds .*5: must be whole numbers"):
        metrics.contingency(stored(tmp_path / "f", truth + 0.5), predicted)
    with pytest.raises(ValueError, match="holds -1: ids must be 0 or above"):
        metrics.contingency(zarrs[0], -(predicted > 0).astype(np.int8))
    with pytest.raises(ValueError, match="no pixel to score"):
        metrics.contingency(da.zeros((0, 4), dtype=int), da.zeros((0, 4), dtype=int))


membranes = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24),
    elements=st.sampled_from([0, 0.25, 0.5, 0.75, 1]),
)


@given(membranes, st.integers(1, 9), st.integers(1, 9), st.data())
def test_regions_joined_across_seams_are_those_of_the_whole_slice(
    proposal: NDArray[Any], rows: int, columns: int, data: st.DataObject
) -> None:
    def like(elements: st.SearchStrategy[bool]) -> NDArray[np.bool_]:
        return data.draw(hnp.arrays(np.bool_, proposal.shape, elements=elements))

    truth, ignore = like(st.sampled_from([False, True, True])), like(st.booleans())
    chunks = (rows, columns)
    tables = metrics.region_tables(
        da.from_array(truth, chunks=chunks), proposal, [0.1, 0.6], ignore=ignore
    )
    for threshold, table in zip([0.1, 0.6], tables, strict=True):
        whole = metrics.contingency(
            metrics.label_interior(truth),
            metrics.label_interior(proposal > threshold),
            ignore=ignore,
        )
        for field in ("truth_areas", "predicted_areas", "rows", "columns", "pixels"):
            np.testing.assert_array_equal(getattr(table, field), getattr(whole, field))
        counts = metrics.pixel_counts(truth, proposal, threshold, ignore=ignore)
        assert metrics.pixel_counts_of_regions(table) == counts
        (sums,) = metrics.rand_sums_by_slice(truth, proposal, threshold, ignore=ignore)
        assert metrics.rand_sums(table) == sums


def test_regions_of_a_stack_are_refused() -> None:
    stack = da.zeros((2, 4, 4))
    with pytest.raises(ValueError, match=r"3 axes \(2, 4, 4\): must be one slice"):
        metrics.region_tables(stack, stack, 0.5)
