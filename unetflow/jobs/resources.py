"""What a job asks for: more for a larger image, and more after each failed attempt."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

GIGA = 1e9
GPU_FILES = ("nvidia[0-9]*", "kfd", "dxg")  # in /dev: of NVIDIA, AMD, and either under WSL


def growing(least: float, *, per_gpx: float = 0, of: str = "image") -> Callable[..., int]:
    """A resource for Snakemake: `least`, and `per_gpx` more for each gigapixel, per attempt.

    `of` names the input whose receipt says how large the image is. Before it is there the least
    is asked; Snakemake asks again when the job is ready.
    """

    def amount(wildcards: Any, input: Any, attempt: int) -> int:
        pixels = pixels_of(getattr(input, of)) if per_gpx else 0
        return math.ceil(attempt * (least + per_gpx * pixels / GIGA))

    return amount


def for_shards(most: int, shard_px: int, *, of: str = "image") -> Callable[..., int]:
    """Threads for Snakemake: `most`, or one for each shard of a small image.

    So that many small images are done side by side. `of` is that of `growing`.
    """

    def threads(wildcards: Any, input: Any) -> int:
        shape = shape_of(getattr(input, of))[-2:]
        return min(most, math.prod(-(-size // shard_px) for size in shape)) if shape else most

    return threads


def gpus(count: int, *, elsewhere: Callable[[], bool]) -> Callable[..., int]:
    """GPUs for Snakemake: none where jobs run on this machine and it has none.

    Else jobs would wait for one another's GPU there. `elsewhere` says that they need not run here.
    """
    return lambda wildcards: count if elsewhere() or has_gpu() else 0


def has_gpu() -> bool:
    """Whether this machine has a GPU, asked without PyTorch, which takes seconds to load."""
    devices = (each for name in GPU_FILES for each in Path("/dev").glob(name))
    return sys.platform == "darwin" or any(True for _ in devices)


def pixels_of(receipt: str | Path) -> int:
    """Of the image that a receipt tells of; 0 where there is none yet."""
    shape = shape_of(receipt)
    return math.prod(shape[-2:]) if shape else 0


def shape_of(receipt: str | Path) -> list[int]:
    """Of the image that a receipt tells of; empty where there is none yet."""
    try:
        content = json.loads(Path(receipt).read_text())
        shape = content["levels"][0]["shape"] if "levels" in content else content["shape"]
        return [int(size) for size in shape]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return []
