"""Curves: AP against IoU, errors against size, splits against mergers, losses of all trainings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unetflow.colours import KINDS
from unetflow.evaluate.catalogue import score_of
from unetflow.report.figures.curves import Series, lines_plot
from unetflow.report.figures.plotted import Plotted
from unetflow.report.pictures import ImagePictures
from unetflow.report.run_results import Run
from unetflow.report.score_lines import Line

LEAST_OBJECTS = 5  # of a size, else its shares are left out
PARTS = 60  # of a training's loss, each a mean
Drawn = Mapping[str, Sequence[ImagePictures]]
"""By experiment what was drawn of its test images."""


@dataclass(frozen=True, slots=True)
class Curve:
    name: str  # of its files
    caption: str
    svg: Plotted
    numbers: pd.DataFrame


def curves(runs: Sequence[Run], lines: Mapping[str, Sequence[Line]], drawn: Drawn) -> list[Curve]:
    """Those for which there are numbers."""
    found = [_precision(drawn), *_sizes(drawn), *_rand(lines, runs), *_trainings(runs)]
    return [curve for curve in found if curve is not None]


def _precision(drawn: Drawn) -> Curve | None:
    rows = [
        {"experiment": name, "class": of["of_class"], **of}
        for name, images in drawn.items()
        for image in images
        for of in image["matched"]
    ]
    if not rows:
        return None
    keys = ["experiment", "class", "iou"]
    table = pd.DataFrame(rows).groupby(keys, sort=False)[["found", "annotated", "predicted"]].sum()
    table = table.reset_index()
    either = table["annotated"] + table["predicted"] - table["found"]
    table["ap"] = table["found"] / either.where(either > 0)
    several = table["class"].nunique() > 1
    series = [
        Series(f"{name}, {of}" if several else str(name), rows["iou"].tolist(), rows["ap"].tolist())
        for (name, of), rows in table.groupby(["experiment", "class"], sort=False)
    ]
    caption = (
        "AP of all test images together against the IoU from which on an object is found. Where a "
        "line falls early, outlines are rough; where it starts low, objects are missed or merged."
    )
    alt = f"AP against IoU of {len(series)} lines"
    svg = lines_plot(series, x="IoU", y="AP, pooled", alt=alt, share=True)
    return Curve("ap-by-iou", caption, svg, table)


def _sizes(drawn: Drawn) -> Iterator[Curve]:
    for name, images in drawn.items():
        rows = [of for image in images for of in image["sizes"]]
        if not rows:
            continue
        table = pd.DataFrame(rows).groupby(["least_px", "kind"])["objects"].sum().unstack()
        table = table.reindex(columns=[kind for kind in KINDS if kind in table]).fillna(0)
        shares = table.div(table.sum(axis="columns"), axis="index")
        shares = shares[table.sum(axis="columns") >= LEAST_OBJECTS]
        if shares.empty:
            continue
        middle = (shares.index.to_numpy(float) * np.sqrt(2)).tolist()
        series = [Series(str(kind), middle, shares[kind].tolist()) for kind in shares]
        caption = (
            f"{name}: what became of annotated objects of each size, in steps of a factor of two. "
            f"Sizes with fewer than {LEAST_OBJECTS} objects are left out."
        )
        svg = lines_plot(
            series,
            x="pixels of the annotated object",
            y="share of the objects",
            alt=f"share of objects by kind against size, {name}",
            log="x",
            by_kind=True,
            share=True,
        )
        numbers = table.rename_axis(columns=None).reset_index()
        yield Curve(f"size-{name}", caption, svg, numbers)


def _rand(lines: Mapping[str, Sequence[Line]], runs: Sequence[Run]) -> Iterator[Curve]:
    """V_Rand split against merge: its two halves, pooled at each threshold of the list."""
    table = pd.concat([run.of_network for run in runs]) if runs else pd.DataFrame()
    if table.empty:
        return
    listed = table[(table["metric"] == "v_rand") & (table["chosen"] == "list")]
    for variant, of in listed.groupby("variant", sort=False):
        keys = ["experiment", "class", "threshold"]
        sums = of.groupby(keys, sort=False)[["ab", "a", "b"]].sum().reset_index()
        sums["split"], sums["merge"] = sums["ab"] / sums["a"], sums["ab"] / sums["b"]
        sums = sums.sort_values(["experiment", "class", "threshold"])
        series = []
        for (name, of_class), rows in sums.groupby(["experiment", "class"], sort=False):
            chosen = _chosen(lines[str(name)], str(variant), str(of_class), rows)
            named = f"{name}, {of_class}" if sums["class"].nunique() > 1 else str(name)
            series.append(Series(named, rows["merge"].tolist(), rows["split"].tolist(), chosen))
        caption = (
            f"{score_of('v_rand', str(variant)).name}: its halves against each other, one point "
            "for each threshold, pooled over the images that have it. Axes show what occurs. Low "
            "“split”: objects are cut; low “merge”: objects run together. Squares: the threshold "
            "nearest to the chosen one, of several folds each."
        )
        svg = lines_plot(series, x="V_Rand merge", y="V_Rand split", alt=f"V_Rand, {variant}")
        yield Curve(f"rand-{variant}", caption, svg, sums)


def _chosen(
    lines: Sequence[Line], variant: str, of_class: str, rows: pd.DataFrame
) -> list[tuple[float, float]]:
    """Merge and split at the thresholds of the table that are nearest to the chosen ones."""
    for line in lines:
        mine = (line.score.metric, line.score.variant) == ("v_rand", variant)
        if mine and line.of_class in ("", of_class):
            away = [(rows["threshold"] - threshold).abs() for threshold in line.thresholds]
            at = rows.iloc[sorted({int(each.argmin()) for each in away})]
            return list(zip(at["merge"].tolist(), at["split"].tolist(), strict=True))
    return []


def _trainings(runs: Sequence[Run]) -> Iterator[Curve]:
    """Loss, validation loss and learning rate of all runs, each in one plot."""
    trained = [_thinned(run) for run in runs if run.is_trained]
    table = pd.concat(trained) if trained else pd.DataFrame()
    for column, name, log in (
        ("loss", "training loss", ("y",)),
        ("validation_loss", "validation loss", ("y",)),
        ("learning_rate", "learning rate", ()),
    ):
        if column not in table or not table[column].notna().any():
            continue
        series = [
            Series(str(run), rows["step"].tolist(), rows[column].tolist())
            for run, rows in table[table[column].notna()].groupby("run", sort=False)
        ]
        of = f"all {len(series)} trainings (experiments, folds, seeds)"
        caption = f"{name.capitalize()} of {of if len(series) > 1 else 'the training'}"
        caption += f", mean of each of up to {PARTS} parts." if column == "loss" else "."
        svg = lines_plot(series, x="step", y=name, alt=f"{name} against the step", log=log)
        numbers = table[["run", "step", column]].dropna()
        yield Curve(f"trainings-{column.replace('_', '-')}", caption, svg, numbers)


def _thinned(run: Run) -> pd.DataFrame:
    """Means of `PARTS` parts of the training, and the last validation loss in each."""
    history = run.history
    part = np.arange(len(history)) * min(PARTS, len(history)) // max(1, len(history))
    columns = {"step": "last", "loss": "mean", "validation_loss": "last"}
    if "learning_rate" in history:
        columns["learning_rate"] = "last"
    return history.groupby(part).agg(columns).assign(run=run.name)
