"""How the networks were trained: curves, first patches, the weight map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unetflow.report.crops import read_weight_crop
from unetflow.report.figures.panels import data_uri, patch_panel, weight_panels
from unetflow.report.figures.plots import training_plot
from unetflow.report.figures.plotted import Plotted
from unetflow.report.method_sentences import loss_in_words
from unetflow.report.run_results import Run, read_patches

PARTS = 20  # of a training curve without validation
WEIGHT_PX = 256  # side of the largest crop of a weight map
PLOTS = (
    (
        "loss",
        "loss",
        "What is minimised: {}. The weight map counts in training only. Single steps far below the "
        "means, of patches with little in them, are out of sight.",
    ),
    ("validation_iou", "foreground IoU", "IoU of object pixels on the validation images."),
)


@dataclass(frozen=True, slots=True)
class Plot:
    column: str  # of the curve
    caption: str
    svg: Plotted


@dataclass(frozen=True, slots=True)
class Weights:
    """A crop of a training image, its truth and its weight map."""

    image: str
    size_px: tuple[int, int]
    highest: float
    panels: dict[str, str]


@dataclass(frozen=True, slots=True)
class RunTraining:
    run: Run
    curve: pd.DataFrame  # `training_curve`
    plots: list[Plot]
    patches: list[str]
    weights: Weights | None


def training(runs: Sequence[Run]) -> list[RunTraining]:
    return [_of_run(run) for run in runs if run.is_trained]


def _of_run(run: Run) -> RunTraining:
    curve = training_curve(run.history)
    best_step = run.model["best"]["step"]
    recipe: Mapping[str, Any] = run.model["recipe"]
    what = loss_in_words(recipe["loss"], cited=False)
    plots = [
        Plot(
            column,
            caption.format(what),
            training_plot(run.history, curve, column, name=name, best_step=best_step),
        )
        for column, name, caption in PLOTS
        if column in curve
    ]
    return RunTraining(run, curve, plots, _patches(run), _weights(run))


def _patches(run: Run) -> list[str]:
    patches = read_patches(run)
    drawn = map(patch_panel, *(patches[name] for name in ("image", "target", "weight")))
    return [data_uri(picture) for picture in drawn]


def _weights(run: Run) -> Weights | None:
    crop = read_weight_crop(run, most_px=WEIGHT_PX)
    if crop is None:
        return None
    height_px, width_px = crop.truth_YX.shape
    drawn = weight_panels(crop.image_CYX, crop.truth_YX, crop.weight_YX)
    return Weights(
        image=crop.image,
        size_px=(height_px, width_px),
        highest=float(crop.weight_YX.max()),
        panels={name: data_uri(picture) for name, picture in drawn.items()},
    )


def training_curve(history: pd.DataFrame) -> pd.DataFrame:
    """A row per validation: the mean of the loss since the last one, and what was measured.

    Without validation up to `PARTS` rows of equal numbers of steps.
    """
    measured = history["validation_loss"].notna()
    last = len(history) - 1
    if measured.any():
        ends = np.flatnonzero(measured)
    else:
        ends = np.unique(np.linspace(0, last, min(PARTS, len(history)) + 1)[1:].round().astype(int))
    ends = np.union1d(ends, last)
    part = np.searchsorted(ends, np.arange(len(history)))
    curve = history.iloc[ends][["step", "elapsed_s"]].reset_index(drop=True)
    curve["loss"] = history["loss"].groupby(part).mean().to_numpy()
    if measured.any():
        for column in ("validation_loss", "validation_iou"):
            curve[column] = history[column].to_numpy()[ends]
    return curve
