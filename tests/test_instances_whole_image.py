"""Instances of a foreground."""

import numpy as np
from hypothesis import given
from hypothesis.extra.numpy import arrays
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


def test_an_empty_foreground_has_no_instance() -> None:
    assert not label_instances(np.zeros((4, 4)), min_area_px=5, fill_holes=True).any()
