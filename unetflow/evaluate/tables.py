"""Tables of scores: their columns, and several as one."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from unetflow.store.files import write_whole

COLUMNS = (
    *("experiment", "fold", "image", "split", "group", "method"),  # what was scored
    *("metric", "variant", "class", "threshold", "chosen", "value"),  # how, and the score
    *(
        "ab",
        "a",
        "b",
        "z",
        "n",
        "iou_sum",
        "objects",
    ),  # the sums behind it: `unetflow.evaluate.pooling`
)


def join_tables(
    tables: Sequence[str | Path], output: str | Path, columns: Sequence[str] = COLUMNS
) -> None:
    """Tables one below the other, cell by cell as they stand; without any their `columns` alone."""
    frames = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in tables]
    write_whole(
        output, as_csv(pd.concat(frames) if frames else pd.DataFrame(columns=list(columns)))
    )


def as_csv(frame: pd.DataFrame) -> bytes:
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text.encode()
