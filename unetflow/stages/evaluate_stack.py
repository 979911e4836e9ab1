"""Rule evaluate_stack: slices of one stack scored together, as the ISBI 2012 challenge did."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import dask
import pandas as pd

from unetflow.evaluate.choosing import chosen_thresholds
from unetflow.evaluate.image_scores import Truth
from unetflow.evaluate.stack_scores import STACK_SCORES, StackScore
from unetflow.evaluate.tables import STACK_COLUMNS, as_csv, join_tables
from unetflow.labels.dataset import Dataset
from unetflow.metrics import CHALLENGE_THRESHOLDS, best_of_thresholds, scores_by_threshold
from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.schemas import Calibration
from unetflow.provenance.shard_lists import Stored, unchanged
from unetflow.store.files import write_whole
from unetflow.store.names import FOREGROUND

MEMBRANES = Dataset(kind="interior", classes=("interior",))


def evaluate_stack(
    *,
    images: Sequence[str | Path],
    predictions: Sequence[str | Path],
    stored: Sequence[Stored],
    calibration: str | Path,
    table: str | Path,
    facts: Mapping[str, str],
    foreground: str = FOREGROUND,
    threads: int,
) -> None:
    """Rule evaluate_stack: the challenge's numbers of the slices of one stack, as CSV.

    Beside each, the best of the challenge's 11 thresholds, stands the value at the threshold that
    the validation images chose for this score (none without validation images). Slices may differ
    in size; one at a time is in memory. Without any the table has no rows. `stored` are all stores
    that are read, with the receipts that tell of them, `facts` are the first three of
    `STACK_COLUMNS`; `foreground` is the array that is scored.
    """
    record = RunRecord(table)
    if not images:  # all slices failed
        join_tables([], table, STACK_COLUMNS)
        return
    chosen = chosen_thresholds(read_receipt(calibration, Calibration)["thresholds"])
    every = sorted({*CHALLENGE_THRESHOLDS, *chosen.values()})
    with unchanged(*stored), dask.config.set(num_workers=threads):
        truths = [Truth(image, MEMBRANES) for image in images]
        foregrounds = [
            truth.foreground_of(each, foreground)
            for truth, each in zip(truths, predictions, strict=True)
        ]
        rows = scores_by_threshold(
            [truth.interior for truth in truths],
            foregrounds,
            every,
            ignore=[truth.ignore for truth in truths],
        )
    at = {row["threshold"]: row for row in rows}
    best = best_of_thresholds([at[threshold] for threshold in CHALLENGE_THRESHOLDS])
    frame = pd.DataFrame(
        [_row(score, best, at, chosen.get(score.chosen_by)) for score in STACK_SCORES]
    ).assign(
        **facts,
        slices=len(images),
        thresholds_without_interior=best["thresholds_without_interior"],
    )
    write_whole(table, as_csv(frame.reindex(columns=list(STACK_COLUMNS))))
    record.write()


def _row(
    score: StackScore,
    best: Mapping[str, float],
    at: Mapping[float, Mapping[str, float]],
    threshold: float | None,
) -> dict[str, str | float | None]:
    """A number of the stack: the best of all, and at the threshold that was chosen for it."""
    return {
        "score": score.name,
        "better": score.better,
        "value": None if threshold is None else score.of(at[threshold]),
        "threshold": threshold,
        "best_of_11": best[score.name],
        "best_threshold": best[f"{score.name}_threshold"],
    }
