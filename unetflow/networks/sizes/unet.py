"""Options and sizes of `unetflow.networks.unet`."""

from dataclasses import dataclass
from typing import ClassVar

from unetflow.networks.options import (
    ACTIVATIONS,
    KERNELS,
    NORMS,
    WAYS_UP,
    Options,
    one_of,
    share,
    whole,
)
from unetflow.tiles.receptive_field import Map

MERGES = ("concatenate", "add")


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetOptions(Options):
    """Of `unetflow.networks.unet`."""

    paper: ClassVar[str] = "Ronneberger et al. 2015"
    padded: ClassVar[bool] = False

    base_channels: int = whole(64)
    depth: int = whole(4, most=8)
    dropout: float = share(0.5)
    norm: str | None = one_of(None, NORMS)
    kernel_size: int = one_of(3, KERNELS)
    activation: str = one_of("relu", ACTIVATIONS)
    convolutions: int = whole(2, most=8)  # of each level, down and up
    merge: str = one_of("concatenate", MERGES)
    up: str = one_of("transposed", WAYS_UP)

    def seen(self) -> Map:
        """All convolutions are valid, and skipped maps are cropped to their middle."""
        here, skipped = Map(), []
        for level in range(self.depth + 1):
            here = here.window(2, 2) if level else here
            here = self._convolved(here)
            skipped.append(here)
        for kept in reversed(skipped[:-1]):
            # an interpolation's outermost pixels know only one of two neighbours: they are cut
            here = here.spread(2, 2) if self.up == "transposed" else here.spread(4, 2, padding=2)
            here = self._convolved(kept.cropped(here).joined(here))
        return here

    def _convolved(self, here: Map) -> Map:
        for _ in range(self.convolutions):
            here = here.window(self.kernel_size)
        return here

    def values_per_px(self) -> float:
        """Both maps that are concatenated and their result, on the first level."""
        return 8 * self.base_channels


OPTIONS = UNetOptions
