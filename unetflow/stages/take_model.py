"""Rule take_model: a finished model file takes the place of a training."""

from pathlib import Path

from unetflow.networks.description import TrainingSummary
from unetflow.networks.model_file import load_model
from unetflow.provenance.receipts import write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.stages.model_facts import facts_of
from unetflow.store.files import write_whole
from unetflow.train.history import as_csv

UNKNOWN: TrainingSummary = {  # of a file that says nothing of its training
    "best": {"step": 0, "validation_iou": None},
    "steps": 0,
    "precision": "",
    "training_images": 0,
    "validation_images": 0,
}


def take_model(
    model: str | Path, *, output: str | Path, history: str | Path, receipt: str | Path
) -> None:
    """Copy a model file to where a training would have written it, to the byte, with its receipt.

    The history is a table without rows: no step was done here. Raises ModelError where the file is
    no model, or is damaged.
    """
    record = RunRecord(receipt)
    network, description = load_model(model)
    write_whole(output, Path(model).read_bytes())
    write_whole(history, as_csv([]))
    summary = description.get("training", UNKNOWN)
    facts = facts_of(network, description, output)
    write_receipt(receipt, {"recipe": {}, **description, **summary, **facts, "rising_by": None})
    record.write()
