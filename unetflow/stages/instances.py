"""Rule instances: from a stored foreground to instances and a table of the objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetflow.instances.labelled_store import label_store
from unetflow.instances.separation import labelling_of_class, needs_head
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.schemas import Calibration
from unetflow.provenance.shard_lists import Stored, unchanged, write_shard_list
from unetflow.store.levels import level_shapes
from unetflow.store.names import FOREGROUND, HEADS, INSTANCES, of_labels
from unetflow.store.ome import steps_of


@dataclass(frozen=True, slots=True)
class Making:
    """How instances are made of a foreground."""

    classes: Sequence[str]
    threshold: float | None  # None: of each class the one that the validation images chose
    # the other options of `unetflow.instances.label_instances`, where the calibration has none
    labelling: Mapping[str, Any]
    foreground: str = FOREGROUND  # array that they are made of


def write_instances(
    *,
    store: str | Path,
    foreground_receipt: str | Path,
    calibration: str | Path,
    receipt: str | Path,
    table: str | Path,
    making: Making,
    threads: int,
    code: str,
) -> None:
    """Rule instances: `labels/instances` beside the foreground, and a table of the objects.

    As `unetflow.instances.labelled_store.label_store`.
    """
    record = RunRecord(receipt)
    for written in (Path(table), Path(table).with_suffix(".csv")):
        written.unlink(missing_ok=True)
    calibrated = read_receipt(calibration, Calibration)["instances"]
    # one way for all classes
    labelling = labelling_of_class(calibrated[making.classes[0]], making.labelling)
    thresholds = {
        name: calibrated[name]["threshold"] if making.threshold is None else making.threshold
        for name in making.classes
    }
    foreground = read_receipt(foreground_receipt)  # as predicted, or refined
    decided_by, read = {"foreground": foreground["digest"], "code": code}, [making.foreground]
    if needs_head(labelling):
        decided_by["heads"], read = foreground["heads"], [*read, HEADS]
    with unchanged(Stored(store, foreground_receipt, read)):
        array, made = label_store(
            store,
            thresholds,
            labelling,
            table=table,
            threads=threads,
            decided_by=decided_by,
            foreground_array=making.foreground,
        )
    shape = array.array.shape
    shapes = level_shapes(shape, steps_of(store, len(shape)))
    levels = [of_labels(INSTANCES, k) for k in range(len(shapes))]
    content = {
        "shape": shape,
        "digest": array.content_digest(),
        "instances": sum(of["instances"] for of in made.values()),
        "classes": made,
        "shards": write_shard_list(receipt, store, levels),
    }
    write_receipt(receipt, content)
    record.write(threads=threads)
