"""The scores that the report shows: how they are called, what they mean, which way is better."""

import math
from dataclasses import dataclass

from unetflow.evaluate.pooling import Estimate

UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class Score:
    """A metric and its variant: how it is called, shown and read."""

    metric: str
    variant: str
    name: str
    meaning: str
    digits: int = 3
    plotted: bool = True  # against the threshold

    @property
    def lower_is_better(self) -> bool:
        return self.metric in LOWER_IS_BETTER

    def text(self, value: float) -> str:
        """The value with the digits of this metric, or "undefined"."""
        return UNDEFINED if math.isnan(value) else f"{value:.{self.digits}f}"

    def interval(self, estimate: Estimate) -> str:
        """The 95 % interval, or why there is none."""
        if math.isnan(estimate.low):
            return "no interval: one group" if estimate.groups else ""
        return f"{self.text(estimate.low)} to {self.text(estimate.high)}"


_RAND = (
    "V_Rand = 2 AB / (A + B) with AB = Σ n_ij² + z over truth regions i and predicted regions j, "
    "A = Σ a_i², B = Σ b_j² + z; pixels of the truth's regions only, z of them predicted as "
    "membrane. "
)
SCORES = (
    Score(
        *("seg", "", "SEG"),
        "Mean over the truth's objects of the IoU with the predicted object that covers more than "
        "half of it, else 0 (Cell Tracking Challenge). Surplus objects cost nothing: read AP too.",
    ),
    Score(
        *("ap", "iou 0.5", "AP at IoU 0.5"),
        "TP / (TP + FP + FN) of objects matched one to one at IoU ≥ 0.5 (StarDist, DSB 2018).",
    ),
    Score(*("ap", "iou 0.75", "AP at IoU 0.75"), "The same at IoU ≥ 0.75.", plotted=False),
    Score(
        *("dsb2018", "", "DSB 2018"),
        "Mean of AP at IoU 0.50, 0.55, ... 0.95 (Data Science Bowl 2018).",
        plotted=False,
    ),
    Score(
        *("det", "", "DET"),
        "1 - cost of correcting the detections / cost of adding all by hand: missed objects cost "
        "10, merged ones 5, surplus ones 1 (Cell Tracking Challenge).",
        plotted=False,
    ),
    Score(
        *("pq", "", "PQ"),
        "Panoptic quality: sum of matched IoU / (TP + FP/2 + FN/2), matched at IoU > 0.5 "
        "(Kirillov 2019).",
        plotted=False,
    ),
    Score(
        *("aji", "", "AJI"),
        "Aggregated Jaccard index: intersections over unions of objects, in pixels (Kumar 2017).",
        plotted=False,
    ),
    Score(*("aji+", "", "AJI+"), "The same with objects paired one to one.", plotted=False),
    Score(
        *("iou", "", "IoU, object pixels"),
        "TP / (TP + FP + FN) of object pixels, one number per image, after touching objects of "
        "the truth were separated by background.",
    ),
    Score(*("dice", "", "Dice, object pixels"), "2 TP / (2 TP + FP + FN) of the same pixels."),
    Score(
        *("pixel_error", "", "Pixel error"),
        "Wrong pixels / annotated pixels. Small objects hardly show in it.",
        digits=4,
    ),
    Score(
        *("v_rand", "thinned", "V_Rand, thinned"),
        _RAND + "Predicted membranes are thinned to a line first: the official score of ISBI 2012 "
        "since 2015.",
    ),
    Score(
        *("v_rand", "unthinned", "V_Rand, unthinned"),
        _RAND + "As predicted, without thinning; 1 minus its pooled maximum over thresholds is "
        "the Rand error in the U-Net paper.",
    ),
    Score(
        *("v_info", "thinned", "V_Info, thinned"),
        "F-score of the information that truth and prediction share, thinned: official score of "
        "ISBI 2012 since 2015. 0 where the truth is one region, even when perfect.",
        plotted=False,
    ),
    Score(*("v_info", "unthinned", "V_Info, unthinned"), "Without thinning.", plotted=False),
    Score(
        *("warping_error", "", "Warping error"),
        "Pixels that stay wrong after the truth was warped towards the prediction without "
        "changing its topology / all pixels (Jain 2010).",
        digits=6,
    ),
    Score(
        *("splits_mergers", "", "Splits and mergers"),
        "Those of them that split or merge objects / all pixels, window 20 px; its minimum over "
        "thresholds is the “warping error” of the U-Net paper.",
        digits=6,
    ),
)
LOWER_IS_BETTER = {"pixel_error", "warping_error", "splits_mergers"}
