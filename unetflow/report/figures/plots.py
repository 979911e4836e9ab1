"""Figures of the report: plots as inline SVG, overlays as PNG; the same bytes for the same data.

Text and axes of a plot take the colour of the text around them (`currentColor`), so that it is
legible on a light and on a dark page. Shapes: (Y, X) of a crop.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import matplotlib.ticker
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from unetflow.colours import BASELINE, CHOSEN, PREDICTION, SINGLE
from unetflow.report.figures.plotted import INK, Plotted, plotted
from unetflow.report.seam_audit import Seams

SIZE_INCH = (3.6, 2.6)
BELOW = 4.0  # times lower than the lowest mean a step of training is still in sight
DECADES = 3  # of an axis with ticks at 1, 2 and 5
STYLE: dict[str, str | float] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "unetflow",
    "pdf.fonttype": 42,
    "text.parse_math": False,  # names of classes are text, a $ in them too
    "font.size": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "lines.solid_capstyle": "round",
}


def threshold_plot(
    scores: pd.DataFrame,
    *,
    name: str,
    chosen: Sequence[float] = (),
    baseline: float | None = None,
) -> Plotted:
    """SVG of a score against the threshold: one light line per image, their mean strong.

    `scores` has thresholds as index and images as columns; undefined values are gaps. `chosen`
    are thresholds to mark, `baseline` the score of a method without threshold.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = empty_plot("threshold on the foreground", name)
        axes.set_xlim(0, 1)
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.plot(scores.index, scores.to_numpy(), color=SINGLE, linewidth=0.8, alpha=0.6)
        mean = scores.mean(axis="columns")
        axes.plot(mean.index, mean, color=PREDICTION, linewidth=2.2, marker="o", markersize=3.5)
        if baseline is not None and math.isfinite(baseline):
            axes.axhline(baseline, color=BASELINE, linewidth=1.6, linestyle=(0, (4, 2)))
        for threshold in chosen:
            axes.axvline(threshold, color=CHOSEN, linewidth=1.4, linestyle=(0, (1, 1.5)))
        axes.margins(y=0.08)
        alt = f"{name} against the threshold, {scores.shape[1]} images and their mean"
        return plotted(figure, alt)


def training_plot(
    history: pd.DataFrame, curve: pd.DataFrame, column: str, *, name: str, best_step: int | None
) -> Plotted:
    """SVG of a column of the training curve against the step, with elapsed minutes above.

    `history` has a row per step, drawn light for the loss; `curve` a row per validation, drawn
    strong: its columns are `step` and `column`. `best_step` is marked.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = empty_plot("step", name)
        if column == "loss":
            thinned = history.iloc[:: max(1, len(history) // 500)]
            axes.plot(thinned["step"], thinned["loss"], color=SINGLE, linewidth=0.6, alpha=0.5)
            if "validation_loss" in curve:
                validation = curve[["step", "validation_loss"]].to_numpy(float).T
                axes.plot(*validation, color=BASELINE, linewidth=1.8, marker="s", markersize=3.5)
            axes.set_yscale("log")
            axes.set_ylim(*_range_of_loss(curve, history["loss"].to_numpy(float)))
            log_ticks(axes.yaxis)
        axes.plot(curve["step"], curve[column], color=PREDICTION, linewidth=2.2, marker="o", ms=3.5)
        if best_step:
            axes.axvline(best_step, color=CHOSEN, linewidth=1.4, linestyle=(0, (1, 1.5)))
        axes.set_xlim(0, history["step"].max() * 1.02)
        _minutes_above(axes, history)
        return plotted(figure, f"{name} against the training step, up to {history['step'].max()}")


def seam_plot(seams: Seams) -> Plotted:
    """SVG of the difference of neighbours by distance from the border of a tile, which is marked.

    Over the mean of the lines that lie alike to the network's poolings; these are strong.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = empty_plot(
            "distance from the border of a tile [px]", "difference over its mean"
        )
        ratios = seams.profile / (seams.elsewhere.mean() or 1)
        half = seams.step_px // 2
        distance = (np.arange(seams.step_px) + half) % seams.step_px - half
        order = np.argsort(distance)
        axes.plot(distance[order], ratios[order], color=SINGLE, linewidth=0.6, alpha=0.6)
        alike = slice(seams.period_px, None, seams.period_px)
        axes.plot(distance[alike], ratios[alike], "o", color=PREDICTION, markersize=3)
        axes.plot([0], ratios[:1], "o", color=CHOSEN, markersize=6)
        axes.set_ylim(bottom=0)
        return plotted(figure, f"difference of neighbours, {ratios[0]:.3f} times the mean at 0")


class CostPoint(NamedTuple):
    """A network: its row in the table, its work and its score with the 95 % interval, or NaN."""

    number: int
    multiply_adds_per_px: float
    value: float
    low: float
    high: float


def cost_plot(points: Sequence[CostPoint], *, name: str) -> Plotted:
    """SVG of a score against multiply-adds per output pixel, each with the number of its row."""
    with matplotlib.rc_context(STYLE):
        figure, axes = empty_plot("multiply-adds per output px", name)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
        axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        for point in points:
            x, y = point.multiply_adds_per_px, point.value
            if math.isfinite(point.low):
                axes.plot([x, x], [point.low, point.high], color=SINGLE, linewidth=1.2)
            axes.plot([x], [y], "o", color=PREDICTION, markersize=4)
            beside = (4, 3)  # points
            number = f"{point.number}"
            axes.annotate(number, (x, y), beside, textcoords="offset points", fontsize=8)
        axes.margins(x=0.1, y=0.08)
        alt = f"{name} against multiply-adds per output px, {len(points)} networks"
        return plotted(figure, alt)


def _range_of_loss(curve: pd.DataFrame, losses: np.ndarray) -> tuple[float, float]:
    """What holds the curves and most steps: one of an empty patch is thousands of times lower."""
    columns = [name for name in ("loss", "validation_loss") if name in curve]
    means = curve[columns].to_numpy(float)
    means = means[np.isfinite(means) & (means > 0)]
    if not means.size:
        return 0.1, 1.0
    low, high = means.min(), means.max()
    most = losses[np.isfinite(losses)]
    high = max(high, float(np.quantile(most, 0.995))) if most.size else high
    least = float(np.quantile(most, 0.02)) if most.size else low
    return max(min(least, low), low / BELOW) / 1.1, high * 1.1


def log_ticks(axis: Axis) -> None:
    """1, 2, 5, 10, ... of a logarithmic axis, and of one over many decades these alone."""
    low, high = axis.get_view_interval()
    wide = high > low * 10**DECADES
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def empty_plot(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.spines["top"].set_visible(False)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _minutes_above(axes: Axes, history: pd.DataFrame) -> None:
    """A second scale at the top: minutes of training, which are not even where a run was slow."""
    minutes = history["elapsed_s"].to_numpy(float) / 60
    locator = matplotlib.ticker.MaxNLocator(5, steps=[1, 2, 5, 10])
    ticks = np.asarray(locator.tick_values(0, minutes[-1]))
    ticks = ticks[(ticks >= 0) & (ticks <= minutes[-1])]
    above = axes.twiny()
    above.grid(visible=False)
    above.set_xlim(axes.get_xlim())
    places = np.interp(ticks, np.append(0, minutes), np.append(0, history["step"].to_numpy(float)))
    above.set_xticks(places, [f"{tick:g}" for tick in ticks])
    above.set_xlabel("elapsed time [min]")
