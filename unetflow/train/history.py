"""The history of a training: a row for each step."""

import csv
import io
from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor


class Row(TypedDict):
    """A step in the history of a training."""

    step: int
    loss: Tensor | float  # a tensor until it is needed: a GPU is not waited for
    learning_rate: float
    elapsed_s: float
    validation_loss: float | None
    validation_iou: float | None


COLUMNS = tuple(Row.__annotations__)


def as_csv(history: Sequence[Row]) -> bytes:
    """The table, with a line for the names of its columns; what is not known is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue().encode()
