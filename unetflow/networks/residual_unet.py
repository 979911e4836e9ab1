"""ResUNet: a U-Net of residual units. Zhang, Liu and Wang 2018, figures 1 and 2, table I.

"Road Extraction by Deep Residual U-Net": units of batch normalisation, ReLU and convolution, twice,
beside an identity (He et al. 2016, full pre-activation); a stride of 2 halves in the place of a
pooling. Differences to the paper:

* `depth` and `base_channels` are free; by themselves 3 and 64, as in its table I, whose 3x3
  convolutions have the 7.8 million parameters that it names.
* Where a unit changes width or size, its identity is a 1x1 convolution with batch normalisation;
  the paper draws it and does not count it.
* `norm` may be instance or group normalisation, which make it not seamless, or none, and the
  activation is free.
* `axes: 3`: volumes, by 3x3x3 convolutions.
* Logits of each class and softmax, in the place of one channel and a sigmoid.
* Of a tile what zero padding reaches is cut away (`unetflow.networks.fitted`); the paper averages
  tiles that overlap by 14 px.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile, of volumes D H W.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unetflow.networks.blocks import (
    ACTIVATIONS,
    CONVOLUTION,
    NORMS_OF,
    POOLING,
    enlarged,
    initialise,
)
from unetflow.networks.sizes.residual_unet import ResidualUNetOptions


class Unit(nn.Module):
    """Two 3x3 convolutions and a shortcut; the first has a stride, and activates what it takes."""

    def __init__(
        self,
        before: int,
        after: int,
        options: ResidualUNetOptions,
        *,
        stride: int = 1,
        first: bool = False,
    ) -> None:
        super().__init__()
        norm, activation = NORMS_OF[options.axes][options.norm], ACTIVATIONS[options.activation]
        convolution, pooling = CONVOLUTION[options.axes], POOLING[options.axes]
        bias = options.norm is None
        # What enters the shortcut needs, too: in place is only what a norm made of it. Of the
        # image itself nothing is normalised.
        enters = [] if first else [*norm(before), activation(options.norm is not None)]
        self.convolve = nn.Sequential(
            *enters,
            convolution(before, after, 3, stride=stride, padding=1, bias=bias),
            *norm(after),
            activation(True),
            convolution(after, after, 3, padding=1),
        )
        # A 1x1 convolution with a stride, in two: with fewer than 8 channels PyTorch 2.13 writes
        # beyond its memory in the backward pass on processors without AVX-512.
        self.every_second = pooling(1, stride) if stride > 1 else nn.Identity()
        self.shortcut = (
            nn.Identity()
            if before == after and stride == 1
            else nn.Sequential(convolution(before, after, 1, bias=bias), *norm(after))
        )

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, other C, H / stride, W / stride)."""
        short_BCHW = self.shortcut(self.every_second(features_BCHW))
        made_BCHW: Tensor = self.convolve(features_BCHW) + short_BCHW
        return made_BCHW


class ResidualUNet(nn.Module):
    """Logits (B, K, H, W) of images (B, C, H, W); H and W are multiples of 2**depth.

    Of volumes (B, K, D, H, W), and D too.
    """

    last_layer = "classify."

    def __init__(self, options: ResidualUNetOptions) -> None:
        super().__init__()
        base, depth = options.base_channels, options.depth
        widths = [base * 2**level for level in range(depth + 1)]
        self.encoder = nn.ModuleList(
            Unit(before, after, options, stride=2 if level else 1, first=not level)
            for level, (before, after) in enumerate(
                zip([options.in_channels, *widths], widths, strict=False)
            )
        )
        self.decoder = nn.ModuleList(
            Unit(width + 2 * width, width, options) for width in widths[:-1]
        )
        self.classify = CONVOLUTION[options.axes](base, options.num_classes, kernel_size=1)
        self.apply(initialise)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class for every pixel."""
        features_BCHW, skipped = image_BCHW, []
        for unit in self.encoder:
            features_BCHW = unit(features_BCHW)
            skipped.append(features_BCHW)
        features_BCHW = skipped.pop()
        for unit in reversed(self.decoder):
            merged_BCHW = torch.cat([enlarged(features_BCHW), skipped.pop()], dim=1)
            features_BCHW = unit(merged_BCHW)
        logits_BKHW: Tensor = self.classify(features_BCHW)
        return logits_BKHW


def build(**options: Any) -> ResidualUNet:
    """Build it; options as of `ResidualUNetOptions`; ValueErrors name those there are."""
    return ResidualUNet(ResidualUNetOptions.of("residual_unet", options))
