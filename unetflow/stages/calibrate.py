"""Rule calibrate: operating thresholds, chosen on validation images by the real metrics."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import dask
import pandas as pd

from unetflow.evaluate.choosing import (
    best_thresholds,
    far_more_than_annotated,
    instance_threshold,
)
from unetflow.evaluate.image_scores import Truth, score_foreground
from unetflow.evaluate.scoring import Row, Scoring
from unetflow.instances.separation import needs_head
from unetflow.instances.whole_image import label_instances
from unetflow.labels.dataset import Dataset
from unetflow.progress import progress
from unetflow.provenance.receipts import write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.schemas import Calibration
from unetflow.provenance.shard_lists import Stored, unchanged

log = logging.getLogger(__name__)


def calibrate(
    *,
    images: Sequence[str | Path],
    predictions: Sequence[str | Path],
    stored: Sequence[Stored],
    receipt: str | Path,
    dataset: Dataset,
    scoring: Scoring,
) -> None:
    """Rule calibrate: for each class, metric and variant the threshold with the best mean.

    The mean is over images, without those where the metric is undefined. Of equal thresholds the
    one nearest to 0.5 is taken. Which of them instances are made at, or 0.5 without validation
    images, `unetflow.evaluate.choosing.instance_threshold` says, and warns. The receipt warns
    of images in which far more objects are found than annotated.
    `stored` are all stores that are read, with the receipts that tell of them, as in other rules.
    """
    record = RunRecord(receipt)
    rows: list[dict[str, str | float | None]] = []
    with (
        unchanged(*stored),
        progress("calibrate", total=len(images)) as tick,
        dask.config.set(num_workers=scoring.threads),
    ):
        for image, prediction in zip(images, predictions, strict=True):
            for name, row in _scored(image, prediction, dataset, scoring):
                rows.append({"class": name, "image": str(image), **row.cells()})
            tick()
    scores = pd.DataFrame(rows)
    chosen = best_thresholds(scores) if rows else []
    if not chosen:
        log.warning("no validation images with defined scores: instances are made at 0.5")
    instances = {
        name: instance_threshold(chosen, dataset.kind, name, len(images))
        for name in dataset.classes
    }
    warnings = list(far_more_than_annotated(scores, instances))
    for warning in warnings:
        log.warning(warning)
    content: Calibration = {
        "thresholds": chosen,
        "instances": instances,
        "images": len(images),
        "warnings": warnings,
    }
    write_receipt(receipt, content)
    record.write()


def _scored(
    image: str | Path, prediction: str | Path, dataset: Dataset, scoring: Scoring
) -> Iterator[tuple[str, Row]]:
    """The scores of an image at each threshold, with the name of their class."""
    headed = needs_head(scoring.labelling)
    for number, name in enumerate(dataset.classes, start=1):
        truth = Truth(image, dataset, number)
        foreground_YX = truth.foreground_of(prediction, scoring.foreground)
        head_YX = truth.head_of(prediction) if headed else None
        label = partial(label_instances, **scoring.labelling, head=head_YX)
        for row in score_foreground(
            truth, foreground_YX, scoring.thresholds, label, regions_px=scoring.regions_px
        ):
            yield name, row
