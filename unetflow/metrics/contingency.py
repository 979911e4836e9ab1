"""The table that the label metrics count from: the pixels that each pair of labels shares."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from unetflow.metrics.blocks import is_chunked, pairs_of_blocks
from unetflow.metrics.checks import IntArray, LabelArray
from unetflow.metrics.pairs import Pairs, count_pairs

Labels = ArrayLike
"""A label image: anything NumPy takes; of Zarr and Dask arrays it is read block by block."""


@dataclass(frozen=True, slots=True)
class Contingency:
    """The pixels that each pair of labels shares, as a sparse table.

        truth 1 1 2    predicted 5 5 5         truth_ids 1 2     rows 0 0 1
              1 1 2              5 0 0     predicted_ids 5 0  columns 0 1 0 1 ...

    Everything stands in the order of first appearance in raster order, so that renaming labels
    changes nothing, ties included. Label 0 is in the table like any other.
    """

    truth_ids: LabelArray  # (R,) distinct
    predicted_ids: LabelArray  # (C,) distinct
    truth_areas: IntArray  # (R,) [px]
    predicted_areas: IntArray  # (C,) [px]
    rows: IntArray  # (P,) index into truth_ids
    columns: IntArray  # (P,) index into predicted_ids
    pixels: IntArray  # (P,) [px] that the pair shares, never 0


def contingency(
    truth_labels: Labels | Contingency,
    predicted_labels: Labels | None = None,
    *,
    ignore: Labels | None = None,
) -> Contingency:
    """Count the pixels of each pair of labels, in one pass; any number of axes.

    Zarr and Dask arrays are counted block by block (Dask, threads), with the same result: memory
    follows the blocks in flight and the number of pairs that occur, never the image. Arrays in
    memory take what they take and the table, never objects x objects. Ids may be sparse and as
    high as uint32 goes. Ignored pixels belong to no label. A table is handed through, so that
    several metrics share one pass:

        table = contingency(truth, predicted)
        seg_score(table), panoptic_quality(table)
    """
    if isinstance(truth_labels, Contingency):
        if predicted_labels is not None or ignore is not None:
            raise ValueError(
                "a contingency table came together with predicted_labels or ignore: the table "
                "alone is enough. Give both to `contingency` when the table is made."
            )
        return truth_labels
    if predicted_labels is None:
        raise ValueError(
            "predicted_labels is missing: pass two label images, or one `contingency` table."
        )
    if is_chunked(truth_labels) or is_chunked(predicted_labels):
        return table_of_pairs(pairs_of_blocks(truth_labels, predicted_labels, ignore))
    return table_of_pairs(count_pairs(truth_labels, predicted_labels, ignore))


def table_of_pairs(pairs: Pairs) -> Contingency:
    """The table of pairs that stand in the order of first appearance."""
    truth_ids, rows = _in_order_of_appearance(pairs.truth)
    predicted_ids, columns = _in_order_of_appearance(pairs.predicted)
    return Contingency(
        truth_ids=truth_ids,
        predicted_ids=predicted_ids,
        truth_areas=sum_by(rows, pairs.pixels, truth_ids.size),
        predicted_areas=sum_by(columns, pairs.pixels, predicted_ids.size),
        rows=rows,
        columns=columns,
        pixels=pairs.pixels,
    )


def sum_by(group: IntArray, pixels: IntArray, groups: int) -> IntArray:
    """Sum pixels by group; exact below 2^53 pixels."""
    return np.bincount(group, weights=pixels, minlength=groups).astype(np.int64)


def _in_order_of_appearance(ids: LabelArray) -> tuple[LabelArray, IntArray]:
    values, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    return values[order], rank[inverse]
