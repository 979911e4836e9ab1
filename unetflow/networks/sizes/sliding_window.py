"""Options and sizes of `unetflow.networks.sliding_window`."""

from dataclasses import dataclass
from typing import ClassVar

from unetflow.networks.options import Options, one_of, whole, wholes
from unetflow.tiles.receptive_field import Map


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidingWindowOptions(Options):
    """Of `unetflow.networks.sliding_window`."""

    paper: ClassVar[str] = "Ciresan et al. 2012"
    padded: ClassVar[bool] = False

    base_channels: int = whole(48)
    hidden_channels: int = whole(200)
    kernels: tuple[int, ...] = wholes(4, 5, 4, 4)
    top_px: int = whole(3)
    way: str = one_of("dense", ("dense", "naive"))

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if self.patch_px % 2 == 0:
            raise ValueError(
                f"kernels {list(self.kernels)} give a patch of {self.patch_px} px, which has no "
                "pixel in its centre: the first kernel must be even, such as 4."
            )

    @property
    def patch_px(self) -> int:
        """The side of the patch: (4, 5, 4, 4) and 3 px -> 95 px."""
        size_px = self.top_px
        for kernel in reversed(self.kernels):
            size_px = 2 * size_px + kernel - 1
        return size_px

    def seen(self) -> Map:
        """Dilations that double with each pooling."""
        here = Map()
        for level, kernel in enumerate(self.kernels):
            here = here.window(kernel, dilation=2**level).window(2, dilation=2**level)
        return here.window(self.top_px, dilation=2 ** len(self.kernels))

    def values_per_px(self) -> float:
        """Two maps, of a level or the hidden layer; naively those of some patches at once."""
        if self.way == "naive":
            return self.base_channels * self.patch_px / 8
        return 2 * max(2 * self.base_channels, self.base_channels + self.hidden_channels) + 16


OPTIONS = SlidingWindowOptions
