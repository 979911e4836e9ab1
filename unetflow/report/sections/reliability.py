"""How far a predicted probability can be believed: against how often it is an object.

Nothing is read for it: the pixels above each threshold of the list, and the objects' among them,
are the sums of the scores of each image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unetflow.report.figures.plotted import Plotted
from unetflow.report.figures.reliability_plot import reliability_plot
from unetflow.report.run_results import Run

SUMS = ["ab", "a", "b", "n"]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Of the foreground of an experiment and class, all test images of all folds together."""

    experiment: str
    of_class: str  # where there are several
    images: int
    table: pd.DataFrame  # a row a range: above, up_to, pixels, share, observed, out
    svg: Plotted

    @property
    def name(self) -> str:
        return f"{self.experiment}, {self.of_class}" if self.of_class else self.experiment

    @property
    def out(self) -> float:
        """Mean over pixels of how far what is observed lies outside of its range."""
        seen = self.table[self.table["pixels"] > 0]
        return float(np.average(seen["out"], weights=seen["pixels"]))

    @property
    def out_between(self) -> tuple[float, float] | None:
        """Share of the pixels that are in no outermost range, and the same mean over these."""
        seen = self.table.iloc[1:-1]
        seen = seen[seen["pixels"] > 0]
        if seen.empty:
            return None
        return float(seen["share"].sum()), float(np.average(seen["out"], weights=seen["pixels"]))


def reliability(runs: Sequence[Run]) -> list[Reliability]:
    """One for each experiment and class that has test images with a truth."""
    table = pd.concat([run.of_network for run in runs]) if runs else pd.DataFrame()
    if table.empty:
        return []
    listed = table[(table["metric"] == "iou") & (table["chosen"] == "list")]
    several = listed["class"].nunique() > 1
    return list(_each(listed, several=several))


def _each(listed: pd.DataFrame, *, several: bool) -> Iterator[Reliability]:
    for (experiment, name), rows in listed.groupby(["experiment", "class"], sort=False):
        sums = rows.groupby("threshold")[SUMS].sum().sort_index()
        if not sums["n"].iloc[0]:
            continue
        ranges = ranges_of(sums)
        images, of_class = rows["image"].nunique(), str(name) if several else ""
        alt = f"observed share of objects against predicted probability, {len(ranges)} ranges"
        yield Reliability(str(experiment), of_class, images, ranges, reliability_plot(ranges, alt))


def ranges_of(sums: pd.DataFrame) -> pd.DataFrame:
    """Ranges between thresholds, from the sums of all images at each threshold (the index).

    Column b has the pixels above it, ab the objects' among them, a all of the objects, n all.
    """
    edges = np.array([0.0, *sums.index, 1.0])
    above = np.array([sums["n"].iloc[0], *sums["b"], 0.0])
    objects = np.array([sums["a"].iloc[0], *sums["ab"], 0.0])
    pixels, hits = above[:-1] - above[1:], objects[:-1] - objects[1:]
    observed = np.divide(hits, pixels, out=np.full(len(pixels), np.nan), where=pixels > 0)
    low, high = edges[:-1], edges[1:]
    return pd.DataFrame(
        {
            "above": low,
            "up_to": high,
            "pixels": pixels.astype(np.int64),
            "share": pixels / pixels.sum(),
            "observed": observed,
            "out": np.maximum(0, np.maximum(low - observed, observed - high)),
        }
    )
