"""Scores of many images as one number: mean over images or pooled, with its 95 % interval.

Reads tables as `unetflow.evaluate.tables` has them. Undefined scores (NaN) are left out and
counted. Intervals are percentiles of a bootstrap over images; images of one group (patient, animal,
stack) are drawn together, since they are not independent. A single group has no interval.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from unetflow.errors import StoreError
from unetflow.evaluate.catalogue import Pooling, Sums, row_of
from unetflow.evaluate.tables import SUMS, read_table

NUMBERS = ("threshold", "value", *SUMS)
SUMMARY_COLUMNS = (
    "experiment",
    "method",
    "metric",
    "variant",
    "class",
    "chosen",
    "threshold",
    "reduce",
    "value",
    "low_95",
    "high_95",
    "n",
    "left_out",
    "groups",
)
LEVEL = 0.95
RESAMPLES = 2000
SEED = 2015
Reduce = Literal["mean", "pooled"]
"""Over images: the mean of their scores, or the score of their sums, added."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One number of many images."""

    reduce: Reduce
    value: float  # NaN where no image has a score
    low: float  # of the 95 % interval; NaN with fewer than two groups, as the next
    high: float
    n: int  # images
    left_out: int  # images where the score is undefined
    groups: int  # that are drawn together; an image without group is one by itself

    @property
    def count(self) -> str:
        """n in words, with what was left out."""
        return f"{self.n} ({self.left_out} undefined, left out)" if self.left_out else f"{self.n}"


def mean_over_images(rows: pd.DataFrame) -> Estimate:
    """The mean of column `value`; the rows are of one metric and variant, one per image."""
    defined = rows[rows["value"].notna()]
    by_group = defined["value"].groupby(_groups(defined)).agg(["sum", "count"])
    sums = {name: by_group[name].to_numpy(float) for name in ("sum", "count")}
    return _estimate("mean", sums, lambda s: s["sum"] / s["count"], rows, defined)


def pooled_over_images(rows: pd.DataFrame) -> Estimate | None:
    """The score of the sums of all images, None for a metric that has none."""
    if rows.empty:
        return None
    score = row_of(rows["metric"].iloc[0], rows["variant"].iloc[0]).pooling
    if score is None:
        return None
    defined = rows[rows["value"].notna()]
    by_group = defined[list(SUMS)].astype(float).groupby(_groups(defined)).sum(min_count=1)
    sums = {name: by_group[name].to_numpy() for name in SUMS}
    return _estimate("pooled", sums, score, rows, defined)


def summarise_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """A row per experiment, method, metric, variant, class, choice of threshold, and reduction."""
    keys = ["experiment", "method", "metric", "variant", "class", "chosen"]
    listed = scores["threshold"].where(scores["chosen"] == "list")
    rows = []
    for names, of in scores.groupby([*keys, listed.rename("at")], sort=False, dropna=False):
        for estimate in filter(None, (mean_over_images(of), pooled_over_images(of))):
            thresholds = ", ".join(f"{t:g}" for t in sorted(of["threshold"].dropna().unique()))
            rows.append(
                {
                    **dict(zip(keys, names, strict=False)),
                    "threshold": thresholds,
                    "reduce": estimate.reduce,
                    "value": estimate.value,
                    "low_95": estimate.low,
                    "high_95": estimate.high,
                    "n": estimate.n,
                    "left_out": estimate.left_out,
                    "groups": estimate.groups,
                }
            )
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def read_scores(path: str | Path) -> pd.DataFrame:
    """The table of scores. Raises StoreError where it cannot be read."""
    try:
        return read_table(path, NUMBERS)
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(
            f"{path}: not a readable table of scores ({error}). Delete it and run the same "
            "command again: it is collected from the images' tables."
        ) from error


def _groups(rows: pd.DataFrame) -> pd.Series:
    """What is drawn together: the group, or the image itself."""
    alone = rows["group"] == ""
    return ("group " + rows["group"]).mask(alone, "image " + rows["image"])


def _estimate(
    reduce: Reduce,
    sums: Sums,
    score: Pooling,
    rows: pd.DataFrame,
    defined: pd.DataFrame,
) -> Estimate:
    with np.errstate(invalid="ignore"):  # a group without any object adds nothing
        adds = np.isfinite(score(sums))
    columns = [column[adds] for column in sums.values()]
    groups = int(adds.sum())
    value = low = high = float("nan")
    if groups:
        value = float(
            score({name: column.sum() for name, column in zip(sums, columns, strict=True)})
        )
    if groups > 1:
        from scipy.stats import bootstrap  # more than a second, which few jobs need

        low, high = bootstrap(
            columns,
            lambda *drawn, axis: score(
                {name: column.sum(axis=axis) for name, column in zip(sums, drawn, strict=True)}
            ),
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=100,
            confidence_level=LEVEL,
            method="percentile",
            rng=np.random.default_rng(SEED),
        ).confidence_interval
    return Estimate(
        reduce, value, float(low), float(high), len(defined), len(rows) - len(defined), groups
    )
