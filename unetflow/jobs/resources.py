"""What a job asks of the cluster: more for a larger image, and more after each failed attempt."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

GIGA = 1e9


def growing(least: float, *, per_gpx: float = 0, of: str = "image") -> Callable[..., int]:
    """A resource for Snakemake: `least`, and `per_gpx` more for each gigapixel, per attempt.

    `of` names the input whose receipt says how large the image is. Before it is there the least
    is asked; Snakemake asks again when the job is ready.
    """

    def amount(wildcards: Any, input: Any, attempt: int) -> int:
        pixels = pixels_of(getattr(input, of)) if per_gpx else 0
        return math.ceil(attempt * (least + per_gpx * pixels / GIGA))

    return amount


def pixels_of(receipt: str | Path) -> int:
    """Of the image that a receipt tells of; 0 where there is none yet."""
    try:
        content = json.loads(Path(receipt).read_text())
        shape = content["levels"][0]["shape"] if "levels" in content else content["shape"]
        return math.prod(shape[-2:])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return 0
