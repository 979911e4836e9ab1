"""Rule evaluate: all scores of one image as a table."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dask
import pandas as pd

from unetflow.evaluate.image_scores import (
    Row,
    Truth,
    otsu_baseline,
    score_foreground,
    score_instances,
)
from unetflow.evaluate.tables import COLUMNS, as_csv
from unetflow.instances.whole_image import label_instances
from unetflow.metrics import contingency
from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.records import RunRecord
from unetflow.stages.calibrate import chosen_thresholds
from unetflow.store.files import write_whole
from unetflow.store.instances import instances_of_class
from unetflow.store.shards import read_lazily

log = logging.getLogger(__name__)


def evaluate_image(
    *,
    image: str | Path,
    prediction: str | Path,
    calibration: str | Path,
    instances: str | Path,
    table: str | Path,
    kind: str,
    classes: Sequence[str],
    thresholds: Sequence[float],
    regions_px: int | None,
    labelling: Mapping[str, Any],
    facts: Mapping[str, Any],
    threads: int,
) -> None:
    """Rule evaluate: all scores of one image as CSV with the columns `COLUMNS`.

    Column `chosen` says whose choice the threshold was: "list" (the config's), "validation" (best
    on the validation images for this metric), "instances" (the stored labels) or "otsu", which is
    tried where there is one class. `facts` are the columns that name the image; `labelling` makes
    instances of foreground; `regions_px` as in `score_foreground`; `calibration` and `instances`
    are receipts.
    """
    record = RunRecord(table)
    label = partial(label_instances, **labelling)
    with dask.config.set(num_workers=threads):
        rows: list[Row] = []
        for number, name in enumerate(classes, start=1):
            truth = Truth(image, kind, classes=len(classes), number=number)
            chosen = chosen_thresholds(calibration, name)
            found = _score_list(truth, prediction, chosen, thresholds, label, regions_px)
            if truth.has_instances:
                made = read_receipt(instances)["classes"][name]
                labels = instances_of_class(read_lazily(prediction, "labels/instances/0"), made)
                table_of_ids = contingency(truth.labels, labels, ignore=truth.ignore)
                for row in score_instances(table_of_ids):
                    found.append({**row, "threshold": made["threshold"], "chosen": "instances"})
            rows += ({**row, "class": name, "method": "unet"} for row in found)
        if len(classes) == 1:
            for row in otsu_baseline(truth, read_lazily(image, "0"), label, regions_px=regions_px):
                of = {"threshold": None, "chosen": "otsu", "class": classes[0], "method": "otsu"}
                rows.append({**row, **of})
    # Python's integers: squares of areas need not fit int64
    frame = pd.DataFrame(rows, dtype=object).assign(**facts).reindex(columns=list(COLUMNS))
    write_whole(table, as_csv(frame))
    log.info("%s: %d scores", table, len(frame))
    record.write()


def _score_list(
    truth: Truth,
    prediction: str | Path,
    calibrated: Mapping[Any, float],
    thresholds: Sequence[float],
    label: partial[Any],
    regions_px: int | None,
) -> list[Row]:
    """Rows at the config's thresholds and at those that the validation images chose."""
    every = sorted({*thresholds, *calibrated.values()})
    rows = []
    foreground_YX = truth.foreground_of(prediction)
    for row in score_foreground(truth, foreground_YX, every, label, regions_px=regions_px):
        if row["threshold"] in thresholds:
            rows.append({**row, "chosen": "list"})
        if row["threshold"] == calibrated.get((row["metric"], row["variant"])):
            rows.append({**row, "chosen": "validation"})
    return rows
