"""Receipts and digests: what a finished stage leaves behind for the next one.

A receipt is a small JSON file, written last and by rename. It holds only what follows from the
content (shape, digests, counts, warnings), so that equal content gives equal bytes. What differs
from run to run (seconds, host, device, versions) goes to a run record beside it, which is nobody's
input.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import secrets
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unetflow.errors import StoreError

BUNDLES = "bundles"  # folder of what images that share jobs leave: `unetflow.jobs.bundles`
VERSIONS_OF = (
    "unetflow",
    "torch",
    "zarr",
    "tensorstore",
    "numpy",
    "dask",
    "scikit-image",
    "snakemake",
)


def digest_of(content: Any) -> str:
    """Digest of JSON-like content; the order of keys does not count."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def digest_of_file(path: str | Path) -> str:
    """Digest of all bytes of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file by rename: after a kill at any moment it is the old one or the new one, whole.

    Raises StoreError, naming the file, where the disk is full or read-only.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with temporary.open("xb") as file:  # made by the kernel with the rights of any new file
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"{path}: could not be written ({error.strerror}). Make room or rights and run the "
            "same command again: what is finished is kept."
        ) from error


@contextmanager
def renamed_at_end(path: str | Path) -> Iterator[Path]:
    """A name beside `path` to write to: becomes `path` at the end, removed after an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_receipt(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a receipt: sorted keys, one trailing newline, by rename."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=True) + "\n"
    write_whole(path, text.encode())


def receipts_of_images(folder: Path, name: str) -> list[Path]:
    """Receipts of images in a stage's folder, alone or in `BUNDLES`, whose names fit a pattern."""
    return sorted([*folder.glob(name), *folder.glob(f"{BUNDLES}/*/{name}")])


def bundle_of(receipt: Path) -> Path:
    """The receipt that Snakemake knows: the bundle's, where images share jobs, else itself."""
    folder, ending = receipt.parent, receipt.name.partition(".")[2]
    bundle = folder.with_name(f"{folder.name}.{ending}")
    return bundle if folder.parent.name == BUNDLES and bundle.exists() else receipt


def record_of(receipt: Path) -> Path:
    """The run record beside a receipt."""
    return receipt.with_suffix(".run.json")


def read_receipt(path: str | Path) -> dict[str, Any]:
    """The content of a receipt. Raises StoreError where it cannot be read."""
    try:
        content: dict[str, Any] = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: not a readable receipt ({error}). Delete {bundle_of(Path(path))} and run the "
            "same command again: the stage checks what is there and writes a new one."
        ) from error
    return content


class RunRecord:
    """Times a stage and writes `{name}.run.json` beside its receipt."""

    def __init__(self, receipt: str | Path) -> None:
        self._path = record_of(Path(receipt))
        self._started_s = time.monotonic()

    def write(self, **facts: Any) -> None:
        """Write the record; `facts` are what the stage knows, such as device and precision."""
        record = {
            **facts,
            "seconds": round(time.monotonic() - self._started_s, 3),
            "ended": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "host": platform.node(),
            "python": platform.python_version(),
            "versions": _versions(),
            "commit": _commit(),
        }
        write_receipt(self._path, record)


def distinct(values: Iterable[Any]) -> str:
    """The different values, in their order, as text."""
    return ", ".join(dict.fromkeys(str(value) for value in values if value))


def _versions() -> dict[str, str]:
    found = {}
    for name in VERSIONS_OF:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # the package was not installed, only found on the path
    return found


def _commit() -> str | None:
    """The commit of the checkout that this package runs from, or None outside one."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
