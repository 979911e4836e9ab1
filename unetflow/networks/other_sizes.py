"""What each other network takes and which sizes follow; as `unetflow.networks.sizes` for U-Nets.

Encoders of classifiers stand here as tables, which their modules read, too.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from unetflow.networks.options import BY_TILE, NORMS, Options, one_of, share, whole, wholes
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.receptive_field import Map

VGG16 = (2, 2, 3, 3, 3)  # convolutions before each pooling
VGG16_WIDTHS = (1, 2, 4, 8, 8)  # times base_channels
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


def backbone_maps(name: str) -> list[Map]:
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


def backbone_widths(name: str) -> tuple[int, ...]:
    """Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size."""
    if name in RESNETS:
        grows = 4 if RESNETS[name][1] else 1
        return 64, *(64 * 2**level * grows for level in range(4))
    return *(stage.channels for stage in STAGED[name] if stage.handed_out), TOP_CHANNELS


@dataclass(frozen=True, slots=True, kw_only=True)
class _WithBackbone(Options):
    """What networks on a backbone share."""

    backbone: str = one_of("resnet34", BACKBONES)
    norm: str | None = one_of("batch", NORMS)

    def why(self) -> str:
        """By the backbone, or else by the norm of what stands on it."""
        if self.backbone == SQUEEZED:
            return "squeeze and excitation weights channels by their means of a tile"
        return BY_TILE.get(str(self.norm), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneUNetOptions(_WithBackbone):
    """Of `unetflow.networks.backbone_unet`."""

    paper: ClassVar[str] = "Ronneberger et al. 2015 on another encoder"

    base_channels: int = whole(16)

    def seen(self) -> Map:
        """Up from 1/32, with the backbone's maps beside; the last level has none."""
        *kept, here = backbone_maps(self.backbone)
        for level in reversed(range(len(kept) + 1)):
            here = here.enlarged()
            here = (kept[level - 1].joined(here) if level else here).same(times=2)
        return here

    def values_per_px(self) -> float:
        """The larger of the backbone's first maps and the decoder's last ones."""
        first = 6 * backbone_widths(self.backbone)[0] if self.backbone in STAGED else 0
        return max(6 * self.base_channels, 3 * backbone_widths(self.backbone)[0], first) + 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FPNOptions(_WithBackbone):
    """Of `unetflow.networks.fpn`."""

    paper: ClassVar[str] = "Lin et al. 2017, Kirillov et al. 2019"

    backbone: str = one_of("resnet50", BACKBONES)
    pyramid_channels: int = whole(256)
    head_channels: int = whole(128)

    def seen(self) -> Map:
        """The coarser map added to the finer one; a head for each level."""
        levels = backbone_maps(self.backbone)[1:]
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
        first = backbone_widths(self.backbone)[0] * (6 if self.backbone in STAGED else 3)
        return max(2 * of_pyramid, first) + 4 * self.num_classes + 64


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


@dataclass(frozen=True, slots=True, kw_only=True)
class UNETROptions(Options):
    """Of `unetflow.networks.unetr`."""

    paper: ClassVar[str] = "Hatamizadeh et al. 2022"

    base_channels: int = whole(16)
    hidden_channels: int = whole(768)
    layers: int = whole(12)
    heads: int = whole(12)
    size_px: int = whole(256, least=16)
    norm: str | None = one_of("batch", NORMS)

    PATCH_PX: ClassVar[int] = 16

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        for name, value, divisor in (
            ("layers", self.layers, 4),
            ("hidden_channels", self.hidden_channels, self.heads),
            ("size_px", self.size_px, self.PATCH_PX),
        ):
            if value % divisor:
                near = max(1, round(value / divisor)) * divisor
                raise ValueError(f"{name} is {value}: must be a multiple of {divisor}, as {near}.")

    def why(self) -> str:
        """By its encoder."""
        return "attention sees all of a tile, and each place in it has an embedding of its own"

    def geometry(self) -> Geometry:
        """What attention sees is no halo: one patch is cut away, where zeros are near."""
        sides = (self.PATCH_PX,) * 2
        smallest = (3 * self.PATCH_PX,) * 2
        return Geometry(("y", "x"), sides, sides, sides, smallest, self.values_per_px(), self.why())

    def values_per_px(self) -> float:
        """The decoder's last maps, and the tokens with their hidden layer."""
        return 16 * self.base_channels + 24 * self.hidden_channels / self.PATCH_PX**2
