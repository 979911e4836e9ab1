"""Run records: what the jobs took and ran on, stage by stage."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from unetflow.provenance.records import record_of
from unetflow.provenance.schemas import RunRecordContent
from unetflow.store.files import digest_of_file


def read_record(receipt: str | Path) -> RunRecordContent:
    """The record beside a receipt, empty where it is missing or broken: it is nobody's input."""
    try:
        content: object = json.loads(record_of(Path(receipt)).read_text())
    except (OSError, ValueError):
        return {}
    return cast(RunRecordContent, content) if isinstance(content, dict) else {}


def collect_provenance(
    receipts: Mapping[str, Iterable[str | Path]], results: Path
) -> dict[str, dict[str, dict[str, object]]]:
    """By stage and receipt, named from the results folder: the receipt's digest and its run record.

    The record says versions, commit, host, device, seconds and memory; those that are missing are
    empty. A receipt that is not there is left out.
    """
    return {
        stage: {
            Path(os.path.relpath(receipt, results)).as_posix(): {
                "digest": digest_of_file(receipt),
                "run": read_record(receipt),
            }
            for receipt in sorted(map(Path, of))
            if receipt.exists()
        }
        for stage, of in receipts.items()
    }


def records_by_stage(
    receipts: Mapping[str, Iterable[str | Path]],
) -> dict[str, list[RunRecordContent]]:
    """The run records beside the receipts of each stage; stages without any are left out."""
    found = {
        stage: [record for receipt in sorted(map(Path, of)) if (record := read_record(receipt))]
        for stage, of in receipts.items()
    }
    return {stage: records for stage, records in found.items() if records}
