"""Whether SLURM keeps accounts: where it does not, `sacct` knows nothing of jobs that ended."""

import re
import subprocess
from typing import Protocol

SACCT, SQUEUE = "sacct", "squeue"


class ExecutorSettings(Protocol):
    """Of Snakemake's executor for SLURM."""

    status_command: str | None


def ask_squeue_without_accounts(settings: ExecutorSettings | None) -> str | None:
    """Let the executor ask `squeue` for the states of jobs where there are no accounts.

    By itself it asks `sacct` wherever that program is, and waits for ever where it knows nothing.
    Returns what to say of it, None where nothing was changed.
    """
    if settings is None or getattr(settings, "status_command", None) != SACCT:
        return None
    if has_accounts() is not False:
        return None
    settings.status_command = SQUEUE
    return "SLURM keeps no accounts here: states of jobs are asked of squeue, not of sacct"


def has_accounts() -> bool | None:
    """Whether SLURM keeps accounts, None where it cannot be asked."""
    try:
        answer = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"^AccountingStorageType\s*=\s*(\S+)", answer.stdout, re.MULTILINE)
    return found[1] not in ("accounting_storage/none", "(null)") if found else None
