"""Scores of many images as one number: mean over images or pooled, with its 95 % interval.

Reads tables as `unetflow.evaluate.tables` has them. Undefined scores (NaN) are left out and
counted. Intervals are expanded percentiles of a bootstrap over images (draws without a score left
out); images of one group (patient, animal, stack) are drawn together, since they are not
independent. A single group has no interval.

Source: Hesterberg 2015 (The American Statistician 69, expanded percentiles).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtrit

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
AT_ONCE = 100  # of them in memory
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
    n: int  # images that it is of
    left_out: int  # images where the score is undefined, and that add nothing to a pooled one
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
    """The score of the sums of all images, None for a metric that has none.

    An image without truth has no score of its own, but what was predicted in it counts: of DET its
    surplus objects are a cost.
    """
    if rows.empty:
        return None
    score = row_of(rows["metric"].iloc[0], rows["variant"].iloc[0]).pooling
    if score is None:
        return None
    added = rows[rows["value"].notna() | (rows["b"].astype(float) > 0)]
    by_group = added[list(SUMS)].astype(float).groupby(_groups(added)).sum(min_count=1)
    sums = {name: by_group[name].to_numpy() for name in SUMS}
    return _estimate("pooled", sums, score, rows, added)


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


def _tail(groups: int) -> float:
    """The share of the draws that an interval leaves out at either end.

    So the interval of a mean is about Student's. The plain 2.5 % are for many groups: of five
    normal values they hold the mean in 86 of 100 cases, these in 93.
    """
    reach = stdtrit(groups - 1, (1 + LEVEL) / 2) * math.sqrt(groups / (groups - 1))
    return float(ndtr(-reach))


def _estimate(
    reduce: Reduce,
    sums: Sums,
    score: Pooling,
    rows: pd.DataFrame,
    added: pd.DataFrame,
) -> Estimate:
    """The score of all groups' sums, which come of the rows that are `added`."""
    groups = len(next(iter(sums.values())))

    def of(drawn: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # nothing but images without truth: undefined
            return score({name: column[drawn].sum(axis=-1) for name, column in sums.items()})

    value = float(of(np.arange(groups))) if groups else float("nan")
    low = high = float("nan")
    if groups > 1 and not np.isnan(value):
        rng = np.random.default_rng(SEED)
        drawn = [
            of(rng.integers(0, groups, (AT_ONCE, groups))) for _ in range(RESAMPLES // AT_ONCE)
        ]
        tail = _tail(groups)
        low, high = np.nanpercentile(np.concatenate(drawn), (100 * tail, 100 * (1 - tail)))
    return Estimate(
        reduce, value, float(low), float(high), len(added), len(rows) - len(added), groups
    )
