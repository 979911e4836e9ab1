"""What the values of an annotation mean, whatever type of number they are."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from unetflow.errors import LabelsError
from unetflow.images.slide import Slide
from unetflow.labels.reading import Meaning, label_reader, read_truth, ringed

TYPES = ("u1", "u2", "u4", "u8", "i2", "i4", "i8", "f4", "f8")
MARKS = {"u1": 255, "u2": 65535, "u4": 2**32 - 1, "u8": 2**64 - 1, "f4": 2**64 - 1, "f8": -1}


def read(values: object, dtype: str, ignore_value: int | None = None) -> list[list[int]]:
    """Labels as a list, ignored pixels as -1."""
    given = np.array(values).astype(dtype)
    labels, ignored = read_truth(given, Meaning("instances", ignore_value), "t.tif")
    assert labels.dtype == np.uint32
    return [list(map(int, row)) for row in np.where(ignored, -1, labels.astype(np.int64))]


@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_of_each_type_are_taken_as_they_are(dtype: str) -> None:
    assert read([[0, 1, 3], [100, 7, 0]], dtype) == [[0, 1, 3], [100, 7, 0]]
    # a value that the type does not have marks no pixel
    for other in (-1, 2**64 - 1):
        assert read([[0, 1, 3]], dtype, other) == [[0, 1, 3]]


@pytest.mark.parametrize("dtype", TYPES)
def test_the_ignore_value_may_be_what_no_label_can_be(dtype: str) -> None:
    mark = MARKS.get(dtype, -1)
    values = np.array([[0, 1, 3], [2, 7, 0]], dtype)
    values[1, 1] = mark
    assert read(values, dtype, mark) == [[0, 1, 3], [2, -1, 0]]
    assert read(np.full((2, 2), mark, dtype), dtype, mark) == [[-1, -1], [-1, -1]]


def test_a_mask_of_true_and_false_has_no_pixel_of_a_large_ignore_value() -> None:
    assert read([[True, False]], "?", 2**64 - 1) == [[1, 0]]


@pytest.mark.parametrize(
    ("mark", "dtype", "value"), [(2**64 - 1, "u8", "18446744073709551615"), (-1, "i4", "-1")]
)
def test_a_mark_that_is_not_named_is_refused_with_the_key_that_names_it(
    mark: int, dtype: str, value: str
) -> None:
    values = np.array([[0, 3]], dtype)
    values[0, 0] = mark
    with pytest.raises(
        LabelsError, match=rf"where {value} means .* set the dataset's ignore_value"
    ):
        read(values, dtype)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.5])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_what_is_no_whole_number_is_refused(dtype: str, value: float) -> None:
    with pytest.raises(LabelsError, match="values that are no whole numbers.*ignore_value"):
        read([[0, 1, value]], dtype)


def test_floats_that_lack_whole_numbers_are_refused() -> None:
    assert read([[0, 2**24 - 1]], "f4") == [[0, 2**24 - 1]]
    with pytest.raises(LabelsError, match=r"float32 values up to 16777216, but from 16777216 on"):
        read([[0, 2**24 + 1]], "f4")  # becomes 2^24 where it is saved
    assert read([[0, 2**24 + 1]], "f8") == [[0, 2**24 + 1]]


@pytest.mark.parametrize("value", [255, 65535])
def test_a_mask_as_classes_is_told_its_way_out(value: int) -> None:
    values = np.array([[0, value]], np.uint16)
    with pytest.raises(LabelsError, match=rf"Write 1 in place of {value} .* truth to interior"):
        read_truth(values, Meaning("classes"), "t.tif")
    with pytest.raises(LabelsError, match="names 2 classes, 1 to 2. Name all"):
        read_truth(values, Meaning("classes", classes=2), "t.tif")


def test_half_floats_hold_small_numbers() -> None:
    assert read([[0, 1, 2047]], "f2", 7) == [[0, 1, 2047]]
    with pytest.raises(LabelsError, match="holds values from -1 to 3; .* where -1 means"):
        read([[-1, 3]], "f2")


@pytest.mark.parametrize("kind", ["interior", "classes"])
def test_other_kinds_of_truth_ignore_alike(kind: str) -> None:
    values = np.array([[0, 1, 1, -1]], np.int16)
    labels, ignored = read_truth(values, Meaning(kind, -1), "t.tif")
    np.testing.assert_array_equal(labels, [[0, 1, 1, 0]])
    np.testing.assert_array_equal(ignored, [[False, False, False, True]])


def test_one_value_is_inside_and_all_others_are_membrane() -> None:
    values = np.array([[0, 0, 1, 0, 255, 7]], np.uint8)
    labels, ignored = read_truth(values, Meaning("interior", 7, inside=0), "t.tif")
    assert labels.tolist() == [[1, 1, 0, 2, 0, 0]]
    assert ignored.tolist() == [[False] * 5 + [True]]
    labels, _ = read_truth(values > 0, Meaning("interior", inside=0), "t.tif")
    assert labels.tolist() == [[1, 1, 0, 2, 0, 0]]


@pytest.mark.parametrize("ring_px", [0.5, 2, 3.7, 40])
def test_what_is_far_from_every_object_is_ignored_in_any_blocks(ring_px: float) -> None:
    labels = np.zeros((70, 90), np.uint32)
    labels[10:20, 30:34], labels[15, 36], labels[69, 89] = 3, 4, 5
    marked = np.zeros(labels.shape, bool)
    marked[12:30, 20:30] = True
    read = ringed(lambda y, x: (labels[y, x], marked[y, x]), labels.shape, ring_px)
    objects = np.argwhere(labels)
    pixels = np.indices(labels.shape).reshape(2, -1).T
    nearest = np.sqrt(((pixels[:, None] - objects[None]) ** 2).sum(axis=2)).min(axis=1)
    wanted = (nearest.reshape(labels.shape) > ring_px) | marked
    for step in (16, 33, 90):
        for top, left in itertools.product(range(0, 70, step), range(0, 90, step)):
            block = slice(top, min(top + step, 70)), slice(left, min(left + step, 90))
            found, ignored = read(*block)
            np.testing.assert_array_equal(found, labels[block])
            np.testing.assert_array_equal(ignored, wanted[block])
    assert wanted.sum() > marked.sum() or ring_px == 40


def test_nothing_is_annotated_where_there_is_no_object() -> None:
    nothing = np.zeros((8, 9), np.uint32)
    labels, ignored = ringed(lambda y, x: (nothing[y, x], nothing[y, x] > 0), (8, 9), 3)(
        slice(0, 8), slice(0, 9)
    )
    assert ignored.all() and not labels.any()


def test_any_region_of_an_interior_has_the_numbers_of_the_whole(tmp_path: Path) -> None:
    inside = np.random.default_rng(3).random((1100, 1300)) < 0.5
    np.save(tmp_path / "t.npy", inside)
    with Slide(tmp_path / "t.npy", as_labels=True) as slide:
        reads = label_reader(slide, [inside.shape], inside.shape, Meaning("interior"))
        whole, _ = ndimage.label(inside)
        for region in ((slice(1000, 1060), slice(900, 1290)), (slice(7, 9), slice(3, 1300))):
            labels, ignored = reads(*region)
            np.testing.assert_array_equal(labels, whole[region])
            assert not ignored.any()
