"""Failed receipts: what a stage leaves of an image whose file is at fault.

    {"failed": {"stage": "prepare_image", "reason": "a.tif: cannot be opened ...",
                "log": "logs/prepare_image/a.log", "next": "Mend the file, ..."}}

A failure is a result: it stays until the file changes, and the stages that follow pass it on. Their
receipts say the same, and by `skipped` which stage was not tried.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict, cast

from unetflow.provenance.receipts import write_receipt

KEY = "failed"


class Failure(TypedDict):
    """Why there is no result of an image."""

    stage: str  # that failed
    reason: str
    log: str  # under the results
    next: str  # what a user may do


def write_failure(receipt: str | Path, failure: Failure, *, skipped: str | None = None) -> None:
    """A receipt that says what failed; `skipped` is its own stage, where an earlier one did."""
    write_receipt(receipt, {KEY: failure} | ({"skipped": skipped} if skipped else {}))


def failure_of(receipt: str | Path) -> Failure | None:
    """What a receipt says that failed; None of one with a result, and of what is no receipt."""
    try:
        content = json.loads(Path(receipt).read_text())
    except (OSError, ValueError):
        return None
    return cast(Failure | None, content.get(KEY)) if isinstance(content, dict) else None


def first_failure(receipts: Iterable[str | Path]) -> Failure | None:
    """The first failure that these receipts tell of."""
    return next(filter(None, map(failure_of, receipts)), None)
