"""Rule calibrate: operating thresholds, chosen on validation images by the real metrics."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dask
import pandas as pd

from unetflow.evaluate.choosing import best_thresholds, instance_threshold
from unetflow.evaluate.image_scores import Row, Truth, score_foreground
from unetflow.instances.whole_image import label_instances
from unetflow.progress import progress
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.records import RunRecord

log = logging.getLogger(__name__)


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
    chosen = best_thresholds(pd.DataFrame(rows)) if rows else []
    by = {name: instance_threshold(chosen, kind, name, len(images)) for name in classes}
    if not chosen:
        log.warning("no validation images with defined scores: instances are made at 0.5")
    write_receipt(receipt, {"thresholds": chosen, "instances": by, "images": len(images)})
    record.write()


def chosen_thresholds(calibration: str | Path, name: str | None = None) -> dict[Any, float]:
    """What a calibration chose for a class (None: of any): thresholds by (metric, variant)."""
    return {
        (best["metric"], best["variant"]): best["threshold"]
        for best in read_receipt(calibration)["thresholds"]
        if name in (None, best["class"])
    }
