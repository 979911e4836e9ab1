"""Tiles and resolution tags of the TIFF files that are exported."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.store.ome import UM_PER, spatial_scale
from unetflow.tiles.regions import Region, shard_grid, shard_region

TILE_PX = 512


def tiles_of(shape: Sequence[int], read: Callable[[Region], np.ndarray]) -> Iterator[np.ndarray]:
    """Tiles of an image in raster order, those at its end filled with 0."""
    size = (TILE_PX, TILE_PX)
    for index in shard_grid(shape, size):
        tile = read(shard_region(index, shape, size))
        rest = [(0, TILE_PX - n) for n in tile.shape[:2]]
        yield np.pad(tile, [*rest, *[(0, 0)] * (tile.ndim - 2)])


def physical_size(store: str | Path) -> dict[str, Any]:
    """The size of a pixel for OME-XML, nothing where it is not known."""
    scale, unit = spatial_scale(store)
    if unit not in UM_PER:
        return {}
    sizes = {
        f"PhysicalSize{axis}": step * UM_PER[unit] for axis, step in zip("YX", scale, strict=True)
    }
    return {**sizes, **{f"PhysicalSize{axis}Unit": "µm" for axis in "YX"}}


def resolution_tags(store: str | Path, level: int) -> dict[str, Any]:
    """Resolution tags of a TIFF, none where a pixel's size is not known."""
    scale, unit = spatial_scale(store)
    if unit not in UM_PER:
        return {}
    per_cm = tuple(1e4 / (step * UM_PER[unit] * 2**level) for step in reversed(scale))
    return {"resolution": per_cm, "resolutionunit": "CENTIMETER"}
