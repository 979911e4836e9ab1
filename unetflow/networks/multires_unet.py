"""MultiResUNet. Ibtehaz and Rahman 2020, figures 3 to 5 and table 1.

"MultiResUNet: Rethinking the U-Net architecture for multimodal biomedical image segmentation". A
MultiRes block takes the place of two convolutions: three of 3x3 in a row, whose outputs lie side by
side as those of 3x3, 5x5 and 7x7 would, beside a shortcut. A Res path, of convolutions with a
shortcut each, takes the place of a copy from the encoder to the decoder. A level of U filters in a
U-Net has W = alpha * U here, shared out to the convolutions of its blocks as W/6, W/3 and W/2.
Differences to the paper:

* Logits come from a convolution of 1x1 with a bias; in the authors' program batch normalisation
  comes after it, without a bias, and then the sigmoid of one class.
* Batch normalisations have a scale and a shift; in the authors' program those right after a
  convolution have a shift alone.
* `norm` may be another one, or none; with `axes: 3` it is of volumes.
* Of a tile what zero padding reaches is cut away (`unetflow.networks.fitted`).

With alpha 1.67 there are about as many parameters as in a padded U-Net of the same base: 7.3
million at base 32 (7.8 million).

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile, of volumes D H W.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from unetflow.networks.blocks import (
    CONVOLUTION,
    NORMS_OF,
    convolutions,
    doubling,
    halved,
    initialise,
)
from unetflow.networks.sizes.multires_unet import MultiResUNetOptions


class MultiResUNet(nn.Module):
    """Logits (B, K, H, W) of images (B, C, H, W); H and W are multiples of 2**depth.

    Of volumes (B, K, D, H, W), and D too.
    """

    last_layer = "classify."

    def __init__(self, options: MultiResUNetOptions) -> None:
        super().__init__()
        depth, of = options.depth, (options.norm, options.axes)
        nominal = [options.base_channels * 2**level for level in range(depth + 1)]
        shares = [options.shares(level) for level in range(depth + 1)]
        widths = [sum(each) for each in shares]
        self.encoder = nn.ModuleList(
            MultiResBlock(before, share, *of)
            for before, share in zip([options.in_channels, *widths], shares, strict=False)
        )
        self.paths = nn.ModuleList(
            _path(width, filters, depth - level, *of)
            for level, (width, filters) in enumerate(zip(widths[:-1], nominal, strict=False))
        )
        self.up = nn.ModuleList(
            doubling(below, filters, options.axes)
            for below, filters in zip(widths[1:], nominal, strict=False)
        )
        self.decoder = nn.ModuleList(
            MultiResBlock(2 * filters, share, *of)
            for filters, share in zip(nominal[:-1], shares, strict=False)
        )
        self.classify = CONVOLUTION[options.axes](widths[0], options.num_classes, kernel_size=1)
        self.apply(initialise)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class for every pixel."""
        features_BCHW, skipped = image_BCHW, []
        for level, block in enumerate(self.encoder):
            features_BCHW = block(features_BCHW)
            if level < len(self.paths):
                skipped.append(self.paths[level](features_BCHW))
                features_BCHW = halved(features_BCHW)
        for level in reversed(range(len(self.paths))):
            features_BCHW = self.up[level](features_BCHW)  # twice as large
            features_BCHW = torch.cat([features_BCHW, skipped[level]], dim=1)
            features_BCHW = self.decoder[level](features_BCHW)
        logits_BKHW: Tensor = self.classify(features_BCHW)
        return logits_BKHW


class MultiResBlock(nn.Module):
    """Convolutions in a row, their outputs side by side, and a shortcut of 1x1 added: figure 3."""

    def __init__(self, before: int, shares: list[int], norm: str | None, axes: int = 2) -> None:
        super().__init__()
        width = sum(shares)
        self.shortcut = _shortcut(before, width, norm, axes)
        self.row = nn.ModuleList(
            convolutions(*pair, norm=norm, times=1, bias=norm is None, axes=axes)
            for pair in zip([before, *shares], shares, strict=False)
        )
        self.inner = nn.Sequential(*NORMS_OF[axes][norm](width))
        self.outer = nn.Sequential(*NORMS_OF[axes][norm](width))

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """As large as its input, with as many channels as its shares have together."""
        found, last_BCHW = [], features_BCHW
        for layer in self.row:
            last_BCHW = layer(last_BCHW)
            found.append(last_BCHW)
        sum_BCHW = self.shortcut(features_BCHW) + self.inner(torch.cat(found, dim=1))
        result_BCHW: Tensor = self.outer(nn.functional.relu(sum_BCHW))
        return result_BCHW


class ResidualConvolution(nn.Module):
    """A convolution of 3x3 beside one of 1x1, added: of such a Res path consists, figure 4."""

    def __init__(self, before: int, after: int, norm: str | None, axes: int) -> None:
        super().__init__()
        self.shortcut = _shortcut(before, after, norm, axes)
        self.convolve = convolutions(
            before, after, norm=norm, times=1, bias=norm is None, axes=axes
        )
        self.outer = nn.Sequential(*NORMS_OF[axes][norm](after))

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """As large as its input."""
        sum_BCHW = self.shortcut(features_BCHW) + self.convolve(features_BCHW)
        result_BCHW: Tensor = self.outer(nn.functional.relu(sum_BCHW))
        return result_BCHW


def build(**options: Any) -> MultiResUNet:
    """Build it; options as of `MultiResUNetOptions`; ValueErrors name those there are."""
    return MultiResUNet(MultiResUNetOptions.of("multires_unet", options))


def _path(before: int, after: int, length: int, norm: str | None, axes: int) -> nn.Sequential:
    pairs = pairwise([before] + [after] * length)
    return nn.Sequential(*(ResidualConvolution(*pair, norm, axes) for pair in pairs))


def _shortcut(before: int, after: int, norm: str | None, axes: int) -> nn.Sequential:
    return convolutions(
        before,
        after,
        norm=norm,
        activation=None,
        kernel_size=1,
        times=1,
        bias=norm is None,
        axes=axes,
    )
