"""The history of a training: a row for each step, and which validation is the best."""

import csv
import io
import math
from collections.abc import Sequence
from typing import TypedDict

from unetflow.networks.description import Best
from unetflow.train.arriving import Arriving


class Row(TypedDict):
    """A step in the history of a training."""

    step: int
    loss: Arriving | float  # on its way until it is needed: a GPU is not waited for
    learning_rate: float
    elapsed_s: float
    validation_loss: float | None
    validation_iou: float | None


LATE = 0.25  # of the steps, at the end
RISE = 0.005  # of IoU: less is within what two seeds differ by
COLUMNS = tuple(Row.__annotations__)


def is_better(best: Best, loss: float, iou: float) -> bool:
    """Whether a validation is better than the best one so far: its IoU is higher.

    Where no object is found yet, or none is there to find (NaN, and 0 where one is found all the
    same), the loss is lower; else the first of all would stay.
    """
    if best["validation_iou"] is None:
        return True
    before, found = (0.0 if math.isnan(of) else of for of in (best["validation_iou"], iou))
    if found == before == 0:
        return not loss >= best["validation_loss"]  # NaN where all is ignored: the last one
    return found > before


def rising_by(history: Sequence[Row]) -> float | None:
    """By how much the validation's IoU was higher at the end than `LATE` of the steps before.

    None where the last validation is not the best, or is better than the best one up to there by
    less than `RISE`: more steps promise nothing then. Needs a validation in both parts.
    """
    scores = [
        (row["step"], row["validation_iou"])
        for row in history
        if row["validation_iou"] is not None and not math.isnan(row["validation_iou"])
    ]
    if not scores:
        return None
    last, best = scores[-1]
    before = [iou for step, iou in scores if step <= (1 - LATE) * last]
    if not before or best < max(iou for _, iou in scores) or best < max(before) + RISE:
        return None
    return best - max(before)


def as_csv(history: Sequence[Row]) -> bytes:
    """The table, with a line for the names of its columns; what is not known is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue().encode()
