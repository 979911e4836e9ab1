"""Which GPU is whose: jobs that run side by side on one machine take different ones.

Snakemake counts GPUs but does not say which; SLURM does, and shows a job no others. A job holds its
GPUs by locked files, which the system frees when it ends, whatever ends it.
"""

import fcntl
import logging
import os
import tempfile
from functools import cache
from pathlib import Path

import torch

log = logging.getLogger(__name__)


@cache
def claim_gpus(count: int = 1) -> tuple[int, ...]:
    """Numbers of `count` GPUs that no other job holds, as far as there are any; kept to the end.

    Where all are held those with most memory left are shared.
    """
    there = range(torch.cuda.device_count())
    if len(there) <= count:
        return tuple(there)
    taken: list[int] = []
    for number in there:
        if len(taken) < count and _hold(number):
            taken.append(number)
    if len(taken) < count:
        log.warning("all GPUs here are in use by other jobs: sharing one of them")
        others = sorted(set(there) - set(taken), key=_free_bytes, reverse=True)
        taken += others[: count - len(taken)]
    return tuple(taken)


def _hold(number: int) -> bool:
    """Lock the file of a GPU, unless another process has."""
    path = Path(tempfile.gettempdir()) / f"unetflow-gpu-{visible_name(number)}.lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # another user's
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return False
    return True  # the handle stays open


def visible_name(number: int) -> str:
    """What CUDA_VISIBLE_DEVICES calls the GPU that this process has as `number`."""
    names = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return names[number] if names else str(number)


def _free_bytes(number: int) -> int:
    free: int = torch.cuda.mem_get_info(number)[0]
    return free
