"""What the report says of stacks of slices."""

from pathlib import Path
from typing import TypedDict

import pandas as pd

from unetflow.errors import StoreError
from unetflow.evaluate.catalogue import ARROWS, UNDEFINED, row_of
from unetflow.evaluate.stack_scores import STACK_SCORES, StackScore
from unetflow.evaluate.tables import STACK_NUMBERS, read_table

DIGITS = 4  # as the challenge publishes them; of errors that are smaller, those of the metric


class Stack(TypedDict):
    """A stack, as the page shows it."""

    name: str
    slices: int
    empty: int  # thresholds of the 11 without interior
    rows: list[dict[str, str]]  # a number each


def read_stacks(path: str | Path) -> pd.DataFrame:
    """The table of all stacks. Raises StoreError where it cannot be read."""
    try:
        return read_table(path, STACK_NUMBERS)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: not a readable table of stacks ({error}). Delete it and run the same "
            "command again: it is collected from the stacks' tables."
        ) from error


def describe_stacks(table: pd.DataFrame) -> list[Stack]:
    """Each stack with its scores as text, for the report."""
    meanings = {score.name: score for score in STACK_SCORES}
    stacks: list[Stack] = []
    for (experiment, fold, stack), rows in table.groupby(
        ["experiment", "fold", "stack"], sort=False
    ):
        stacks.append(
            {
                "name": f"{experiment}, fold {fold}, stack {stack}",
                "slices": int(rows["slices"].iloc[0]),
                "empty": int(rows["thresholds_without_interior"].iloc[0]),
                "rows": [_as_text(row, meanings[row["score"]]) for _, row in rows.iterrows()],
            }
        )
    return stacks


def _as_text(row: pd.Series, score: StackScore) -> dict[str, str]:
    def text(value: float, form: str) -> str:
        return UNDEFINED if pd.isna(value) else format(value, form)

    digits = f".{max(DIGITS, row_of(*score.chosen_by).digits)}f"
    return {
        "name": score.meaning,
        "arrow": ARROWS[row["better"]],
        "value": "" if pd.isna(row["threshold"]) else text(row["value"], digits),
        "threshold": text(row["threshold"], "g"),
        "best": text(row["best_of_11"], digits),
        "best_threshold": text(row["best_threshold"], ".2g"),
    }
