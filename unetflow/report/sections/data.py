"""The images that were used, and what is odd in them."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, slots=True)
class Data:
    columns: list[str]  # the image's name first, without its problems
    rows: list[dict[str, str]]
    odd: list[dict[str, str]]  # rows with problems


def data(table: pd.DataFrame) -> Data:
    """Of the table of integrity, all cells as text."""
    rows: list[dict[str, str]] = [
        dict(zip(table.columns, cells, strict=True)) for cells in table.itertuples(index=False)
    ]
    columns = [name for name in table.columns if name != "problems"]
    return Data(columns, rows, [row for row in rows if row["problems"]])
