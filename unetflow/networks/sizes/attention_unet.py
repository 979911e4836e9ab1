"""Options and sizes of `unetflow.networks.attention_unet`."""

from dataclasses import dataclass
from typing import ClassVar

from unetflow.networks.options import ACTIVATIONS, AXES, NORMS, Options, one_of, whole
from unetflow.tiles.receptive_field import Map


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionUNetOptions(Options):
    """Of `unetflow.networks.attention_unet`."""

    paper: ClassVar[str] = "Oktay et al. 2018"

    base_channels: int = whole(64)
    depth: int = whole(4, most=8)
    norm: str | None = one_of("batch", NORMS)
    activation: str = one_of("relu", ACTIVATIONS)
    axes: int = one_of(2, AXES)

    def seen(self) -> Map:
        """As the padded U-Net, with what is skipped seen through a gate, but on the first level."""
        here, skipped = Map(), []
        for level in range(self.depth + 1):
            here = here.window(2, 2) if level else here
            here = here.same(times=2)
            skipped.append(here)
        for level in reversed(range(self.depth)):
            kept = skipped[level]
            if level:
                kept = kept.joined(kept.window(2, 2).joined(here).enlarged(linear=True))
            here = kept.joined(here.enlarged()).same(times=2)
        return here

    def values_per_px(self) -> float:
        """Both maps that are concatenated and their result, on the first level."""
        return 8 * self.base_channels


OPTIONS = AttentionUNetOptions
