"""What each U-Net takes and which sizes follow: options and receptive field, without PyTorch.

Each class has the options of the module of its name, and makes its last map as the layers there do;
tests hold that the network that is built has the same. `values_per_px` are twice the values that
are alive together in the deepest need, as a walk through the network counts them: of the paper's
network 4.5 to 6 times its base channels were measured, and up to 7.9 where the allocator gives
nothing back.
"""

from dataclasses import dataclass
from typing import ClassVar

from unetflow.networks.options import (
    ACTIVATIONS,
    KERNELS,
    NORMS,
    Options,
    factor,
    one_of,
    share,
    whole,
)
from unetflow.tiles.receptive_field import Map

WAYS_UP = ("transposed", "interpolated")
MERGES = ("concatenate", "add")
SHARES = (0.167, 0.333, 0.5)  # of MultiRes: 1/6, 1/3, 1/2 as in the authors' program, rounded down


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualUNetOptions(Options):
    """Of `unetflow.networks.residual_unet`."""

    paper: ClassVar[str] = "Zhang et al. 2018"

    base_channels: int = whole(64)
    depth: int = whole(3, most=8)
    norm: str | None = one_of("batch", NORMS)
    activation: str = one_of("relu", ACTIVATIONS)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionUNetOptions(Options):
    """Of `unetflow.networks.attention_unet`."""

    paper: ClassVar[str] = "Oktay et al. 2018"

    base_channels: int = whole(64)
    depth: int = whole(4, most=8)
    norm: str | None = one_of("batch", NORMS)
    activation: str = one_of("relu", ACTIVATIONS)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiResUNetOptions(Options):
    """Of `unetflow.networks.multires_unet`."""

    paper: ClassVar[str] = "Ibtehaz and Rahman 2020"

    base_channels: int = whole(32)
    depth: int = whole(4, most=8)
    alpha: float = factor(1.67)
    norm: str | None = one_of("batch", NORMS)

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if min(self.shares(0)) < 1:
            raise ValueError(
                f"alpha {self.alpha:g} and base_channels {self.base_channels} give blocks of "
                f"{self.shares(0)} filters: each must have 1 or more. Take a larger base, 4 or "
                "more at alpha 1.67."
            )

    def shares(self, level: int) -> list[int]:
        """Filters of the three convolutions of a block, where a U-Net has base * 2**level."""
        return [int(self.alpha * self.base_channels * 2**level * share) for share in SHARES]

    def seen(self) -> Map:
        """Blocks of three convolutions; what is skipped passes the more, the finer it is."""
        here, skipped = Map(), []
        for level in range(self.depth + 1):
            here = here.window(2, 2) if level else here
            here = here.same(times=3)
            skipped.append(here.same(times=self.depth - level))
        for kept in reversed(skipped[:-1]):
            here = here.enlarged().joined(kept).same(times=3)
        return here

    def values_per_px(self) -> float:
        """What is concatenated, with its halves, beside a shortcut, on the first level."""
        return 4 * (2 * self.base_channels + 2 * sum(self.shares(0)))


def _unit(here: Map, *, stride: int) -> Map:
    """Two 3x3 convolutions and beside them a 1x1."""
    return here.window(3, stride, padding=1).same().joined(here.window(1, stride))
