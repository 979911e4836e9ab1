"""Tiles and resolution tags of the TIFF files that are exported."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from unetflow.store.ome import pixel_size
from unetflow.tiles.regions import Region, shard_grid, shard_region

TILE_PX = 512


class ResolutionTags(TypedDict, total=False):
    """As `tifffile` takes them."""

    resolution: tuple[float, float]  # pixels per unit along x and y
    resolutionunit: str


class PhysicalSize(TypedDict, total=False):
    """As OME-XML has it."""

    PhysicalSizeY: float
    PhysicalSizeX: float
    PhysicalSizeYUnit: str
    PhysicalSizeXUnit: str


def tiles_of(shape: Sequence[int], read: Callable[[Region], np.ndarray]) -> Iterator[np.ndarray]:
    """Tiles of an image in raster order, those at its end filled with 0."""
    size = (TILE_PX, TILE_PX)
    for index in shard_grid(shape, size):
        tile = read(shard_region(index, shape, size))
        rest = [(0, TILE_PX - n) for n in tile.shape[:2]]
        yield np.pad(tile, [*rest, *[(0, 0)] * (tile.ndim - 2)])


def physical_size(store: str | Path) -> PhysicalSize:
    """The size of a pixel of a store, nothing where it is not known."""
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


def resolution_tags(store: str | Path, level: int) -> ResolutionTags:
    """Resolution tags of a level, none where a pixel's size is not known."""
    size_um = pixel_size(store).um
    if size_um is None:
        return {}
    height_um, width_um = size_um
    per_cm = (1e4 / (width_um * 2**level), 1e4 / (height_um * 2**level))
    return {"resolution": per_cm, "resolutionunit": "CENTIMETER"}
