"""Tiles and resolution tags of the TIFF files that are exported."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from unetflow.store.ome import pixel_size
from unetflow.tiles.regions import Region, shard_grid, shard_region

TILE_PX = 512
AT_ONCE_PX = 2**26  # of a volume that is read at once: its chunks reach through many planes


class ResolutionTags(TypedDict, total=False):
    """As `tifffile` takes them."""

    resolution: tuple[float, float]  # pixels per unit along x and y
    resolutionunit: str


class PhysicalSize(TypedDict, total=False):
    """As OME-XML has it."""

    PhysicalSizeZ: float
    PhysicalSizeY: float
    PhysicalSizeX: float
    PhysicalSizeZUnit: str
    PhysicalSizeYUnit: str
    PhysicalSizeXUnit: str


def tiles_of(shape: Sequence[int], read: Callable[[Region], np.ndarray]) -> Iterator[np.ndarray]:
    """Tiles of an image in raster order, those at its end filled with 0."""
    size = (TILE_PX, TILE_PX)
    for index in shard_grid(shape, size):
        tile = read(shard_region(index, shape, size))
        rest = [(0, TILE_PX - n) for n in tile.shape[:2]]
        yield np.pad(tile, [*rest, *[(0, 0)] * (tile.ndim - 2)])


def tiles_of_planes(
    shape: Sequence[int], read: Callable[[Region], np.ndarray]
) -> Iterator[np.ndarray]:
    """The same of a volume (Z, Y, X), plane by plane."""
    for plane in planes_of(shape, read):
        yield from tiles_of(plane.shape, plane.__getitem__)


def planes_of(shape: Sequence[int], read: Callable[[Region], np.ndarray]) -> Iterator[np.ndarray]:
    """What is read of a volume (Z, Y, X), plane by plane along its first axis."""
    depth, height, width = shape
    most = max(1, AT_ONCE_PX // max(1, height * width))
    for start in range(0, depth, most):
        yield from read((slice(start, min(start + most, depth)), slice(0, height), slice(0, width)))


def physical_size(store: str | Path) -> PhysicalSize:
    """The size of a pixel of a store, nothing where it is not known."""
    size_um = pixel_size(store).um
    if size_um is None:
        return {}
    *depth_um, height_um, width_um = size_um
    size: PhysicalSize = {
        "PhysicalSizeY": height_um,
        "PhysicalSizeX": width_um,
        "PhysicalSizeYUnit": "µm",
        "PhysicalSizeXUnit": "µm",
    }
    if depth_um:
        size |= {"PhysicalSizeZ": depth_um[0], "PhysicalSizeZUnit": "µm"}
    return size


def resolution_tags(store: str | Path, level: int) -> ResolutionTags:
    """Resolution tags of a level, none where a pixel's size is not known."""
    size_um = pixel_size(store).um
    if size_um is None:
        return {}
    *_, height_um, width_um = size_um
    per_cm = (1e4 / (width_um * 2**level), 1e4 / (height_um * 2**level))
    return {"resolution": per_cm, "resolutionunit": "CENTIMETER"}
