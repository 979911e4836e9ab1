"""All scores of a pair of images, each with the name of its variant: what the command prints."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from unetflow import metrics
from unetflow.metrics.blocks import is_chunked


class Score(NamedTuple):
    """One number with the name of its variant."""

    metric: str
    variant: str
    value: float  # NaN where undefined
    higher_is_better: bool | None = True  # None: a count
    threshold: float | None = None


def membrane_scores(
    truth: np.ndarray, proposal: np.ndarray, ignore: Any, threshold: float
) -> Iterator[Score]:
    """The numbers of the ISBI 2012 challenge, and all scores at one threshold."""
    best = metrics.isbi2012_scores(truth, proposal, ignore=ignore)
    for name, variant, higher in (
        ("v_rand_thinned_macro_max", "V_Rand, thinned, macro; official since 2015", True),
        ("v_info_thinned_macro_max", "V_Info, thinned, macro; official since 2015", True),
        ("v_rand_thinned_pooled_max", "V_Rand, thinned, pooled", True),
        ("v_info_macro_max", "V_Info, unthinned, macro", True),
        ("rand_error_2012", "1 - V_Rand, unthinned, pooled; 2012 to 2015", False),
        ("pixel_error_2012", "1 - pixel F; 2012 to 2015", False),
        ("splits_mergers_min", "r = 20 px; the U-Net paper's warping error", False),
        ("splits_mergers_min_to_09", "r = 20 px, without threshold 1", False),
        ("warping_error_min", "mismatches of all types", False),
        ("pixel_error_min", "wrong pixels", False),
    ):
        at = best[f"{name}_threshold"]
        yield Score(name, f"{variant}; best of 11 thresholds", best[name], higher, at)
    yield Score("thresholds without interior", "of 11", best["thresholds_without_interior"], False)
    yield from _scores_at(truth, proposal, ignore, threshold)


def _scores_at(
    truth: np.ndarray, proposal: np.ndarray, ignore: Any, threshold: float
) -> Iterator[Score]:
    options = {"ignore": ignore}
    pixels = metrics.pixel_counts(truth, proposal, threshold, **options)
    yield Score("pixel_error", "", pixels.error, False, threshold)
    yield Score("pixel_f", "interior", pixels.f, True, threshold)
    yield Score("iou", "interior", pixels.iou, True, threshold)
    for thinned in (False, True):
        name = "thinned" if thinned else "unthinned"
        sums = metrics.rand_sums_by_slice(truth, proposal, threshold, thinned=thinned, **options)
        reduces: tuple[metrics.Reduce, ...] = ("macro", "pooled")
        for reduce in reduces:
            rand = metrics.reduce_rand(sums, reduce)
            for part, value in rand._asdict().items():
                yield Score(f"v_rand_{part}", f"{name}, {reduce}", value, True, threshold)
        info = metrics.info_score(truth, proposal, threshold, thinned=thinned, **options)
        for part, value in info._asdict().items():
            metric = "vi" if part == "vi" else f"v_info_{part}"
            yield Score(metric, f"{name}, macro", value, part != "vi", threshold)
    mask = None if ignore is None else np.asarray(ignore) == 0
    (left,) = metrics.mismatches_by_threshold(truth, proposal, threshold, mask=mask)
    yield Score("warping_error", "mismatches of all types", left.warping_error, False, threshold)
    yield Score("splits_mergers", "r = 20 px", left.split_merger_error, False, threshold)
    for kind in left.pixels:
        name = kind.name.lower()
        yield Score(name, "pixels", left.pixels[kind], False, threshold)
        yield Score(name, "clusters", left.clusters[kind], False, threshold)


def instance_scores(
    truth: Any, prediction: Any, ignore: Any, tolerance_px: float
) -> Iterator[Score]:
    """Scores of two label images as one; of the outlines only where both are in memory."""
    table = metrics.contingency(truth, prediction, ignore=ignore)
    yield from _table_scores([table], "")
    if is_chunked(truth) or is_chunked(prediction):
        return  # distances need the whole image
    both = (truth, prediction)
    boundary = metrics.boundary_f1(*both, tolerance_px=tolerance_px, ignore=ignore)
    for part, value in boundary._asdict().items():
        yield Score(f"boundary_{part}", f"within {tolerance_px:g} px", value)
    for percentile in (100, 95):
        distance = metrics.hausdorff_distance_px(*both, percentile=percentile, ignore=ignore)
        yield Score("hausdorff_px", f"percentile {percentile}", distance, False)


def frame_scores(truth: Any, prediction: Any, ignore: Any) -> Iterator[Score]:
    """Scores of two stacks of label images (frames, Y, X), sums pooled over the frames."""
    frames = truth.shape[0]
    flags = [None] * frames if ignore is None else np.broadcast_to(ignore, truth.shape)
    tables = [
        metrics.contingency(np.asarray(truth[k]), np.asarray(prediction[k]), ignore=flags[k])
        for k in range(frames)
    ]
    yield from _table_scores(tables, f"pooled over {frames} frames")


def _table_scores(tables: list[metrics.Contingency], how: str) -> Iterator[Score]:
    """Scores of the sums of all tables; those without sums only of a single table."""

    def named(*parts: str) -> str:
        return ", ".join(part for part in (*parts, how) if part)

    matched = [metrics.matching_sums_at_ious(table) for table in tables]
    panoptic = _summed([metrics.panoptic_sums(table) for table in tables])
    yield Score("objects", named("truth"), panoptic.truth_objects, None)
    yield Score("objects", named("prediction"), panoptic.predicted_objects, None)
    yield Score("seg", named(), _summed([metrics.seg_sums(table) for table in tables]).score)
    yield Score("det", named(), _summed([metrics.det_sums(table) for table in tables]).score)
    by_iou = [_summed([frame[k] for frame in matched]) for k in range(len(metrics.DSB2018_IOUS))]
    for iou, sums in zip(metrics.DSB2018_IOUS, by_iou, strict=True):
        yield Score("ap", named(f"IoU {iou:g}"), sums.average_precision)
    yield Score(
        "dsb2018",
        named("mean of AP at IoU 0.50 to 0.95"),
        float(np.mean([sums.average_precision for sums in by_iou])),
    )
    for part, value in metrics.panoptic_of(panoptic)._asdict().items():
        yield Score(part, named("IoU > 0.5"), value)
    for metric, one_to_one in (("aji", False), ("aji_plus", True)):
        jaccard = _summed([metrics.jaccard_sums(t, one_to_one=one_to_one) for t in tables])
        yield Score(metric, named(), jaccard.score)
    pixels = metrics.pool_pixel_counts(map(metrics.pixel_counts_of_regions, tables))
    yield Score("iou", named("any object, pixels"), pixels.iou)
    yield Score("dice", named("any object, pixels"), pixels.f)
    rand = metrics.pool_rand_sums(map(metrics.rand_sums, tables)).score
    for part, value in rand._asdict().items():
        yield Score(f"v_rand_{part}", named("of the labels"), value)
    if len(tables) == 1:
        for part, value in metrics.info_score_of_labels(tables[0])._asdict().items():
            metric = "vi" if part == "vi" else f"v_info_{part}"
            yield Score(metric, "of the labels", value, part != "vi")
        error = metrics.adapted_rand_error(tables[0])
        yield Score("adapted_rand_error", "as scikit-image", error, False)


def _summed(sums: Sequence[Any]) -> Any:
    total = sums[0]
    for each in sums[1:]:
        total = total + each
    return total
