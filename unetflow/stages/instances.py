"""Rule instances: from a stored foreground to instances and a table of the objects."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unetflow.instances.labelled_store import label_store
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.records import RunRecord


def write_instances(
    *,
    store: str | Path,
    foreground_receipt: str | Path,
    calibration: str | Path,
    receipt: str | Path,
    table: str | Path,
    classes: Sequence[str],
    threshold: float | None,
    labelling: Mapping[str, Any],
    threads: int,
    code: str,
) -> None:
    """Rule instances: `labels/instances` beside the foreground, and a table of the objects.

    `threshold` None takes those that the validation images chose, one per class; `labelling` are
    the other options of `label_instances`. As `label_store`.
    """
    record = RunRecord(receipt)
    for written in (Path(table), Path(table).with_suffix(".csv")):
        written.unlink(missing_ok=True)
    calibrated = read_receipt(calibration)["instances"]
    thresholds = [
        calibrated[name]["threshold"] if threshold is None else threshold for name in classes
    ]
    content = read_receipt(foreground_receipt)
    array, made = label_store(
        store,
        dict(zip(classes, thresholds, strict=True)),
        labelling,
        table=table,
        threads=threads,
        decided_by={"foreground": content["digest"], "code": code},
    )
    write_receipt(
        receipt,
        {
            "shape": array.array.shape,
            "digest": array.content_digest(),
            "instances": sum(of["instances"] for of in made.values()),
            "classes": made,
        },
    )
    record.write(threads=threads)
