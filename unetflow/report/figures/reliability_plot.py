"""A reliability diagram of ranges of probability, as a list of thresholds makes them."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from unetflow.colours import PREDICTION, SINGLE
from unetflow.report.figures.plots import STYLE, empty_plot
from unetflow.report.figures.plotted import INK, Plotted, plotted


def reliability_plot(ranges: pd.DataFrame, alt: str) -> Plotted:
    """SVG: how often each range of probability is an object, over where it ought to be.

    Boxes are where the observed share lies if probabilities are right; light bars at the foot are
    the share of pixels in each range.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = empty_plot("predicted probability of an object", "observed share of objects")
        widths = (ranges["up_to"] - ranges["above"]).to_numpy(float)
        for low, width in zip(ranges["above"].to_numpy(float), widths, strict=True):
            axes.add_patch(Rectangle((low, low), width, width, color=INK, alpha=0.12, linewidth=0))
        axes.bar(
            ranges["above"],
            ranges["share"],
            widths,
            align="edge",
            color=SINGLE,
            alpha=0.35,
            linewidth=0,
        )
        seen = ranges[ranges["pixels"] > 0]
        middle = (seen["above"] + seen["up_to"]) / 2
        axes.plot(middle, seen["observed"], color=PREDICTION, linewidth=1, alpha=0.5)
        axes.hlines(seen["observed"], seen["above"], seen["up_to"], color=PREDICTION, linewidth=2.6)
        axes.set_xlim(0, 1)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xticks(np.linspace(0, 1, 6))
        return plotted(figure, alt)
