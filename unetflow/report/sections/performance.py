"""How long the stages took, and on what."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unetflow.provenance.receipts import distinct
from unetflow.provenance.schemas import RunRecordContent


@dataclass(frozen=True, slots=True)
class StageTime:
    stage: str
    results: int
    total_s: float
    median_s: float
    max_s: float
    devices: str
    gpu_busy: float | None  # mean share over the seconds of all jobs that measured it


def performance(records: Mapping[str, Sequence[RunRecordContent]]) -> list[StageTime]:
    """A row per stage that kept run records."""
    return [_stage_time(stage, of) for stage, of in records.items()]


def _stage_time(stage: str, records: Sequence[RunRecordContent]) -> StageTime:
    seconds = [float(record.get("seconds", 0)) for record in records]
    return StageTime(
        stage=stage,
        results=len(records),
        total_s=sum(seconds),
        median_s=statistics.median(seconds),
        max_s=max(seconds),
        devices=distinct(
            machine.get("device")
            for record in records
            for machine in record.get("machines", [record])
        ),
        gpu_busy=_busy(records),
    )


def _busy(records: Sequence[RunRecordContent]) -> float | None:
    """Jobs count by their seconds."""
    measured = [
        (share, float(record.get("seconds", 0)))
        for record in records
        if (share := record.get("gpu_busy")) is not None
    ]
    total_s = sum(seconds for _, seconds in measured)
    return sum(share * seconds for share, seconds in measured) / total_s if total_s else None
