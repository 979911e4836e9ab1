"""Run records: what the jobs took and ran on, stage by stage."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from unetflow.provenance.records import record_of
from unetflow.provenance.schemas import RunRecordContent


def read_record(receipt: str | Path) -> RunRecordContent:
    """The record beside a receipt, empty where it is missing or broken: it is nobody's input."""
    try:
        content: object = json.loads(record_of(Path(receipt)).read_text())
    except (OSError, ValueError):
        return {}
    return cast(RunRecordContent, content) if isinstance(content, dict) else {}


def records_by_stage(
    receipts: Mapping[str, Iterable[str | Path]],
) -> dict[str, list[RunRecordContent]]:
    """The run records beside the receipts of each stage; stages without any are left out."""
    found = {
        stage: [record for receipt in sorted(map(Path, of)) if (record := read_record(receipt))]
        for stage, of in receipts.items()
    }
    return {stage: records for stage, records in found.items() if records}
