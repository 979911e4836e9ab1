"""Scores of one image: a row per metric, variant and threshold, with the sums that pooling needs.

Pixel and membrane metrics compare with the truth after touching instances were separated, which is
what the network is asked for; SEG and AP compare with the instances as annotated.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from skimage.filters import threshold_otsu

from unetflow.instances import label_instances
from unetflow.labels import separate_touching
from unetflow.metrics.instances import matching_sums_at_ious, seg_sums
from unetflow.metrics.mismatches import mismatches_by_threshold
from unetflow.metrics.overlap import pixel_counts, ratio
from unetflow.metrics.rand import pool_rand_sums, rand_sums_by_slice
from unetflow.receipts import RunRecord, read_receipt, write_whole
from unetflow.stores import read_array, read_foreground

log = logging.getLogger(__name__)

COLUMNS = (
    *("experiment", "fold", "image", "split", "group", "method"),  # what was scored
    *("metric", "variant", "class", "threshold", "chosen", "value"),  # how, and the score
    *("ab", "a", "b", "z", "n", "iou_sum", "objects"),  # the sums behind it
)
MEMBRANE_LIMIT_PX = 1024  # membrane metrics are for images up to this size along each axis
IOU_OF_AP = (0.5, 0.75)

Row = dict[str, Any]
Labeller = Callable[..., np.ndarray]  # (foreground, threshold=...) -> instances


class Truth:
    """The annotation of one image in memory: instances, their separated form, ignored pixels."""

    def __init__(self, store: str | Path, kind: str) -> None:
        self.labels = np.asarray(read_array(store, "labels/truth/0")[:])
        self.ignore = np.asarray(read_array(store, "labels/ignore/0")[:]) != 0
        self.interior = (separate_touching(self.labels) != 0).astype(np.uint8)
        self.has_instances = kind == "instances"

    @property
    def small_enough_for_membranes(self) -> bool:
        return max(self.labels.shape) <= MEMBRANE_LIMIT_PX


def score_foreground(
    truth: Truth, foreground_YX: np.ndarray, threshold: float, label: Labeller
) -> Iterator[Row]:
    """Rows of all metrics at one threshold; `label` makes instances of foreground at it.

    Membrane metrics (thinned V_Rand, warping error, splits and mergers) and instance metrics at
    each threshold are left out of images larger than `MEMBRANE_LIMIT_PX`.
    """
    counts = pixel_counts(truth.interior, foreground_YX, threshold, ignore=truth.ignore)
    wrong = counts.false_positive + counts.false_negative
    both = counts.true_positive
    a, b = both + counts.false_negative, both + counts.false_positive
    sums = {"ab": both, "a": a, "b": b, "n": sum(counts)}
    yield {"metric": "pixel_error", "value": ratio(wrong, sum(counts)), **sums}
    yield {"metric": "iou", "value": ratio(both, a + b - both), **sums}
    yield {"metric": "dice", "value": ratio(2 * both, a + b), **sums}
    small = truth.small_enough_for_membranes
    for thinned in (False, True) if small else (False,):
        rand = pool_rand_sums(
            rand_sums_by_slice(
                truth.interior, foreground_YX, threshold, thinned=thinned, ignore=truth.ignore
            )
        )
        sums = {"ab": rand.ab, "a": rand.a, "b": rand.b, "z": rand.z, "n": rand.n}
        variant = "thinned" if thinned else "unthinned"
        yield {"metric": "v_rand", "variant": variant, "value": rand.score.f, **sums}
    if not small:
        return
    (mismatches,) = mismatches_by_threshold(
        truth.interior, foreground_YX, [threshold], mask=~truth.ignore
    )
    n = mismatches.total_px
    yield {"metric": "warping_error", "value": mismatches.warping_error, "n": n}
    yield {"metric": "splits_mergers", "value": mismatches.split_merger_error, "n": n}
    if truth.has_instances:
        yield from score_instances(truth, label(foreground_YX, threshold=threshold))


def score_instances(truth: Truth, labels_YX: np.ndarray) -> Iterator[Row]:
    """Rows of SEG and AP of labelled instances."""
    seg = seg_sums(truth.labels, labels_YX, ignore=truth.ignore)
    sums: Row = {"iou_sum": seg.iou_sum, "objects": seg.objects}
    yield {"metric": "seg", "value": seg.score, **sums}
    matched = matching_sums_at_ious(truth.labels, labels_YX, IOU_OF_AP, ignore=truth.ignore)
    for iou, found in zip(IOU_OF_AP, matched, strict=True):
        sums = {"ab": found.true_positives, "a": found.truth_objects, "b": found.predicted_objects}
        yield {"metric": "ap", "variant": f"iou {iou}", "value": found.average_precision, **sums}


def otsu_baseline(truth: Truth, image_CYX: np.ndarray, label: Labeller) -> list[Row]:
    """Rows of Otsu's global threshold on the mean of the channels, for comparison.

    Objects may be brighter or darker than the ground: the better of both is taken, by SEG where
    there are instances, else by V_Rand. A constant image has no threshold, and no rows.
    """
    gray_YX = image_CYX.astype(np.float64).mean(axis=0)
    if gray_YX.min() == gray_YX.max():
        return []
    bright_YX = gray_YX > threshold_otsu(gray_YX)
    by = "seg" if truth.has_instances else "v_rand"
    candidates = []
    for objects_YX in (bright_YX, ~bright_YX):
        binary_YX = objects_YX.astype(np.float32)
        rows = list(score_foreground(truth, binary_YX, 0.5, label))
        if truth.has_instances and not truth.small_enough_for_membranes:
            rows += score_instances(truth, label(binary_YX, threshold=0.5))
        quality = next(row["value"] for row in rows if row["metric"] == by)
        candidates.append((np.nan_to_num(quality, nan=-1.0), rows))
    return max(candidates, key=lambda candidate: candidate[0])[1]


def evaluate_image(
    *,
    image: str | Path,
    prediction: str | Path,
    calibration: str | Path,
    table: str | Path,
    kind: str,
    thresholds: Sequence[float],
    labelling: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> None:
    """Rule evaluate: all scores of one image as CSV with the columns `COLUMNS`.

    Column `chosen` says whose choice the threshold was: "list" (the config's), "validation" (best
    on the validation images for this metric), "instances" (the stored labels) or "otsu".
    `facts` are the columns that name the image; `labelling` makes instances of foreground.
    """
    record = RunRecord(table)
    truth = Truth(image, kind)
    foreground_YX = read_foreground(prediction)[0]
    calibrated = read_receipt(calibration)["thresholds"]
    label = partial(label_instances, **labelling)
    rows = []
    for threshold in sorted({*thresholds, *(best["threshold"] for best in calibrated)}):
        for row in score_foreground(truth, foreground_YX, threshold, label):
            row["threshold"] = threshold
            if threshold in thresholds:
                rows.append({**row, "chosen": "list"})
            if threshold == _calibrated_threshold(calibrated, row):
                rows.append({**row, "chosen": "validation"})
    if truth.has_instances:
        stored = np.asarray(read_array(prediction, "labels/instances/0")[:])
        rows += [{**row, "chosen": "instances"} for row in score_instances(truth, stored)]
    rows = [{**row, "method": "unet"} for row in rows]
    pixels = np.asarray(read_array(image, "0")[:])
    for row in otsu_baseline(truth, pixels, label):
        rows.append({**row, "chosen": "otsu", "method": "otsu"})
    frame = pd.DataFrame(rows).assign(**facts)
    frame["class"] = frame.get("class", "object")
    write_whole(table, _as_csv(frame))
    log.info("%s: %d scores", table, len(frame))
    record.write()


def collect_metrics(*, tables: Sequence[str | Path], table: str | Path) -> None:
    """Rule collect: the tables of all images as one."""
    frames = [pd.read_csv(path, dtype={"group": str, "fold": str}) for path in tables]
    frame = pd.concat(frames) if frames else pd.DataFrame(columns=list(COLUMNS))
    write_whole(table, _as_csv(frame))


def _calibrated_threshold(calibrated: Sequence[Row], row: Row) -> float | None:
    for best in calibrated:
        if best["metric"] == row["metric"] and best["variant"] == row.get("variant", ""):
            return float(best["threshold"])
    return None


def _as_csv(frame: pd.DataFrame) -> bytes:
    frame = frame.reindex(columns=list(COLUMNS))
    whole = ["ab", "a", "b", "z", "n", "objects"]
    frame[whole] = frame[whole].astype("Int64")
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text.encode()
