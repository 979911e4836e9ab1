"""Regions of a membrane pair larger than memory: labelled block by block, joined across seams.

    block 1 | block 2        1 1 | 1 1        regions 1 and 1 of the blocks meet at the seam:
            |           ->   0 0 | 0 1   ->   they are one region of the image

The blocks' tables are pooled under provisional numbers; regions that meet at a seam get one
number, and the table is summed again. The result equals that of the whole image.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import dask
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from unetflow.metrics.blocks import blocks_of, positions_in_image
from unetflow.metrics.checks import (
    LARGEST_ID,
    IntArray,
    LabelArray,
    binarise,
    membrane_pair,
    thresholds_of,
)
from unetflow.metrics.components import label_interior
from unetflow.metrics.contingency import Contingency, table_of_pairs
from unetflow.metrics.pairs import Pairs, count_pairs, merge_pairs

Corner = tuple[int, ...]


class _Regions(NamedTuple):
    """The regions of one image in one block: what joining them to their neighbours needs."""

    total: int  # numbered 1 ... total
    first_row: LabelArray
    last_row: LabelArray
    first_column: LabelArray
    last_column: LabelArray


class _Block(NamedTuple):
    """One block of a membrane pair: its regions and, at each threshold, what they share."""

    truth: _Regions
    proposed: list[_Regions]  # one per threshold
    pairs: list[Pairs]  # one per threshold; numbers of the block, positions in the image


def region_tables(
    truth: Any, proposal: Any, thresholds: float | Sequence[float], *, ignore: Any | None = None
) -> list[Contingency]:
    """The table of the regions of truth and of proposal > threshold, at each threshold.

    One slice (Y, X), in memory, in Zarr or in Dask, read once and block by block; a region is a
    4-connected component of the interior, 0 is membrane. From a table come, as of the whole image,
    `rand_sums` and `info_score_of_labels` (unthinned) and `pixel_counts_of_regions`. Memory
    follows the blocks in flight and the tables. Ignored pixels belong to no table, but join
    regions, as in `rand_score`.
    """
    if len(truth.shape) != 2:
        raise ValueError(
            f"truth has {len(truth.shape)} axes {truth.shape}: must be one slice (Y, X). Score a "
            "stack slice by slice and pool the sums."
        )
    images = [truth, proposal] if ignore is None else [truth, proposal, ignore]
    values = thresholds_of(thresholds)
    corners, tasks = [], []
    for corner, blocks in blocks_of(images):
        corners.append(corner)
        tasks.append(dask.delayed(_label_block, pure=False)(corner, truth.shape, values, *blocks))
    found: tuple[_Block, ...] = dask.compute(*tasks, scheduler="threads")
    true = _join(corners, [block.truth for block in found])
    tables = []
    for at in range(len(values)):
        proposed = _join(corners, [block.proposed[at] for block in found])
        parts = [
            block.pairs[at]._replace(keys=_renumbered(block.pairs[at], true[k], proposed[k]))
            for k, block in enumerate(found)
        ]
        tables.append(table_of_pairs(merge_pairs(parts)))
    return tables


def _label_block(
    corner: Corner,
    shape: tuple[int, ...],
    thresholds: list[float],
    truth: np.ndarray,
    proposal: np.ndarray,
    ignore: np.ndarray | None = None,
) -> _Block:
    interior, probability, _ = membrane_pair(truth, proposal, ignore)
    true = label_interior(interior[0])
    proposed, pairs = [], []
    for threshold in thresholds:
        labels = label_interior(binarise(probability[0], threshold))
        found = count_pairs(true, labels, ignore)
        positions = positions_in_image(found.first, truth.shape, corner, shape)
        proposed.append(_regions(labels))
        pairs.append(found._replace(first=positions))
    return _Block(_regions(true), proposed, pairs)


def _regions(labels: LabelArray) -> _Regions:
    edges = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    return _Regions(int(labels.max()), *(edge.copy() for edge in edges))


def _join(corners: Sequence[Corner], blocks: Sequence[_Regions]) -> list[LabelArray]:
    """For each block the number in the image of each of its regions, 0 for 0."""
    offsets = np.cumsum([0, *(block.total for block in blocks)])
    total = int(offsets[-1])
    ends = [np.concatenate(side) for side in zip(*_seams(corners, blocks, offsets), strict=True)]
    ends = ends or [np.zeros(0, np.int64)] * 2
    graph = coo_array((np.ones(ends[0].size, np.bool_), (ends[0], ends[1])), shape=(total, total))
    count, number = connected_components(graph, directed=False)
    if count > LARGEST_ID:
        raise ValueError(
            f"the image has {count} regions: numbers must fit uint32. Score it in parts and pool "
            "their sums."
        )
    return [
        np.concatenate(([0], 1 + number[start : start + block.total])).astype(np.uint32)
        for start, block in zip(offsets, blocks, strict=False)
    ]


def _seams(
    corners: Sequence[Corner], blocks: Sequence[_Regions], offsets: IntArray
) -> Iterator[tuple[IntArray, IntArray]]:
    """Regions that touch across a seam, as provisional numbers from 0, seam by seam."""
    at = {corner: k for k, corner in enumerate(corners)}
    below = dict(pairwise(sorted({row for row, _ in corners})))
    right = dict(pairwise(sorted({column for _, column in corners})))
    for k, (row, column) in enumerate(corners):
        for other, mine, theirs in (
            (at.get((below.get(row, -1), column)), "last_row", "first_row"),
            (at.get((row, right.get(column, -1))), "last_column", "first_column"),
        ):
            if other is None:
                continue
            a, b = getattr(blocks[k], mine), getattr(blocks[other], theirs)
            meet = (a != 0) & (b != 0)
            yield (
                a[meet].astype(np.int64) - 1 + offsets[k],
                b[meet].astype(np.int64) - 1 + offsets[other],
            )


def _renumbered(pairs: Pairs, true: LabelArray, proposed: LabelArray) -> np.ndarray:
    """The keys of a block's pairs with the numbers of the image."""
    return true[pairs.truth].astype(np.uint64) << np.uint64(32) | proposed[pairs.predicted]
