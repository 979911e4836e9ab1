"""Rule evaluate_stack: slices of one stack scored together, as the ISBI 2012 challenge did."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dask
import pandas as pd

from unetflow.evaluate.image_scores import Truth
from unetflow.evaluate.stack_scores import STACK_COLUMNS, STACK_SCORES, StackScore
from unetflow.metrics import CHALLENGE_THRESHOLDS, best_of_thresholds, scores_by_threshold
from unetflow.provenance.records import RunRecord
from unetflow.stages.calibrate import chosen_thresholds
from unetflow.store.files import write_whole


def evaluate_stack(
    *,
    images: Sequence[str | Path],
    predictions: Sequence[str | Path],
    calibration: str | Path,
    table: str | Path,
    facts: Mapping[str, Any],
    threads: int,
) -> None:
    """Rule evaluate_stack: the challenge's numbers of the slices of one stack, as CSV.

    Beside each, the best of the challenge's 11 thresholds, stands the value at the threshold that
    the validation images chose for this score (none without validation images). Slices may differ
    in size; one at a time is in memory. `facts` are the first three of `STACK_COLUMNS`.
    """
    record = RunRecord(table)
    chosen = chosen_thresholds(calibration)
    every = sorted({*CHALLENGE_THRESHOLDS, *chosen.values()})
    with dask.config.set(num_workers=threads):
        truths = [Truth(image, "interior") for image in images]
        foregrounds = [
            truth.foreground_of(each) for truth, each in zip(truths, predictions, strict=True)
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
        [
            {
                **{"score": score.name, "better": "higher" if score.higher_is_better else "lower"},
                **_at_chosen(score, chosen.get(score.chosen_by), at),
                **{"best_of_11": best[score.name]},
                **{"best_threshold": best[f"{score.name}_threshold"]},
            }
            for score in STACK_SCORES
        ]
    ).assign(
        **facts,
        slices=len(images),
        thresholds_without_interior=best["thresholds_without_interior"],
    )
    frame = frame.reindex(columns=list(STACK_COLUMNS))
    write_whole(table, frame.to_csv(index=False, lineterminator="\n").encode())
    record.write()


def _at_chosen(
    score: StackScore, threshold: float | None, at: Mapping[float, Mapping[str, float]]
) -> dict[str, float | None]:
    value = None if threshold is None else score.of(at[threshold])
    return {"value": value, "threshold": threshold}
