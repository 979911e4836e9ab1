"""Do the borders of tiles show? An audit of a finished foreground.

Where tiles meet, the step from a pixel to its neighbour should be as large as anywhere else. The
audit folds the image at the tile: the mean |difference| across a line, by the line's distance
from the border of its tile. A network with poolings draws a pattern of its own, whose period is
that of its poolings; so a border, at 0, is compared with the lines that are whole periods away.
"""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from unetflow.store.pixels import ImageLike

MOST_BLOCKS = 64  # of an image that are read: larger images are sampled


@dataclass(frozen=True, slots=True)
class Seams:
    """Differences of neighbours at the borders of tiles and elsewhere."""

    step_px: int
    period_px: int  # of the network's poolings
    profile: np.ndarray  # mean |difference| by distance from the border, 0 first: (step_px,)
    pairs: int  # of neighbours across a border that were compared

    @property
    def elsewhere(self) -> np.ndarray:
        """Of the lines that are no border, but lie alike to the poolings."""
        return self.profile[self.period_px :: self.period_px]

    @property
    def ratio(self) -> float:
        """Mean |difference| at borders over elsewhere; NaN where the image is flat."""
        mean = float(self.elsewhere.mean())
        return float(self.profile[0]) / mean if mean else float("nan")

    @property
    def chance(self) -> tuple[float, float]:
        """The least and the greatest ratio of a line elsewhere."""
        mean = float(self.elsewhere.mean()) or float("nan")
        return float(self.elsewhere.min()) / mean, float(self.elsewhere.max()) / mean


def audit_seams(
    foreground_KYX: "ImageLike", step_px: int, period_px: int, most_blocks: int = MOST_BLOCKS
) -> Seams | None:
    """The audit of a foreground whose tiles were written in steps of `step_px`.

    `period_px` is that of the network's poolings, 2**depth. The foreground is NumPy or Zarr,
    (K, Y, X) or (K, Z, Y, X); at most `most_blocks` tiles, evenly spread, are read, each with the
    last line before it. None where the image has no border between tiles, or no lines to
    compare with.
    """
    starts = [range(0, size, step_px) for size in foreground_KYX.shape[1:]]
    corners = [corner for corner in itertools.product(*starts) if any(corner)]
    if not corners or period_px >= step_px:
        return None
    spread = np.linspace(0, len(corners) - 1, min(most_blocks, len(corners))).round().astype(int)
    total, count = np.zeros(step_px), np.zeros(step_px, np.int64)
    for corner in (corners[at] for at in spread):
        befores = [min(start, 1) for start in corner]
        parts = zip(corner, befores, strict=True)
        region = tuple(slice(start - before, start + step_px) for start, before in parts)
        block = np.asarray(foreground_KYX[(slice(None), *region)], dtype=np.float32)
        for axis, before in enumerate(befores, start=1):
            others = [slice(0 if a == axis else of, None) for a, of in enumerate(befores, start=1)]
            steps = np.abs(np.diff(block[(slice(None), *others)], axis=axis))
            lines = slice(1 - before, 1 - before + steps.shape[axis])
            rest = tuple(a for a in range(steps.ndim) if a != axis)
            total[lines] += steps.sum(axis=rest, dtype=np.float64)
            count[lines] += steps.size // max(1, steps.shape[axis])
    if not count.all():  # tiles at the end of a small image may be thin
        return None
    return Seams(step_px, period_px, total / count, int(count[0]))
