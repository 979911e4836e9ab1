"""Options and sizes of `unetflow.networks.multires_unet`."""

from dataclasses import dataclass
from typing import ClassVar

from unetflow.networks.options import AXES, NORMS, Options, factor, one_of, whole
from unetflow.tiles.receptive_field import Map

SHARES = (0.167, 0.333, 0.5)  # 1/6, 1/3, 1/2 as the authors' program has them, rounded down


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiResUNetOptions(Options):
    """Of `unetflow.networks.multires_unet`."""

    paper: ClassVar[str] = "Ibtehaz and Rahman 2020"

    base_channels: int = whole(32)
    depth: int = whole(4, most=8)
    alpha: float = factor(1.67)
    norm: str | None = one_of("batch", NORMS)
    axes: int = one_of(2, AXES)

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


OPTIONS = MultiResUNetOptions
