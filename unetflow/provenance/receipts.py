"""Receipts: what a finished stage leaves behind for the next one.

A receipt is a small JSON file, written last and by rename. It holds only what follows from the
content (shape, digests, counts, warnings), so that equal content gives equal bytes. What differs
from run to run goes to a run record beside it: `unetflow.provenance.records`.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, overload

from unetflow.errors import StoreError
from unetflow.store.files import write_whole

Content = TypeVar("Content")  # one of `unetflow.provenance.schemas`
BUNDLES = "bundles"  # folder of what images that share jobs leave: `unetflow.jobs.bundles`


def write_receipt(path: str | Path, content: Mapping[str, object]) -> None:
    """Write a receipt: sorted keys, one trailing newline, by rename."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=True) + "\n"
    write_whole(path, text.encode())


def bundle_of(receipt: Path) -> Path:
    """The receipt that Snakemake knows: the bundle's, where images share jobs, else itself."""
    folder, ending = receipt.parent, receipt.name.partition(".")[2]
    bundle = folder.with_name(f"{folder.name}.{ending}")
    return bundle if folder.parent.name == BUNDLES and bundle.exists() else receipt


@overload
def read_receipt(path: str | Path) -> dict[str, Any]: ...


@overload
def read_receipt(path: str | Path, holds: type[Content]) -> Content: ...


def read_receipt(path: str | Path, holds: type[Any] = dict) -> Any:
    """The content of a receipt. Raises StoreError where it cannot be read.

    `holds` names what is in it for a type checker; nothing is checked here.
    """
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: not a readable receipt ({error}). Delete {bundle_of(Path(path))} and run the "
            "same command again: the stage checks what is there and writes a new one."
        ) from error
    return content


def distinct(values: Iterable[object]) -> str:
    """The different values, in their order, as text."""
    return ", ".join(dict.fromkeys(str(value) for value in values if value))
