"""How a network's geometry cuts an image into tiles."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from unetflow.tiles.grid import Tile, blend_weights, overlapping_grid, tile_grid
from unetflow.tiles.regions import Region, common, within
from unetflow.tiles.valid_sizes import valid_input_px


def grid_for(
    network: Any, shape_YX: tuple[int, ...], write_px: int, origin: tuple[int, ...] = (0, 0)
) -> list[Tile]:
    """Tiles whose write regions partition a level, or a part of it from `origin` on.

    They are aligned to the network's poolings. Raises ValueError where `write_px` is no multiple of
    2**depth.
    """
    check_write_px(network, write_px)
    read_px = valid_input_px(write_px, network.depth)
    return tile_grid(shape_YX, write_px, network.halo_px, read_px, origin)


def tiles_for(network: Any, shape_YX: tuple[int, ...], write_px: int, region: Region) -> list[Tile]:
    """The tiles of a level of `shape_YX` that make a region of it.

    Of a seamless network they partition the region; of others they overlap by `overlap_px`, are the
    same for any region, and are to be blended.
    """
    if overlap := overlap_px(network, write_px):
        check_write_px(network, write_px)
        read_px = read_px_of(network, write_px)
        return overlapping_grid(shape_YX, region, write_px, overlap, network.halo_px, read_px)
    sizes_px = tuple(part.stop - part.start for part in region)
    return grid_for(network, sizes_px, write_px, tuple(part.start for part in region))


def no_more_than_written(tile: Tile, network: Any) -> Tile:
    """The tile, reading no more than its write region needs: of use where an image ends."""
    sizes_px = [valid_input_px(part.stop - part.start, network.depth) for part in tile.write]
    read = [
        slice(part.start, part.start + size) for part, size in zip(tile.read, sizes_px, strict=True)
    ]
    return Tile(tile.write, tuple(read))


def read_px_of(network: Any, write_px: int) -> int:
    """Side of the input of a tile that writes `write_px` px of its own."""
    return valid_input_px(write_px + 2 * overlap_px(network, write_px), network.depth)


def overlap_px(network: Any, write_px: int) -> int:
    """Pixels by which tiles reach into the next one's, to be blended: none where they fit."""
    return 0 if network.seamless else max(1, write_px // 4)


def check_write_px(network: Any, write_px: int) -> None:
    """Raises ValueError where `write_px` is no multiple of 2**depth: tiling changes the result."""
    step = 2**network.depth
    if write_px < step or write_px % step:
        below, above = max(step, write_px // step * step), (write_px // step + 1) * step
        raise ValueError(
            f"write_px = {write_px} px is not possible for a network of depth {network.depth}: "
            f"write regions must be multiples of {step} px, else tiling changes the result; the "
            f"nearest are {below} px and {above} px"
        )


def no_larger_than_needed(write_px: int, shape_YX: Sequence[int], network: Any) -> int:
    """The write region of a tile, or that of the smallest tile that holds all of a small image."""
    check_write_px(network, write_px)
    step = 2**network.depth
    return min(write_px, -(-max(shape_YX) // step) * step)


def put_tile(
    block: np.ndarray,
    region: Region,
    found_KHW: np.ndarray,
    tile: Tile,
    network: Any,
    write_px: int,
    shape_YX: tuple[int, ...],
) -> None:
    """What was found in a tile, into the block of a region: as it is, or blended with others."""
    shared = common(tile.write, region)
    into = (slice(None), *within(shared, region))
    part = within(shared, tile.write)
    if network.seamless:
        block[into] = found_KHW[(slice(None), *part)]
        return
    weights = blend_weights(tile.write, write_px, overlap_px(network, write_px), shape_YX)
    block[into] += found_KHW[(slice(None), *part)] * weights[part]
