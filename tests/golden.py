"""The numbers that the field's programs print, where this checkout has them beside it."""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[1].parent / "shared" / "golden"
TOLERANCE = 1e-9  # sums of another order: the counts themselves are equal
MEMBRANE = sorted(path.stem for path in (FOLDER / "membrane").glob("*.npz"))
INSTANCES = sorted(path.stem for path in (FOLDER / "instances").glob("*.npz"))
NO_TRUTH = ("16_gt_all_membrane", "18_both_all_membrane")  # Fiji prints 0, we say NaN

needs_golden = pytest.mark.skipif(
    not (FOLDER / "golden.json").is_file(), reason="the golden vectors (shared/golden) are not here"
)


@cache
def numbers() -> dict[str, Any]:
    """golden.json, "NaN" turned into the number."""
    text = (FOLDER / "golden.json").read_text().replace('"NaN"', "NaN")
    return dict(json.loads(text))


def arrays(kind: str, case: str) -> dict[str, NDArray[Any]]:
    """The arrays of one case."""
    with np.load(FOLDER / kind / f"{case}.npz") as file:
        return dict(file)


def equal(ours: float, theirs: float) -> bool:
    """Equal to the tolerance, NaN equal to NaN."""
    return abs(ours - theirs) < TOLERANCE or (math.isnan(ours) and math.isnan(theirs))
