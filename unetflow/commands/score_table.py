"""All scores of a pair of images, each with the name of its variant: what the command prints."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, Self, TypeVar

import numpy as np

from unetflow import metrics
from unetflow.evaluate.catalogue import (
    HIGHER,
    LOWER,
    OBJECT_ERRORS,
    OF_TABLES,
    Better,
    Score,
    at_iou,
    catalogue_of,
    row_of,
)
from unetflow.evaluate.stack_scores import STACK_SCORES, WITHOUT_ONE
from unetflow.images.whole import WholeImage
from unetflow.metrics.blocks import is_chunked
from unetflow.metrics.object_errors import ERRORS

WITHOUT_INTERIOR = "thresholds_without_interior"


class Found(NamedTuple):
    """One number, and what it is."""

    score: Score  # its row of the catalogue
    variant: str  # the row's, and how it was scored
    value: float  # NaN where undefined
    threshold: float | None = None


class Sums(Protocol):
    """Sums behind a score, which are added over frames."""

    def __add__(self, other: Self, /) -> Self: ...


SumsOfOne = TypeVar("SumsOfOne", bound=Sums)


def _alone(metric: str, name: str, better: Better | None, definition: str) -> Score:
    return Score(metric=metric, name=name, better=better, definition=definition)


ALONE = (
    _alone("v_rand", "V_Rand", HIGHER, "2 AB / (A + B) of sums of squared areas."),
    _alone("v_rand_split", "V_Rand split", HIGHER, "AB / A: falls where regions are cut."),
    _alone("v_rand_merge", "V_Rand merge", HIGHER, "AB / B: falls where regions are merged."),
    _alone("v_info", "V_Info", HIGHER, "F-score of the shared information."),
    _alone("v_info_split", "V_Info split", HIGHER, "I / H(B): falls where regions are cut."),
    _alone("v_info_merge", "V_Info merge", HIGHER, "I / H(A): falls where regions are merged."),
    _alone("vi", "Variation of information", LOWER, "H(A) + H(B) - 2 I, in nats."),
    _alone("adapted_rand_error", "Adapted Rand error", LOWER, "As scikit-image has it."),
    _alone("ap", "AP", HIGHER, "TP / (TP + FP + FN) of objects matched at an IoU."),
    _alone("dq", "Detection quality", HIGHER, "TP / (TP + FP/2 + FN/2), matched at IoU > 0.5."),
    _alone("sq", "Segmentation quality", HIGHER, "Mean IoU of the matched pairs."),
    _alone("boundary_f", "Boundary F1", HIGHER, "F-score of boundaries within a distance."),
    _alone("boundary_precision", "Boundary precision", HIGHER, "Predicted near a true one."),
    _alone("boundary_recall", "Boundary recall", HIGHER, "True near a predicted one."),
    _alone("hausdorff_px", "Hausdorff distance", LOWER, "Between boundaries, in pixels."),
    _alone("objects", "Objects", None, "How many there are."),
    _alone(
        WITHOUT_INTERIOR,
        "Thresholds without interior",
        LOWER,
        "Of 11: nothing splits or merges there.",
    ),
    *(
        _alone(
            kind.name.lower(), kind.name.capitalize().replace("_", " "), LOWER, "What warping left."
        )
        for kind in metrics.Mismatch
        if kind is not metrics.Mismatch.NONE
    ),
    *(
        _alone(number.name, number.meaning, number.better, "Of the ISBI 2012 challenge.")
        for number in (*STACK_SCORES, WITHOUT_ONE)
    ),
)
"""Scores that are in no table of the pipeline. Of their variants there is one row."""
ROWS = {**catalogue_of(ALONE), **OF_TABLES}


def _found(metric: str, variant: str, value: float, threshold: float | None = None) -> Found:
    return Found(row_of(metric, variant, ROWS), variant, value, threshold)


def membrane_scores(
    truth: np.ndarray, proposal: np.ndarray, ignore: np.ndarray | None, threshold: float
) -> Iterator[Found]:
    """The numbers of the ISBI 2012 challenge, and all scores at one threshold."""
    best = metrics.isbi2012_scores(truth, proposal, ignore=ignore)
    for number in (*STACK_SCORES, WITHOUT_ONE):
        at = best[f"{number.name}_threshold"]
        at_best = None if math.isnan(at) else at
        yield _found(number.name, "best of 11 thresholds", best[number.name], at_best)
    yield _found(WITHOUT_INTERIOR, "of 11", best[WITHOUT_INTERIOR])
    yield from _scores_at(truth, proposal, ignore, threshold)


def _scores_at(
    truth: np.ndarray, proposal: np.ndarray, ignore: np.ndarray | None, threshold: float
) -> Iterator[Found]:
    pixels = metrics.pixel_counts(truth, proposal, threshold, ignore=ignore)
    yield _found("pixel_error", "", pixels.error, threshold)
    yield _found("dice", "", pixels.f, threshold)
    yield _found("iou", "", pixels.iou, threshold)
    for thinned in (False, True):
        name = "thinned" if thinned else "unthinned"
        sums = metrics.rand_sums_by_slice(
            truth, proposal, threshold, thinned=thinned, ignore=ignore
        )
        reduces: tuple[metrics.Reduce, ...] = ("macro", "pooled")
        for reduce in reduces:
            rand = metrics.reduce_rand(sums, reduce)
            yield from _parts_of_rand(rand, f"{name}, {reduce}", threshold)
        info = metrics.info_score(truth, proposal, threshold, thinned=thinned, ignore=ignore)
        yield from _parts_of_info(info, f"{name}, macro", threshold)
    mask = None if ignore is None else ignore == 0
    (left,) = metrics.mismatches_by_threshold(truth, proposal, threshold, mask=mask)
    yield _found("warping_error", "", left.warping_error, threshold)
    yield _found("splits_mergers", "", left.split_merger_error, threshold)
    for kind in left.pixels:
        yield _found(kind.name.lower(), "pixels", left.pixels[kind], threshold)
        yield _found(kind.name.lower(), "clusters", left.clusters[kind], threshold)


def _parts_of_rand(
    rand: metrics.RandScore, variant: str, threshold: float | None = None
) -> Iterator[Found]:
    yield _found("v_rand", variant, rand.f, threshold)
    yield _found("v_rand_split", variant, rand.split, threshold)
    yield _found("v_rand_merge", variant, rand.merge, threshold)


def _parts_of_info(
    info: metrics.InfoScore, variant: str, threshold: float | None = None
) -> Iterator[Found]:
    yield _found("v_info", variant, info.f, threshold)
    yield _found("v_info_split", variant, info.split, threshold)
    yield _found("v_info_merge", variant, info.merge, threshold)
    yield _found("vi", variant, info.vi, threshold)


def instance_scores(
    truth: WholeImage, prediction: WholeImage, ignore: WholeImage | None, tolerance_px: float
) -> Iterator[Found]:
    """Scores of two label images as one; of the outlines only where both are in memory."""
    table = metrics.contingency(truth, prediction, ignore=ignore)
    yield from _table_scores([table], "")
    if is_chunked(truth) or is_chunked(prediction):
        return  # distances need the whole image
    boundary = metrics.boundary_f1(truth, prediction, tolerance_px=tolerance_px, ignore=ignore)
    near = f"within {tolerance_px:g} px"
    yield _found("boundary_f", near, boundary.f)
    yield _found("boundary_precision", near, boundary.precision)
    yield _found("boundary_recall", near, boundary.recall)
    for percentile in (100, 95):
        distance = metrics.hausdorff_distance_px(
            truth, prediction, percentile=percentile, ignore=ignore
        )
        yield _found("hausdorff_px", f"percentile {percentile}", distance)


def frame_scores(
    truth: WholeImage, prediction: WholeImage, ignore: WholeImage | None
) -> Iterator[Found]:
    """Scores of two stacks of label images (frames, Y, X), sums pooled over the frames."""
    frames = truth.shape[0]
    if ignore is not None and ignore.shape not in (truth.shape, truth.shape[1:]):
        raise ValueError(
            f"ignore has shape {ignore.shape} and the frames {truth.shape}: must be the same, or "
            "one frame that serves all. Crop or pad it."
        )
    flags = [None] * frames if ignore is None else np.broadcast_to(ignore, truth.shape)
    tables = [
        metrics.contingency(np.asarray(truth[k]), np.asarray(prediction[k]), ignore=flags[k])
        for k in range(frames)
    ]
    yield from _table_scores(tables, f"pooled over {frames} frames")


def _table_scores(tables: Sequence[metrics.Contingency], how: str) -> Iterator[Found]:
    """Scores of the sums of all tables; those without sums only of a single table."""

    def named(variant: str) -> str:
        return ", ".join(filter(None, (variant, how)))

    matched = [metrics.matching_sums_at_ious(table) for table in tables]
    panoptic = _summed(map(metrics.panoptic_sums, tables))
    yield _found("objects", named("truth"), panoptic.truth_objects)
    yield _found("objects", named("prediction"), panoptic.predicted_objects)
    yield _found("seg", how, _summed(map(metrics.seg_sums, tables)).score)
    yield _found("det", how, _summed(map(metrics.det_sums, tables)).score)
    precisions = [_summed(frames).average_precision for frames in zip(*matched, strict=True)]
    for iou, precision in zip(metrics.DSB2018_IOUS, precisions, strict=True):
        yield _found("ap", named(at_iou(iou)), precision)
    yield _found("dsb2018", how, float(np.mean(precisions)))
    quality = metrics.panoptic_of(panoptic)
    yield _found("pq", how, quality.pq)
    yield _found("dq", how, quality.dq)
    yield _found("sq", how, quality.sq)
    for metric, one_to_one in (("aji", False), ("aji+", True)):
        jaccard = _summed(metrics.jaccard_sums(t, one_to_one=one_to_one) for t in tables)
        yield _found(metric, how, jaccard.score)
    errors = _summed(map(metrics.object_errors, tables))
    for kind in ERRORS:
        yield _found(OBJECT_ERRORS, named(kind), getattr(errors, kind))
    of_labels = named("of the labels")  # touching objects are not separated
    pixels = metrics.pool_pixel_counts(map(metrics.pixel_counts_of_regions, tables))
    yield _found("iou", of_labels, pixels.iou)
    yield _found("dice", of_labels, pixels.f)
    yield from _parts_of_rand(
        metrics.pool_rand_sums(map(metrics.rand_sums, tables)).score, of_labels
    )
    if len(tables) == 1:
        yield from _parts_of_info(metrics.info_score_of_labels(tables[0]), of_labels)
        yield _found("adapted_rand_error", of_labels, metrics.adapted_rand_error(tables[0]))


def _summed(sums: Iterable[SumsOfOne]) -> SumsOfOne:
    total, *others = sums
    for each in others:
        total = total + each
    return total
