"""Where an image is annotated, for training to draw its patches there."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetflow.store.arrays import read_array
from unetflow.store.levels import level_factors, level_shapes
from unetflow.store.names import IGNORE, of_labels
from unetflow.store.ome import steps_of
from unetflow.tiles.regions import side_px

MOST_CELLS = 100_000


@dataclass(frozen=True, slots=True)
class Part:
    """What is annotated of an image that is not annotated as a whole, in cells of a level."""

    corners_NA: np.ndarray  # (row, column) [px] of the first pixel of cells, evenly over all
    cell_px: tuple[int, ...]
    pixels: float  # of all its cells


def part_of(store: str | Path, most_px: int) -> Part | None:
    """What of an image is annotated, on the first level up to `most_px` along each side.

    Of a volume on one up to what stands for that. None where no pixel of the level is ignored.
    """
    shape = read_array(store, of_labels(IGNORE)).shape
    spacing, most_px = steps_of(store, len(shape)), side_px(most_px, len(shape))
    shapes = level_shapes(shape, spacing)
    level = next(k for k, of_level in enumerate(shapes) if max(of_level) <= most_px)
    factors = level_factors(shape, spacing)[level]
    ignored = np.asarray(read_array(store, of_labels(IGNORE, level))[:])
    if not ignored.any():
        return None
    cells = np.flatnonzero(ignored == 0)
    pixels = float(len(cells) * math.prod(factors))
    if len(cells) > MOST_CELLS:
        # at random in each of as many parts: equal steps might keep to some columns
        at = np.arange(MOST_CELLS) + np.random.default_rng(0).random(MOST_CELLS)
        cells = cells[(at * (len(cells) / MOST_CELLS)).astype(np.int64)]
    corners = np.stack(np.unravel_index(cells, ignored.shape), axis=1) * np.array(factors)
    return Part(corners.astype(np.int32), factors, pixels)
