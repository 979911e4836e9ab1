"""How two images overlap: scores of pixels and of classes.

Sums are integers, so that images, chunks and slices pool exactly: add the counts, then score.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from unetflow.arguments import array_of, whole_number_of
from unetflow.metrics.checks import FloatArray, IntArray, binarise, membrane_pair
from unetflow.metrics.contingency import Contingency, Labels, contingency

MOST_CLASSES = 4096
"""A confusion matrix is dense; more classes than this are instances, not classes."""


def ratio(part: float, whole: float) -> float:
    """part / whole, NaN where whole is 0: undefined is never silently 0 or 1."""
    return part / whole if whole else float("nan")


class PixelCounts(NamedTuple):
    """Pixels of a binary comparison, interior positive; add those of several images to pool."""

    true_positive: int  # [px]
    false_positive: int  # [px] interior in the proposal only
    false_negative: int  # [px] interior in the truth only
    true_negative: int  # [px]

    @property
    def error(self) -> float:
        """Share of pixels that differ."""
        return ratio(self.false_positive + self.false_negative, sum(self))

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN); NaN where neither image has interior."""
        wrong = self.false_positive + self.false_negative
        return ratio(self.true_positive, self.true_positive + wrong)

    @property
    def f(self) -> float:
        """2 TP / (2 TP + FP + FN); NaN where neither image has interior."""
        wrong = self.false_positive + self.false_negative
        return ratio(2 * self.true_positive, 2 * self.true_positive + wrong)


def pixel_counts(
    truth: ArrayLike,
    proposal: ArrayLike,
    threshold: float = 0.5,
    *,
    ignore: ArrayLike | None = None,
) -> PixelCounts:
    """True and false positives and negatives of proposal > threshold, pooled over a stack."""
    interior, probability, ignored = membrane_pair(truth, proposal, ignore)
    proposed = binarise(probability, threshold)
    if ignored is not None:
        interior, proposed = interior[~ignored], proposed[~ignored]
    both = int(np.count_nonzero(interior & proposed))
    only_proposed = int(np.count_nonzero(proposed)) - both
    only_true = int(np.count_nonzero(interior)) - both
    rest = interior.size - both - only_proposed - only_true
    return PixelCounts(both, only_proposed, only_true, rest)


def pixel_error(
    truth: ArrayLike,
    proposal: ArrayLike,
    threshold: float = 0.5,
    *,
    ignore: ArrayLike | None = None,
) -> float:
    """Share of pixels where truth and proposal > threshold differ.

    truth 0 membrane, nonzero interior; proposal P(interior) in [0, 1]; (Y, X) or a stack (Z, Y, X).
    NaN where every pixel is ignored. The ISBI 2012 leaderboard's "pixel error" is another number:
    1 - max over thresholds of `pixel_f_score`.
    """
    return pixel_counts(truth, proposal, threshold, ignore=ignore).error


def pixel_f_score(
    truth: ArrayLike,
    proposal: ArrayLike,
    threshold: float = 0.5,
    *,
    ignore: ArrayLike | None = None,
) -> float:
    """F-score of the interior pixels, 2 TP / (2 TP + FP + FN), pooled over a stack.

    NaN where neither image has interior (Fiji prints 1 there).
    """
    return pixel_counts(truth, proposal, threshold, ignore=ignore).f


def pixel_counts_of_regions(table: Contingency) -> PixelCounts:
    """The pixel counts of a table of regions: any label but 0 is interior."""
    true = table.truth_ids[table.rows] != 0
    proposed = table.predicted_ids[table.columns] != 0
    cells = (true & proposed, proposed & ~true, true & ~proposed, ~true & ~proposed)
    return PixelCounts(*(int(table.pixels[cell].sum()) for cell in cells))


def pool_pixel_counts(counts: Iterable[PixelCounts]) -> PixelCounts:
    """The counts of several slices or images as if they were one."""
    return PixelCounts(*map(sum, zip(PixelCounts(0, 0, 0, 0), *counts, strict=True)))


def confusion_matrix(
    truth_classes: Labels | Contingency,
    predicted_classes: Labels | None = None,
    *,
    classes: int | None = None,
    ignore: Labels | None = None,
) -> IntArray:
    """Pixels of true class (row) and predicted class (column), int64 (K, K); add them to pool.

    Without `classes`, K is the highest class found in either image + 1. A `contingency` table
    takes the place of both images.
    """
    table = contingency(truth_classes, predicted_classes, ignore=ignore)
    highest = int(max(table.truth_ids.max(initial=0), table.predicted_ids.max(initial=0)))
    count = highest + 1 if classes is None else whole_number_of(classes, "classes", least=1)
    if highest >= count or count > MOST_CLASSES:
        raise ValueError(
            f"highest class is {highest} where {count} classes are possible (0 to {count - 1}, and "
            f"never over {MOST_CLASSES}): raise `classes`, or score instances with seg_score."
        )
    matrix = np.zeros((count, count), np.int64)
    matrix[table.truth_ids[table.rows], table.predicted_ids[table.columns]] = table.pixels
    return matrix


def iou_per_class(confusion: ArrayLike) -> FloatArray:
    """|T and P| / |T or P| of each class of a confusion matrix; NaN for a class in neither."""
    both, true, predicted = _class_areas(confusion)
    return _ratios(both, true + predicted - both)


def dice_per_class(confusion: ArrayLike) -> FloatArray:
    """2 |T and P| / (|T| + |P|) of each class of a confusion matrix; NaN for a class in neither."""
    both, true, predicted = _class_areas(confusion)
    return _ratios(2 * both, true + predicted)


def _class_areas(confusion: ArrayLike) -> tuple[IntArray, IntArray, IntArray]:
    matrix = array_of(confusion, "confusion")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"confusion has shape {matrix.shape}: must be (K, K), true by predicted class. "
            "Make it with confusion_matrix(truth_classes, predicted_classes)."
        )
    if matrix.size and not float(matrix.min()) >= 0:  # also true of NaN
        raise ValueError(f"confusion holds {matrix.min()}: must be numbers of pixels, 0 or more.")
    pixels = matrix.astype(np.float64 if matrix.dtype.kind == "f" else np.int64)  # twice fits, too
    return np.diagonal(pixels), pixels.sum(axis=1), pixels.sum(axis=0)


def _ratios(part: IntArray, whole: IntArray) -> FloatArray:
    ratios: FloatArray = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
    return ratios
