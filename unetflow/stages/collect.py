"""Rule collect: the tables of all images as one, and their summary."""

from collections.abc import Sequence
from pathlib import Path

from unetflow.evaluate.pooling import read_scores, summarise_scores
from unetflow.evaluate.tables import STACK_COLUMNS, as_csv, join_tables
from unetflow.store.files import write_whole


def collect_metrics(
    *,
    tables: Sequence[str | Path],
    stacks: Sequence[str | Path],
    table: str | Path,
    stack_table: str | Path,
    summary: str | Path,
) -> None:
    """Rule collect: the tables of all images as one, those of all stacks, and a summary.

    The summary has the mean over images and the pooled score of each metric, each with its 95 %
    interval: `unetflow.evaluate.pooling.summarise_scores`.
    """
    join_tables(tables, table)
    join_tables(stacks, stack_table, STACK_COLUMNS)
    write_whole(summary, as_csv(summarise_scores(read_scores(table))))
