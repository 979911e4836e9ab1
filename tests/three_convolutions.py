"""A network that is no U-Net of the paper: three valid 3x3 convolutions a level, one pooling."""

from typing import Any

import torch
from torch import Tensor, nn

from unetflow.networks.network import Network
from unetflow.tiles.geometry import Geometry


def geometry(norm: str | None = None, **others: Any) -> Geometry:
    """n - 6 on the way down, halved - 6 below, doubled - 6 on the way up: n - 24."""
    return Geometry(
        axes=("y", "x"),
        step_px=(2, 2),
        before_px=(12, 12),
        after_px=(12, 12),
        smallest_input_px=(26, 26),
        values_per_px=8 * 4,
        why="instance normalisation" if norm else "",
    )


class Three(Network):
    last_layer = "out.last."

    def __init__(self, in_channels: int = 1, num_classes: int = 2, norm: str | None = None) -> None:
        super().__init__()
        self.in_channels, self.geometry = in_channels, geometry(norm)
        self.down = nn.ModuleDict(
            {"here": _three(in_channels, 4, norm), "below": _three(4, 8, norm)}
        )
        self.up = nn.ConvTranspose2d(8, 4, kernel_size=2, stride=2)
        self.out = nn.ModuleDict(
            {"three": _three(8, 4, norm), "last": nn.Conv2d(4, num_classes, 1)}
        )

    @property
    def encoder(self) -> nn.Module:
        return self.down

    def forward(self, image_BCHW: Tensor) -> Tensor:
        here_BCHW = self.down["here"](image_BCHW)
        below_BCHW = self.down["below"](nn.functional.max_pool2d(here_BCHW, 2))
        up_BCHW = self.up(below_BCHW)
        height, width = up_BCHW.shape[-2:]  # 12 px less than what is beside it, 6 on each side
        kept_BCHW = here_BCHW[..., 6 : 6 + height, 6 : 6 + width]
        features_BCHW = self.out["three"](torch.cat([kept_BCHW, up_BCHW], dim=1))
        logits_BKHW: Tensor = self.out["last"](features_BCHW)
        return logits_BKHW


def build(**options: Any) -> Three:
    return Three(**options)


def _three(before: int, after: int, norm: str | None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after, after):
        layers.append(nn.Conv2d(channels, after, kernel_size=3))
        layers += [nn.InstanceNorm2d(after, affine=True)] if norm else []
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)
