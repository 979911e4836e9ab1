"""What the values of an annotation mean, whatever type of number they are."""

import numpy as np
import pytest

from unetflow.errors import LabelsError
from unetflow.labels.reading import read_truth

TYPES = ("u1", "u2", "u4", "u8", "i2", "i4", "i8", "f4", "f8")
MARKS = {"u1": 255, "u2": 65535, "u4": 2**32 - 1, "u8": 2**64 - 1, "f4": 2**64 - 1, "f8": -1}


def read(values: object, dtype: str, ignore_value: int | None = None) -> list[list[int]]:
    """Labels as a list, ignored pixels as -1."""
    given = np.array(values).astype(dtype)
    labels, ignored = read_truth(given, "instances", ignore_value, "t.tif")
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
        read_truth(values, "classes", None, "t.tif")
    with pytest.raises(LabelsError, match="names 2 classes, 1 to 2. Name all"):
        read_truth(values, "classes", None, "t.tif", classes=2)


def test_half_floats_hold_small_numbers() -> None:
    assert read([[0, 1, 2047]], "f2", 7) == [[0, 1, 2047]]
    with pytest.raises(LabelsError, match="holds values from -1 to 3; .* where -1 means"):
        read([[-1, 3]], "f2")


@pytest.mark.parametrize("kind", ["interior", "classes"])
def test_other_kinds_of_truth_ignore_alike(kind: str) -> None:
    values = np.array([[0, 1, 1, -1]], np.int16)
    labels, ignored = read_truth(values, kind, -1, "t.tif")
    np.testing.assert_array_equal(labels, [[0, 1, 1, 0]])
    np.testing.assert_array_equal(ignored, [[False, False, False, True]])
