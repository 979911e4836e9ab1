"""Scores of many images as means that say what they are: variant, threshold, n, left out.

Reads the table of `unetflow.evaluation`. Every mean is over images (macro); images where a score is
undefined (NaN) are left out of it and counted.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unetflow.calibration import LOWER_IS_BETTER
from unetflow.errors import StoreError

VANISHED = 0.01  # less foreground than this share of the truth has vanished
UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class Score:
    """A metric and its variant: how it is called, shown and read."""

    metric: str
    variant: str
    name: str
    meaning: str
    digits: int = 3

    @property
    def lower_is_better(self) -> bool:
        return self.metric in LOWER_IS_BETTER

    def text(self, value: float) -> str:
        """The value with the digits of this metric, or "undefined"."""
        return UNDEFINED if math.isnan(value) else f"{value:.{self.digits}f}"


_RAND = (
    "V_Rand = 2 AB / (A + B) with AB = Σ n_ij² + z over truth regions i and predicted regions j, "
    "A = Σ a_i², B = Σ b_j² + z; pixels of the truth's regions only, z of them predicted as "
    "membrane. "
)
SCORES = (
    Score(
        *("seg", "", "SEG"),
        "Mean over the truth's objects of the IoU with the predicted object that covers more than "
        "half of it, else 0 (Cell Tracking Challenge). Surplus objects cost nothing: read AP too.",
    ),
    Score(
        *("ap", "iou 0.5", "AP at IoU 0.5"),
        "TP / (TP + FP + FN) of objects matched one to one at IoU ≥ 0.5 (StarDist, DSB 2018).",
    ),
    Score(*("ap", "iou 0.75", "AP at IoU 0.75"), "The same at IoU ≥ 0.75."),
    Score(
        *("iou", "", "IoU, object pixels"),
        "TP / (TP + FP + FN) of object pixels, one number per image, after touching objects of "
        "the truth were separated by background.",
    ),
    Score(*("dice", "", "Dice, object pixels"), "2 TP / (2 TP + FP + FN) of the same pixels."),
    Score(
        *("pixel_error", "", "Pixel error"),
        "Wrong pixels / annotated pixels. Small objects hardly show in it.",
        digits=4,
    ),
    Score(
        *("v_rand", "thinned", "V_Rand, thinned"),
        _RAND + "Predicted membranes are thinned to a line first: the official score of ISBI 2012 "
        "since 2015.",
    ),
    Score(
        *("v_rand", "unthinned", "V_Rand, unthinned"),
        _RAND + "As predicted, without thinning; 1 minus its pooled maximum over thresholds is "
        "the Rand error in the U-Net paper.",
    ),
    Score(
        *("warping_error", "", "Warping error"),
        "Pixels that stay wrong after the truth was warped towards the prediction without "
        "changing its topology / all pixels (Jain 2010).",
        digits=6,
    ),
    Score(
        *("splits_mergers", "", "Splits and mergers"),
        "Those of them that split or merge objects / all pixels, window 20 px; its minimum over "
        "thresholds is the “warping error” of the U-Net paper.",
        digits=6,
    ),
)


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean over images, with its range."""

    value: float  # NaN where no image has a score
    low: float
    high: float
    n: int
    left_out: int  # images where the score is undefined

    @property
    def count(self) -> str:
        """n in words, with what was left out."""
        return f"{self.n} ({self.left_out} undefined, left out)" if self.left_out else f"{self.n}"


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One score of one or several runs at the threshold that somebody chose."""

    score: Score
    of: str  # "stored instances", or "" for what the metric makes at its own threshold
    thresholds: tuple[float, ...]
    by: str  # who chose them
    rows: pd.DataFrame  # one per image
    otsu: Mean | None  # of the same images
    best: Mean | None = None  # the best of the list, chosen on these very images
    best_threshold: float | None = None
    vanished: bool = False  # the foreground vanishes at that threshold

    @property
    def mean(self) -> Mean:
        return mean_over_images(self.rows["value"])

    @property
    def name(self) -> str:
        return f"{self.score.name} ({self.of})" if self.of else self.score.name

    @property
    def at(self) -> str:
        """The thresholds and who chose them."""
        return f"{', '.join(f'{t:g}' for t in self.thresholds)} ({self.by})"


def read_scores(path: str | Path) -> pd.DataFrame:
    """The table of scores. Raises StoreError where it cannot be read."""
    try:
        text = {"experiment": str, "fold": str, "image": str, "variant": str, "group": str}
        scores = pd.read_csv(path, dtype=text)
        return scores.assign(variant=scores["variant"].fillna(""))
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(
            f"{path}: not a readable table of scores ({error}). Delete it and run the same "
            "command again: it is collected from the images' tables."
        ) from error


def mean_over_images(values: Sequence[float] | pd.Series) -> Mean:
    """Mean of the defined values, and how many were not."""
    every = pd.Series(values, dtype=float)
    good = every.dropna()
    return Mean(good.mean(), good.min(), good.max(), len(good), len(every) - len(good))


def summarise(scores: pd.DataFrame, instance_thresholds: Mapping[float, str]) -> list[Line]:
    """A line per score, and one more for the stored instances, in the order of `SCORES`.

    `instance_thresholds` says at which thresholds those were made, and who chose each.
    The threshold of the others is the one that validation images chose for this score; without
    validation images the one of the list that is nearest to 0.5.
    """
    lines = []
    gone = {threshold for threshold, _ in vanishing(scores)}
    for score in SCORES:
        rows = scores[(scores["metric"] == score.metric) & (scores["variant"] == score.variant)]
        stored = rows[rows["chosen"] == "instances"]
        if len(stored):
            by = "; ".join(dict.fromkeys(instance_thresholds.values()))
            made_at = tuple(sorted(instance_thresholds))
            lines.append(Line(score, "stored instances", made_at, by, stored, _otsu(rows, stored)))
        chosen, by = _chosen(rows)
        if len(chosen):
            thresholds = tuple(sorted(chosen["threshold"].unique()))
            best, at = best_of_list(score, rows)
            lines.append(
                Line(score, "", thresholds, by, chosen, _otsu(rows, chosen), best, at, at in gone)
            )
    return lines


def by_threshold(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores of the config's list: thresholds as index, images as columns."""
    listed = rows[rows["chosen"] == "list"]
    return listed.pivot_table(index="threshold", columns="image", values="value", dropna=False)


def best_of_list(score: Score, rows: pd.DataFrame) -> tuple[Mean | None, float | None]:
    """Best mean over the list and its threshold: optimistic, as it was chosen on these images."""
    means = by_threshold(rows).mean(axis="columns").dropna()
    if means.empty:
        return None, None
    best = means.argmin() if score.lower_is_better else means.argmax()
    threshold = float(means.index.to_numpy(float)[best])
    at = rows[(rows["chosen"] == "list") & (rows["threshold"] == threshold)]
    return mean_over_images(at["value"]), threshold


def vanishing(scores: pd.DataFrame) -> list[tuple[float, list[str]]]:
    """Thresholds of the list at which the foreground vanishes, and the images where it does.

    An all-membrane proposal has no split, no merger and almost no warping error.
    """
    rows = scores[(scores["metric"] == "iou") & (scores["chosen"] == "list") & (scores["a"] > 0)]
    gone = rows[rows["b"] < VANISHED * rows["a"]]
    return [
        (float(threshold), sorted(gone["image"][gone["threshold"] == threshold]))
        for threshold in sorted(gone["threshold"].unique())
    ]


def headline_of(lines: Sequence[Line]) -> Iterator[Line]:
    """The few scores that say most: SEG and AP of the stored instances, IoU, V_Rand."""
    wanted = [("seg", "", True), ("ap", "iou 0.5", True), ("iou", "", False)]
    for metric, variant, stored in [*wanted, ("v_rand", "thinned", False)]:
        for line in lines:
            if (line.score.metric, line.score.variant, bool(line.of)) == (metric, variant, stored):
                yield line


def headline_text(title: str, lines_by_experiment: dict[str, list[Line]], html: str) -> str:
    """The headline scores as an aligned table, and where the report is."""
    table: list[tuple[Any, ...]] = [("experiment", "score", "unet", "otsu", "n", "threshold")]
    for experiment, lines in lines_by_experiment.items():
        for line in headline_of(lines):
            otsu = line.score.text(line.otsu.value) if line.otsu else "-"
            value = line.score.text(line.mean.value)
            table.append((experiment, line.name, value, otsu, line.mean.count, line.at))
    if len(table) == 1:
        table.append(("-", "no image of the test split has a score", "-", "-", "0", "-"))
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    rows = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    ]
    said = f"{title}: means over the test images"
    return "\n".join([said, *(row.rstrip() for row in rows), f"report: {html}"]) + "\n"


def _chosen(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    chosen = rows[rows["chosen"] == "validation"]
    if len(chosen):
        return chosen, "validation"
    listed = rows[rows["chosen"] == "list"]
    if listed.empty:
        return listed, ""
    nearest = min(listed["threshold"].unique(), key=lambda threshold: abs(threshold - 0.5))
    return listed[listed["threshold"] == nearest], "no validation images"


def _otsu(rows: pd.DataFrame, of: pd.DataFrame) -> Mean | None:
    same = rows[(rows["chosen"] == "otsu") & rows["image"].isin(of["image"])]
    return mean_over_images(same["value"]) if len(same) else None
