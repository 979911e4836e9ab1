"""Scores of one image: a row per metric, variant and threshold, with the sums that pooling needs.

Pixel and membrane metrics compare with the truth after touching instances were separated, which is
what the network is asked for; instance metrics compare with the instances as annotated. Images up
to `IN_MEMORY_PX` along each axis are held in memory; larger ones are read block by block. Of
volumes membranes are scored plane by plane: what tears or joins them is defined in a plane.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import dask.array as da
import numpy as np
from skimage.filters import threshold_otsu

from unetflow.engine.each import in_order
from unetflow.evaluate.catalogue import BY_SLICES, OBJECT_ERRORS, at_iou
from unetflow.evaluate.scoring import Labeller, Row
from unetflow.labels.annotation import read_class_lazily
from unetflow.labels.dataset import Dataset
from unetflow.metrics import (
    Contingency,
    MatchingSums,
    Mismatch,
    RandSums,
    SliceScores,
    contingency,
    det_sums,
    dsb2018_score,
    info_score_of_labels,
    jaccard_sums,
    matching_sums_at_ious,
    object_errors,
    panoptic_of,
    panoptic_sums,
    pixel_counts_of_regions,
    pool_rand_sums,
    rand_sums,
    region_tables,
    score_slice,
    seg_sums,
)
from unetflow.metrics.object_errors import ERRORS
from unetflow.store.foreground import read_foreground_lazily
from unetflow.store.names import FOREGROUND, HEADS, IGNORE, of_labels
from unetflow.store.ome import steps_of
from unetflow.store.shards import SHARD_PX, read_lazily
from unetflow.tiles.regions import PLANE, Region, shard_grid, shard_region
from unetflow.tiles.regions import side_px as side_px_of

IN_MEMORY_PX = 1024  # side of the largest image whose membranes are scored whole
BASELINE_PX = 4096  # side of the largest image whose Otsu instances are labelled
VOLUME_PX = 256**3  # of the largest volume that is in memory, and has that baseline
IOU_OF_AP = (0.5, 0.75)
GRAY_LEVELS = 256
Array: TypeAlias = np.ndarray | da.Array
"""In memory, or read block by block."""


class Truth:
    """The annotation of one image (Y, X): objects of a class, separated, and ignored pixels.

    Or of a volume (Z, Y, X), whose pixels have sides of `steps`, in their width. NumPy arrays of
    an image up to `IN_MEMORY_PX`, else Dask arrays that read Zarr by shards. `number` is that of
    the class among those of the dataset, from 1.
    """

    def __init__(self, store: str | Path, dataset: Dataset, number: int = 1) -> None:
        classes = len(dataset.classes)
        labels, interior = read_class_lazily(store, dataset.kind, classes, number)
        ignore = read_lazily(store, of_labels(IGNORE)) != 0
        self.in_memory = is_within(labels.shape, IN_MEMORY_PX)
        self.steps = steps_of(store, labels.ndim)
        self.labels, self.ignore, self.interior = self._hold(labels, ignore, interior)
        self.number = number
        self.has_instances = dataset.kind == "instances"
        self.has_membranes = dataset.kind != "classes"

    def foreground_of(self, prediction: str | Path, array: str = FOREGROUND) -> Array:
        """The class's foreground (Y, X) of a store of predictions, held as the truth is."""
        return self._hold(read_foreground_lazily(prediction, array)[self.number - 1])[0]

    def head_of(self, prediction: str | Path) -> Array:
        """What the network's head says (Y, X), of all classes, held as the truth is."""
        return self._hold(read_foreground_lazily(prediction, HEADS)[0])[0]

    def regions(self, side_px: int | None) -> tuple[list[Region], str]:
        """What membranes are read by, and its name: the whole image, or declared regions.

        Of volumes slabs, of which each plane is scored alone.
        """
        if not self.has_membranes:
            return [], ""
        if self.labels.ndim > PLANE:
            depth, *sides = self.labels.shape
            if max(sides) > IN_MEMORY_PX:
                return [], ""
            # slabs of whole shards: each would be read for every plane of it
            slab, plane = side_px_of(SHARD_PX, PLANE + 1), (slice(None), slice(None))
            return [
                (slice(k, min(k + slab, depth)), *plane) for k in range(0, depth, slab)
            ], BY_SLICES
        if self.in_memory:
            return [(slice(None), slice(None))], ""
        if side_px is None:
            return [], ""
        shape, side = self.labels.shape, (side_px, side_px)
        grid = [shard_region(index, shape, side) for index in shard_grid(shape, side)]
        return grid, f"regions of {side_px} px"

    def _hold(self, *arrays: da.Array) -> tuple[Array, ...]:
        return da.compute(*arrays, scheduler="threads") if self.in_memory else arrays


def is_within(shape_px: Sequence[int], side_px: int) -> bool:
    """Whether an image has sides up to this, or a volume up to `VOLUME_PX` pixels."""
    if len(shape_px) > PLANE:
        return math.prod(shape_px) <= VOLUME_PX
    return max(shape_px) <= side_px


def score_foreground(
    truth: Truth,
    foreground_YX: Array,
    thresholds: Sequence[float],
    label: Labeller,
    *,
    regions_px: int | None = None,
) -> Iterator[Row]:
    """Rows of all metrics at each threshold; `label` makes instances of foreground at one.

    Truth of kind "classes" has pixel metrics only. Of an image that is not in memory, membrane
    metrics (thinned V_Rand, V_Info, warping error, splits and mergers) are scored by regions of
    `regions_px`, each an image of its own, and left out without; instance metrics at each threshold
    are left out.
    """
    volume = truth.labels.ndim > PLANE
    tables = region_tables(
        truth.interior, foreground_YX, thresholds, ignore=truth.ignore, volume=volume
    )
    membranes = _membrane_rows(truth, foreground_YX, thresholds, regions_px)
    for at, (threshold, table) in enumerate(zip(thresholds, tables, strict=True)):
        rows = [*_region_rows(table), *membranes[at]]
        if truth.in_memory and truth.has_instances:
            labels_YX = label(foreground_YX, threshold=threshold)
            rows += score_instances(contingency(truth.labels, labels_YX, ignore=truth.ignore))
        yield from (replace(row, threshold=threshold) for row in rows)


def score_instances(table: Contingency) -> Iterator[Row]:
    """Rows of the instance metrics, from the table of true and predicted instances."""
    seg, det = seg_sums(table), det_sums(table)
    yield Row("seg", "", seg.score, {"iou_sum": seg.iou_sum, "objects": seg.objects})
    costs = {"a": det.emptiness, "b": det.cost, "objects": det.objects}
    yield Row("det", "", det.score, costs)
    for iou, found in zip(IOU_OF_AP, matching_sums_at_ious(table, ious=IOU_OF_AP), strict=True):
        yield Row("ap", at_iou(iou), found.average_precision, _counts_of(found))
    yield Row("dsb2018", "", dsb2018_score(table))
    found = panoptic_sums(table)
    yield Row("pq", "", panoptic_of(found).pq, {"iou_sum": found.iou_sum, **_counts_of(found)})
    for metric, one_to_one in (("aji", False), ("aji+", True)):
        overlap = jaccard_sums(table, one_to_one=one_to_one)
        yield Row(metric, "", overlap.score, {"ab": overlap.intersection, "n": overlap.union})


def score_slices(truth: Truth, labels: np.ndarray) -> Iterator[Row]:
    """Rows of the instance metrics of a volume (Z, Y, X), of which each plane is an image alone.

    The sums of all planes are added; an object that reaches through planes counts in each.
    """
    alone = (_numbered_by_slice(each) for each in (np.asarray(truth.labels), labels))
    for row in score_instances(contingency(*alone, ignore=truth.ignore)):
        yield replace(row, variant=", ".join(filter(None, (row.variant, BY_SLICES))))


def _numbered_by_slice(labels: np.ndarray) -> np.ndarray:
    """Labels with another number for an object in each plane: uint32."""
    numbered, total = np.zeros(labels.shape, np.uint32), 0
    for plane, into in zip(labels, numbered, strict=True):
        ids, index = np.unique(plane, return_inverse=True)
        index = index.reshape(plane.shape) + (ids[0] != 0)
        into[...] = np.where(index != 0, index + total, 0)
        total += int(np.count_nonzero(ids))
    return numbered


def count_object_errors(table: Contingency) -> Iterator[Row]:
    """Rows of the kinds of objects, from the table of true and predicted instances.

    Column a is the count, `objects` all of which it is: true objects, of spurious ones predicted.
    """
    found = object_errors(table)
    for kind in ERRORS:
        count = getattr(found, kind)
        of = found.predicted_objects if kind == "spurious" else found.truth_objects
        yield Row(OBJECT_ERRORS, kind, count, {"a": count, "objects": of})


def otsu_baseline(
    truth: Truth, image_CYX: Array, label: Labeller, *, regions_px: int | None = None
) -> list[Row]:
    """Rows of Otsu's global threshold on the mean of the channels, for comparison.

    It is that of the pixels that count: what is ignored (pen marks, what cannot be read) sets none.
    Objects may be brighter or darker than the ground: the better of both is taken, by SEG where
    instances were labelled, else by V_Rand. A constant image has no threshold, and no rows.
    Instances are labelled up to `BASELINE_PX`.
    """
    gray_YX = da.asarray(image_CYX).mean(axis=0, dtype=np.float64)
    counted_YX = ~da.asarray(truth.ignore).rechunk(gray_YX.chunks)
    low, high = da.compute(
        da.where(counted_YX, gray_YX, np.inf).min(), da.where(counted_YX, gray_YX, -np.inf).max()
    )
    if not low < high:
        return []
    counts, edges = da.histogram(
        gray_YX, bins=GRAY_LEVELS, range=(low, high), weights=counted_YX.astype(np.float64)
    )
    bright_YX = gray_YX > threshold_otsu(hist=(counts.compute(), (edges[:-1] + edges[1:]) / 2))
    labelled = truth.has_instances and is_within(gray_YX.shape, BASELINE_PX)
    candidates = []
    for objects_YX in (bright_YX, ~bright_YX):
        in_memory = labelled or truth.in_memory
        binary_YX = objects_YX.compute(scheduler="threads") if in_memory else objects_YX
        rows = list(score_foreground(truth, binary_YX, [0.5], label, regions_px=regions_px))
        if labelled and not truth.in_memory:
            labels_YX = label(binary_YX, threshold=0.5)
            rows += score_instances(contingency(truth.labels, labels_YX, ignore=truth.ignore))
        by = "seg" if labelled else "v_rand" if truth.has_membranes else "iou"
        quality = next(row.value for row in rows if row.metric == by)
        candidates.append((-1.0 if math.isnan(quality) else quality, rows))
    return max(candidates, key=lambda candidate: candidate[0])[1]


def _region_rows(table: Contingency) -> Iterator[Row]:
    """Rows of the pixel metrics and of unthinned V_Rand and V_Info."""
    counts = pixel_counts_of_regions(table)
    both = counts.true_positive
    a, b = both + counts.false_negative, both + counts.false_positive
    sums = {"ab": both, "a": a, "b": b, "n": sum(counts)}
    yield Row("pixel_error", "", counts.error, sums)
    yield Row("iou", "", counts.iou, sums)
    yield Row("dice", "", counts.f, sums)
    rand = rand_sums(table)
    yield Row("v_rand", "unthinned", rand.score.f, _sums_of(rand))
    yield Row("v_info", "unthinned", info_score_of_labels(table).f, {"n": rand.n})


def _membrane_rows(
    truth: Truth, foreground_YX: Array, thresholds: Sequence[float], regions_px: int | None
) -> list[list[Row]]:
    """For each threshold the rows of the metrics that need whole membranes."""
    regions, name = truth.regions(regions_px)
    if not regions:
        return [[] for _ in thresholds]
    arrays = truth.interior, foreground_YX, truth.ignore
    score = _ScoreRegion(arrays, thresholds)
    found = in_order(score, regions, threads=1, ahead=0, sendable=not truth.in_memory)
    scored = itertools.chain.from_iterable(found)
    return [list(_pooled_rows(each, name)) for each in zip(*scored, strict=True)]


@dataclass(frozen=True, slots=True)
class _ScoreRegion:
    """Scores at each threshold of a region, read by who scores it; of a slab of each plane."""

    arrays: tuple[Array, Array, Array]  # interior, foreground and ignored pixels
    thresholds: Sequence[float]

    def __call__(self, region: Region) -> list[list[SliceScores]]:
        parts = (array[region] for array in self.arrays)
        found = da.compute(*parts, scheduler="threads")
        planes = zip(*found, strict=True) if len(region) > PLANE else [found]
        return [
            score_slice(interior, proposal, ignore, self.thresholds)
            for interior, proposal, ignore in planes
        ]


def _pooled_rows(pieces: Sequence[SliceScores], name: str) -> Iterator[Row]:
    thinned = pool_rand_sums(each.thinned for each in pieces)
    variant = ", ".join(filter(None, ("thinned", name)))
    yield Row("v_rand", variant, thinned.score.f, _sums_of(thinned))
    if len(pieces) == 1:  # V_Info has no sums to pool
        yield Row("v_info", variant, pieces[0].info_thinned.f, {"n": thinned.n})
    left = pieces[0].left
    for each in pieces[1:]:
        left += each.left
    wrong = {"a": sum(left.pixels.values()), "n": left.total_px}
    yield Row("warping_error", name, left.warping_error, wrong)
    wrong = {"a": left.pixels[Mismatch.SPLIT] + left.pixels[Mismatch.MERGER], "n": left.total_px}
    yield Row("splits_mergers", name, left.split_merger_error, wrong)


def _sums_of(rand: RandSums) -> dict[str, int]:
    return {"ab": rand.ab, "a": rand.a, "b": rand.b, "z": rand.z, "n": rand.n}


def _counts_of(found: MatchingSums) -> dict[str, int]:
    return {"ab": found.true_positives, "a": found.truth_objects, "b": found.predicted_objects}
