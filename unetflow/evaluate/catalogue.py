"""The catalogue of scores: one row says all that is said of a metric and its variant.

Names are spelled as in the tables of scores, and the command takes them over. Which way is better,
how several images are pooled, what decides where instances are made: whoever asks looks here.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Better = Literal["higher", "lower"]
Sums = Mapping[str, NDArray[np.float64]]
"""Columns of `unetflow.evaluate.tables.SUMS`, each added over images.

Of pixels or of objects: ab are those that truth and prediction share, a the truth's, b the
prediction's, n all; of errors a are the wrong ones. Of V_Rand they are sums of squares. Of DET a is
the cost where nothing is found, b the cost.
"""
Pooling = Callable[[Sums], NDArray[np.float64]]
HIGHER: Better = "higher"
LOWER: Better = "lower"
ARROWS = {HIGHER: "↑", LOWER: "↓", None: ""}
UNDEFINED = "undefined"
STORED = "stored instances"  # scored from the labels that the pipeline writes


class Interval(Protocol):
    """A 95 % interval over images, as of `unetflow.evaluate.pooling.Estimate`."""

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...

    @property
    def groups(self) -> int: ...


BY_SLICES = "by slices"  # behind a variant: of a volume whose planes are scored alone


@dataclass(frozen=True, slots=True)
class Score:
    """A metric and its variant: how it is called, shown, pooled and read."""

    metric: str
    name: str  # as people call it
    definition: str
    variant: str = ""
    better: Better | None = HIGHER  # None: a count
    source: str = ""
    pooling: Pooling | None = None  # of the sums of its rows; None: they have none to add
    digits: int = 3
    plotted: bool = True  # against the threshold
    decides: tuple[str, ...] = ()  # kinds of truth whose instances are made at its threshold
    headline: str | None = None  # which line the headline has: STORED, or "" for a threshold's

    @property
    def meaning(self) -> str:
        """What it is, and who says so."""
        return f"{self.definition} Source: {self.source}." if self.source else self.definition

    @property
    def lower_is_better(self) -> bool:
        return self.better == LOWER

    def text(self, value: float) -> str:
        """The value with the digits of this metric, or "undefined"."""
        return UNDEFINED if math.isnan(value) else f"{value:.{self.digits}f}"

    def interval(self, estimate: Interval) -> str:
        """The 95 % interval, or why there is none."""
        if math.isnan(estimate.low):
            return "no interval: one group" if estimate.groups else ""
        return f"{self.text(estimate.low)} to {self.text(estimate.high)}"


OBJECT_ERRORS = "object_errors"


def at_iou(iou: float) -> str:
    """The variant of a metric whose objects are matched at an IoU."""
    return f"iou {iou:g}"


_RAND = (
    "V_Rand = 2 AB / (A + B) with AB = Σ n_ij² + z over truth regions i and predicted regions j, "
    "A = Σ a_i², B = Σ b_j² + z; pixels of the truth's regions only, z of them predicted as "
    "membrane. "
)
_ISBI = "Arganda-Carreras 2015"


def _object_error(kind: str, definition: str) -> Score:
    """A row of the counts of objects; pooled they are summed."""
    return Score(
        metric=OBJECT_ERRORS,
        variant=kind,
        name=f"{kind.capitalize()} objects",
        better=LOWER,
        definition=definition,
        pooling=lambda s: s["a"],
        digits=1,
        plotted=False,
    )


SCORES = (
    Score(
        metric="seg",
        name="SEG",
        definition="Mean over the truth's objects of the IoU with the predicted object that "
        "covers more than half of it, else 0. Surplus objects cost nothing: read AP too.",
        source="Cell Tracking Challenge",
        pooling=lambda s: s["iou_sum"] / s["objects"],
        decides=("instances",),
        headline=STORED,
    ),
    Score(
        metric="ap",
        variant="iou 0.5",
        name="AP at IoU 0.5",
        definition="TP / (TP + FP + FN) of objects matched one to one at IoU ≥ 0.5.",
        source="StarDist, Data Science Bowl 2018",
        pooling=lambda s: s["ab"] / (s["a"] + s["b"] - s["ab"]),
        headline=STORED,
    ),
    Score(
        metric="ap",
        variant="iou 0.75",
        name="AP at IoU 0.75",
        definition="The same at IoU ≥ 0.75.",
        source="StarDist, Data Science Bowl 2018",
        pooling=lambda s: s["ab"] / (s["a"] + s["b"] - s["ab"]),
        plotted=False,
    ),
    Score(
        metric="dsb2018",
        name="DSB 2018",
        definition="Mean of AP at IoU 0.50, 0.55, ... 0.95.",
        source="Data Science Bowl 2018",
        plotted=False,
    ),
    Score(
        metric="det",
        name="DET",
        definition="1 - cost of correcting the detections / cost of adding all by hand: missed "
        "objects cost 10, merged ones 5, surplus ones 1.",
        source="Cell Tracking Challenge",
        pooling=lambda s: 1 - np.minimum(s["a"], s["b"]) / s["a"],
        plotted=False,
    ),
    Score(
        metric="pq",
        name="PQ",
        definition="Panoptic quality: sum of matched IoU / (TP + FP/2 + FN/2), matched at "
        "IoU > 0.5.",
        source="Kirillov 2019",
        pooling=lambda s: 2 * s["iou_sum"] / (s["a"] + s["b"]),
        plotted=False,
    ),
    Score(
        metric="aji",
        name="AJI",
        definition="Aggregated Jaccard index: intersections over unions of objects, in pixels.",
        source="Kumar 2017",
        pooling=lambda s: s["ab"] / s["n"],
        plotted=False,
    ),
    Score(
        metric="aji+",
        name="AJI+",
        definition="The same with objects paired one to one.",
        source="Graham 2019",
        pooling=lambda s: s["ab"] / s["n"],
        plotted=False,
    ),
    _object_error(
        "merged",
        "True objects that lie by more than half in a prediction with another one, and are not "
        "matched at IoU ≥ 0.5, as in the next three. Each object is counted once.",
    ),
    _object_error(
        "split",
        "True objects that two or more predictions lie in, each by more than half and a tenth of "
        "the object or more.",
    ),
    _object_error(
        "misshapen",
        "True objects that one prediction stands for, of another shape: one lies in the other by "
        "more than half, and they share a tenth of the object or more.",
    ),
    _object_error("missed", "True objects that no prediction stands for."),
    _object_error("spurious", "Predicted objects that stand for no true one, nor for a part."),
    Score(
        metric="iou",
        name="IoU, object pixels",
        definition="TP / (TP + FP + FN) of object pixels, one number per image, after touching "
        "objects of the truth were separated by background.",
        source="Jaccard 1901",
        pooling=lambda s: s["ab"] / (s["a"] + s["b"] - s["ab"]),
        decides=("instances", "classes"),
        headline="",
    ),
    Score(
        metric="dice",
        name="Dice, object pixels",
        definition="2 TP / (2 TP + FP + FN) of the same pixels.",
        source="Dice 1945",
        pooling=lambda s: 2 * s["ab"] / (s["a"] + s["b"]),
    ),
    Score(
        metric="pixel_error",
        name="Pixel error",
        better=LOWER,
        definition="Wrong pixels / annotated pixels. Small objects hardly show in it.",
        pooling=lambda s: (s["a"] + s["b"] - 2 * s["ab"]) / s["n"],
        digits=4,
    ),
    Score(
        metric="v_rand",
        variant="thinned",
        name="V_Rand, thinned",
        definition=f"{_RAND}Predicted membranes are thinned to a line first: the official score "
        "of ISBI 2012 since 2015.",
        source=_ISBI,
        pooling=lambda s: 2 * s["ab"] / (s["a"] + s["b"]),
        decides=("interior",),
        headline="",
    ),
    Score(
        metric="v_rand",
        variant="unthinned",
        name="V_Rand, unthinned",
        definition=f"{_RAND}As predicted, without thinning; 1 minus its pooled maximum over "
        "thresholds is the Rand error in the U-Net paper.",
        source=_ISBI,
        pooling=lambda s: 2 * s["ab"] / (s["a"] + s["b"]),
        decides=("interior",),
    ),
    Score(
        metric="v_info",
        variant="thinned",
        name="V_Info, thinned",
        definition="F-score of the information that truth and prediction share, thinned: official "
        "score of ISBI 2012 since 2015. 0 where the truth is one region, even when perfect.",
        source=_ISBI,
        plotted=False,
    ),
    Score(
        metric="v_info",
        variant="unthinned",
        name="V_Info, unthinned",
        definition="Without thinning.",
        source=_ISBI,
        plotted=False,
    ),
    Score(
        metric="warping_error",
        name="Warping error",
        better=LOWER,
        definition="Pixels that stay wrong after the truth was warped towards the prediction "
        "without changing its topology / all pixels.",
        source="Jain 2010",
        pooling=lambda s: s["a"] / s["n"],
        digits=6,
    ),
    Score(
        metric="splits_mergers",
        name="Splits and mergers",
        better=LOWER,
        definition="Those of them that split or merge objects / all pixels, window 20 px; its "
        "minimum over thresholds is the “warping error” of the U-Net paper.",
        source="Jain 2010, Trainable Segmentation of Fiji",
        pooling=lambda s: s["a"] / s["n"],
        digits=6,
    ),
)
"""The scores of the pipeline's tables, in the order of the report."""

Catalogue = Mapping[tuple[str, str], Score]


def catalogue_of(scores: Iterable[Score]) -> Catalogue:
    """Scores by metric and variant."""
    return {(score.metric, score.variant): score for score in scores}


OF_TABLES = catalogue_of(SCORES)


def row_of(metric: str, variant: str, among: Catalogue = OF_TABLES) -> Score:
    """The row of a score. Raises KeyError for one that has none.

    After a comma a variant may say how its images were scored, which no row does: the row of
    "thinned, regions of 512 px" is that of "thinned".
    """
    parts = variant.split(", ")
    for kept in range(len(parts), -1, -1):
        if row := among.get((metric, ", ".join(parts[:kept]))):
            return row
    raise KeyError(f"no row of the catalogue is metric {metric!r}, variant {variant!r}")


def score_of(metric: str, variant: str) -> Score:
    """As `row_of`, with the whole variant, which the name tells too."""
    row = row_of(metric, variant)
    how = variant.removeprefix(row.variant).removeprefix(", ")
    return replace(row, variant=variant, name=f"{row.name}, {how}") if how else row
