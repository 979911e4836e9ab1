"""The geometry of overlap-tile: sizes, halos, tiles and mirrored padding. NumPy alone."""

from unetflow.tiles.geometry import Geometry
from unetflow.tiles.grid import Tile, tile_grid
from unetflow.tiles.mirror import read_mirrored
from unetflow.tiles.regions import Region
from unetflow.tiles.tiling import Tiling
from unetflow.tiles.valid_sizes import (
    halo_px,
    nearest_input_sizes_px,
    output_size_px,
    valid_input_px,
)

__all__ = [
    "Geometry",
    "Region",
    "Tile",
    "Tiling",
    "halo_px",
    "nearest_input_sizes_px",
    "output_size_px",
    "read_mirrored",
    "tile_grid",
    "valid_input_px",
]
