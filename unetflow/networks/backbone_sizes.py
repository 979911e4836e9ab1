"""Encoders of classifiers as tables, of which `unetflow.networks.backbones` makes layers."""

from dataclasses import dataclass
from typing import NamedTuple

from unetflow.networks.options import BY_TILE, NORMS, Options, one_of
from unetflow.tiles.receptive_field import Map

RESNETS = {  # blocks of four levels; whether they are bottlenecks
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
}


class Stage(NamedTuple):
    """Blocks alike, of which the first has a stride."""

    expand: int  # times the channels inside
    kernel: int
    stride: int
    channels: int
    blocks: int
    handed_out: bool  # the last of its size


STAGED = {
    "mobilenet_v2": (  # table 2 of Sandler et al. 2018
        Stage(1, 3, 1, 16, 1, True),
        Stage(6, 3, 2, 24, 2, True),
        Stage(6, 3, 2, 32, 3, True),
        Stage(6, 3, 2, 64, 4, False),
        Stage(6, 3, 1, 96, 3, True),
        Stage(6, 3, 2, 160, 3, False),
        Stage(6, 3, 1, 320, 1, False),
    ),
    "efficientnet_b0": (  # table 1 of Tan and Le 2019
        Stage(1, 3, 1, 16, 1, True),
        Stage(6, 3, 2, 24, 2, True),
        Stage(6, 5, 2, 40, 2, True),
        Stage(6, 3, 2, 80, 3, False),
        Stage(6, 5, 1, 112, 3, True),
        Stage(6, 5, 2, 192, 4, False),
        Stage(6, 3, 1, 320, 1, False),
    ),
}
SQUEEZED = "efficientnet_b0"
BACKBONES = (*RESNETS, *STAGED)
TOP_CHANNELS = 1280  # of the last layer of staged backbones


def maps_of(name: str) -> list[Map]:
    """The maps of a backbone at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size."""
    if name in RESNETS:
        counts, bottleneck = RESNETS[name]
        here = Map().window(7, 2, padding=3)
        found = [here]
        here = here.window(3, 2, padding=1)
        for level, count in enumerate(counts):
            for block in range(count):
                stride = 2 if level and not block else 1
                inner = here.window(3, stride, padding=1)
                inner = inner if bottleneck else inner.same()
                here = inner.joined(here.window(1, stride))
            found.append(here)
        return found
    here, found = Map().window(3, 2, padding=1), []
    for stage in STAGED[name]:
        for block in range(stage.blocks):
            stride = stage.stride if not block else 1
            inner = here.window(stage.kernel, stride, padding=stage.kernel // 2)
            here = inner if stride > 1 else inner.joined(here)
        if stage.handed_out:
            found.append(here)
    return [*found, here]


def widths_of(name: str) -> tuple[int, ...]:
    """Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size."""
    if name in RESNETS:
        grows = 4 if RESNETS[name][1] else 1
        return 64, *(64 * 2**level * grows for level in range(4))
    return *(stage.channels for stage in STAGED[name] if stage.handed_out), TOP_CHANNELS


@dataclass(frozen=True, slots=True, kw_only=True)
class WithBackbone(Options):
    """What networks on a backbone share."""

    backbone: str = one_of("resnet34", BACKBONES)
    norm: str | None = one_of("batch", NORMS)

    def why(self) -> str:
        """By the backbone, or else by the norm of what stands on it."""
        if self.backbone == SQUEEZED:
            return "squeeze and excitation weights channels by their means of a tile"
        return BY_TILE.get(str(self.norm), "")
