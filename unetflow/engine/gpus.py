"""Which GPU is whose: jobs that run side by side on one machine take different ones.

Snakemake counts GPUs but does not say which; SLURM does, and shows a job no others. A job holds its
GPUs by locked files, which the system frees when it ends, whatever ends it.
"""

import contextlib
import fcntl
import logging
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch

log = logging.getLogger(__name__)

NO_GPU = ("-1", "NoDevFiles", "none", "void")  # what stands there where there is none


@cache
def claim_gpus(count: int = 1) -> tuple[int, ...]:
    """Numbers of `count` GPUs that no other job holds, as far as there are any; kept to the end.

    Where too few are free, some of the others are shared.
    """
    there = range(torch.cuda.device_count())
    taken: list[int] = []
    for number in there:
        if len(taken) < count and _hold(number):
            taken.append(number)
    if missing := min(count, len(there)) - len(taken):
        log.warning("the GPUs here are in use by other jobs: sharing %d of them", missing)
        others = sorted(set(there) - set(taken))
        first = os.getpid() % len(others)  # not the same for all jobs
        taken += (others * 2)[first : first + missing]
    return tuple(sorted(taken))


def granted_gpu(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> str | None:
    """What says that there is an NVIDIA GPU for this process: SLURM, CUDA or the driver's files."""
    for name in ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES"):
        value = environment.get(name, "")
        if value and value not in NO_GPU:
            return f"{name} is {value}"
    files = [] if "CUDA_VISIBLE_DEVICES" in environment else sorted(root.glob("dev/nvidia[0-9]*"))
    return f"{files[0]} is there" if files else None


def why_unusable() -> str:
    """Why PyTorch finds no NVIDIA GPU, in its own words where it has some."""
    if torch.version.cuda is None and torch.version.hip is None:
        return f"PyTorch {torch.__version__} was built for CPUs alone"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return f"PyTorch {torch.__version__}: {str(error).splitlines()[0]}"
    return f"PyTorch {torch.__version__} counts {torch.cuda.device_count()}"


def name_of(number: int) -> str:
    """What CUDA_VISIBLE_DEVICES calls a GPU, whatever number this process has it as."""
    return f"GPU-{torch.cuda.get_device_properties(number).uuid}"


def own_gpu() -> str:
    """The same of that which this process computes on, "none" where it uses none."""
    return name_of(torch.cuda.current_device()) if torch.cuda.is_initialized() else "none"


def _hold(number: int) -> bool:
    """Lock the file of a GPU, unless another process has; it stays open to the end."""
    path = Path(tempfile.gettempdir()) / f"unetflow-{name_of(number)}.lock"
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        path.chmod(0o644)  # it may be another user's next time: to be locked it is only read
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # another user is making it just now
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return False
    return True
