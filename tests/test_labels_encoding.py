"""Truth: touching instances, membranes, values without a meaning."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from unetflow.errors import LabelsError
from unetflow.labels.encoding import separate_touching
from unetflow.labels.reading import Meaning, read_truth


def test_touching_instances_lose_the_pixels_where_they_touch() -> None:
    labels = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [1, 1, 0, 2]], np.uint32)
    wanted = [[1, 0, 0, 2], [1, 0, 0, 2], [1, 1, 0, 2]]
    np.testing.assert_array_equal(separate_touching(labels), wanted)


@given(arrays(np.uint8, (7, 8), elements={"min_value": 0, "max_value": 3}))
def test_no_two_instances_touch_afterwards_and_names_do_not_matter(labels: np.ndarray) -> None:
    separated = separate_touching(labels)
    components, count = ndimage.label(separated)
    for component in range(1, count + 1):
        assert len(np.unique(separated[components == component])) == 1
    renamed = np.array([0, 7, 2, 200], np.uint8)
    np.testing.assert_array_equal(separate_touching(renamed[labels]), renamed[separated])


def test_separation_looks_at_direct_neighbours_only() -> None:
    labels = np.random.default_rng(0).integers(0, 4, (30, 20))
    whole = separate_touching(labels)
    np.testing.assert_array_equal(
        separate_touching(labels[9:22, 4:17])[1:-1, 1:-1], whole[10:21, 5:16]
    )


def test_interior_truth_becomes_its_components() -> None:
    values = np.array([[255, 0, 255], [255, 0, 255], [0, 255, 0]], np.uint8)
    labels, ignored = read_truth(values, Meaning("interior"), "t.tif")
    np.testing.assert_array_equal(labels, [[1, 0, 2], [1, 0, 2], [0, 3, 0]])
    assert labels.dtype == np.uint32
    assert not ignored.any()


def test_ignored_pixels_are_background_and_marked() -> None:
    values = np.array([[1, 1, 9], [2, 9, 9]], np.uint8)
    labels, ignored = read_truth(values, Meaning("instances", 9), "t.tif")
    np.testing.assert_array_equal(labels, [[1, 1, 0], [2, 0, 0]])
    np.testing.assert_array_equal(ignored, values == 9)


def test_an_unknown_value_names_file_value_and_remedy() -> None:
    with pytest.raises(
        LabelsError, match=r"t\.tif: holds the values 0, 7, 255; .* Set the dataset"
    ):
        read_truth(np.array([[0, 7, 255]]), Meaning("interior"), "t.tif")


def test_labels_that_are_no_whole_numbers_are_refused() -> None:
    with pytest.raises(LabelsError, match=r"float64 values that are no whole numbers"):
        read_truth(np.array([[0.5, 1.0]]), Meaning("instances"), "t.tif")


def test_labels_beyond_uint32_are_refused() -> None:
    with pytest.raises(LabelsError, match="Renumber"):
        read_truth(np.array([[0, 2**32]]), Meaning("instances"), "t.tif")
    with pytest.raises(LabelsError, match="from -1 to 3"):
        read_truth(np.array([[-1, 3]]), Meaning("instances"), "t.tif")
