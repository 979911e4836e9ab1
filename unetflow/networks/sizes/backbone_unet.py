"""Options and sizes of `unetflow.networks.backbone_unet`."""

from dataclasses import dataclass
from typing import ClassVar

from unetflow.networks.backbone_sizes import STAGED, WithBackbone, maps_of, widths_of
from unetflow.networks.options import whole
from unetflow.tiles.receptive_field import Map


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneUNetOptions(WithBackbone):
    """Of `unetflow.networks.backbone_unet`."""

    paper: ClassVar[str] = "Ronneberger et al. 2015 on another encoder"

    base_channels: int = whole(16)

    def seen(self) -> Map:
        """Up from 1/32, with the backbone's maps beside; the last level has none."""
        *kept, here = maps_of(self.backbone)
        for level in reversed(range(len(kept) + 1)):
            here = here.enlarged()
            here = (kept[level - 1].joined(here) if level else here).same(times=2)
        return here

    def values_per_px(self) -> float:
        """The larger of the backbone's first maps and the decoder's last ones."""
        first = 6 * widths_of(self.backbone)[0] if self.backbone in STAGED else 0
        return max(6 * self.base_channels, 3 * widths_of(self.backbone)[0], first) + 64


OPTIONS = BackboneUNetOptions
