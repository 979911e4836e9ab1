"""What the report says of the scores: a line per metric and variant that names what it is.

Each line has the mean over images and the pooled score (`unetflow.evaluate.pooling`) at the
threshold that somebody chose, beside the best of the list, which is optimistic, and a baseline.
"""

import math
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from unetflow.evaluate.catalogue import SCORES, STORED, Score, row_of, score_of
from unetflow.evaluate.pooling import Estimate, mean_over_images, pooled_over_images

UNCHOSEN = "not chosen by validation"  # there was none, or none that this score is defined on
VANISHED = 0.01  # less foreground than this share of the truth has vanished


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One score of one or several runs at the threshold that somebody chose."""

    score: Score
    of: str  # `STORED`, or "" for what the metric makes at its own threshold
    thresholds: tuple[float, ...]
    by: str  # who chose them
    rows: pd.DataFrame  # one per image
    mean: Estimate
    pooled: Estimate | None  # None for a metric that has no sums to pool
    otsu: Estimate | None  # of the same images
    best: Estimate | None = None  # the best of the list, chosen on these very images
    best_threshold: float | None = None
    vanished: bool = False  # the foreground vanishes at that threshold
    of_class: str = ""  # where there are several

    @property
    def short(self) -> str:
        return f"{self.score.name}, {self.of_class}" if self.of_class else self.score.name

    @property
    def name(self) -> str:
        return f"{self.short} ({self.of})" if self.of else self.short

    @property
    def at(self) -> str:
        """The thresholds and who chose them."""
        return f"{', '.join(f'{t:g}' for t in self.thresholds)} ({self.by})"


def summarise(
    scores: pd.DataFrame, instance_thresholds: Mapping[str, Mapping[float, str]]
) -> list[Line]:
    """A line per class and score, and one more for stored instances, in the order of `SCORES`.

    `instance_thresholds` says of each class at which thresholds those were made, and who chose
    each. The threshold of the others is the one that validation images chose for this score;
    where they chose none, the one of the list that is nearest to 0.5.
    """
    several = scores["class"].nunique() > 1
    return [
        replace(line, of_class=str(name)) if several else line
        for name, of_class in scores.groupby("class", sort=False)
        for line in _summarise_class(of_class, instance_thresholds[str(name)])
    ]


def _summarise_class(scores: pd.DataFrame, instance_thresholds: Mapping[float, str]) -> list[Line]:
    lines = []
    gone = {threshold for threshold, _ in vanishing(scores)}
    for score in _scored(scores):
        rows = scores[(scores["metric"] == score.metric) & (scores["variant"] == score.variant)]
        stored = rows[rows["chosen"] == "instances"]
        if len(stored):
            by = "; ".join(dict.fromkeys(instance_thresholds.values()))
            made_at = tuple(sorted(instance_thresholds))
            lines.append(_line(score, STORED, made_at, by, stored, rows))
        chosen, by = _chosen(rows)
        if len(chosen):
            thresholds = tuple(sorted(chosen["threshold"].unique()))
            best, at = best_of_list(score, rows)
            line = _line(score, "", thresholds, by, chosen, rows)
            lines.append(replace(line, best=best, best_threshold=at, vanished=at in gone))
    return lines


def by_threshold(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores at those of the config's list and at the chosen one (index), by image (columns)."""
    rows = _at_thresholds(rows)
    return rows.pivot_table(index="threshold", columns="image", values="value", dropna=False)


def _at_thresholds(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per image and threshold, of the thresholds that all images were scored at."""
    once = rows[rows["chosen"].isin(("list", "validation"))].drop_duplicates(["image", "threshold"])
    images = once.groupby("threshold")["image"].transform("nunique")
    return once[images == once["image"].nunique()]


def best_of_list(score: Score, rows: pd.DataFrame) -> tuple[Estimate | None, float | None]:
    """Best mean of `by_threshold` and its threshold: optimistic, as chosen on these images."""
    rows = _at_thresholds(rows)
    means = rows.groupby("threshold")["value"].mean().dropna()
    if means.empty:
        return None, None
    best = means.argmin() if score.lower_is_better else means.argmax()
    threshold = float(means.index.to_numpy(float)[best])
    return mean_over_images(rows[rows["threshold"] == threshold]), threshold


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
    """The few scores that say most: those of the catalogue's headline, in its order.

    By slices or by regions where images have them in no other way.
    """
    for score in SCORES:
        found = [
            line
            for line in lines
            if line.of == score.headline and row_of(line.score.metric, line.score.variant) is score
        ]
        yield from [line for line in found if line.score.variant == score.variant] or found


@dataclass(frozen=True, slots=True)
class Spread:
    """Headline scores of experiments that differ by nothing but their seed, or of folds of one."""

    experiments: tuple[str, ...]
    values: dict[str, list[str]]  # by name of the line: mean, least, greatest, as text

    @property
    def name(self) -> str:
        return common_name(list(dict.fromkeys(self.experiments)))


def common_name(experiments: Sequence[str]) -> str:
    """Of experiments that differ by their seed: their name without its number, or all of them."""
    stems = {re.sub(r"[-_]?\d+$", "", experiment) for experiment in experiments}
    several = len(experiments) > 1
    return stems.pop() if several and len(stems) == 1 else ", ".join(experiments)


def spread_over_seeds(
    lines_by_experiment: Mapping[str, Sequence[Line]], making: Mapping[str, str]
) -> list[Spread]:
    """Experiments of one `making` (all but the seed, as text) together; none if all are alone."""
    groups = alike_but_seed(lines_by_experiment, making)
    if all(len(of) == 1 for of in groups):
        return []
    return [
        Spread(tuple(of), _spread([lines_by_experiment[experiment] for experiment in of]))
        for of in groups
    ]


def spread_over_folds(lines_by_run: Mapping[str, Sequence[Sequence[Line]]]) -> list[Spread]:
    """Of each experiment with several folds, whose lines are given fold by fold."""
    return [
        Spread((name,) * len(folds), _spread(folds))
        for name, folds in lines_by_run.items()
        if len(folds) > 1
    ]


def alike_but_seed(experiments: Iterable[str], making: Mapping[str, str]) -> list[list[str]]:
    """Experiments of one `making` (all but the seed, as text) together, in their order."""
    alike: dict[str, list[str]] = {}
    for experiment in experiments:
        alike.setdefault(making[experiment], []).append(experiment)
    return list(alike.values())


def _spread(lines_of_each: Sequence[Sequence[Line]]) -> dict[str, list[str]]:
    by_name: dict[str, list[Line]] = {}
    for lines in lines_of_each:
        for line in headline_of(lines):
            by_name.setdefault(line.name, []).append(line)
    spread = {}
    for name, of in by_name.items():
        values = [line.mean.value for line in of if line.mean.n] or [math.nan]
        three = (statistics.fmean(values), min(values), max(values))
        spread[name] = [of[0].score.text(value) for value in three]
    return spread


def headline_text(
    title: str,
    lines_by_experiment: dict[str, list[Line]],
    html: str,
    notes: Sequence[str] = (),
) -> str:
    """The headline scores as an aligned table, notes below it, and where the report is."""
    table: list[tuple[str, ...]] = [("experiment", "score", "network", "otsu", "n", "threshold")]
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
    return "\n".join([said, *(row.rstrip() for row in rows), *notes, f"report: {html}"]) + "\n"


def called(by: str) -> str:
    """What chose a threshold (metric and variant, or what searches), as text calls it.

    >>> called("mean_ap"), called("v_rand thinned, by slices")
    ('mean AP', 'V_Rand, thinned, by slices')
    """
    searched = {"mean_ap": "mean AP", "ap": "AP at IoU 0.5"}
    return searched.get(by) or score_of(*by.partition(" ")[::2]).name


def _scored(scores: pd.DataFrame) -> Iterator[Score]:
    """The scores that the table has, in the order of `SCORES`; those by regions apart."""
    there = scores[["metric", "variant"]].drop_duplicates()
    for score in SCORES:
        for variant in sorted(there["variant"][there["metric"] == score.metric]):
            if row_of(score.metric, variant) is score:
                yield score_of(score.metric, variant)


def _line(
    score: Score,
    of: str,
    thresholds: tuple[float, ...],
    by: str,
    chosen: pd.DataFrame,
    rows: pd.DataFrame,
) -> Line:
    mean, pooled = mean_over_images(chosen), pooled_over_images(chosen)
    return Line(score, of, thresholds, by, chosen, mean, pooled, _otsu(rows, chosen))


def _chosen(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """At the chosen threshold; of images of folds that chose none at that nearest to 0.5."""
    chosen = rows[rows["chosen"] == "validation"]
    listed = rows[(rows["chosen"] == "list") & ~rows["image"].isin(chosen["image"])]
    if listed.empty:
        return chosen, "validation"
    nearest = min(listed["threshold"].unique(), key=lambda threshold: abs(threshold - 0.5))
    others = listed[listed["threshold"] == nearest]
    if chosen.empty:
        return others, UNCHOSEN
    return pd.concat([chosen, others]), f"validation; of {len(others)} images {UNCHOSEN}"


def _otsu(rows: pd.DataFrame, of: pd.DataFrame) -> Estimate | None:
    same = rows[(rows["chosen"] == "otsu") & rows["image"].isin(of["image"])]
    return mean_over_images(same) if len(same) else None
