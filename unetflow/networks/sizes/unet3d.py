"""Options and sizes of `unetflow.networks.unet3d`."""

from dataclasses import dataclass
from typing import ClassVar

from unetflow.networks.options import ACTIVATIONS, NORMS, Options, one_of, share, whole
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.receptive_field import Map, geometry_along


@dataclass(frozen=True, slots=True, kw_only=True)
class UNet3dOptions(Options):
    """Of `unetflow.networks.unet3d`."""

    paper: ClassVar[str] = "Cicek et al. 2016"
    padded: ClassVar[bool] = False

    base_channels: int = whole(32)
    depth: int = whole(3, most=6)
    flat: int = whole(0, least=0, most=6)  # of the finest levels, planes alone: for thick slices
    dropout: float = share(0.0)
    norm: str | None = one_of("batch", NORMS)
    activation: str = one_of("relu", ACTIVATIONS)

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if self.flat > self.depth:
            raise ValueError(
                f"flat is {self.flat}: must be at most the depth, {self.depth}. The lowest level "
                "sees across planes in any case."
            )

    def kernel(self, level: int) -> tuple[int, int, int]:
        """Of the convolutions of a level, along z, y and x."""
        return (1 if level < self.flat else 3), 3, 3

    def pooled(self, level: int) -> tuple[int, int, int]:
        """By how much a level is coarser than the one above it."""
        return (1 if level <= self.flat else 2), 2, 2

    def along(self, axis: int) -> Map:
        """The last map along an axis: all convolutions are valid, skipped maps are cropped."""
        here, skipped = Map(), []
        for level in range(self.depth + 1):
            factor = self.pooled(level)[axis]
            here = here.window(factor, factor) if level else here
            here = here.window(self.kernel(level)[axis]).window(self.kernel(level)[axis])
            skipped.append(here)
        for level in reversed(range(self.depth)):
            factor = self.pooled(level + 1)[axis]
            here = skipped[level].cropped(like := here.spread(factor, factor)).joined(like)
            here = here.window(self.kernel(level)[axis]).window(self.kernel(level)[axis])
        return here

    def seen(self) -> Map:
        """Along y and x."""
        return self.along(1)

    def values_per_px(self) -> float:
        """Of level 0: skipped (2), from below (4), concatenated (6) maps, and a quarter more.

        Tiles of 104 to 168 px took 50 to 88 of the 120 of 8 channels: coarser maps are smaller.
        """
        return 15 * self.base_channels

    def geometry(self) -> Geometry:
        """The sizes that follow, of z, y and x."""
        return geometry_along(
            (self.along(0), self.along(1), self.along(2)),
            values_per_px=self.values_per_px(),
            why=self.why(),
            padded=self.padded,
        )


OPTIONS = UNet3dOptions
