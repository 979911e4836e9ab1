"""Plots with a line for each of several: experiments, kinds of objects, trainings."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np

from unetflow.colours import BLUE, GREEN, KINDS, ORANGE, PURPLE, SKY_BLUE, VERMILLION
from unetflow.report.figures.plots import STYLE, empty_plot, log_ticks
from unetflow.report.figures.plotted import Plotted, plotted

LINES = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY_BLUE)  # then from the first, dashed
MOST_NAMED = 8  # lines: a longer legend hides the plot


@dataclass(frozen=True, slots=True)
class Series:
    """A line, in the order in which it is drawn; NaN are gaps."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    marked: Sequence[tuple[float, float]] = ()  # points that were chosen


def lines_plot(
    series: Sequence[Series],
    *,
    x: str,
    y: str,
    alt: str,
    log: Sequence[str] = (),
    by_kind: bool = False,
    share: bool = False,
) -> Plotted:
    """SVG of all series, named beside them; `by_kind` where they are kinds of objects.

    `log` names the axes with a logarithmic scale; y goes from 0 to 1 where it is a `share`.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = empty_plot(x, y)
        for number, of in enumerate(series):
            colour = KINDS[of.name] if by_kind else LINES[number % len(LINES)]
            dashes = "-" if number < len(LINES) else (0, (3, 1.5))
            small = "o" if len(of.x) <= 40 else None
            axes.plot(
                of.x,
                of.y,
                color=colour,
                linewidth=1.8,
                linestyle=dashes,
                marker=small,
                ms=3,
                label=of.name,
            )
            for point in of.marked:
                axes.plot(*point, "s", color=colour, markersize=7, markerfacecolor="none")
        if "x" in log:
            axes.set_xscale("log")
        if "y" in log:
            axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":
                log_ticks(axis)
        if len(series) <= MOST_NAMED and any(np.isfinite(of.y).any() for of in series):
            axes.legend(frameon=False, fontsize=7, handlelength=1.6)
        axes.margins(y=0.08)
        if share:
            axes.set_ylim(-0.02, 1.02)
        return plotted(figure, alt)
