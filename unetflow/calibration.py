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
from unetflow.receipts import RunRecord, write_receipt
from unetflow.scoring import Row, Truth, score_foreground

log = logging.getLogger(__name__)

LOWER_IS_BETTER = {"pixel_error", "warping_error", "splits_mergers"}
# By kind of truth; images that are not in memory have no SEG at each threshold, and no thinned
# V_Rand of the whole image.
INSTANCES_BY = {
    "instances": (("seg", ""), ("iou", "")),
    "interior": (("v_rand", "thinned"), ("v_rand", "unthinned")),
}
WITHOUT_VALIDATION = 0.5


def calibrate(
    *,
    images: Sequence[str | Path],
    predictions: Sequence[str | Path],
    receipt: str | Path,
    kind: str,
    thresholds: Sequence[float],
    regions_px: int | None,
    labelling: Mapping[str, Any],
    threads: int,
) -> None:
    """Rule calibrate: for each metric and variant the threshold with the best mean over images.

    Images where a metric is undefined are left out of its mean. Of equal thresholds the one
    nearest to 0.5 is taken. Instances are made at the threshold of the first metric of
    `INSTANCES_BY` that was scored; without validation images at 0.5, with a warning.
    """
    record = RunRecord(receipt)
    label = partial(label_instances, **labelling)
    rows: list[Row] = []
    with (
        progress("calibrate", total=len(images)) as tick,
        dask.config.set(num_workers=threads),
    ):
        for image, prediction in zip(images, predictions, strict=True):
            truth = Truth(image, kind)
            foreground_YX = truth.foreground_of(prediction)
            rows += score_foreground(truth, foreground_YX, thresholds, label, regions_px=regions_px)
            tick()
    chosen = _best(pd.DataFrame(rows)) if rows else []
    by = _instance_threshold(chosen, kind)
    if not chosen:
        log.warning("no validation images with defined scores: instances are made at 0.5")
    write_receipt(receipt, {"thresholds": chosen, "instances": by, "images": len(images)})
    record.write()


def _best(scores: pd.DataFrame) -> list[dict[str, Any]]:
    means = scores.groupby(["metric", "variant", "threshold"], as_index=False)["value"].mean()
    best = []
    for (metric, variant), group in means.dropna().groupby(["metric", "variant"]):
        sign = 1 if metric in LOWER_IS_BETTER else -1
        order = pd.DataFrame(
            {"value": sign * group["value"], "distance": (group["threshold"] - 0.5).abs()}
        ).sort_values(["value", "distance"], kind="stable")
        row = group.loc[order.index[0]]
        best.append(
            {
                "metric": metric,
                "variant": variant,
                "threshold": float(row["threshold"]),
                "value": float(row["value"]),
            }
        )
    return best


def _instance_threshold(chosen: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    for metric, variant in INSTANCES_BY[kind]:
        for best in chosen:
            if (best["metric"], best["variant"]) == (metric, variant):
                return {"threshold": best["threshold"], "by": f"{metric} {variant}".strip()}
    return {"threshold": WITHOUT_VALIDATION, "by": "default"}
