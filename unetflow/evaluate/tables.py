"""Tables of scores: their columns, and several as one."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from unetflow.store.files import write_whole

SUMS = ("ab", "a", "b", "z", "n", "iou_sum", "objects")
"""The sums behind a score, for pooling: what each is, `unetflow.evaluate.catalogue.Sums` says."""
COLUMNS = (
    "experiment",
    "fold",
    "image",
    "split",
    "group",
    "method",
    "metric",
    "variant",
    "class",
    "threshold",
    "chosen",
    "value",
    *SUMS,
)
STACK_COLUMNS = (
    "experiment",
    "fold",
    "stack",
    "slices",
    "score",
    "better",
    "value",
    "threshold",  # that the validation images chose: the value's
    "best_of_11",
    "best_threshold",  # optimistic: chosen on these very slices
    "thresholds_without_interior",  # of the 11; nothing splits or merges there
)
STACK_NUMBERS = (
    "slices",
    "value",
    "threshold",
    "best_of_11",
    "best_threshold",
    "thresholds_without_interior",
)


def join_tables(
    tables: Sequence[str | Path], output: str | Path, columns: Sequence[str] = COLUMNS
) -> None:
    """Tables one below the other, cell by cell as they stand; without any their `columns` alone."""
    frames = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in tables]
    joined = pd.concat(frames) if frames else pd.DataFrame(columns=list(columns))
    write_whole(output, as_csv(joined))


def read_table(path: str | Path, numbers: Sequence[str]) -> pd.DataFrame:
    """A table with these columns as numbers, NaN where a cell is empty, and the others as text.

    Text stays what it is: an image may be called NA or null, which pandas takes for missing.
    Raises OSError and ValueError for what is no table, KeyError where a column of numbers is not
    there.
    """
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    return frame.assign(**{name: _numbers(frame[name]) for name in numbers})


def _numbers(column: pd.Series) -> pd.Series:
    found = pd.to_numeric(column)
    if not pd.api.types.is_numeric_dtype(found):  # of empty cells beside integers of 64 bits
        return column.replace("", "nan").astype(float)
    return found


def as_csv(frame: pd.DataFrame) -> bytes:
    """A table as the pipeline writes it: without an index, lines that end as on Linux."""
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text.encode()
