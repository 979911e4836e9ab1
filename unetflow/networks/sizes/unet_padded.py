"""Options and sizes of `unetflow.networks.unet_padded`."""

from dataclasses import dataclass
from typing import ClassVar

from unetflow.networks.options import (
    ACTIVATIONS,
    AXES,
    KERNELS,
    NORMS,
    WAYS_UP,
    Options,
    one_of,
    share,
    whole,
)
from unetflow.tiles.receptive_field import Map


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetPaddedOptions(Options):
    """Of `unetflow.networks.unet_padded`."""

    paper: ClassVar[str] = "Ronneberger et al. 2015, padded"

    base_channels: int = whole(64)
    depth: int = whole(4, most=8)
    dropout: float = share(0.0)
    norm: str | None = one_of("batch", NORMS)
    kernel_size: int = one_of(3, KERNELS)
    activation: str = one_of("relu", ACTIVATIONS)
    up: str = one_of("transposed", WAYS_UP)
    axes: int = one_of(2, AXES)

    def seen(self) -> Map:
        """Two convolutions a level, halved by poolings."""
        here, skipped = Map(), []
        for level in range(self.depth + 1):
            here = here.window(2, 2) if level else here
            here = here.same(self.kernel_size, 2)
            skipped.append(here)
        for kept in reversed(skipped[:-1]):
            here = kept.joined(here.enlarged(linear=self.up == "interpolated"))
            here = here.same(self.kernel_size, 2)
        return here

    def values_per_px(self) -> float:
        """Both maps that are concatenated and their result, on the first level."""
        return 8 * self.base_channels


OPTIONS = UNetPaddedOptions
