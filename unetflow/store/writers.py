"""Who writes: host, process and SLURM job; and whether that one is gone, as far as can be told."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

SUSPENDED = ("SUSPENDED", "STOPPED")  # states of a job whose processes rest
RUNNING = ("RUNNING", "COMPLETING", "CONFIGURING", "RESIZING", "SIGNALING", "STAGE_OUT")
ZOMBIE = ("Z", "X")  # states of a process that has ended


@dataclass(frozen=True, slots=True)
class Writer:
    """A process that writes, wherever it runs."""

    host: str
    machine: str  # where the same process id means the same process
    pid: int
    started: str | None  # tells a process from a later one with its id
    job: str | None = None  # of SLURM, as the next
    restarts: int = 0  # how often the job was requeued
    cluster: str | None = None

    @classmethod
    def here(cls) -> Self:
        """This process."""
        told = os.environ.get
        return cls(
            platform.node(),
            _machine(),
            os.getpid(),
            _started(os.getpid()),
            told("SLURM_JOB_ID"),
            int(told("SLURM_RESTART_COUNT") or 0),
            told("SLURM_CLUSTER_NAME"),
        )

    @classmethod
    def read(cls, of: Mapping[str, Any]) -> Self:
        """As `described` gave it. Raises TypeError for anything else."""
        return cls(**of)

    @property
    def described(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    def __str__(self) -> str:
        job = f", SLURM job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"

    def is_gone(self) -> bool | None:
        """Whether it has ended; None where neither this machine nor SLURM can tell."""
        here = Writer.here()
        if self.machine == here.machine:
            return _has_ended(self.pid, self.started)
        if self.job is None or (self.cluster and here.cluster and self.cluster != here.cluster):
            return None
        if self.job == here.job and self.restarts < here.restarts:
            return True  # this is what SLURM made of it on another node
        return _job_has_ended(self.job, self.restarts)


@cache
def _machine() -> str:
    """Host, boot and process namespace: containers and hosts of one name are told apart."""
    parts = [platform.node()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:  # no Linux
        pass
    return " ".join(parts)


def _has_ended(pid: int, started: str | None) -> bool | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # another user's
    now = _started(pid)
    return None if now is None or started is None else now != started


def _started(pid: int) -> str | None:
    """When a process began, "" where it has ended and waits to be buried, None if not known."""
    try:
        # the name, in brackets, may hold anything; then field 3, the state, to 22, the start
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in ZOMBIE else fields[19]
    except OSError:
        pass
    import psutil

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.Error:
        return None


def _job_has_ended(job: str, restarts: int) -> bool | None:
    """Whether SLURM's job has, or was begun again; None where SLURM is not to be asked.

    None also where the job runs: it may have lost the process.
    """
    try:
        answer = subprocess.run(
            ["scontrol", "--oneliner", "show", "job", job],
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode:
        return True if "Invalid job id" in answer.stderr else None
    told = dict(re.findall(r"\b(JobState|Restarts)=(\w+)", answer.stdout))
    if "JobState" not in told:
        return None
    if told["JobState"] not in RUNNING + SUSPENDED or int(told.get("Restarts", 0)) > restarts:
        return True
    return False if told["JobState"] in SUSPENDED else None
