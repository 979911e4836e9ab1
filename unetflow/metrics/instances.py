"""Instance metrics: are the objects found, and are they the right shape?

All take labels of any number of axes: whole numbers, 0 background, as high as uint32 goes,
in memory, in Zarr or in Dask; or in place of both images one `contingency` table of them, so that
several scores share a pass. Each score has a function that returns its sums: add the sums of
several images, then score. Undefined (nothing to score) is NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from unetflow.arguments import list_of, number_of
from unetflow.metrics.checks import frames_of
from unetflow.metrics.contingency import Contingency, Labels
from unetflow.metrics.matching import instance_overlaps, pair_at_iou
from unetflow.metrics.overlap import ratio

DSB2018_IOUS: tuple[float, ...] = tuple(percent / 100 for percent in range(50, 100, 5))
"""0.50, 0.55, ... 0.95, each the double nearest to the decimal."""

Frames = Labels | list[Labels]
"""One label image, or a list of them, one per frame."""


@dataclass(frozen=True, slots=True)
class SegSums:
    """Sums of SEG."""

    iou_sum: float  # over matched reference objects
    objects: int  # reference objects

    def __add__(self, other: "SegSums") -> "SegSums":
        return SegSums(self.iou_sum + other.iou_sum, self.objects + other.objects)

    @property
    def score(self) -> float:
        """Mean IoU over all reference objects; NaN without any."""
        return ratio(self.iou_sum, self.objects)


@dataclass(frozen=True, slots=True)
class DetSums:
    """Sums of DET."""

    merged: int  # NS: a prediction over k > 1 references counts k - 1
    missed: int  # FN
    added: int  # FP
    objects: int  # reference objects

    def __add__(self, other: "DetSums") -> "DetSums":
        return DetSums(
            self.merged + other.merged,
            self.missed + other.missed,
            self.added + other.added,
            self.objects + other.objects,
        )

    @property
    def cost(self) -> int:
        """A = 5 NS + 10 FN + FP: the price of correcting the detections."""
        return 5 * self.merged + 10 * self.missed + self.added

    @property
    def emptiness(self) -> int:
        """A0 = 10 references: the price where nothing is detected."""
        return 10 * self.objects

    @property
    def score(self) -> float:
        """1 - min(A, A0) / A0; NaN without references."""
        return 1 - ratio(min(self.cost, self.emptiness), self.emptiness)


@dataclass(frozen=True, slots=True)
class MatchingSums:
    """Sums of AP, F1 and PQ at one IoU."""

    true_positives: int  # matched pairs
    truth_objects: int
    predicted_objects: int
    iou_sum: float  # over matched pairs

    def __add__(self, other: "MatchingSums") -> "MatchingSums":
        return MatchingSums(
            self.true_positives + other.true_positives,
            self.truth_objects + other.truth_objects,
            self.predicted_objects + other.predicted_objects,
            self.iou_sum + other.iou_sum,
        )

    @property
    def average_precision(self) -> float:
        """TP / (TP + FP + FN); NaN where neither image has an object."""
        objects = self.truth_objects + self.predicted_objects
        return ratio(self.true_positives, objects - self.true_positives)

    @property
    def f1(self) -> float:
        """TP / (TP + FP/2 + FN/2), which is DQ; NaN where neither image has an object."""
        return ratio(2 * self.true_positives, self.truth_objects + self.predicted_objects)

    @property
    def mean_matched_iou(self) -> float:
        """Mean IoU of the matched pairs, which is SQ; NaN without any."""
        return ratio(self.iou_sum, self.true_positives)


class PanopticQuality(NamedTuple):
    """Panoptic quality and its factors, pq = dq * sq."""

    pq: float
    dq: float  # F1 at IoU > 0.5
    sq: float  # mean IoU of the matched pairs, NaN without any


def seg_score(
    truth_labels: Frames | Contingency,
    predicted_labels: Frames | None = None,
    *,
    ignore: Frames | None = None,
) -> float:
    """SEG of the Cell Tracking Challenge: mean IoU over all reference objects of all frames.

    A reference R is matched by the prediction S with |R and S| > |R| / 2, strictly; an unmatched
    one counts 0. A list is a sequence of frames, pooled. False positives cost nothing: show DET or
    PQ beside it. No reference object: NaN.

        truth 1 1 1 2    predicted 7 7 0 0     SEG = (2/3 + 0) / 2
    """
    return seg_sums(truth_labels, predicted_labels, ignore=ignore).score


def seg_sums(
    truth_labels: Frames | Contingency,
    predicted_labels: Frames | None = None,
    *,
    ignore: Frames | None = None,
) -> SegSums:
    """The sums of SEG; arguments as `seg_score`."""
    total = SegSums(0.0, 0)
    for truth, predicted, ignored in frames_of(truth_labels, predicted_labels, ignore):
        overlaps = instance_overlaps(truth, predicted, ignore=ignored)
        matched = 2 * overlaps.shared > overlaps.truth_areas[overlaps.rows]
        iou = overlaps.shared[matched] / overlaps.union[matched]
        total += SegSums(float(iou.sum()), overlaps.truth_areas.size)
    return total


def det_score(
    truth_labels: Frames | Contingency,
    predicted_labels: Frames | None = None,
    *,
    ignore: Frames | None = None,
) -> float:
    """DET of the Cell Tracking Challenge: 1 - the price of correcting the detections.

    Missing an object costs 10, splitting a prediction that covers two 5, deleting one 1, over
    the price of adding all references by hand. Matching as in SEG. No reference object: NaN.
    """
    return det_sums(truth_labels, predicted_labels, ignore=ignore).score


def det_sums(
    truth_labels: Frames | Contingency,
    predicted_labels: Frames | None = None,
    *,
    ignore: Frames | None = None,
) -> DetSums:
    """The sums of DET; arguments as `det_score`."""
    total = DetSums(0, 0, 0, 0)
    for truth, predicted, ignored in frames_of(truth_labels, predicted_labels, ignore):
        overlaps = instance_overlaps(truth, predicted, ignore=ignored)
        matched = 2 * overlaps.shared > overlaps.truth_areas[overlaps.rows]
        found, users = int(matched.sum()), int(np.unique(overlaps.columns[matched]).size)
        objects, predictions = overlaps.truth_areas.size, overlaps.predicted_areas.size
        total += DetSums(found - users, objects - found, predictions - users, objects)
    return total


def average_precision(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    iou: float = 0.5,
    *,
    ignore: Labels | None = None,
) -> float:
    """TP / (TP + FP + FN) at one IoU, as StarDist and the Data Science Bowl 2018 count it.

    Pairs are matched one to one with IoU >= iou. NaN where neither image has an object.
    """
    return matching_sums(truth_labels, predicted_labels, iou, ignore=ignore).average_precision


def matching_sums(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    iou: float = 0.5,
    *,
    ignore: Labels | None = None,
) -> MatchingSums:
    """The sums of AP and F1 at one IoU; arguments as `average_precision`."""
    return matching_sums_at_ious(truth_labels, predicted_labels, (iou,), ignore=ignore)[0]


def matching_sums_at_ious(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    ious: Sequence[float] = DSB2018_IOUS,
    *,
    ignore: Labels | None = None,
) -> list[MatchingSums]:
    """The sums of AP and F1 at each of several IoUs, from one table."""
    levels = [number_of(iou, "iou") for iou in list_of(ious)]
    for iou in levels:
        if not 0 < iou <= 1:
            raise ValueError(f"iou is {iou}: must lie in (0, 1], usually 0.5.")
    overlaps = instance_overlaps(truth_labels, predicted_labels, ignore=ignore)
    found = [overlaps.iou[pair_at_iou(overlaps, iou)] for iou in levels]
    objects = overlaps.truth_areas.size, overlaps.predicted_areas.size
    return [MatchingSums(each.size, *objects, float(each.sum())) for each in found]


def dsb2018_score(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    ignore: Labels | None = None,
) -> float:
    """Score of the Data Science Bowl 2018: mean of `average_precision` at IoU 0.50 ... 0.95."""
    sums = matching_sums_at_ious(truth_labels, predicted_labels, ignore=ignore)
    return float(np.mean([each.average_precision for each in sums]))


def panoptic_quality(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    ignore: Labels | None = None,
) -> PanopticQuality:
    """PQ = sum of matched IoU / (TP + FP/2 + FN/2), matched where IoU > 0.5, strictly.

    Source: Kirillov et al. 2019. NaN where neither image has an object; sq alone is NaN where
    nothing matched, and pq is 0 then.
    """
    return panoptic_of(panoptic_sums(truth_labels, predicted_labels, ignore=ignore))


def panoptic_sums(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    ignore: Labels | None = None,
) -> MatchingSums:
    """The sums of PQ (IoU > 0.5, strictly)."""
    above_half = float(np.nextafter(0.5, 1))
    return matching_sums(truth_labels, predicted_labels, above_half, ignore=ignore)


def panoptic_of(sums: MatchingSums) -> PanopticQuality:
    """PQ of sums, pooled or not."""
    pq = ratio(2 * sums.iou_sum, sums.truth_objects + sums.predicted_objects)
    return PanopticQuality(pq, sums.f1, sums.mean_matched_iou)
