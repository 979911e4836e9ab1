"""The 3D U-Net of Cicek et al. 2016 (MICCAI), figure 2: volumes, by valid convolutions.

Two 3x3x3 convolutions a level, each with batch normalisation and ReLU; channels are doubled by the
second one, before the pooling, against bottlenecks; 2x2x2 up-convolutions keep theirs. Of 132 x 132
x 116 voxels it makes 44 x 44 x 28. With three channels and three classes its convolutions have the
19,069,955 parameters of the paper, which counts neither batch normalisation nor the biases of
up-convolutions.

`flat` levels, the finest ones, have 1x3x3 convolutions and 1x2x2 poolings: of volumes whose slices
are thicker than their pixels are wide, until both are about alike.

Shape suffixes: B batch, C channels, K classes, D H W of a patch or tile.
"""

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from unetflow.networks.blocks import centre, convolutions_of, initialise
from unetflow.networks.network import Network
from unetflow.networks.sizes.unet3d import UNet3dOptions


class UNet3d(Network):
    """Contracting and expanding path of valid convolutions, (B, C, D, H, W) -> (B, K, D, H, W).

    Raises ValueError for an input size that is not possible, naming the nearest that are.
    """

    last_layer = "classify."

    def __init__(self, options: UNet3dOptions) -> None:
        super().__init__()
        self.geometry = options.geometry()
        self.in_channels, self.depth = options.in_channels, options.depth
        self.pooled = [options.pooled(level) for level in range(options.depth + 1)]
        widths = [options.base_channels * 2 ** (level + 1) for level in range(options.depth + 1)]
        self.contracting = nn.ModuleList(
            _level([before, width // 2, width], level, options)
            for level, (before, width) in enumerate(
                zip([options.in_channels, *widths], widths, strict=False)
            )
        )
        self.dropout = nn.Dropout(options.dropout)
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(width, width, kernel_size=factor, stride=factor)
            for width, factor in zip(widths[1:], self.pooled[1:], strict=True)
        )
        self.expanding = nn.ModuleList(
            _level([width + below, width, width], level, options)
            for level, (width, below) in enumerate(itertools.pairwise(widths))
        )
        self.classify = nn.Conv3d(widths[0], options.num_classes, kernel_size=1)
        self.apply(initialise)

    @property
    def encoder(self) -> nn.Module:
        """The contracting path."""
        return self.contracting

    def forward(self, image_BCDHW: Tensor) -> Tensor:
        """Logits of each class, smaller than the input by twice the halo."""
        for axis, size_px in enumerate(image_BCDHW.shape[2:]):
            self.geometry.output_px(size_px, axis)
        features_BCDHW, skipped = image_BCDHW, []
        for level, convolve in enumerate(self.contracting):
            if level:
                features_BCDHW = nn.functional.max_pool3d(features_BCDHW, self.pooled[level])
            features_BCDHW = convolve(features_BCDHW)
            if level >= self.depth - 1:
                features_BCDHW = self.dropout(features_BCDHW)
            skipped.append(features_BCDHW)
        features_BCDHW = skipped.pop()
        for level in reversed(range(self.depth)):
            # a name less is a map less in memory: these are the largest
            features_BCDHW = _joined(skipped.pop(), self.up[level](features_BCDHW))
            features_BCDHW = self.expanding[level](features_BCDHW)
        logits_BKDHW: Tensor = self.classify(features_BCDHW)
        return logits_BKDHW


def build(**options: Any) -> UNet3d:
    """Build it; options as of `UNet3dOptions`. Raises ValueError that names those there are."""
    return UNet3d(UNet3dOptions.of("unet3d", options))


def _joined(kept_BCDHW: Tensor, from_below_BCDHW: Tensor) -> Tensor:
    """The middle of a map of the way down and what comes from below, channels after channels."""
    return torch.cat([centre(kept_BCDHW, *from_below_BCDHW.shape[2:]), from_below_BCDHW], dim=1)


def _level(channels: list[int], level: int, options: UNet3dOptions) -> nn.Sequential:
    return convolutions_of(
        channels,
        norm=options.norm,
        activation=options.activation,
        kernel_size=options.kernel(level),
        padded=False,
        bias=True,
    )
