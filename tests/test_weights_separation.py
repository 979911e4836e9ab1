"""The weight map against its definition, and in pieces against the whole."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from unetflow.labels.encoding import separate_touching
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.shard_lists import write_shard_list
from unetflow.stages.weights import write_weights
from unetflow.store.shards import Layout, open_array, read_array
from unetflow.weights.separation import reach_px, separation_term, weight_map
from unetflow.weights.two_nearest import two_nearest


def draw_labels(shape: tuple[int, ...], objects: int, seed: int = 0) -> np.ndarray:
    """Random points grown to touching objects."""
    random = np.random.default_rng(seed)
    points = np.zeros(shape, np.uint32)
    points.ravel()[random.choice(points.size, objects, replace=False)] = np.arange(1, objects + 1)
    distance, nearest = ndimage.distance_transform_edt(points == 0, return_indices=True)
    return np.where(distance < 7, points[tuple(nearest)], 0).astype(np.uint32)


def by_definition(labels: np.ndarray, w0: float, sigma_px: float) -> np.ndarray:
    """One distance transform per object over the whole image, stacked and sorted."""
    separated = separate_touching(labels)
    numbers = [n for n in np.unique(separated) if n]
    distances = np.sort([ndimage.distance_transform_edt(separated != n) for n in numbers], axis=0)
    both = distances[0] + distances[1]
    term = w0 * np.exp(-(both**2) / (2 * sigma_px**2))
    return np.where((separated == 0) & (both <= reach_px(w0, sigma_px)), term, 0)


def test_the_reach_of_the_papers_map_is_33_px() -> None:
    assert math.floor(reach_px(10, 5)) == 32
    assert 10 * math.exp(-(reach_px(10, 5) ** 2) / 50) == pytest.approx(4e-9)


@pytest.mark.parametrize("sigma_px", [2.0, 5.0])
def test_the_map_equals_the_definition(sigma_px: float) -> None:
    labels = draw_labels((90, 110), objects=25)
    found = weight_map(labels, class_weights=(0.5, 2.0), w0=7.0, sigma_px=sigma_px)
    classes = np.where(separate_touching(labels) == 0, 0.5, 2.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, classes + by_definition(labels, 7.0, sigma_px), rtol=1e-6)


def test_between_two_pixels_five_apart_by_hand() -> None:
    labels = np.zeros((1, 7), np.uint8)
    labels[0, 1], labels[0, 5] = 1, 2
    # At column 3 both objects are 2 px away: 10 exp(-16 / 50).
    assert weight_map(labels)[0, 3] == pytest.approx(1 + 10 * math.exp(-16 / 50), rel=1e-6)
    assert weight_map(labels)[0, 0] == pytest.approx(1 + 10 * math.exp(-36 / 50), rel=1e-6)
    assert weight_map(labels)[0, 1] == 1


def test_fewer_than_two_objects_have_no_separation() -> None:
    labels = np.zeros((20, 20), int)
    assert (weight_map(labels) == 1).all()
    labels[5:9, 5:9] = 3
    assert (weight_map(labels) == 1).all()


def test_high_and_sparse_numbers_change_nothing() -> None:
    labels = draw_labels((60, 60), objects=9)
    np.testing.assert_array_equal(
        weight_map(labels), weight_map(labels.astype(np.int64) * 400_000_000)
    )


def test_volumes_use_their_spacing() -> None:
    labels = np.zeros((9, 5, 5), int)
    labels[1, 2, 2], labels[7, 2, 2] = 1, 2
    near = separation_term(labels, w0=10, sigma_px=5, spacing=(0.5, 1, 1))
    assert near[4, 2, 2] == pytest.approx(10 * math.exp(-9 / 50), rel=1e-6)


@given(
    hnp.arrays(
        np.uint32,
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=9),
        elements=st.integers(0, 3),
        fill=st.just(0),
    ),
    st.sampled_from([1.0, 0.5, 1.7]),
    st.sampled_from([1.5, 4.0, 30.0]),
)
def test_the_two_nearest_are_those_of_a_transform_per_object(
    labels: np.ndarray, first_step: float, reach: float
) -> None:
    spacing = (first_step, 1.0, 1.3)[: labels.ndim]
    nearest, second = two_nearest(labels, reach=reach, spacing=spacing)
    wanted = np.sort(
        [np.full(labels.shape, np.inf)] * 2
        + [
            ndimage.distance_transform_edt(labels != n, sampling=spacing)
            for n in np.unique(labels[labels != 0])
        ],
        axis=0,
    )
    for found, true in ((nearest, wanted[0]), (second, wanted[1])):
        within = true <= reach - 1e-6  # on the edge of the reach rounding decides
        np.testing.assert_allclose(np.sqrt(found[within]), true[within], rtol=1e-6)


def test_a_tie_for_the_second_place_does_not_hide_the_other_object() -> None:
    # of voxel (7, 5, 6): first object 2, then 1 by a tie, then 1 nearer: the second is 2 again,
    # and (7, 5, 5) sees it through that voxel
    labels = np.zeros((8, 9, 8), np.uint32)
    labels[3, 6, 4] = labels[4, 4, 6] = 2
    labels[4, 6, 6] = labels[7, 7, 6] = 1
    _, second = two_nearest(labels, reach=4.0, spacing=(1.0, 1.0, 1.3))
    assert second[7, 5, 5] == pytest.approx(3**2 + 1 + 1.3**2)


def test_any_pieces_and_threads_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = draw_labels((150, 170), objects=60)
    whole = weight_map(labels, class_weights=(0.7, 1.4))
    monkeypatch.setattr("unetflow.weights.separation.PIECE_PX", 40)
    pieces = weight_map(labels, class_weights=(0.7, 1.4), threads=3)
    np.testing.assert_array_equal(pieces, whole)
    volume = draw_labels((20, 60, 70), objects=20)
    spacing = (2.5, 1.0, 1.2)
    whole = weight_map(volume, spacing=spacing)
    monkeypatch.setattr("unetflow.weights.separation.PIECE_OF_VOLUME_PX", 10)
    in_pieces = weight_map(volume, spacing=spacing)
    np.testing.assert_array_equal(in_pieces, whole)


@pytest.mark.parametrize("shape", [(40,), (30, 41), (13, 20, 17)])
def test_the_two_nearest_of_a_part_are_those_of_the_whole(shape: tuple[int, ...]) -> None:
    labels = draw_labels(shape, objects=4)
    spacing = (1.5, 1.0, 0.8)[: len(shape)]
    inner = tuple(slice(k + 2, size - 3 - k) for k, size in enumerate(shape))
    whole = two_nearest(labels, reach=12.0, spacing=spacing)
    part = two_nearest(labels, reach=12.0, spacing=spacing, inner=inner)
    for found, wanted in zip(part, whole, strict=True):
        np.testing.assert_array_equal(found, wanted[inner])


def test_the_stored_map_made_in_shards_equals_the_whole_bit_for_bit(tmp_path: Path) -> None:
    labels = draw_labels((1100, 1060), objects=2500, seed=1)
    ignore = np.zeros(labels.shape, np.uint8)
    ignore[500:520] = 1
    for name, pixels in (("truth", labels), ("ignore", ignore)):
        array = open_array(
            tmp_path / "i.zarr",
            f"labels/{name}/0",
            Layout(labels.shape, str(pixels.dtype), ("y", "x")),
            decided_by={},
        )
        for index in array.missing():
            array.write(index, pixels[array.region(index)])
    arrays = ["labels/truth/0", "labels/ignore/0"]
    shards = write_shard_list(tmp_path / "truth.json", tmp_path / "i.zarr", arrays)
    write_receipt(tmp_path / "truth.json", {"digest": "d", "shards": shards})
    write_weights(
        kind="instances",
        truth=tmp_path / "i.zarr",
        truth_receipt=tmp_path / "truth.json",
        store=tmp_path / "w.zarr",
        receipt=tmp_path / "w.json",
        weighting={"w0": 10, "sigma_px": 5},
        threads=2,
        code="c",
    )
    whole = separation_term(separate_touching(labels), w0=10, sigma_px=5)
    whole[ignore != 0] = 0
    np.testing.assert_array_equal(read_array(tmp_path / "w.zarr", "")[:], whole)
    assert read_receipt(tmp_path / "w.json")["shape"] == [1100, 1060]
