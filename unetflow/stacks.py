"""Slices of one stack scored together, as the ISBI 2012 challenge scored its stacks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import dask
import pandas as pd

from unetflow.calibration import chosen_thresholds
from unetflow.errors import StoreError
from unetflow.metrics import CHALLENGE_THRESHOLDS, best_of_thresholds, scores_by_threshold
from unetflow.receipts import RunRecord, write_whole
from unetflow.scoring import Truth

STACK_COLUMNS = (
    *("experiment", "fold", "stack", "slices", "score", "better"),
    *("value", "threshold"),  # at the threshold that the validation images chose
    *("best_of_11", "best_threshold"),  # optimistic: chosen on these very slices
    "thresholds_without_interior",  # of the 11; nothing splits or merges there
)


class StackScore(NamedTuple):
    """One number of `unetflow.metrics.isbi2012_scores`, and what chooses its threshold."""

    name: str  # in `isbi2012_scores`
    column: str  # in `scores_by_threshold`
    chosen_by: tuple[str, str]  # metric and variant of the calibration
    meaning: str  # in the report

    @property
    def higher_is_better(self) -> bool:
        return self.name.endswith("_max")

    def of(self, row: Mapping[str, float]) -> float:
        """The number at one threshold."""
        return 1 - row[self.column] if self.name.endswith("_2012") else row[self.column]


STACK_SCORES = (
    StackScore(
        *("v_rand_thinned_macro_max", "v_rand_thinned_macro", ("v_rand", "thinned")),
        "V_Rand, thinned, mean over slices: official since 2015",
    ),
    StackScore(
        *("v_info_thinned_macro_max", "v_info_thinned_macro", ("v_info", "thinned")),
        "V_Info, thinned, mean over slices: official since 2015",
    ),
    StackScore(
        *("rand_error_2012", "v_rand_pooled", ("v_rand", "unthinned")),
        "Rand error of 2012: 1 - V_Rand, unthinned, pooled",
    ),
    StackScore(
        *("splits_mergers_min", "splits_mergers", ("splits_mergers", "")),
        "Splits and mergers: the U-Net paper's warping error",
    ),
    StackScore(
        *("pixel_error_2012", "pixel_f", ("dice", "")),
        "Pixel error of 2012: 1 - F-score of interior pixels",
    ),
    StackScore(
        *("v_rand_thinned_pooled_max", "v_rand_thinned_pooled", ("v_rand", "thinned")),
        "V_Rand, thinned, pooled",
    ),
    StackScore(
        *("v_info_macro_max", "v_info_macro", ("v_info", "unthinned")),
        "V_Info, unthinned, mean over slices",
    ),
    StackScore(
        *("warping_error_min", "warping_error", ("warping_error", "")),
        "Warping error, mismatches of all types",
    ),
    StackScore(
        *("pixel_error_min", "pixel_error", ("pixel_error", "")), "Wrong pixels / all pixels"
    ),
)


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


def read_stacks(path: str | Path) -> pd.DataFrame:
    """The table of all stacks. Raises StoreError where it cannot be read."""
    try:
        return pd.read_csv(path, dtype={"experiment": str, "fold": str, "stack": str})
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: not a readable table of stacks ({error}). Delete it and run the same "
            "command again: it is collected from the stacks' tables."
        ) from error


def describe_stacks(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Each stack with its scores as text, for the report."""
    meanings = {score.name: score for score in STACK_SCORES}
    stacks = []
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
        return "undefined" if pd.isna(value) else format(value, form)

    return {
        "name": score.meaning,
        "arrow": "↑" if row["better"] == "higher" else "↓",
        "value": "" if pd.isna(row["threshold"]) else text(row["value"], ".4f"),
        "threshold": text(row["threshold"], "g"),
        "best": text(row["best_of_11"], ".4f"),
        "best_threshold": text(row["best_threshold"], ".2g"),
    }
