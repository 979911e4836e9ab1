"""Options and sizes of `unetflow.networks.fcn`."""

from dataclasses import dataclass
from typing import ClassVar

from unetflow.networks.options import NORMS, Options, one_of, share, whole
from unetflow.tiles.receptive_field import Map

VGG16 = (2, 2, 3, 3, 3)  # convolutions before each pooling
VGG16_WIDTHS = (1, 2, 4, 8, 8)  # times base_channels


@dataclass(frozen=True, slots=True, kw_only=True)
class FCNOptions(Options):
    """Of `unetflow.networks.fcn`."""

    paper: ClassVar[str] = "Long et al. 2015"

    base_channels: int = whole(64)
    hidden_channels: int = whole(4096)
    dropout: float = share(0.5)
    norm: str | None = one_of(None, NORMS)

    def seen(self) -> Map:
        """VGG16 and a convolution of 7x7; scores of three levels added."""
        here, pooled = Map(), []
        for count in VGG16:
            here = here.same(times=count).window(2, 2)
            pooled.append(here)
        here = here.same(7)
        for kept in (pooled[3], pooled[2]):
            here = here.spread(4, 2, padding=1).joined(kept)
        return here.enlarged(8, linear=True)

    def values_per_px(self) -> float:
        """Two maps of the first level."""
        return 4 * self.base_channels + self.hidden_channels / 128 + 4 * self.num_classes


OPTIONS = FCNOptions
