"""Encoders of classifiers, with torchvision's names: ResNet, MobileNetV2, EfficientNet-B0.

Shape suffixes: B batch, C channels, H W of a patch or tile.

Each gives features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size. Its parameters are called and
shaped as those of torchvision's network of that name, so that a state dict of it can be loaded; the
classifier at the end is left out. Sources: He et al. 2016 (with the stride of a bottleneck at its
3x3 convolution, as torchvision and most have it), Sandler et al. 2018, Tan and Le 2019 (without
stochastic depth). Weights start as in He et al. 2015.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from unetflow.networks.backbone_sizes import (
    RESNETS,
    SQUEEZED,
    STAGED,
    TOP_CHANNELS,
    Stage,
    widths_of,
)
from unetflow.networks.blocks import initialise


class Backbone(nn.Module):
    """Features of five sizes, finest first."""

    widths: tuple[int, ...]  # their channels
    first: str  # the weights that see the image
    classifier: str  # prefix of weights that are left out

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size."""
        raise NotImplementedError

    def load_weights(self, path: str | Path) -> None:
        """Take over a file of weights that is no model of unetflow; as `load_backbone`."""
        from unetflow.networks.backbone_weights import load_backbone  # which needs this module

        load_backbone(self, path)


class ResNet(Backbone):
    """ResNet of basic blocks or bottlenecks."""

    first, classifier = "conv1.weight", "fc."

    def __init__(self, name: str, in_channels: int) -> None:
        super().__init__()
        counts, bottleneck = RESNETS[name]
        self.widths = widths_of(name)
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        for level, count in enumerate(counts):
            before, after = self.widths[level], self.widths[level + 1]
            blocks = [
                ResidualBlock(
                    after if later else before,
                    after,
                    stride=1 if later or not level else 2,
                    bottleneck=bottleneck,
                )
                for later in range(count)
            ]
            self.add_module(f"layer{level + 1}", nn.Sequential(*blocks))
        self.apply(initialise)

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size."""
        found = [torch.relu(self.bn1(self.conv1(image_BCHW)))]
        features_BCHW = self.maxpool(found[0])
        for level in range(1, 5):
            features_BCHW = self.get_submodule(f"layer{level}")(features_BCHW)
            found.append(features_BCHW)
        return found


class ResidualBlock(nn.Module):
    """Two convolutions of 3x3, or 1x1, 3x3 and 1x1 with a quarter of the channels; input added."""

    def __init__(self, before: int, after: int, *, stride: int, bottleneck: bool) -> None:
        super().__init__()
        inner = after // 4 if bottleneck else after
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        widths = [before] + [inner] * (len(kernels) - 1) + [after]
        strided = kernels.index(3)
        for i, kernel in enumerate(kernels):
            layer = nn.Conv2d(
                widths[i],
                widths[i + 1],
                kernel,
                stride=stride if i == strided else 1,
                padding=kernel // 2,
                bias=False,
            )
            self.add_module(f"conv{i + 1}", layer)
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(widths[i + 1]))
        self.convolutions = len(kernels)
        self.downsample = None
        if stride > 1 or before != after:
            shortcut = nn.Conv2d(before, after, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(after))

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """As large as its input, or half as large."""
        inner_BCHW = features_BCHW
        for i in range(1, self.convolutions + 1):
            inner_BCHW = self.get_submodule(f"conv{i}")(inner_BCHW)
            inner_BCHW = self.get_submodule(f"bn{i}")(inner_BCHW)
            if i < self.convolutions:
                inner_BCHW = torch.relu(inner_BCHW)
        kept_BCHW = self.downsample(features_BCHW) if self.downsample else features_BCHW
        return torch.relu(inner_BCHW + kept_BCHW)


class Staged(Backbone):
    """A row of stages, blocks of a kind; of some the output is handed out."""

    first, classifier = "features.0.0.weight", "classifier."

    def __init__(self, name: str, in_channels: int) -> None:
        super().__init__()
        squeezed = name == SQUEEZED
        activation = nn.SiLU if squeezed else nn.ReLU6
        self.widths = widths_of(name)
        stages: list[nn.Module] = [_with_norm(in_channels, 32, 3, activation, stride=2)]
        handed_out, before = [], 32
        for stage in STAGED[name]:
            blocks = []
            for block in range(stage.blocks):
                stride = 1 if block else stage.stride
                blocks.append(
                    SqueezedResidual(before, stage, stride)
                    if squeezed
                    else InvertedResidual(before, stage, stride)
                )
                before = stage.channels
            stages += [nn.Sequential(*blocks)] if squeezed else blocks
            handed_out += [len(stages) - 1] if stage.handed_out else []
        stages.append(_with_norm(before, TOP_CHANNELS, 1, activation))
        self.features = nn.Sequential(*stages)
        self.handed_out = (*handed_out, len(stages) - 1)
        self.apply(initialise)

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size."""
        found, features_BCHW = [], image_BCHW
        for i, stage in enumerate(self.features):
            features_BCHW = stage(features_BCHW)
            if i in self.handed_out:
                found.append(features_BCHW)
        return found


class InvertedResidual(nn.Module):
    """MobileNetV2's block: more channels, a convolution of each by itself, fewer; input added."""

    def __init__(self, before: int, stage: Stage, stride: int) -> None:
        super().__init__()
        inner, after = before * stage.expand, stage.channels
        layers: list[nn.Module] = []
        if stage.expand > 1:
            layers.append(_with_norm(before, inner, 1, nn.ReLU6))
        layers.append(_with_norm(inner, inner, 3, nn.ReLU6, stride=stride, groups=inner))
        layers += [nn.Conv2d(inner, after, 1, bias=False), nn.BatchNorm2d(after)]
        self.conv = nn.Sequential(*layers)
        self.added = stride == 1 and before == after

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """As large as its input, or half as large."""
        result_BCHW: Tensor = self.conv(features_BCHW)
        return features_BCHW + result_BCHW if self.added else result_BCHW


class SqueezedResidual(nn.Module):
    """EfficientNet's block: as MobileNetV2's, with channels weighted by their means of the tile."""

    def __init__(self, before: int, stage: Stage, stride: int) -> None:
        super().__init__()
        inner, after = before * stage.expand, stage.channels
        layers: list[nn.Module] = []
        if stage.expand > 1:
            layers.append(_with_norm(before, inner, 1, nn.SiLU))
        layers += [
            _with_norm(inner, inner, stage.kernel, nn.SiLU, stride=stride, groups=inner),
            SqueezeExcitation(inner, before // 4),
            _with_norm(inner, after, 1, None),
        ]
        self.block = nn.Sequential(*layers)
        self.added = stride == 1 and before == after

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """As large as its input, or half as large."""
        result_BCHW: Tensor = self.block(features_BCHW)
        return features_BCHW + result_BCHW if self.added else result_BCHW


class SqueezeExcitation(nn.Module):
    """Each channel times a weight in (0, 1), which is computed from the means of all channels."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """As large as its input."""
        means_BCHW = features_BCHW.mean(dim=(2, 3), keepdim=True)
        hidden_BCHW = nn.functional.silu(self.fc1(means_BCHW))
        return features_BCHW * torch.sigmoid(self.fc2(hidden_BCHW))


def backbone_of(name: str, in_channels: int) -> Backbone:
    """A backbone with fresh weights; `unetflow.networks.backbone_sizes.BACKBONES` are its names."""
    return ResNet(name, in_channels) if name in RESNETS else Staged(name, in_channels)


def _with_norm(
    before: int,
    after: int,
    kernel: int,
    activation: Callable[[], nn.Module] | None,
    *,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))
