"""Where an image is annotated, for training to draw its patches there."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetflow.labels.annotation import places_in
from unetflow.store.arrays import read_array
from unetflow.store.levels import level_factors, level_shapes
from unetflow.store.names import IGNORE, of_labels
from unetflow.tiles.regions import PLANE

MOST_CELLS = 100_000


@dataclass(frozen=True, slots=True)
class Part:
    """What is annotated of an image that is not annotated as a whole, in cells of a level."""

    corners_NA: np.ndarray  # (row, column) [px] of the first pixel of cells, evenly over all
    cell_px: tuple[int, ...]
    pixels: float  # of all its cells


def part_of(store: str | Path, most_px: int) -> Part | None:
    """What of an image is annotated, on the first level up to `most_px` along each side.

    None where no pixel of the level is ignored. Of a volume on the finest: single planes may be
    annotated, and coarser levels lack most planes.
    """
    finest = read_array(store, of_labels(IGNORE))
    shape = finest.shape
    if len(shape) > PLANE:
        places, count = places_in(finest, lambda ignored: ignored == 0, MOST_CELLS)
        whole = count == math.prod(shape)
        return None if whole else Part(places, tuple(1 for _ in shape), float(count))
    shapes = level_shapes(shape)
    level = next(k for k, of_level in enumerate(shapes) if max(of_level) <= most_px)
    factors = level_factors(shape)[level]
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
