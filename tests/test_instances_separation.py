"""Each method of separation cuts where it says, in memory and by blocks alike."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from test_instances_clumps import in_blocks_of, labelled

from unetflow.errors import StoreError
from unetflow.instances import label_instances
from unetflow.instances.separation import METHODS, NUMBER, Separation, labelling_of, without_head
from unetflow.instances.watershed import split_object
from unetflow.store.heads import DISTANCE_PX
from unetflow.store.shards import read_array

SQUARE = np.pad(np.ones((10, 21)), 2)  # one object whose shape shows nothing


def smooth(shape: tuple[int, ...], seed: int, deviation_px: float = 2.5) -> np.ndarray:
    """Noise in [0, 1], of bytes."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), deviation_px)
    span = noise.max() - noise.min()
    return np.asarray(np.rint(255 * (noise - noise.min()) / span), np.uint8)


def halves(labels: np.ndarray) -> bool:
    """Whether the square is two, of about its left and its right half."""
    areas = np.bincount(labels.ravel())[1:]
    return len(areas) == 2 and abs(int(areas[0]) - int(areas[1])) <= 20


def test_a_valley_of_the_foreground_is_where_valleys_cut() -> None:
    foreground = SQUARE * 0.9
    foreground[:, 12] *= 0.7  # 0.63: 1.67 logits lower
    assert label_instances(foreground, split_px=0.5).max() == 1  # its shape has no neck
    cut: dict[str, Any] = {"separate": "valleys", "split_logits": 1.0}
    assert halves(label_instances(foreground, **cut))
    assert label_instances(foreground, separate="valleys", split_logits=2.0).max() == 1
    assert label_instances(foreground, separate="none", split_px=0.5).max() == 1


def test_seeds_grow_to_the_threshold_and_weak_objects_are_left_out() -> None:
    foreground = SQUARE * 0.8
    foreground[4:8, 4:8] = foreground[4:8, 17:21] = 0.97
    foreground = np.concatenate([foreground, SQUARE * 0.8])
    found = label_instances(foreground, separate="seeds", seed_threshold=0.95)
    assert halves(found[:14])
    np.testing.assert_array_equal(found[:14] != 0, SQUARE != 0)
    assert not found[14:].any()
    assert label_instances(foreground, separate="seeds", seed_threshold=0.7).max() == 2


def test_a_border_head_cuts_and_the_border_grows_back() -> None:
    head = np.zeros(SQUARE.shape)
    head[:, 11:14] = 0.9
    found = label_instances(SQUARE, separate="border", head=head)
    assert halves(found)
    np.testing.assert_array_equal(found != 0, SQUARE != 0)
    assert label_instances(SQUARE, separate="border", border_threshold=0.95, head=head).max() == 1
    everywhere = np.ones(SQUARE.shape)  # of an object that is all border nothing is lost
    assert label_instances(SQUARE, separate="border", head=everywhere).max() == 1


def test_a_distance_head_cuts_where_it_is_lower_by_pixels() -> None:
    x = np.arange(SQUARE.shape[1])
    head = np.tile(np.minimum(abs(x - 12), 5) / DISTANCE_PX, (SQUARE.shape[0], 1))
    assert halves(label_instances(SQUARE, separate="distance", split_px=4.9, head=head))
    assert label_instances(SQUARE, separate="distance", split_px=5.1, head=head).max() == 1


@pytest.mark.parametrize("method", ["valleys", "seeds", "border", "distance"])
def test_any_number_of_axes_is_taken_apart(method: str) -> None:
    for shape in ((400,), (20, 30, 25)):
        foreground, head = smooth(shape, 1) / 255, smooth(shape, 2) / 255
        how: dict[str, Any] = {"separate": method, "threshold": 0.45, "head": head}
        how["seed_threshold"] = 0.55
        found = label_instances(foreground, min_area_px=4, **how)
        whole = label_instances(foreground, threshold=0.45, min_area_px=4)
        assert found.max() > 1
        assert not (found != 0)[whole == 0].any()
        assert np.bincount(found.ravel())[1:].min() >= 4
        for part in range(1, found.max() + 1):  # each is one piece of one object
            assert ndimage.label(found == part)[1] == 1
            assert len(np.unique(whole[found == part])) == 1


@pytest.mark.parametrize("method", ["valleys", "seeds", "border", "distance"])
@pytest.mark.parametrize(("block_px", "threads"), [(32, 2), (64, 1), (96, 3), (1024, 1)])
@pytest.mark.slow
def test_any_block_gives_what_the_whole_gives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str, block_px: int, threads: int
) -> None:
    in_blocks_of(block_px, monkeypatch)
    stored, heads = smooth((150, 170), 3)[None], smooth((1, 150, 170), 4, 1.5)
    how: dict[str, Any] = {"separate": method, "connectivity": 2, "seed_threshold": 0.6}
    made = labelled(tmp_path, stored, heads, threads=threads, **how)
    found = np.asarray(read_array(tmp_path / "p.ome.zarr", "labels/instances/0"))
    wanted = label_instances(
        stored[0] / 255, min_area_px=5, fill_holes=True, head=heads[0] / 255, **how
    )
    np.testing.assert_array_equal(found, wanted)
    assert made["a"]["instances"] == wanted.max() > 5
    whole = label_instances(stored[0] / 255, min_area_px=5, fill_holes=True, connectivity=2)
    assert wanted.max() != whole.max()


def test_classes_have_valleys_and_seeds_of_their_own(tmp_path: Path) -> None:
    one = smooth((90, 100), 5)
    stored = np.stack([one, np.where(one > 127, 0, smooth((90, 100), 6))])
    how: dict[str, Any] = {"separate": "seeds", "seed_threshold": 0.6}
    made = labelled(tmp_path, stored, fill_holes=False, **how)
    found = np.asarray(read_array(tmp_path / "p.ome.zarr", "labels/instances/0"))
    alone = [label_instances(plane / 255, min_area_px=5, **how) for plane in stored]
    assert [of["instances"] for of in made.values()] == [labels.max() for labels in alone]
    second = np.where(alone[1], alone[1] + alone[0].max(), 0)
    np.testing.assert_array_equal(found, alone[0] + second)


def test_a_store_without_heads_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"has no array heads.*Train with `head: border`"):
        labelled(tmp_path, np.zeros((1, 20, 20), np.uint8), separate="border")
    assert not (tmp_path / "p.ome.zarr/labels").exists()


def test_a_head_that_is_not_there_or_of_another_shape_is_told() -> None:
    with pytest.raises(ValueError, match="separate is 'distance', but there is no head"):
        label_instances(SQUARE, separate="distance")
    with pytest.raises(ValueError, match="head has shape .*: must be that of the foreground"):
        label_instances(SQUARE, separate="distance", head=SQUARE[None])
    with pytest.raises(ValueError, match="head of dtype .* spans"):
        label_instances(SQUARE, separate="border", head=SQUARE * 9)
    with pytest.raises(ValueError, match="separate is 'neck': there are necks, valleys"):
        label_instances(SQUARE, separate="neck")


def test_what_has_no_effect_is_in_no_labelling() -> None:
    clean = {"min_area_px": 3, "fill_holes": True, "connectivity": 1}
    numbers = dict.fromkeys(NUMBER.values())
    given = {"threshold": None, **clean, **numbers, "split_px": 2.0}
    assert labelling_of({**given, "separate": "necks"}) == {**clean, "split_px": 2.0}
    assert labelling_of({**given, "separate": "none"}) == {**clean, "separate": "none"}
    seeds = {**clean, "separate": "seeds", "seed_threshold": 0.9}
    assert labelling_of({**given, "separate": "seeds"}) == seeds
    border = labelling_of({**given, "separate": "border", "border_threshold": 0.2})
    assert border == {**clean, "separate": "border", "border_threshold": 0.2}
    assert without_head(seeds) == seeds
    assert without_head(border) == clean


def test_every_method_has_a_number_that_it_takes() -> None:
    for method in METHODS:
        separation = Separation.of({"separate": method, NUMBER.get(method, "split_px"): 0.5})
        assert separation == (None if method == "none" else Separation(method, 0.5))
    assert Separation.of({}) is Separation.of({"separate": "necks", "split_px": None}) is None


def test_many_small_parts_of_a_clump_take_no_memory_for_each_neighbour() -> None:
    shape = (32, 32, 32)
    mask, foreground = np.ones(shape, bool), np.random.default_rng(0).uniform(0.5, 1, shape)
    how = Separation("valleys", 0.5), 3, 200
    corner = (slice(0, 4),) * 3
    split_object(mask[corner], *how, foreground=foreground[corner])  # compiled before it counts
    tracemalloc.start()
    parts = split_object(mask, *how, foreground=foreground)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert parts.max() > 1
    assert peak_bytes < 250 * mask.size  # of all 26 neighbours at once it were over 500
