"""Tiles and resolution tags of the TIFF files that are exported."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.store.ome import pixel_size
from unetflow.tiles.regions import Region, shard_grid, shard_region

TILE_PX = 512


def tiles_of(shape: Sequence[int], read: Callable[[Region], np.ndarray]) -> Iterator[np.ndarray]:
    """Tiles of an image in raster order, those at its end filled with 0."""
    size = (TILE_PX, TILE_PX)
    for index in shard_grid(shape, size):
        tile = read(shard_region(index, shape, size))
        rest = [(0, TILE_PX - n) for n in tile.shape[:2]]
        yield np.pad(tile, [*rest, *[(0, 0)] * (tile.ndim - 2)])


def physical_size(store: str | Path) -> dict[str, float | str]:
    """The size of a pixel for OME-XML, nothing where it is not known."""
    size_um = pixel_size(store).um
    if size_um is None:
        return {}
    height_um, width_um = size_um
    return {
        "PhysicalSizeY": height_um,
        "PhysicalSizeX": width_um,
        "PhysicalSizeYUnit": "µm",
        "PhysicalSizeXUnit": "µm",
    }


def resolution_tags(store: str | Path, level: int) -> dict[str, Any]:
    """Resolution tags of a TIFF, none where a pixel's size is not known."""
    size_um = pixel_size(store).um
    if size_um is None:
        return {}
    per_cm = tuple(1e4 / (step * 2**level) for step in reversed(size_um))
    return {"resolution": per_cm, "resolutionunit": "CENTIMETER"}
