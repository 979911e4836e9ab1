"""Devices, precisions and threads: what this machine has, and what a job was granted of it."""

import logging
import os
from functools import cache

import torch

from unetflow.engine.gpus import claim_gpus, granted_gpu, why_unusable
from unetflow.errors import ModelError

log = logging.getLogger(__name__)


def resolve_device(*, gpu: bool, require_gpu: bool = False) -> str:
    """The kind of device to use: "cuda" or "mps" where wanted and there, else "cpu".

    Raises ModelError where a GPU is required and there is none, and where one was granted that
    cannot be used.
    """
    for kind, there in (
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
    ):
        if gpu and there:
            if kind == "cuda" and "LOCAL_RANK" not in os.environ:  # torchrun has shared them out
                torch.cuda.set_device(claim_gpus()[0])
            return kind
    if gpu and (granted := granted_gpu()):
        raise ModelError(
            f"this job was given a GPU ({granted}), but it cannot be used: {why_unusable()}. On "
            "the CPU it might take a day. Install a PyTorch that fits the driver, or look at the "
            "node with nvidia-smi; or say that it is to be the CPU: --resources gpu=0, and on a "
            "cluster --set-resources train:gpu=0 predict:gpu=0."
        )
    if require_gpu:
        raise ModelError(
            "require_gpu is true, but "
            + ("PyTorch finds no GPU" if gpu else "this job was given none (--resources gpu=0)")
            + ". Run on a machine with one, or set require_gpu to false to use the CPU."
        )
    _say_once("no GPU here: running on the CPU")
    return "cpu"


@cache
def _say_once(what: str) -> None:
    log.info(what)


def machine_of(device: str) -> dict[str, str]:
    """What rounding depends on, as far as known, beside precision and number of threads."""
    on_gpu = device == "cuda" and torch.cuda.is_available()
    name = torch.cuda.get_device_name() if on_gpu else torch.backends.cpu.get_cpu_capability()
    return {"processor": name, "PyTorch": str(torch.__version__)}


def resolve_precision(wanted: str, device: str) -> str:
    """fp32 or bf16; "auto" is bf16 where the hardware multiplies in it, else fp32."""
    if wanted == "bf16" and device == "cpu" and not _processor_has_bf16():
        _say_once("no instructions for bf16 are known of this processor: fp32 may be far faster")
    if wanted != "auto":
        return wanted
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device == "cpu" and _processor_has_bf16() else "fp32"


def _processor_has_bf16() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(granted: int) -> int:
    """Let PyTorch use the threads that the job was granted, but no more than there are cores.

    It counts for the calling thread, and for threads that ask PyTorch for the first time.
    """
    threads = max(1, min(granted, cores()))
    torch.set_num_threads(threads)
    torch.get_num_threads()  # settles it here: another thread may set another number later
    return threads


def exact_fp32() -> None:
    """Let fp32 be fp32 on a GPU too, where convolutions else round to 10 bits (TF32).

    Products of matrices do so where a container asks for it (TORCH_ALLOW_TF32_CUBLAS_OVERRIDE).
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def same_bits_each_time() -> None:
    """Let convolutions on a GPU give the same bits each time, in all threads of this process."""
    torch.backends.cudnn.deterministic = True
