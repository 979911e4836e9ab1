"""Options and sizes of `unetflow.networks.fpn`."""

from dataclasses import dataclass
from typing import ClassVar

from unetflow.networks.backbone_sizes import BACKBONES, STAGED, WithBackbone, maps_of, widths_of
from unetflow.networks.options import one_of, whole
from unetflow.tiles.receptive_field import Map


@dataclass(frozen=True, slots=True, kw_only=True)
class FPNOptions(WithBackbone):
    """Of `unetflow.networks.fpn`."""

    paper: ClassVar[str] = "Lin et al. 2017, Kirillov et al. 2019"

    backbone: str = one_of("resnet50", BACKBONES)
    pyramid_channels: int = whole(256)
    head_channels: int = whole(128)

    def seen(self) -> Map:
        """The coarser map added to the finer one; a head for each level."""
        levels = maps_of(self.backbone)[1:]
        for level in reversed(range(len(levels) - 1)):
            levels[level] = levels[level].joined(levels[level + 1].enlarged())
        heads = [level.same() for level in levels]
        for level, here in enumerate(heads):
            for _ in range(max(1, level)):
                here = here.same()
                here = here.enlarged(linear=True) if level else here
            heads[level] = here
        return heads[0].joined(*heads[1:]).enlarged(4, linear=True)

    def values_per_px(self) -> float:
        """The backbone's first maps, or pyramid and heads at a quarter, or the logits."""
        of_pyramid = (3 * self.pyramid_channels + 6 * self.head_channels) / 16
        first = widths_of(self.backbone)[0] * (6 if self.backbone in STAGED else 3)
        return max(2 * of_pyramid, first) + 4 * self.num_classes + 64


OPTIONS = FPNOptions
