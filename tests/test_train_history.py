"""What the history of a training says: its table, and whether more steps may help."""

import math

import pytest

from unetflow.networks.description import Best
from unetflow.train.history import Row, is_better, rising_by


def history(*scores: float | None, every: int = 10) -> list[Row]:
    """A validation every so many steps; None and the steps between have none."""
    return [
        {
            "step": step,
            "loss": 1.0,
            "learning_rate": 0.1,
            "elapsed_s": 0.0,
            "validation_loss": None,
            "validation_iou": scores[step // every - 1] if step % every == 0 else None,
        }
        for step in range(1, every * len(scores) + 1)
    ]


def test_a_score_that_rises_in_the_last_quarter_is_still_rising() -> None:
    assert rising_by(history(0.2, 0.5, 0.6, 0.7)) == pytest.approx(0.1)
    assert rising_by(history(0.2, 0.6, 0.5, 0.5, 0.55, 0.6, 0.62, 0.66)) == pytest.approx(0.06)


@pytest.mark.parametrize(
    "scores",
    [
        (0.2, 0.7, 0.704, 0.704),  # flat
        (0.2, 0.5, 0.6, 0.8, 0.79),  # the best one is before the end
        (0.9, 0.5, 0.6, 0.7),  # an early one is better
        (0.4,),  # nothing to compare with
        (None, None),
        (),
    ],
)
def test_others_are_not(scores: tuple[float | None, ...]) -> None:
    assert rising_by(history(*scores)) is None


@pytest.mark.parametrize(
    ("best", "loss", "iou", "better"),
    [
        ({"step": 5, "validation_iou": None}, 1.0, 0.0, True),  # the first
        (
            {"step": 5, "validation_iou": math.nan, "validation_loss": math.nan},
            math.nan,
            math.nan,
            True,
        ),
        ({"step": 5, "validation_iou": math.nan, "validation_loss": 1.0}, 2.0, math.nan, False),
        ({"step": 5, "validation_iou": math.nan, "validation_loss": 1.0}, 0.9, 0.0, True),
        ({"step": 5, "validation_iou": math.nan, "validation_loss": 1.0}, 1.1, 0.0, False),
        ({"step": 5, "validation_iou": 0.0, "validation_loss": 1.0}, 0.9, math.nan, True),
        ({"step": 5, "validation_iou": 0.0, "validation_loss": 1.0}, 0.9, 0.0, True),
        ({"step": 5, "validation_iou": 0.0, "validation_loss": 1.0}, 1.1, 0.0, False),
        ({"step": 5, "validation_iou": 0.0, "validation_loss": 1.0}, 1.1, 0.1, True),
        ({"step": 5, "validation_iou": 0.5, "validation_loss": 1.0}, 0.9, 0.5, False),
        ({"step": 5, "validation_iou": 0.5, "validation_loss": 1.0}, 0.9, 0.0, False),
    ],
)
def test_the_best_has_the_highest_iou_and_while_nothing_is_found_the_lowest_loss(
    best: Best, loss: float, iou: float, better: bool
) -> None:
    assert is_better(best, loss, iou) is better
