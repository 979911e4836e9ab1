"""What lies beside the page: its figures as SVG and PDF, their numbers as CSV."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from unetflow.report.figures.plotted import Plotted
from unetflow.report.sections.architecture import Drawn
from unetflow.report.sections.curves import Curve
from unetflow.report.sections.reliability import Reliability
from unetflow.report.sections.seams import RunSeams
from unetflow.report.sections.thresholds import RunThresholds
from unetflow.report.sections.training import RunTraining
from unetflow.store.files import write_whole

Beside = dict[str, tuple[Plotted, pd.DataFrame | None]]
"""By name each figure and its numbers."""


def named_figures(
    curves: Sequence[Curve],
    thresholds: Sequence[RunThresholds],
    training: Sequence[RunTraining],
    seams: Sequence[RunSeams],
    networks: Sequence[Drawn],
    believed: Sequence[Reliability],
) -> Beside:
    """All figures of the page but that of networks side by side, each with its name for files."""
    found: Beside = {}
    for name, figure, numbers in _figures(curves, thresholds, training, seams, networks, believed):
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "figure"
        number = 1
        while (file := slug if number == 1 else f"{slug}-{number}") in found:
            number += 1
        figure.file = file
        found[file] = figure, numbers
    return found


def _figures(
    curves: Sequence[Curve],
    thresholds: Sequence[RunThresholds],
    training: Sequence[RunTraining],
    seams: Sequence[RunSeams],
    networks: Sequence[Drawn],
    believed: Sequence[Reliability],
) -> Iterator[tuple[str, Plotted, pd.DataFrame | None]]:
    for curve in curves:
        yield curve.name, curve.svg, curve.numbers
    for scores in thresholds:
        for plot in scores.plots:
            numbers = plot.scores.reset_index()
            yield f"threshold {scores.run.name} {plot.line.name}", plot.svg, numbers
    for trained in training:
        for drawn in trained.plots:
            yield f"training {trained.run.name} {drawn.column}", drawn.svg, trained.curve
    for audited in seams:
        for audit in audited.audits:
            yield f"seams {audited.run.name} {audit.image}", audit.svg, None
    for network in networks:
        yield f"network {network.name}", network.svg, network.maps.reset_index()
    for of in believed:
        yield f"reliability {of.name}", of.svg, of.table


def write_beside(folder: Path, beside: Beside) -> None:
    """Write them below the page's folder."""
    for name in ("figures", "tables"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, (figure, numbers) in beside.items():
        write_whole(folder / "figures" / f"{name}.svg", figure.svg_file)
        write_whole(folder / "figures" / f"{name}.pdf", figure.pdf_file)
        if numbers is not None:
            text = numbers.to_csv(index=False, lineterminator="\n")
            write_whole(folder / "tables" / f"{name}.csv", text.encode())
