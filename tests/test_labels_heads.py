"""What heads are asked for: the border between objects, and the distance to the own edge."""

import numpy as np
import pytest
from scipy import ndimage

from unetflow.instances import separation
from unetflow.labels.heads import REACH_PX, TARGETS, border_target, distance_target
from unetflow.networks import description
from unetflow.store.heads import BORDER_PX, DISTANCE_PX, HEADS


def test_networks_know_the_same_heads() -> None:
    assert description.HEADS == HEADS == tuple(TARGETS) == separation.HEADS


def objects(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Blobs, cut in two by a plane, so that some of them touch."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 3)
    labels = ndimage.label(noise > 0)[0].astype(np.int32)
    second = np.arange(shape[-1]) >= shape[-1] // 2
    return np.asarray(np.where((labels != 0) & second, labels + labels.max(), labels))


def distances_of_each(labels: np.ndarray) -> dict[int, np.ndarray]:
    """Of each object the distance of all pixels to it, over the whole image."""
    return {
        number: ndimage.distance_transform_edt(labels != number)
        for number in np.unique(labels[labels != 0]).tolist()
    }


@pytest.mark.parametrize("shape", [(300,), (60, 70), (14, 20, 22)])
def test_targets_are_those_of_whole_distance_maps(shape: tuple[int, ...]) -> None:
    labels = objects(shape, len(shape))
    if len(shape) == 1:
        labels[:40] = np.repeat([1, 2], 20)
    away = distances_of_each(labels)
    near = np.sum([of <= BORDER_PX for of in away.values()], axis=0)
    np.testing.assert_array_equal(border_target(labels), near >= 2)
    assert border_target(labels).any()
    wanted = np.zeros(shape)
    for number in away:
        mask = labels == number
        wanted[mask] = ndimage.distance_transform_edt(mask)[mask]
    found = distance_target(labels)
    np.testing.assert_allclose(found, np.minimum(wanted / DISTANCE_PX, 1), rtol=1e-6)
    np.testing.assert_array_equal(found > 0, labels != 0)


def test_ground_between_two_objects_is_border_and_far_ground_is_none() -> None:
    labels = np.zeros((1, 30), np.int32)
    labels[0, 2:10], labels[0, 12:20], labels[0, 28:] = 1, 2, 3
    assert np.flatnonzero(border_target(labels)[0]).tolist() == list(range(9, 13))


def test_a_patch_inside_one_object_has_no_edge() -> None:
    labels = np.ones((9, 9), np.int32)
    assert (distance_target(labels) == 1).all()
    assert not border_target(labels).any()


@pytest.mark.parametrize("head", HEADS)
def test_renaming_objects_changes_nothing_and_no_objects_are_no_target(head: str) -> None:
    labels = objects((50, 60), 4)
    names = np.append(0, 1 + np.random.default_rng(0).permutation(labels.max())).astype(np.int32)
    np.testing.assert_array_equal(TARGETS[head](labels), TARGETS[head](names[labels]))
    assert not TARGETS[head](np.zeros((5, 6), np.int32)).any()


@pytest.mark.parametrize("head", HEADS)
def test_a_target_depends_on_no_more_than_its_reach(head: str) -> None:
    labels, reach = objects((90, 95), 5), REACH_PX[head]
    whole = TARGETS[head](labels)[30:60, 30:60]
    wide = slice(30 - reach, 60 + reach)
    part = TARGETS[head](labels[wide, wide])[reach:-reach, reach:-reach]
    np.testing.assert_array_equal(part, whole)
