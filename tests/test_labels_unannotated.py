"""Objects that nobody annotated are seen where the annotated ones say how such look."""

import numpy as np
import pytest

from unetflow.labels.unannotated import Seen, objects_seen

SQUARES = np.kron(np.arange(1, 65).reshape(8, 8), np.pad(np.ones((9, 9), int), 4))
"""64 objects of 9 px, 8 px apart."""
NOWHERE = np.zeros(SQUARES.shape, bool)


def image(bright: int = 1) -> np.ndarray:
    """Two channels: noise, and noise with the objects bright or dark in it."""
    noise = np.random.default_rng(1).normal(0, 5, (2, *SQUARES.shape))
    noise[1] += 40 * bright * (SQUARES > 0)
    return noise


@pytest.mark.parametrize("bright", [1, -1])
@pytest.mark.parametrize(("annotated", "far_more"), [(64, False), (40, False), (20, True)])
def test_what_is_like_the_annotated_objects_is_counted(
    annotated: int, far_more: bool, bright: int
) -> None:
    labels = np.where(annotated >= SQUARES, SQUARES * 2**25, 0).astype(np.uint32)  # any number
    seen = objects_seen(image(bright), labels, NOWHERE)
    assert seen == Seen(annotated, annotated, 64 - annotated)
    assert seen.far_more == far_more


def test_what_is_ignored_is_not_looked_at() -> None:
    labels = np.where(SQUARES <= 16, SQUARES, 0)
    ignored = NOWHERE.copy()
    ignored[34:] = True  # all but the first two rows
    assert objects_seen(image(), labels, ignored) == Seen(16, 16, 0)


def test_larger_and_smaller_things_are_no_objects() -> None:
    labels = np.where(SQUARES <= 8, SQUARES, 0)
    things = image()
    things[1] = np.where(SQUARES > 8, 0, things[1])
    things[1, 60:130, 5:120] += 40
    things[1, 30:34, 10:12] += 40
    assert objects_seen(things, labels, NOWHERE) == Seen(8, 8, 0)


def test_nothing_is_said_where_gray_values_do_not_tell() -> None:
    labels = np.where(SQUARES <= 20, SQUARES, 0)
    noise = np.random.default_rng(1).normal(0, 5, (1, *SQUARES.shape))
    assert objects_seen(noise, labels, NOWHERE) is None
    assert objects_seen(image(), np.zeros_like(SQUARES), NOWHERE) is None
    specks = np.where(labels[::4, ::4] > 0, labels[::4, ::4], 0)
    assert objects_seen(image()[:, ::4, ::4], specks, NOWHERE[::4, ::4]) is None
