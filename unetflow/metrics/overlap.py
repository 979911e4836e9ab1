"""How two images overlap: pixel scores, class scores, and the table that other metrics count from.

Sums are integers, so that images, chunks and slices pool exactly: add the counts, then score.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from unetflow.metrics.checks import binarise, label_pair, membrane_pair

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

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


def confusion_matrix(
    truth_classes: ArrayLike,
    predicted_classes: ArrayLike,
    *,
    classes: int | None = None,
    ignore: ArrayLike | None = None,
) -> IntArray:
    """Pixels of true class (row) and predicted class (column), int64 (K, K); add them to pool.

    Without `classes`, K is the highest class found in either image + 1.
    """
    table = contingency(truth_classes, predicted_classes, ignore=ignore)
    highest = int(max(table.truth_ids.max(initial=0), table.predicted_ids.max(initial=0)))
    count = highest + 1 if classes is None else classes
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


@dataclass(frozen=True, slots=True)
class Contingency:
    """The pixels that each pair of labels shares, as a sparse table.

        truth 1 1 2    predicted 5 5 5         truth_ids 1 2     rows 0 0 1
              1 1 2              5 0 0     predicted_ids 5 0  columns 0 1 0 1 ...

    Everything stands in the order of first appearance in raster order, so that renaming labels
    changes nothing, ties included. Label 0 is in the table like any other.
    """

    truth_ids: NDArray[np.uint32]  # (R,) distinct
    predicted_ids: NDArray[np.uint32]  # (C,) distinct
    truth_areas: IntArray  # (R,) [px]
    predicted_areas: IntArray  # (C,) [px]
    rows: IntArray  # (P,) index into truth_ids
    columns: IntArray  # (P,) index into predicted_ids
    pixels: IntArray  # (P,) [px] that the pair shares, never 0


def contingency(
    truth_labels: ArrayLike, predicted_labels: ArrayLike, *, ignore: ArrayLike | None = None
) -> Contingency:
    """Count the pixels of each pair of labels, in one pass; any number of axes.

    Memory follows the image and the number of pairs that occur, never objects x objects; ids may
    be sparse and as high as uint32 goes. Ignored pixels belong to no label.
    """
    keys, pixels = _count_pairs(*label_pair(truth_labels, predicted_labels, ignore))
    truth_ids, rows = _in_order_of_appearance((keys >> np.uint64(32)).astype(np.uint32))
    predicted_ids, columns = _in_order_of_appearance(keys.astype(np.uint32))
    return Contingency(
        truth_ids=truth_ids,
        predicted_ids=predicted_ids,
        truth_areas=sum_by(rows, pixels, truth_ids.size),
        predicted_areas=sum_by(columns, pixels, predicted_ids.size),
        rows=rows,
        columns=columns,
        pixels=pixels,
    )


def sum_by(group: IntArray, pixels: IntArray, groups: int) -> IntArray:
    """Sum pixels by group; exact below 2^53 pixels."""
    return np.bincount(group, weights=pixels, minlength=groups).astype(np.int64)


def _in_order_of_appearance(ids: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], IntArray]:
    values, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    return values[order], rank[inverse]


def _class_areas(confusion: ArrayLike) -> tuple[IntArray, IntArray, IntArray]:
    matrix = np.asarray(confusion)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"confusion has shape {matrix.shape}: must be (K, K), true by predicted class. "
            "Make it with confusion_matrix(truth_classes, predicted_classes)."
        )
    return np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)


def _ratios(part: IntArray, whole: IntArray) -> FloatArray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)


@njit(cache=True)
def _count_pairs(truth, predicted):
    """Distinct (truth << 32 | predicted) and their pixels, in order of first appearance.

    An open-addressing dictionary, touched once per run of equal pairs rather than once per pixel.
    """
    bits = 10
    slots = np.full(1 << bits, -1, np.int64)
    keys = np.empty(1 << (bits - 1), np.uint64)
    pixels = np.empty(1 << (bits - 1), np.int64)
    golden = np.uint64(0x9E3779B97F4A7C15)
    count, start, size = 0, 0, truth.size
    while start < size:
        t, p = truth[start], predicted[start]
        end = start + 1
        while end < size and truth[end] == t and predicted[end] == p:
            end += 1
        key = (np.uint64(t) << np.uint64(32)) | np.uint64(p)
        slot = np.int64((key * golden) >> np.uint64(64 - bits))
        while slots[slot] >= 0 and keys[slots[slot]] != key:
            slot = (slot + 1) & (slots.size - 1)
        if slots[slot] >= 0:
            pixels[slots[slot]] += end - start
        else:
            slots[slot] = count
            keys[count] = key
            pixels[count] = end - start
            count += 1
        start = end
        if count == keys.size:  # half of the slots are taken: double them
            bits += 1
            slots = np.full(1 << bits, -1, np.int64)
            keys = np.concatenate((keys, np.empty(count, np.uint64)))
            pixels = np.concatenate((pixels, np.empty(count, np.int64)))
            for entry in range(count):
                slot = np.int64((keys[entry] * golden) >> np.uint64(64 - bits))
                while slots[slot] >= 0:
                    slot = (slot + 1) & (slots.size - 1)
                slots[slot] = entry
    return keys[:count].copy(), pixels[:count].copy()
