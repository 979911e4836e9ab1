"""Merged, split, misshapen, missed, spurious: one kind for every object."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from unetflow import metrics
from unetflow.metrics.object_errors import ERRORS, KINDS_OF_PREDICTION, KINDS_OF_TRUTH

shapes = hnp.array_shapes(min_dims=1, max_dims=3, max_side=6)
pairs_of_labels = shapes.flatmap(
    lambda shape: st.tuples(
        *(hnp.arrays(np.uint8, shape, elements=st.integers(0, 5)) for _ in range(2))
    )
)


def row(text: str) -> NDArray[np.uint8]:
    """Labels of one row: a digit a pixel."""
    return np.array([[int(digit) for digit in text.replace(".", "0")]], np.uint8)


CASES = {
    # truth, prediction, kinds of the true objects, kinds of the predicted ones
    "found": ("1111", "555.", "found", "found"),
    "half is found": ("1111", "55..", "found", "found"),
    "merged": ("11.22", "55555", "merged merged", "merged"),
    "swallowed by another's match": ("111122", "555555", "found merged", "found"),
    "split": ("1111111111", "555.666.77", "split", "split split split"),
    "a surplus piece": ("1111111111", "555555.666", "found", "found split"),
    "too small": ("1111111111", "....5.....", "misshapen", "misshapen"),
    "too large": ("..11......", "5555555555", "misshapen", "misshapen"),
    "a speck shows nothing": ("11111111111", "5..........", "missed", "spurious"),
    "a speck is no part": ("11111111111", "5....6666..", "misshapen", "split misshapen"),
    "missed": ("11..", "....", "missed", ""),
    "spurious": ("....", "..55", "", "spurious"),
    "over none by more than half": ("11..22", ".5555.", "missed missed", "spurious"),
}


@pytest.mark.parametrize(
    ("truth", "prediction", "of_truth", "of_prediction"), CASES.values(), ids=CASES
)
def test_objects_have_the_kind_that_the_rules_say(
    truth: str, prediction: str, of_truth: str, of_prediction: str
) -> None:
    kinds = metrics.kinds_of_objects(row(truth), row(prediction))
    assert " ".join(kinds.truth_kinds) == of_truth
    assert " ".join(kinds.predicted_kinds) == of_prediction


def test_the_example_of_the_docstring() -> None:
    kinds = metrics.kinds_of_objects(row("1111223.."), row("5.66777.8"))
    assert kinds.truth_kinds.tolist() == ["found", "found", "merged"]
    assert kinds.predicted_kinds.tolist() == ["split", "found", "found", "spurious"]


def test_kinds_stand_beside_the_ids_of_the_objects() -> None:
    kinds = metrics.kinds_of_objects(row("9911.."), row("88..77"))
    assert dict(zip(kinds.truth_ids.tolist(), kinds.truth_kinds, strict=True)) == {
        9: "found",
        1: "missed",
    }
    assert dict(zip(kinds.predicted_ids.tolist(), kinds.predicted_kinds, strict=True)) == {
        8: "found",
        7: "spurious",
    }


def test_ignored_pixels_are_of_no_object() -> None:
    truth, predicted = row("1111.22"), row("5555577")
    assert metrics.object_errors(truth, predicted).merged == 0
    ignore = row("....111")
    found = metrics.object_errors(truth, predicted, ignore=ignore)
    assert (found.truth_objects, found.predicted_objects, found.found) == (1, 1, 1)


@given(pairs_of_labels)
def test_every_object_has_one_kind_and_the_counts_add_up(
    pair: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> None:
    truth, predicted = pair
    kinds, errors = metrics.kinds_of_objects(*pair), metrics.object_errors(*pair)
    assert set(kinds.truth_ids.tolist()) == set(np.unique(truth).tolist()) - {0}
    assert set(kinds.predicted_ids.tolist()) == set(np.unique(predicted).tolist()) - {0}
    assert set(kinds.truth_kinds) <= set(KINDS_OF_TRUTH)
    assert set(kinds.predicted_kinds) <= set(KINDS_OF_PREDICTION)
    for kind in ERRORS[:-1]:
        assert getattr(errors, kind) == (kinds.truth_kinds == kind).sum()
    assert errors.spurious == (kinds.predicted_kinds == "spurious").sum()
    matched = metrics.matching_sums(*pair)
    assert errors.found == matched.true_positives == (kinds.truth_kinds == "found").sum()
    assert errors.found == (kinds.predicted_kinds == "found").sum()
    assert errors.truth_objects == matched.truth_objects


@given(pairs_of_labels, st.permutations(range(1, 6)), st.permutations(range(1, 6)))
def test_other_numbers_change_nothing(
    pair: tuple[NDArray[np.uint8], NDArray[np.uint8]], one: list[int], other: list[int]
) -> None:
    renamed = [
        np.array([0, *numbers])[labels] for numbers, labels in zip((one, other), pair, strict=True)
    ]
    before, after = metrics.kinds_of_objects(*pair), metrics.kinds_of_objects(*renamed)
    assert before.truth_kinds.tolist() == after.truth_kinds.tolist()
    assert before.predicted_kinds.tolist() == after.predicted_kinds.tolist()
    assert after.truth_ids.tolist() == np.array([0, *one])[before.truth_ids].tolist()


@given(hnp.arrays(np.uint8, shapes, elements=st.integers(0, 5)))
def test_the_truth_is_found_in_itself_and_missed_in_nothing(labels: NDArray[np.uint8]) -> None:
    itself = metrics.object_errors(labels, labels)
    assert itself.found == itself.predicted_objects == itself.truth_objects
    nothing = metrics.object_errors(labels, np.zeros_like(labels))
    assert nothing.missed == nothing.truth_objects == itself.truth_objects
    assert metrics.object_errors(np.zeros_like(labels), labels).spurious == itself.truth_objects


def test_errors_of_images_add_up() -> None:
    one = metrics.object_errors(row("11.22"), row("55555"))
    other = metrics.object_errors(row("1111."), row("555.6"))
    total = one + other
    assert (total.truth_objects, total.predicted_objects) == (3, 3)
    assert (total.found, total.merged, total.spurious) == (1, 2, 1)
