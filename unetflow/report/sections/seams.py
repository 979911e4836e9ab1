"""Whether the borders of tiles show in what was predicted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from unetflow.report.crops import read_seams
from unetflow.report.figures.plots import seam_plot
from unetflow.report.figures.plotted import Plotted
from unetflow.report.run_results import Run
from unetflow.report.seam_audit import Seams

MOST_AUDITED = 12  # images of a run


@dataclass(frozen=True, slots=True)
class Audit:
    image: str
    seams: Seams
    svg: Plotted


@dataclass(frozen=True, slots=True)
class RunSeams:
    run: Run
    audits: list[Audit]


def seams(runs: Sequence[Run]) -> list[RunSeams]:
    """Runs with images that are larger than a tile; up to `MOST_AUDITED` of each are audited."""
    audited = [RunSeams(run, list(_audits(run))) for run in runs]
    return [of for of in audited if of.audits]


def _audits(run: Run) -> Iterator[Audit]:
    images = sorted(set(run.scores["image"]))
    spread = np.linspace(0, len(images) - 1, min(MOST_AUDITED, len(images))).round().astype(int)
    for image in (images[at] for at in spread):
        found = read_seams(run, image)
        if found is not None:
            yield Audit(image, found, seam_plot(found))
