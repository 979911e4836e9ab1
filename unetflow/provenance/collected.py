"""What is known of how each result was made, in one place."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from unetflow.provenance.records import record_of
from unetflow.store.files import digest_of_file


def collect_provenance(
    receipts: Mapping[str, Iterable[str | Path]], results: Path
) -> dict[str, dict[str, dict[str, object]]]:
    """By stage and receipt, named from the results folder: the receipt's digest and its run record.

    The record says versions, commit, host, device, seconds and memory; one that is missing or
    broken is empty. A receipt that is not there is left out.
    """
    return {
        stage: {
            Path(os.path.relpath(receipt, results)).as_posix(): {
                "digest": digest_of_file(receipt),
                "run": _record(receipt),
            }
            for receipt in sorted(map(Path, of))
            if receipt.exists()
        }
        for stage, of in receipts.items()
    }


def _record(receipt: Path) -> object:
    try:
        return json.loads(record_of(receipt).read_text())
    except (OSError, ValueError):
        return {}
