"""Aggregated Jaccard index: instance overlap in pixels, for nuclei in histology.

Input as in `unetflow.metrics.instances`.
"""

from dataclasses import dataclass

import numpy as np

from unetflow.arguments import flag_of
from unetflow.metrics.contingency import Contingency, Labels
from unetflow.metrics.matching import assign, instance_overlaps
from unetflow.metrics.overlap import ratio


@dataclass(frozen=True, slots=True)
class JaccardSums:
    """Sums of AJI and AJI+."""

    intersection: int  # [px]
    union: int  # [px]

    def __add__(self, other: "JaccardSums") -> "JaccardSums":
        return JaccardSums(self.intersection + other.intersection, self.union + other.union)

    @property
    def score(self) -> float:
        """Intersection over union; NaN where neither image has an object."""
        return ratio(self.intersection, self.union)


def aggregated_jaccard(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    ignore: Labels | None = None,
) -> float:
    """AJI (Kumar et al. 2017): each true object takes its best prediction, reuse allowed.

    Intersections of the pairs over their unions and all objects left without a pair. Ties in IoU
    go to the larger intersection, then to the prediction that appears first in raster order.
    NaN where neither image has an object.
    """
    return jaccard_sums(truth_labels, predicted_labels, ignore=ignore).score


def aggregated_jaccard_plus(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    ignore: Labels | None = None,
) -> float:
    """AJI+ (Graham et al. 2019): as AJI, but one to one, with the largest sum of IoU."""
    return jaccard_sums(truth_labels, predicted_labels, one_to_one=True, ignore=ignore).score


def jaccard_sums(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    one_to_one: bool = False,
    ignore: Labels | None = None,
) -> JaccardSums:
    """The sums of AJI, or of AJI+ where pairs are one to one."""
    overlaps = instance_overlaps(truth_labels, predicted_labels, ignore=ignore)
    if flag_of(one_to_one, "one_to_one"):
        pairs = assign(overlaps.rows, overlaps.columns, overlaps.iou)
    else:
        best_first = np.lexsort((-overlaps.shared, -overlaps.iou, overlaps.rows))
        _, first = np.unique(overlaps.rows[best_first], return_index=True)
        pairs = best_first[first]
    lonely_truth = np.delete(overlaps.truth_areas, overlaps.rows[pairs])
    lonely_predicted = np.delete(overlaps.predicted_areas, overlaps.columns[pairs])
    union = overlaps.union[pairs].sum() + lonely_truth.sum() + lonely_predicted.sum()
    return JaccardSums(int(overlaps.shared[pairs].sum()), int(union))
