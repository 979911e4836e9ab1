"""Clumps are taken apart as h-maxima say, alike in one pass and by blocks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label, regionprops
from skimage.morphology import local_maxima, reconstruction

from unetflow.instances import watershed
from unetflow.instances.labelled_store import label_store
from unetflow.instances.separation import Separation
from unetflow.instances.watershed import split_labels, split_object
from unetflow.instances.whole_image import label_instances
from unetflow.store.ome import ome_image, write_group
from unetflow.store.shards import Layout, open_array, read_array


def necks(split_px: float) -> Separation:
    return Separation("necks", split_px)


def discs(distance_px: int, *, radius_px: int = 10) -> np.ndarray:
    """Two discs side by side."""
    y, x = np.mgrid[: 2 * radius_px + 5, : 2 * radius_px + 5 + distance_px]
    middle = radius_px + 2
    squares = (x - middle) ** 2, (x - middle - distance_px) ** 2
    return np.asarray((y - middle) ** 2 + np.minimum(*squares) <= radius_px**2)


def blobs(shape: tuple[int, ...], seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    return np.asarray(ndimage.gaussian_filter(noise, 2.5) > 0.02)


def test_two_discs_with_a_neck_are_two_up_to_its_depth() -> None:
    mask = discs(16)  # the neck is 6 px wide on each side of the axis, and the discs 10
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))
    difference = depth.max() - depth[1 + 12, 1 + 12 + 8]
    assert 3 < difference < 5
    assert split_object(mask, necks(difference - 0.01)).max() == 2
    assert split_object(mask, necks(difference + 0.01)).max() == 1
    left, right = (split_object(mask, necks(2)) == part for part in (1, 2))
    assert abs(int(left.sum()) - int(right.sum())) <= depth.shape[0]
    np.testing.assert_array_equal(left | right, mask)


@given(st.integers(0, 10**6), st.floats(0.3, 3), st.sampled_from([1, 2]), st.sampled_from([2, 3]))
@example(795, 1.0, 1, 3)  # three basins meet at one pixel, and two of them become one
@settings(max_examples=60)
def test_as_many_parts_as_h_maxima(
    seed: int, split_px: float, connectivity: int, axes: int
) -> None:
    labels, count = ndimage.label(blobs((40, 36) if axes == 2 else (14, 16, 15), seed))
    if not count:
        return
    areas = np.bincount(labels.ravel())[1:]
    mask = labels == 1 + areas.argmax()
    neighbours = axes if connectivity == 2 else 1
    structure = ndimage.generate_binary_structure(axes, neighbours)
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))
    lowered = reconstruction(depth - split_px * (1 - 1e-9), depth, footprint=structure)
    wanted = label(local_maxima(lowered, connectivity=neighbours), connectivity=neighbours).max()
    parts = split_object(mask, necks(split_px), neighbours)
    assert parts.max() == max(1, wanted)
    np.testing.assert_array_equal(parts != 0, mask)
    for part in range(1, parts.max() + 1):  # each is one piece
        assert ndimage.label(parts == part, structure)[1] == 1
    first = [np.flatnonzero(parts.ravel() == part)[0] for part in range(1, parts.max() + 1)]
    assert first == sorted(first)


@given(st.integers(0, 10**6), st.sampled_from([1, 2]), st.sampled_from([2, 3]))
@settings(max_examples=60)
def test_no_part_is_smaller_than_an_object_may_be(seed: int, connectivity: int, axes: int) -> None:
    mask = blobs((40, 36) if axes == 2 else (14, 16, 15), seed)
    neighbours = axes if connectivity == 2 else 1
    how: dict[str, Any] = {"min_area_px": 40, "connectivity": neighbours}
    objects = label_instances(mask.astype(float), **how)
    parts = label_instances(mask.astype(float), split_px=0.5, **how)
    np.testing.assert_array_equal(parts != 0, objects != 0)
    assert len(parts) == 0 or (np.bincount(parts.ravel())[1:] >= 40).all()
    structure = ndimage.generate_binary_structure(axes, neighbours)
    for part in range(1, parts.max() + 1):  # each is one piece
        assert ndimage.label(parts == part, structure)[1] == 1
        assert len(np.unique(objects[parts == part])) == 1


def test_a_small_part_stays_with_the_one_beside_it() -> None:
    mask = discs(16)
    mask[12, 2 + 10 + 16 + 10 :] = True
    mask[10:15, -2:] = True
    assert split_object(mask, necks(0.3)).max() == 3
    assert split_object(mask, necks(0.3), min_area_px=20).max() == 2
    assert split_object(mask, necks(0.3), min_area_px=500).max() == 1


def test_numbers_are_consecutive_in_scanning_order() -> None:
    labels = label_instances(blobs((80, 90), 1).astype(float), split_px=0.8)
    first = [np.flatnonzero(labels.ravel() == k)[0] for k in range(1, labels.max() + 1)]
    assert first == sorted(first)
    assert labels.max() > label_instances(blobs((80, 90), 1).astype(float)).max()


def test_boxes_that_are_too_large_stay_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watershed, "MOST_PX", 30)
    mask = np.zeros((60, 90), bool)
    mask[:25, :41] = discs(16)  # 37 px wide
    mask[30:49, 3:31] = discs(9, radius_px=7)
    wanted = split_labels(label(mask, connectivity=1), necks(1))
    assert (wanted[:25] == 1).sum() == mask[:25].sum()
    made = labelled(tmp_path, mask[None] * np.uint8(255), split_px=1)
    found = np.asarray(read_array(tmp_path / "p.ome.zarr", "labels/instances/0"))
    np.testing.assert_array_equal(found, wanted)
    assert made["a"]["instances"] == wanted.max() == 3
    table = pd.read_parquet(tmp_path / "o.parquet")
    assert table["area_px"].tolist() == np.bincount(wanted.ravel())[1:].tolist()
    assert "1 objects of more than 30 px" in caplog.text


def labelled(
    folder: Path,
    stored_KYX: np.ndarray,
    heads_HYX: np.ndarray | None = None,
    spacing: Sequence[float] = (1, 1),
    **how: Any,
) -> dict[str, Any]:
    """Label a stored foreground."""
    store, axes = folder / "p.ome.zarr", ("c", *"zyx"[-len(spacing) :])
    write_group(store, "", ome_image("p", axes, {"foreground": [1, *spacing]}, unit=None))
    for name, stored in (("foreground", stored_KYX), ("heads", heads_HYX)):
        if stored is None:
            continue
        layout = Layout(stored.shape, str(stored.dtype), axes, 1024)
        array = open_array(store, name, layout, decided_by={"of": stored.tobytes().hex()})
        for index in array.missing():
            array.write(index, stored[array.region(index)])
    thresholds = dict.fromkeys("abc"[: len(stored_KYX)], 0.5)
    threads = how.pop("threads", 2)
    labelling = {"min_area_px": 5, "fill_holes": True, "connectivity": 1, **how}
    _, made = label_store(
        store,
        thresholds,
        labelling,
        table=folder / "o.parquet",
        threads=threads,
        decided_by={},
    )
    assert not (store / "unsplit").exists()
    return made


def test_a_corrected_spacing_takes_clumps_apart_anew(tmp_path: Path) -> None:
    stored = blobs((10, 30, 30), 3)[None] * np.uint8(255)
    how: dict[str, Any] = {"min_area_px": 5, "connectivity": 1, "split_px": 0.9}
    counts = []
    for spacing in ((1.0, 1.0, 1.0), (4.0, 1.0, 1.0)):
        labelled(tmp_path, stored, spacing=spacing, **how)
        found = np.asarray(read_array(tmp_path / "p.ome.zarr", "labels/instances/0"))
        wanted = label_instances(stored[0] / 255, fill_holes=True, spacing=spacing, **how)
        np.testing.assert_array_equal(found, wanted)
        counts.append(wanted.max())
    assert counts[0] != counts[1]


def in_blocks_of(side_px: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let labels be written in shards of this side."""
    small = partial(Layout, shard_px=side_px, chunk_px=side_px // 2)
    monkeypatch.setattr("unetflow.instances.labelled_store.Layout", small)


@pytest.mark.parametrize("connectivity", [1, 2])
def test_a_store_is_labelled_as_the_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, connectivity: int
) -> None:
    in_blocks_of(64, monkeypatch)
    stored = blobs((200, 170), 3)[None] * np.uint8(255)
    how: dict[str, Any] = {"split_px": 0.9, "connectivity": connectivity}
    made = labelled(tmp_path, stored, **how)
    found = np.asarray(read_array(tmp_path / "p.ome.zarr", "labels/instances/0"))
    wanted = label_instances(stored[0] / 255, min_area_px=5, fill_holes=True, **how)
    np.testing.assert_array_equal(found, wanted)
    assert made["a"]["instances"] == wanted.max()
    table = pd.read_parquet(tmp_path / "o.parquet")
    regions = regionprops(wanted)
    assert table["area_px"].tolist() == [region.area for region in regions]
    assert table["top_px"].tolist() == [region.bbox[0] for region in regions]
    np.testing.assert_allclose(table["row_px"], [region.centroid[0] for region in regions])


def test_classes_are_taken_apart_one_by_one(tmp_path: Path) -> None:
    stored = np.stack([blobs((120, 130), 4), blobs((120, 130), 5)]) * np.uint8(200)
    stored[1][stored[0] != 0] = 0
    made = labelled(tmp_path, stored, split_px=0.9)
    found = np.asarray(read_array(tmp_path / "p.ome.zarr", "labels/instances/0"))
    alone = [
        int(label_instances(plane / 255, min_area_px=5, split_px=0.9).max()) for plane in stored
    ]
    assert made["b"]["first_id"] == made["a"]["instances"] + 1
    assert found.max() == made["a"]["instances"] + made["b"]["instances"]
    for of, plane, count in zip(made.values(), stored, alone, strict=True):
        assert abs(of["instances"] - count) <= 0.1 * count  # holes of one class may hold another
        kept = label_instances(plane / 255, min_area_px=5) != 0  # others are holes of an object
        assert found[kept].min() >= of["first_id"]


def test_nothing_to_take_apart(tmp_path: Path) -> None:
    made = labelled(tmp_path, np.zeros((1, 50, 60), np.uint8), split_px=1)
    assert made["a"] == {"threshold": 0.5, "instances": 0, "first_id": 1, "area_px": 0}
