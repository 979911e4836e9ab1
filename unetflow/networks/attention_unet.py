"""Attention U-Net: gates on what is skipped. Oktay et al. 2018, figures 1 and 2, equations 1 to 3.

"Attention U-Net: Learning Where to Look for the Pancreas". What is skipped is multiplied by
coefficients in [0, 1] that additive attention finds from it and from the features of the next
coarser level. Differences to the paper:

* Two dimensions: 3x3 convolutions, 2x2 poolings, and bilinear where the paper has trilinear; with
  `axes: 3` the three of the paper.
* `depth` and `base_channels` are free; by themselves 4 and 64, as of the U-Net.
* The gating signal are the decoder's features of the next coarser level themselves.
* No deep supervision: one map of logits.
* `norm` may be instance or group normalisation, which make it not seamless, or none, and the
  activation between convolutions is free.
* Of a tile what zero padding reaches is cut away (`unetflow.networks.fitted`).

As in the paper the first level has no gate, attention is computed on the grid of the gating signal,
and its coefficients are interpolated. Every gate looks at its surroundings alone: it is seamless.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile, of volumes D H W.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unetflow.networks.blocks import (
    CONVOLUTION,
    convolutions,
    doubling,
    enlarged,
    initialise,
    way_down,
)
from unetflow.networks.sizes.attention_unet import AttentionUNetOptions


class Gate(nn.Module):
    """Additive attention (equation 1): which of what is skipped fits the gating signal."""

    def __init__(self, skipped: int, gating: int, axes: int) -> None:
        super().__init__()
        inner, convolution = max(1, skipped // 2), CONVOLUTION[axes]
        self.of_skipped = convolution(skipped, inner, kernel_size=2, stride=2, bias=False)
        self.of_gating = convolution(gating, inner, kernel_size=1)
        self.coefficient = convolution(inner, 1, kernel_size=1)

    def forward(self, skipped_BCHW: Tensor, gating_BCHW: Tensor) -> Tensor:
        """What is skipped, weighted; the gating signal is half as high and wide."""
        both_BCHW = (self.of_skipped(skipped_BCHW) + self.of_gating(gating_BCHW)).relu()
        share_B1HW = self.coefficient(both_BCHW).sigmoid()
        return skipped_BCHW * enlarged(share_B1HW, linear=True)


class AttentionUNet(nn.Module):
    """Logits (B, K, H, W) of images (B, C, H, W); H and W are multiples of 2**depth.

    Of volumes (B, K, D, H, W), and D too.
    """

    last_layer = "classify."

    def __init__(self, options: AttentionUNetOptions) -> None:
        super().__init__()
        widths = [options.base_channels * 2**level for level in range(options.depth + 1)]
        self.encoder = nn.ModuleList(
            _level(before, after, options)
            for before, after in zip([options.in_channels, *widths], widths, strict=False)
        )
        self.gates = nn.ModuleList(
            Gate(width, 2 * width, options.axes) if level else nn.Identity()
            for level, width in enumerate(widths[:-1])
        )
        self.up = nn.ModuleList(doubling(2 * width, width, options.axes) for width in widths[:-1])
        self.decoder = nn.ModuleList(_level(2 * width, width, options) for width in widths[:-1])
        self.classify = CONVOLUTION[options.axes](widths[0], options.num_classes, kernel_size=1)
        self.apply(initialise)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class for every pixel."""
        *skipped, features_BCHW = way_down(self.encoder, image_BCHW)
        for level in reversed(range(len(self.decoder))):
            kept_BCHW = skipped.pop()
            if level:
                kept_BCHW = self.gates[level](kept_BCHW, features_BCHW)
            merged_BCHW = torch.cat([kept_BCHW, self.up[level](features_BCHW)], dim=1)
            features_BCHW = self.decoder[level](merged_BCHW)
        logits_BKHW: Tensor = self.classify(features_BCHW)
        return logits_BKHW


def build(**options: Any) -> AttentionUNet:
    """Build it; options as of `AttentionUNetOptions`; ValueErrors name those there are."""
    return AttentionUNet(AttentionUNetOptions.of("attention_unet", options))


def _level(before: int, after: int, options: AttentionUNetOptions) -> nn.Sequential:
    return convolutions(
        before,
        after,
        norm=options.norm,
        activation=options.activation,
        bias=options.norm is None,
        axes=options.axes,
    )
