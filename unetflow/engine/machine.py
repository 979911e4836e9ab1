"""What a job was granted of the machine that it runs on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """Threads, GPUs and memory of one job."""

    threads: int = 1
    gpu: bool = False  # whether it was given any
    require_gpu: bool = False  # none, or one that PyTorch does not find, is an error
    memory_mb: int | None = None  # None: what is left to the process
    processes: int = 1  # that train together, one per GPU where there are any
