"""Which predicted instance stands for which true one: overlaps of instances and their pairing."""

from dataclasses import dataclass

import numpy as np

from unetflow.metrics.checks import BoolArray, FloatArray, IntArray
from unetflow.metrics.contingency import Contingency, Labels, contingency


@dataclass(frozen=True, slots=True)
class Overlaps:
    """All pairs of a true and a predicted instance that share a pixel; background is left out.

    Pairs stand in the order of first appearance in raster order, and so do the instances.
    """

    rows: IntArray  # (P,) index of the true instance
    columns: IntArray  # (P,) index of the predicted instance
    shared: IntArray  # (P,) [px] intersection
    truth_areas: IntArray  # (R,) [px]
    predicted_areas: IntArray  # (C,) [px]

    @property
    def union(self) -> IntArray:
        """(P,) [px] union of each pair."""
        return self.truth_areas[self.rows] + self.predicted_areas[self.columns] - self.shared

    @property
    def iou(self) -> FloatArray:
        """(P,) intersection over union of each pair, in (0, 1]."""
        return self.shared / self.union


def instance_overlaps(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    ignore: Labels | None = None,
) -> Overlaps:
    """The overlapping pairs of two label images, or of their table."""
    table = contingency(truth_labels, predicted_labels, ignore=ignore)
    truth, predicted = table.truth_ids != 0, table.predicted_ids != 0
    both = truth[table.rows] & predicted[table.columns]
    return Overlaps(
        rows=(np.cumsum(truth) - 1)[table.rows[both]],
        columns=(np.cumsum(predicted) - 1)[table.columns[both]],
        shared=table.pixels[both],
        truth_areas=table.truth_areas[truth],
        predicted_areas=table.predicted_areas[predicted],
    )


def pair_at_iou(overlaps: Overlaps, iou: float) -> IntArray:
    """The pairs of the best one-to-one matching with IoU >= iou, as indices into the overlaps.

    As many pairs as possible and, among matchings of that size, the largest sum of IoU. Above
    0.5 no instance can have two partners, and all pairs count.
    """
    enough = np.flatnonzero(overlaps.iou >= iou)
    if iou > 0.5 or enough.size == 0:
        return enough
    # A pair more outweighs any gain in IoU: at most `size` pairs gain at most 1 each.
    weights = 1 + overlaps.iou[enough] / (2 * enough.size)
    return enough[assign(overlaps.rows[enough], overlaps.columns[enough], weights)]


def assign(rows: IntArray, columns: IntArray, weights: FloatArray) -> IntArray:
    """The one-to-one subset of pairs with the largest sum of weights (> 0), as indices.

    Sparse: memory follows the pairs, never objects x objects.

        rows 0 0 1, columns 0 1 0, weights 5 4 4   ->   pairs 1 and 2 (4 + 4 > 5)
    """
    chosen = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)  # no rival
    rivals = np.flatnonzero(~chosen)
    chosen[rivals] = _assign_rivals(rows[rivals], columns[rivals], weights[rivals])
    return np.flatnonzero(chosen)


def _assign_rivals(rows: IntArray, columns: IntArray, weights: FloatArray) -> BoolArray:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if rows.size == 0:
        return np.zeros(0, np.bool_)
    row_ids, row = np.unique(rows, return_inverse=True)
    column_ids, column = np.unique(columns, return_inverse=True)
    # Each row also has a partner of its own of weight next to 0, so that a full matching exists.
    # All weights are shifted by one: each row is matched once, and a 0 would not be stored.
    own = np.arange(row_ids.size)
    ends = np.concatenate((row, own)), np.concatenate((column, column_ids.size + own))
    shifted = np.concatenate((weights + 1, np.ones(own.size)))
    graph = coo_array((shifted, ends), shape=(own.size, column_ids.size + own.size)).tocsr()
    matched_row, matched_column = min_weight_full_bipartite_matching(graph, maximize=True)
    partner = np.empty(own.size, np.int64)
    partner[matched_row] = matched_column
    return np.asarray(partner[row] == column)
