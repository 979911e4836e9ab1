"""Scores against the threshold: a plot per score, with its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from unetflow.report.figures.plots import threshold_plot
from unetflow.report.figures.plotted import Plotted
from unetflow.report.handed import Config
from unetflow.report.run_results import Run
from unetflow.report.score_lines import Line, by_threshold


@dataclass(frozen=True, slots=True)
class Plot:
    line: Line
    scores: pd.DataFrame  # thresholds as index, images as columns
    svg: Plotted


@dataclass(frozen=True, slots=True)
class RunThresholds:
    run: Run
    plots: list[Plot]


def thresholds(runs: Sequence[Run]) -> list[RunThresholds]:
    """Those of the lines that have a list of thresholds, as far as the catalogue plots them.

    Without runs that have none.
    """
    found = [
        RunThresholds(
            run, [_plot(run, line) for line in run.lines if line.best and line.score.plotted]
        )
        for run in runs
    ]
    return [of for of in found if of.plots]


def refinement(config: Config) -> str:
    """How the foreground was refined before it was thresholded, empty where it was not."""
    made = config.get("refine")
    parts = []
    if made and made["smooth_px"] is not None:
        parts.append(f"smoothed by a Gaussian of {made['smooth_px']:g} px")
    if made and made["crf"] is not None:
        options = ", ".join(f"{key} {value:g}" for key, value in made["crf"].items())
        parts.append(f"refined by a CRF ({options})")
    return ", then ".join(parts)


def _plot(run: Run, line: Line) -> Plot:
    rows = run.of_network
    rows = rows[(rows["metric"] == line.score.metric) & (rows["variant"] == line.score.variant)]
    if line.of_class:
        rows = rows[rows["class"] == line.of_class]
    of_line = by_threshold(rows)
    svg = threshold_plot(
        of_line,
        name=line.name,
        chosen=line.thresholds if line.by == "validation" else (),
        baseline=line.otsu.value if line.otsu else None,
    )
    return Plot(line, of_line, svg)
