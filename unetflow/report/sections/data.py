"""The images that were used, and what is odd in them."""

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from unetflow.report.kinds import Kind, by_kind

APART = "; "  # between the problems of an image


@dataclass(frozen=True, slots=True)
class Data:
    columns: list[str]  # the image's name first, without its problems
    rows: list[dict[str, str]]
    odd: int  # images with problems
    kinds: list[Kind]  # of these problems
    splits: dict[str, int]  # images of each


def data(table: pd.DataFrame) -> Data:
    """Of the table of integrity, all cells as text."""
    rows: list[dict[str, str]] = [
        dict(zip(table.columns, cells, strict=True)) for cells in table.itertuples(index=False)
    ]
    columns = [name for name in table.columns if name != "problems"]
    said = [
        (row["image"], problem)
        for row in rows
        if row["problems"]
        for problem in row["problems"].split(APART)
    ]
    splits = Counter(row["split"] for row in rows)
    odd = sum(bool(row["problems"]) for row in rows)
    return Data(columns, rows, odd, by_kind(said), splits)
