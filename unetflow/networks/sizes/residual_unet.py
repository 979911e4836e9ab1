"""Options and sizes of `unetflow.networks.residual_unet`."""

from dataclasses import dataclass
from typing import ClassVar

from unetflow.networks.options import ACTIVATIONS, AXES, NORMS, Options, one_of, whole
from unetflow.tiles.receptive_field import Map


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualUNetOptions(Options):
    """Of `unetflow.networks.residual_unet`."""

    paper: ClassVar[str] = "Zhang et al. 2018"

    base_channels: int = whole(64)
    depth: int = whole(3, most=8)
    norm: str | None = one_of("batch", NORMS)
    activation: str = one_of("relu", ACTIVATIONS)
    axes: int = one_of(2, AXES)

    def seen(self) -> Map:
        """Units of two convolutions with a shortcut; the first of each lower one halves."""
        here, skipped = Map(), []
        for level in range(self.depth + 1):
            here = _unit(here, stride=2 if level else 1)
            skipped.append(here)
        for kept in reversed(skipped[:-1]):
            here = _unit(here.enlarged().joined(kept), stride=1)
        return here

    def values_per_px(self) -> float:
        """What is concatenated, of three widths, twice: for the shortcut, too."""
        return 14 * self.base_channels


def _unit(here: Map, *, stride: int) -> Map:
    """Two 3x3 convolutions and beside them a 1x1."""
    return here.window(3, stride, padding=1).same().joined(here.window(1, stride))


OPTIONS = ResidualUNetOptions
