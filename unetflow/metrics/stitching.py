"""Regions of a membrane pair larger than memory: labelled block by block, joined across seams.

    block 1 | block 2        1 1 | 1 1        regions 1 and 1 of the blocks meet at the seam:
            |           ->   0 0 | 0 1   ->   they are one region of the image

The blocks' tables are pooled under provisional numbers; regions that meet at a seam get one
number, and the table is summed again. The result equals that of the whole image.
"""

from collections.abc import Sequence
from typing import NamedTuple

import dask
import numpy as np

from unetflow.arguments import LARGEST_ID, array_of
from unetflow.components.pieces_of_block import Components, Faces, Labelling, find_components
from unetflow.components.seams import Seams, numbers_of_joined, pairs_across
from unetflow.metrics.blocks import (
    Image,
    blocks_of,
    is_chunked,
    positions_in_image,
    scheduler_for,
)
from unetflow.metrics.checks import (
    BoolArray,
    LabelArray,
    binarise,
    membrane_pair,
    thresholds_of,
)
from unetflow.metrics.contingency import Contingency, table_of_pairs
from unetflow.metrics.pairs import Pairs, count_pairs, merge_pairs
from unetflow.tiles.regions import Region


class _Regions(NamedTuple):
    """The regions of one image in one block: what joining them to their neighbours needs."""

    total: int  # numbered 1 ... total
    faces: Faces


class _Block(NamedTuple):
    """One block of a membrane pair: its regions and, at each threshold, what they share."""

    region: Region
    truth: _Regions
    proposed: list[_Regions]  # one per threshold
    pairs: list[Pairs]  # one per threshold; numbers of the block, positions in the image


def region_tables(
    truth: Image,
    proposal: Image,
    thresholds: float | Sequence[float],
    *,
    ignore: Image | None = None,
    volume: bool = False,
) -> list[Contingency]:
    """The table of the regions of truth and of proposal > threshold, at each threshold.

    One slice (Y, X), in memory, in Zarr or in Dask, read once and block by block; a region is a
    4-connected component of the interior, 0 is membrane. From a table come, as of the whole image,
    `rand_sums` and `info_score_of_labels` (unthinned) and `pixel_counts_of_regions`. Memory
    follows the blocks in flight and the tables. Ignored pixels belong to no table, but join
    regions, as in `rand_score`. Of a `volume` (Z, Y, X) regions reach through planes: they are
    6-connected.
    """
    names = "truth", "proposal", "ignore"
    images = [
        image if is_chunked(image) else array_of(image, name)
        for image, name in zip((truth, proposal, ignore), names, strict=True)
        if name != "ignore" or image is not None
    ]
    shape = images[0].shape
    if len(shape) != 2 + volume:
        if volume:
            raise ValueError(f"truth has {len(shape)} axes {shape}: must be a volume (Z, Y, X).")
        raise ValueError(
            f"truth has {len(shape)} axes {shape}: must be one slice (Y, X). Score a "
            "stack slice by slice and pool the sums."
        )
    values = thresholds_of(thresholds)
    tasks = [
        dask.delayed(_label_block, pure=False)(corner, shape, values, *blocks)
        for corner, blocks in blocks_of(images)
    ]
    found: tuple[_Block, ...] = dask.compute(*tasks, scheduler=scheduler_for(images))
    places = [block.region for block in found]
    true = _joined(shape, places, [block.truth for block in found])
    tables = []
    for at in range(len(values)):
        proposed = _joined(shape, places, [block.proposed[at] for block in found])
        parts = [
            block.pairs[at]._replace(keys=_renumbered(block.pairs[at], true[k], proposed[k]))
            for k, block in enumerate(found)
        ]
        tables.append(table_of_pairs(merge_pairs(parts)))
    return tables


def _label_block(
    corner: tuple[int, ...],
    shape: tuple[int, ...],
    thresholds: list[float],
    truth: np.ndarray,
    proposal: np.ndarray,
    ignore: np.ndarray | None = None,
) -> _Block:
    interior, probability, _ = membrane_pair(truth, proposal, ignore)
    if truth.ndim == 2:  # which is a stack of one slice
        interior, probability = interior[0], probability[0]
    true, of_truth = _labelled(interior)
    proposed, pairs = [], []
    for threshold in thresholds:
        labels, of_proposal = _labelled(binarise(probability, threshold))
        found = count_pairs(true, labels, ignore)
        positions = positions_in_image(found.first, truth.shape, corner, shape)
        proposed.append(of_proposal)
        pairs.append(found._replace(first=positions))
    region = tuple(slice(c, c + size) for c, size in zip(corner, truth.shape, strict=True))
    return _Block(region, of_truth, proposed, pairs)


def _labelled(interior: BoolArray) -> tuple[LabelArray, _Regions]:
    """The regions of a block as an image, as `label_interior`, and what joining needs of them."""
    components: Components = find_components(interior, Labelling())
    return components.labels(), _Regions(components.count, components.faces())


def _joined(
    shape: tuple[int, ...], places: Sequence[Region], blocks: Sequence[_Regions]
) -> list[LabelArray]:
    """For each block the number in the image of each of its regions, 0 for 0."""
    starts = np.cumsum([0, *(block.total for block in blocks)])
    seams, pairs = Seams(shape), []
    for place, block, start in zip(places, blocks, starts, strict=False):
        faces = [(_in_image(a, start), _in_image(b, start)) for a, b in block.faces]
        meeting, _ = seams.add(place, faces)
        pairs += [found for one, other in meeting for _, found in pairs_across(one, other)]
    number = numbers_of_joined(int(starts[-1]), pairs)
    if number.max() > LARGEST_ID:
        raise ValueError(
            f"the image has {number.max()} regions: numbers must fit uint32. Score it in parts "
            "and pool their sums."
        )
    return [
        np.concatenate(([0], number[1 + start : 1 + start + block.total])).astype(np.uint32)
        for start, block in zip(starts, blocks, strict=False)
    ]


def _in_image(face: np.ndarray, start: int) -> np.ndarray:
    """Provisional numbers of the regions on a face, after those of the blocks before."""
    return np.where(face != 0, face + np.int64(start), 0)


def _renumbered(pairs: Pairs, true: LabelArray, proposed: LabelArray) -> np.ndarray:
    """The keys of a block's pairs with the numbers of the image."""
    return true[pairs.truth].astype(np.uint64) << np.uint64(32) | proposed[pairs.predicted]
