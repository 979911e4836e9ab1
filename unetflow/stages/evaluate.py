"""Rule evaluate: all scores of one image as a table."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import dask
import pandas as pd

from unetflow.evaluate.choosing import chosen_thresholds
from unetflow.evaluate.image_scores import (
    Truth,
    count_object_errors,
    otsu_baseline,
    score_foreground,
    score_instances,
    score_slices,
)
from unetflow.evaluate.scoring import Labelling, Row, Scoring
from unetflow.evaluate.tables import COLUMNS, as_csv
from unetflow.instances.separation import labelling_of_class, needs_head, without_head
from unetflow.instances.whole_image import label_instances
from unetflow.labels.dataset import Dataset
from unetflow.metrics import contingency
from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.schemas import Calibration, InstancesOfClass, InstancesReceipt
from unetflow.provenance.shard_lists import Stored, unchanged
from unetflow.store.files import write_whole
from unetflow.store.instances import instances_of_class
from unetflow.store.names import INSTANCES, of_labels
from unetflow.store.shards import read_lazily
from unetflow.tiles.regions import PLANE

log = logging.getLogger(__name__)


def evaluate_image(
    *,
    image: str | Path,
    prediction: str | Path,
    calibration: str | Path,
    instances: str | Path,
    table: str | Path,
    stored: Sequence[Stored],
    dataset: Dataset,
    scoring: Scoring,
    facts: Mapping[str, str],
) -> None:
    """Rule evaluate: all scores of one image as CSV with the columns `COLUMNS`.

    Column `chosen` says whose choice the threshold was: "list" (the config's), "validation" (best
    on the validation images for this metric), "instances" (the stored labels) or "otsu", which is
    tried where there is one class. `facts` are the columns that name the image; `calibration` and
    `instances` are receipts, `stored` all stores that are read with the receipts that tell of them.
    """
    record = RunRecord(table)
    calibrated = read_receipt(calibration, Calibration)
    rows: list[dict[str, str | float | None]] = []
    with unchanged(*stored), dask.config.set(num_workers=scoring.threads):
        for number, name in enumerate(dataset.classes, start=1):
            truth = Truth(image, dataset, number)
            made_by = labelling_of_class(calibrated["instances"][name], scoring.labelling)
            scoring = replace(scoring, labelling=cast(Labelling, made_by))
            chosen = chosen_thresholds(calibrated["thresholds"], name)
            found = list(_at_thresholds(truth, prediction, chosen, scoring))
            if truth.has_instances:
                made = read_receipt(instances, InstancesReceipt)["classes"][name]
                found += _of_stored(truth, prediction, made, per_slice=scoring.per_slice)
            rows += ({**row.cells(), "class": name, "method": "network"} for row in found)
        if len(dataset.classes) == 1:
            of = {"class": dataset.classes[0], "method": "otsu"}
            rows += ({**row.cells(), **of} for row in _of_otsu(truth, image, scoring))
    # Python's integers: squares of areas need not fit int64
    frame = pd.DataFrame(rows, dtype=object).assign(**facts).reindex(columns=list(COLUMNS))
    write_whole(table, as_csv(frame))
    log.info("%s: %d scores", table, len(frame))
    record.write()


def _at_thresholds(
    truth: Truth,
    prediction: str | Path,
    calibrated: Mapping[tuple[str, str], float],
    scoring: Scoring,
) -> Iterator[Row]:
    """Rows at the config's thresholds and at those that the validation images chose."""
    every = sorted({*scoring.thresholds, *calibrated.values()})
    head_YX = truth.head_of(prediction) if needs_head(scoring.labelling) else None
    label = partial(label_instances, **scoring.labelling, head=head_YX, spacing=truth.steps)
    foreground_YX = truth.foreground_of(prediction, scoring.foreground)
    for row in score_foreground(truth, foreground_YX, every, label, regions_px=scoring.regions_px):
        if row.threshold in scoring.thresholds:
            yield replace(row, chosen="list")
        if row.threshold == calibrated.get((row.metric, row.variant)):
            yield replace(row, chosen="validation")


def _of_stored(
    truth: Truth, prediction: str | Path, made: InstancesOfClass, *, per_slice: bool
) -> Iterator[Row]:
    """Rows of the stored instances of a class; of a volume in memory also `per_slice`."""
    ids = {"first_id": made["first_id"], "instances": made["instances"]}
    labels = instances_of_class(read_lazily(prediction, of_labels(INSTANCES)), ids)
    table = contingency(truth.labels, labels, ignore=truth.ignore)
    rows = [*score_instances(table), *count_object_errors(table)]
    if per_slice and truth.labels.ndim > PLANE and truth.in_memory:
        rows += score_slices(truth, labels.compute())
    for row in rows:
        yield replace(row, threshold=made["threshold"], chosen="instances")


def _of_otsu(truth: Truth, image: str | Path, scoring: Scoring) -> Iterator[Row]:
    """Rows of the baseline."""
    label = partial(label_instances, **without_head(scoring.labelling), spacing=truth.steps)
    pixels_CYX = read_lazily(image, "0")
    for row in otsu_baseline(truth, pixels_CYX, label, regions_px=scoring.regions_px):
        yield replace(row, threshold=None, chosen="otsu")
