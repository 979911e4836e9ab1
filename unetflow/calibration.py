"""Operating thresholds, chosen on validation images by the real metrics."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dask
import pandas as pd

from unetflow.instances import label_instances
from unetflow.progress import progress
from unetflow.receipts import RunRecord, read_receipt, write_receipt
from unetflow.scoring import Row, Truth, score_foreground

log = logging.getLogger(__name__)

LOWER_IS_BETTER = {"pixel_error", "warping_error", "splits_mergers"}
# By kind of truth; images that are not in memory have no SEG at each threshold, and no thinned
# V_Rand of the whole image.
INSTANCES_BY = {
    "instances": (("seg", ""), ("iou", "")),
    "interior": (("v_rand", "thinned"), ("v_rand", "unthinned")),
    "classes": (("iou", ""),),
}
WITHOUT_VALIDATION = 0.5


def calibrate(
    *,
    images: Sequence[str | Path],
    predictions: Sequence[str | Path],
    receipt: str | Path,
    kind: str,
    classes: Sequence[str],
    thresholds: Sequence[float],
    regions_px: int | None,
    labelling: Mapping[str, Any],
    threads: int,
) -> None:
    """Rule calibrate: for each class, metric and variant the threshold with the best mean.

    The mean is over images, without those where the metric is undefined. Of equal thresholds the
    one nearest to 0.5 is taken. Instances are made at the threshold of the first metric of
    `INSTANCES_BY` that was scored on all images, else on most of them, with a warning; without
    validation images at 0.5, with a warning.
    """
    record = RunRecord(receipt)
    label = partial(label_instances, **labelling)
    rows: list[Row] = []
    with (
        progress("calibrate", total=len(images)) as tick,
        dask.config.set(num_workers=threads),
    ):
        for image, prediction in zip(images, predictions, strict=True):
            for number, name in enumerate(classes, start=1):
                truth = Truth(image, kind, classes=len(classes), number=number)
                foreground_YX = truth.foreground_of(prediction)
                found = score_foreground(
                    truth, foreground_YX, thresholds, label, regions_px=regions_px
                )
                rows += ({"class": name, "image": str(image), **row} for row in found)
            tick()
    chosen = _best(pd.DataFrame(rows)) if rows else []
    by = {name: _instance_threshold(chosen, kind, name, len(images)) for name in classes}
    if not chosen:
        log.warning("no validation images with defined scores: instances are made at 0.5")
    write_receipt(receipt, {"thresholds": chosen, "instances": by, "images": len(images)})
    record.write()


def _best(scores: pd.DataFrame) -> list[dict[str, Any]]:
    keys = ["class", "metric", "variant"]
    means = scores.groupby([*keys, "threshold"], as_index=False)["value"].mean()
    images = scores.groupby(keys)["image"].nunique().to_dict()
    best = []
    for names, group in means.dropna().groupby(keys):
        sign = 1 if names[1] in LOWER_IS_BETTER else -1
        order = pd.DataFrame(
            {"value": sign * group["value"], "distance": (group["threshold"] - 0.5).abs()}
        ).sort_values(["value", "distance"], kind="stable")
        row = group.loc[order.index[0]]
        best.append(
            {
                **dict(zip(keys, names, strict=True)),
                "threshold": float(row["threshold"]),
                "value": float(row["value"]),
                "images": images[names],
            }
        )
    return best


def chosen_thresholds(calibration: str | Path, name: str | None = None) -> dict[Any, float]:
    """What a calibration chose for a class (None: of any): thresholds by (metric, variant)."""
    return {
        (best["metric"], best["variant"]): best["threshold"]
        for best in read_receipt(calibration)["thresholds"]
        if name in (None, best["class"])
    }


def _instance_threshold(
    chosen: Sequence[dict[str, Any]], kind: str, name: str, images: int
) -> dict[str, Any]:
    found = [
        best
        for metric in INSTANCES_BY[kind]
        for best in chosen
        if best["class"] == name and (best["metric"], best["variant"]) == metric
    ]
    if not found:
        return {"threshold": WITHOUT_VALIDATION, "by": "default"}
    best = max(found, key=lambda each: each["images"])  # of several the first
    by = f"{best['metric']} {best['variant']}".strip()
    if best["images"] < images:
        log.warning(
            "class %s: the threshold is chosen by %s on %d of %d validation images, as the others "
            "are too large to be scored at each threshold",
            *(name, by, best["images"], images),
        )
    return {"threshold": best["threshold"], "by": by}
