"""Run records: what differs from run to run (seconds, host, device, versions), beside a receipt.

A record is nobody's input: what is written here can change no result.
"""

import importlib.metadata
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

from unetflow.provenance.receipts import write_receipt

MIB = 2**20
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
            "peak_mib": round(peak_bytes() / MIB, 1),
            "ended": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "host": platform.node(),
            "python": platform.python_version(),
            "versions": _versions(),
            "commit": _commit(),
        }
        write_receipt(self._path, record)


def peak_bytes(root: Path = Path("/")) -> int:
    """The most memory that this process had until now, libraries among it.

    Linux counts it anew when a program begins; elsewhere, and where `root` has no /proc, it may be
    that of the process which started this one, if that had more.
    """
    try:
        status = (root / "proc/self/status").read_text()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak) * 1024


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
