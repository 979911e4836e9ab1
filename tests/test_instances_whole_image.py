"""Instances of a foreground."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy_labels import scipy_instances
from skimage.measure import label as skimage_label

from unetflow.instances.whole_image import label_instances


def test_the_example_of_the_docstring() -> None:
    foreground = np.array([[0.9, 0.8, 0.1, 0.7], [0.9, 0.2, 0.1, 0.6]], np.float32)
    np.testing.assert_array_equal(label_instances(foreground), [[1, 1, 0, 2], [1, 0, 0, 2]])
    assert label_instances(foreground).dtype == np.uint32


def test_the_threshold_itself_is_background() -> None:
    assert not label_instances(np.full((2, 2), 0.5)).any()
    # 0.1 in float32 is larger than 0.1: widened first, as the metrics do.
    assert label_instances(np.full((2, 2), 0.1, np.float32), threshold=0.1).all()


@given(arrays(bool, (9, 11)))
def test_labels_are_scikit_images(mask: np.ndarray) -> None:
    for connectivity in (1, 2):
        found = label_instances(mask.astype(float), connectivity=connectivity)
        np.testing.assert_array_equal(found, skimage_label(mask, connectivity=connectivity))


def test_small_pieces_go_and_numbers_stay_consecutive() -> None:
    foreground = np.array([[1, 0, 1, 1, 0, 1], [0, 0, 1, 1, 0, 1]], float)
    found = label_instances(foreground, min_area_px=2)
    np.testing.assert_array_equal(found, [[0, 0, 1, 1, 0, 2], [0, 0, 1, 1, 0, 2]])


def test_holes_are_filled_but_not_bays() -> None:
    ring = np.ones((5, 5))
    ring[2, 2] = 0
    assert (label_instances(ring, fill_holes=True) == 1).all()
    ring[2, 2:] = 0
    assert (label_instances(ring, fill_holes=True) == 0).sum() == 3


def test_holes_are_filled_up_to_a_size() -> None:
    ring = np.ones((7, 7))
    ring[1, 1] = 0
    ring[3:5, 3:5] = 0
    found = label_instances(ring, fill_holes=True, max_hole_px=3)
    assert found[1, 1] == 1
    assert (found == 0).sum() == 4
    assert (label_instances(ring, fill_holes=True, max_hole_px=4) == 1).all()
    with pytest.raises(ValueError, match="max_hole_px"):
        label_instances(ring, fill_holes=True, max_hole_px=0)


def test_an_empty_foreground_has_no_instance() -> None:
    assert not label_instances(np.zeros((4, 4)), min_area_px=5, fill_holes=True).any()


@pytest.mark.parametrize("axes", [1, 2, 3])
@given(st.data(), st.booleans(), st.sampled_from([0, 1, 2, 5]), st.integers(1, 3))
def test_instances_are_scipys(
    axes: int, data: st.DataObject, fill_holes: bool, min_area: int, connectivity: int
) -> None:
    side = {1: 60, 2: 19, 3: 8}[axes]
    mask = data.draw(arrays(bool, array_shapes(min_dims=axes, max_dims=axes, max_side=side)))
    how: dict[str, Any] = {
        "fill_holes": fill_holes,
        "min_area_px": min_area,
        "connectivity": min(connectivity, axes),
    }
    found = label_instances(mask.astype(np.float32), **how)
    np.testing.assert_array_equal(found, scipy_instances(mask, **how))
    assert found.dtype == np.uint32


@pytest.mark.parametrize("share", [0.1, 0.4, 0.6, 0.9])
@pytest.mark.parametrize("fill_holes", [False, True])
def test_noise_is_labelled_as_scipy_does(share: float, fill_holes: bool) -> None:
    foreground = np.random.default_rng(0).random((203, 317)) < share
    for connectivity in (1, 2):
        how: dict[str, Any] = {"fill_holes": fill_holes, "connectivity": connectivity}
        np.testing.assert_array_equal(
            label_instances(foreground, min_area_px=4, **how),
            scipy_instances(foreground, min_area_px=4, **how),
        )


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (2, 0, 3)])
@pytest.mark.parametrize("fill_holes", [False, True])
def test_an_image_without_pixels_has_no_instance(shape: tuple[int, ...], fill_holes: bool) -> None:
    found = label_instances(np.zeros(shape), fill_holes=fill_holes, min_area_px=3)
    assert found.shape == shape
    assert found.dtype == np.uint32


def test_any_layout_in_memory_gives_the_same_instances() -> None:
    foreground = np.random.default_rng(1).random((40, 60))
    wanted = scipy_instances(foreground.T[::2])
    np.testing.assert_array_equal(label_instances(foreground.T[::2]), wanted)
    foreground.flags.writeable = False
    np.testing.assert_array_equal(label_instances(foreground.T[::2]), wanted)


def test_more_axes_than_a_volume_has_are_refused() -> None:
    with pytest.raises(ValueError, match=r"4 axes \(1, 2, 3, 4\): instances are found in"):
        label_instances(np.zeros((1, 2, 3, 4)))
