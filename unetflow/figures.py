"""Figures of the report: plots as inline SVG, overlays as PNG; the same bytes for the same data.

Text and axes of a plot take the colour of the text around them (`currentColor`), so that it is
legible on a light and on a dark page. Shapes: (Y, X) of a crop.
"""

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
import matplotlib.ticker
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from skimage.segmentation import find_boundaries

from unetflow.seams import Seams

# One palette for all figures: Okabe and Ito 2008, told apart with any kind of colour vision.
PREDICTION, SINGLE = "#0072b2", "#56b4e9"  # a mean, and the single images or steps behind it
BASELINE = "#e69f00"
CHOSEN = "#d55e00"
HIT, MISSED, FALSE, IGNORED = "#56b4e9", "#d55e00", "#f0e442", "#7f7f7f"
INSTANCES = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00")
RAMP = ("#06121c", "#0072b2", "#56b4e9", "#ffffff")  # foreground 0, 1/3, 2/3, 1

INK = "#010203"  # stands for currentColor while matplotlib draws
SIZE_INCH = (3.6, 2.6)
GRAYS = 24  # steps of gray behind colours, so that 256 colours suffice: a third of the bytes
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "unetflow",
    "font.size": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color", "grid.color"), INK),
    **{"axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.12, "grid.linewidth": 0.6},
    **{"axes.linewidth": 0.6, "lines.solid_capstyle": "round", "axes.axisbelow": True},
}


@dataclass(frozen=True, slots=True)
class Overlay:
    """Four panels of one crop as PNG, all of one size."""

    image: bytes
    truth: bytes  # instances coloured on the image
    foreground: bytes  # `RAMP`, with the outlines of predicted instances
    errors: bytes  # `HIT`, `MISSED`, `FALSE`, with the same outlines


def threshold_plot(
    scores: pd.DataFrame,
    *,
    name: str,
    chosen: Sequence[float] = (),
    baseline: float | None = None,
) -> str:
    """SVG of a score against the threshold: one light line per image, their mean strong.

    `scores` has thresholds as index and images as columns; undefined values are gaps. `chosen`
    are thresholds to mark, `baseline` the score of a method without threshold.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _plot("threshold on the foreground", name)
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
        return _svg(figure, alt)


def training_plot(
    history: pd.DataFrame, curve: pd.DataFrame, column: str, *, name: str, best_step: int | None
) -> str:
    """SVG of a column of the training curve against the step, with elapsed minutes above.

    `history` has a row per step, drawn light for the loss; `curve` a row per validation, drawn
    strong: its columns are `step` and `column`. `best_step` is marked.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _plot("step", name)
        if column == "loss":
            thinned = history.iloc[:: max(1, len(history) // 500)]
            axes.plot(thinned["step"], thinned["loss"], color=SINGLE, linewidth=0.6, alpha=0.5)
            if "validation_loss" in curve:
                validation = curve[["step", "validation_loss"]].to_numpy(float).T
                axes.plot(*validation, color=BASELINE, linewidth=1.8, marker="s", markersize=3.5)
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
            axes.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        axes.plot(curve["step"], curve[column], color=PREDICTION, linewidth=2.2, marker="o", ms=3.5)
        if best_step:
            axes.axvline(best_step, color=CHOSEN, linewidth=1.4, linestyle=(0, (1, 1.5)))
        axes.set_xlim(0, history["step"].max() * 1.02)
        _minutes_above(axes, history)
        return _svg(figure, f"{name} against the training step, up to {history['step'].max()}")


def seam_plot(seams: Seams) -> str:
    """SVG of the difference of neighbours by distance from the border of a tile, which is marked.

    Over the mean of the lines that lie alike to the network's poolings; these are strong.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _plot("distance from the border of a tile [px]", "difference over its mean")
        ratios = seams.profile / (seams.elsewhere.mean() or 1)
        half = seams.step_px // 2
        distance = (np.arange(seams.step_px) + half) % seams.step_px - half
        order = np.argsort(distance)
        axes.plot(distance[order], ratios[order], color=SINGLE, linewidth=0.6, alpha=0.6)
        alike = slice(seams.period_px, None, seams.period_px)
        axes.plot(distance[alike], ratios[alike], "o", color=PREDICTION, markersize=3)
        axes.plot([0], ratios[:1], "o", color=CHOSEN, markersize=6)
        axes.set_ylim(bottom=0)
        return _svg(figure, f"difference of neighbours, {ratios[0]:.3f} times the mean at 0")


def overlay(
    image_CYX: np.ndarray,
    truth_YX: np.ndarray,
    interior_YX: np.ndarray,
    foreground_YX: np.ndarray,
    instances_YX: np.ndarray,
    ignore_YX: np.ndarray,
    *,
    threshold: float,
) -> Overlay:
    """Panels of one crop. A pixel is predicted where foreground > threshold.

    `truth` and `instances` are labels, `interior` is nonzero where a pixel ought to be predicted
    (touching instances separated); ignored pixels are gray in truth and errors.
    """
    image = _gray_or_rgb(image_CYX)
    behind = np.rint(image * GRAYS) / GRAYS
    truth = _coloured(behind, truth_YX)
    foreground = _ramped(foreground_YX)
    outline = find_boundaries(instances_YX, mode="inner")
    foreground[outline] = _rgb(MISSED)
    predicted = foreground_YX.astype(np.float64) > threshold
    wanted = interior_YX != 0
    errors = 0.75 * behind
    for where, colour, share in (
        (wanted & predicted, HIT, 0.45),
        (wanted & ~predicted, MISSED, 0.9),
        (~wanted & predicted, FALSE, 0.9),
    ):
        errors[where] = (1 - share) * errors[where] + share * _rgb(colour)
    errors[outline] = 1.0
    for panel in (truth, errors):
        panel[ignore_YX != 0] = _rgb(IGNORED)
    return Overlay(_png(image), _png(truth), _png(foreground), _png(errors))


def weight_panels(
    image_CYX: np.ndarray, truth_YX: np.ndarray, weight_YX: np.ndarray
) -> dict[str, bytes]:
    """Image, truth and weight map of one crop as PNG, as figure 3 of the paper shows them.

    The weight is drawn with `RAMP` from 0 to its largest value in the crop.
    """
    image = _gray_or_rgb(image_CYX)
    truth = _coloured(np.rint(image * GRAYS) / GRAYS, truth_YX)
    weight = _ramped(weight_YX / max(float(weight_YX.max()), 1e-12))
    return {"image": _png(image), "truth": _png(truth), "weight": _png(weight)}


def patch_panel(image_CHW: np.ndarray, target_HW: np.ndarray, weight_HW: np.ndarray) -> bytes:
    """An augmented patch as PNG: objects outlined where the network answers, gray what is ignored.

    Target and weight lie in the middle of the image.
    """
    drawn = np.rint(_gray_or_rgb(image_CHW) * GRAYS) / GRAYS
    margin = (image_CHW.shape[1] - target_HW.shape[0]) // 2
    middle = drawn[margin : margin + target_HW.shape[0], margin : margin + target_HW.shape[1]]
    middle[weight_HW == 0] = 0.5 * middle[weight_HW == 0] + 0.5 * _rgb(IGNORED)
    middle[find_boundaries(target_HW, mode="inner")] = _rgb(HIT)
    middle[[0, -1]] = middle[:, [0, -1]] = _rgb(CHOSEN)
    return _png(drawn)


def _coloured(behind: np.ndarray, labels_YX: np.ndarray) -> np.ndarray:
    """Instances in colours with white outlines on an image."""
    drawn = behind.copy()
    inside = labels_YX != 0
    colours = np.array([_rgb(colour) for colour in INSTANCES])
    drawn[inside] = 0.45 * behind[inside] + 0.55 * colours[labels_YX[inside] % len(colours)]
    drawn[find_boundaries(labels_YX, mode="inner")] = 1.0
    return drawn


def _ramped(share_YX: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1] in the colours of `RAMP`."""
    ramp = np.array([_rgb(colour) for colour in RAMP])
    steps = np.linspace(0, 1, len(ramp))
    coarse_YX = np.rint(share_YX * GRAYS) / GRAYS
    return np.stack([np.interp(coarse_YX, steps, ramp[:, c]) for c in range(3)], axis=-1)


def scale_bar(width_px: int, um_per_px: float | None) -> tuple[float, str]:
    """Length [px] and text of a scale bar: 1, 2 or 5 times a power of ten, a quarter of the width.

    >>> scale_bar(512, 0.5)
    (100.0, '50 µm')
    >>> scale_bar(512, None)
    (100.0, '100 px')
    """
    step, unit = (um_per_px, "µm") if um_per_px else (1.0, "px")
    most = width_px * step / 4
    power = 10.0 ** math.floor(math.log10(most))
    length = power * max(factor for factor in (1, 2, 5) if factor * power <= most * (1 + 1e-9))
    return length / step, f"{length:g} {unit}"


def _gray_or_rgb(image_CYX: np.ndarray) -> np.ndarray:
    """RGB (Y, X, 3) in [0, 1]: three channels of bytes as they are, else the mean, stretched."""
    if len(image_CYX) == 3 and image_CYX.dtype == np.uint8:
        return np.moveaxis(image_CYX, 0, -1) / 255.0
    gray_YX = image_CYX.astype(np.float64).mean(axis=0)
    low, high = np.percentile(gray_YX, (0.5, 99.8))
    stretched = np.clip((gray_YX - low) / max(high - low, 1e-12), 0, 1)
    return np.repeat(stretched[..., None], 3, axis=-1)


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0


def _png(rgb: np.ndarray) -> bytes:
    """Gray or, with up to 256 colours, indexed where that loses nothing."""
    pixels = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    codes = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours, index = np.unique(codes, return_inverse=True)
    if (pixels == pixels[..., :1]).all():
        picture = Image.fromarray(pixels[..., 0])
    elif len(colours) <= 256:
        picture = Image.fromarray(index.reshape(codes.shape).astype(np.uint8))
        palette = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1)
        picture.putpalette(palette.astype(np.uint8).tobytes())
    else:
        picture = Image.fromarray(pixels)
    content = io.BytesIO()
    picture.save(content, format="png", optimize=True)
    return content.getvalue()


def _plot(x: str, y: str) -> tuple[Figure, Axes]:
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


def _svg(figure: Figure, alt: str) -> str:
    """The figure as an `svg` element for HTML, without ids that two figures would share."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    text = content.getvalue().decode()
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text).replace(INK, "currentColor")
    label = f'<svg class="plot" role="img" aria-label="{escape(alt, quote=True)}"'
    return text.replace("<svg", label, 1)
