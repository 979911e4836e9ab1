"""Rule outcome: what became of each image, as a table, and what that took, as another."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd

from unetflow.provenance.failed import Failure, first_failure
from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.records import record_of
from unetflow.store.files import write_whole

log = logging.getLogger(__name__)

COLUMNS = ("image", "dataset", "split", "state", "stage", "reason", "log", "next")
JOB_COLUMNS = ("image", "attempts", "seconds")
DONE, FAILED, SKIPPED = "done", "failed", "skipped"
LEARNT = ("train", "validation")  # splits that are learnt from and nothing else
LEAVE_OUT = "leave_out"


class Made(TypedDict):
    """An image of the sheet, and by stage what its jobs left, in the order of the pipeline."""

    image: str
    dataset: str
    split: str
    receipts: Sequence[str]
    makings: Sequence[str]  # records of the jobs: `unetflow.jobs.makings`
    parts: Sequence[str]  # receipts of the jobs that shared its prediction, whose seconds count


def write_outcome(
    *,
    images: Sequence[Made],
    on_failed: str,
    table: str | Path,
    jobs: str | Path,
) -> None:
    """Rule outcome: a row per image with its state (done, failed or skipped), and why.

    Skipped are images that failed and which, as `on_failed` says, training does without. `table`
    follows from the content alone. `jobs` has of each image the attempts that the job took which
    had to be tried most often, and the seconds of all its stages together.
    """
    found = [(of, first_failure(of["receipts"])) for of in images]
    rows = [_row(of, failure, on_failed) for of, failure in found]
    _write(table, pd.DataFrame(rows, columns=list(COLUMNS)))
    taken = [{"image": of["image"], **_taken(of)} for of in images]
    _write(jobs, pd.DataFrame(taken, columns=list(JOB_COLUMNS)))
    states = [row["state"] for row in rows]
    log.info("%s", ", ".join(f"{states.count(each)} {each}" for each in (DONE, FAILED, SKIPPED)))


def _row(of: Made, failure: Failure | None, on_failed: str) -> dict[str, str]:
    row: dict[str, str] = {
        "image": of["image"],
        "dataset": of["dataset"],
        "split": of["split"],
        "state": DONE,
    }
    if failure is None:
        return row
    left_out = of["split"] in LEARNT and on_failed == LEAVE_OUT
    told = {key: failure[key] for key in ("stage", "reason", "log", "next")}
    return row | {"state": SKIPPED if left_out else FAILED} | told


def _taken(of: Made) -> dict[str, Any]:
    attempts = [record.get("attempts", 1) for record in _read(of["makings"])]
    receipts = [*of["receipts"], *of["parts"]]
    seconds = [record.get("seconds", 0.0) for record in _read(map(_record, receipts))]
    return {"attempts": max(attempts, default=1), "seconds": round(sum(seconds), 1)}


def _record(receipt: str) -> Path:
    return record_of(Path(receipt))


def _read(paths: Any) -> Iterator[Mapping[str, Any]]:
    """Those of these JSON files that are there."""
    for path in dict.fromkeys(paths):
        if Path(path).is_file():
            yield read_receipt(path)


def _write(path: str | Path, frame: pd.DataFrame) -> None:
    write_whole(path, frame.to_csv(index=False, sep="\t", lineterminator="\n").encode())
