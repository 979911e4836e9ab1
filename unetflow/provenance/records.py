"""Run records: what differs from run to run (seconds, host, device, versions), beside a receipt.

A record is nobody's input: what is written here can change no result.
"""

import importlib.metadata
import platform
import subprocess
import time
from pathlib import Path

from unetflow.provenance.receipts import write_receipt

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


def record_of(receipt: Path) -> Path:
    """The run record beside a receipt."""
    return receipt.with_suffix(".run.json")


class RunRecord:
    """Times a stage and writes `{name}.run.json` beside its receipt."""

    def __init__(self, receipt: str | Path) -> None:
        self._path = record_of(Path(receipt))
        self._started_s = time.monotonic()

    def write(self, **facts: object) -> None:
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
    root = Path(__file__).parents[2]
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
