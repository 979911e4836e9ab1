"""How a network's geometry cuts an image into tiles."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from unetflow.tiles.geometry import Geometry
from unetflow.tiles.grid import Tile, blend_weights, overlapping_grid, tile_grid
from unetflow.tiles.regions import Region, common, within


@dataclass(frozen=True, slots=True)
class Tiling:
    """Tiles of one size for images of any size, for any number of axes.

    Of a seamless network their write regions partition the image. Of others they overlap, are the
    same for any part of the image, and are blended. Raises ValueError where a write region is no
    multiple of the network's step: the result would depend on it.
    """

    geometry: Geometry
    write_px: tuple[int, ...]  # that a tile writes of its own, along each axis

    def __post_init__(self) -> None:
        for size, step in zip(self.write_px, self.geometry.step_px, strict=True):
            if size < step or size % step:
                below = max(step, size // step * step)
                raise ValueError(
                    f"write_px = {size} px is not possible for this network: write regions must "
                    f"be multiples of {step} px, its step, else tiling changes the result; the "
                    f"nearest are {below} px and {below + step} px"
                )

    @classmethod
    def square(cls, geometry: Geometry, write_px: int) -> Self:
        """Of tiles that are as wide along each axis."""
        return cls(geometry, (write_px,) * len(geometry.axes))

    @classmethod
    def at_least(cls, geometry: Geometry, write_px: int) -> Self:
        """The same, of the next size that is possible."""
        step = math.lcm(*geometry.step_px)
        return cls.square(geometry, -(-write_px // step) * step)

    @property
    def side_px(self) -> int:
        """The longest side of a write region."""
        return max(self.write_px)

    @property
    def overlap_px(self) -> tuple[int, ...]:
        """By which a tile reaches into the next one, to be blended: nothing where they fit."""
        if self.geometry.seamless:
            return (0,) * len(self.write_px)
        return tuple(max(1, size // 4) for size in self.write_px)

    @property
    def read_px(self) -> tuple[int, ...]:
        """The input of a tile."""
        return self._inputs_px(
            size + 2 * overlap for size, overlap in zip(self.write_px, self.overlap_px, strict=True)
        )

    def grid(self, shape: Sequence[int], origin: Sequence[int] = ()) -> list[Tile]:
        """Tiles whose write regions partition a level, or a part of it from `origin` on."""
        read_px = self._inputs_px(self.write_px)
        return tile_grid(shape, self.write_px, self.geometry.before_px, read_px, origin)

    def tiles(self, shape: Sequence[int], region: Region) -> list[Tile]:
        """The tiles of a level of `shape` that make a region of it, each to be `put` there."""
        if self.geometry.seamless:
            sizes = [part.stop - part.start for part in region]
            return self.grid(sizes, [part.start for part in region])
        return overlapping_grid(
            shape, region, self.write_px, self.overlap_px, self.geometry.before_px, self.read_px
        )

    def trimmed(self, tile: Tile) -> Tile:
        """The tile, reading no more than its write region needs: of use where an image ends."""
        sizes = self._inputs_px(part.stop - part.start for part in tile.write)
        starts = [part.start for part in tile.read]
        read = (slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
        return Tile(tile.write, tuple(read))

    def put(
        self, block: np.ndarray, region: Region, found: np.ndarray, tile: Tile, shape: Sequence[int]
    ) -> None:
        """What was found in a tile, into the block of a region: as it is, or added to be blended.

        Block and `found`, that of the tile's write region, have one axis before the spatial ones.
        """
        shared = common(tile.write, region)
        into = (slice(None), *within(shared, region))
        part = within(shared, tile.write)
        if self.geometry.seamless:
            block[into] = found[(slice(None), *part)]
            return
        weights = blend_weights(tile.write, self.write_px, self.overlap_px, shape)
        block[into] += found[(slice(None), *part)] * weights[part]

    def for_image(self, shape: Sequence[int]) -> Self:
        """The same, or of the smallest tiles of which one holds all of a small image.

        They stay as wide as high: tiles are turned by test-time augmentation, in plane.
        """
        *planes, height, width = shape
        sizes = (*planes, max(height, width), max(height, width))
        return self._with(
            min(size, -(-whole // step) * step)
            for size, whole, step in zip(self.write_px, sizes, self.geometry.step_px, strict=True)
        )

    def halved(self) -> Self:
        """Of tiles that write half as much along their longest axes, or one step: the least."""
        step = math.lcm(*self.geometry.step_px)
        side_px = -(-self.side_px // step // 2) * step
        return self._with(min(size, side_px) for size in self.write_px)

    def _inputs_px(self, outputs_px: Iterable[int]) -> tuple[int, ...]:
        return tuple(self.geometry.input_px(size, axis) for axis, size in enumerate(outputs_px))

    def _with(self, write_px: Iterable[int]) -> Self:
        return replace(self, write_px=tuple(write_px))
