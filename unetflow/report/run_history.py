"""What run records tell: seconds, devices, versions, stage by stage."""

import json
import statistics
from pathlib import Path
from typing import Any

from unetflow.provenance.receipts import distinct, receipts_of_images

STAGES = {
    "prepare image": "images",
    "prepare truth": "truth",
    "weights": "weights/*",
    "statistics": "statistics/*",
    "train": "models/*/*",
    "predict": "predictions/*/*/foreground",
    "calibrate": "calibration/*",
    "instances": "predictions/*/*/instances",
    "evaluate": "evaluation/*/*",
}
Record = dict[str, Any]


def read_record(path: Path) -> Record:
    """A run record, empty where it is missing or broken: it is nobody's input."""
    try:
        record: Record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record


def records_by_stage(results: Path) -> dict[str, list[Record]]:
    """Run records of all stages that kept any, in the order of the pipeline."""
    found = {
        stage: [
            read_record(path)
            for folder in sorted(results.glob(folders))
            for path in receipts_of_images(folder, "*.run.json")
        ]
        for stage, folders in STAGES.items()
    }
    return {stage: records for stage, records in found.items() if records}


def describe_stages(records: dict[str, list[Record]]) -> list[Record]:
    """A row per stage: results, seconds, devices."""
    rows = []
    for stage, of in records.items():
        seconds = [float(record.get("seconds", 0)) for record in of]
        rows.append(
            {
                "stage": stage,
                "results": len(of),
                "total_s": sum(seconds),
                "median_s": statistics.median(seconds),
                "max_s": max(seconds),
                "devices": distinct(
                    machine.get("device")
                    for record in of
                    for machine in record.get("machines", [record])
                ),
            }
        )
    return rows


def describe_environment(records: dict[str, list[Record]]) -> dict[str, str]:
    """Versions, commit, hosts and time of all jobs; several values where they differ."""
    every = [record for of in records.values() for record in of]
    versions: dict[str, set[str]] = {}
    for record in every:
        for name, version in {**record.get("versions", {}), "python": record.get("python")}.items():
            if version:
                versions.setdefault(name, set()).add(version)
    ended = max((record.get("ended", "") for record in every), default="")
    return {
        "commit": distinct(record.get("commit") for record in every) or "not known",
        "finished": ended.replace("T", " ") or "not known",
        "hosts": distinct(record.get("host") for record in every) or "not known",
        **{name: ", ".join(sorted(found)) for name, found in versions.items()},
    }
