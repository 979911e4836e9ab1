"""The U-Net as everybody builds it today: convolutions that pad, and batch normalisation.

After Ronneberger, Fischer and Brox 2015, figure 1, with these differences:

* Convolutions pad with zeros, so that the logits are as large as the input and nothing is cropped
  where the paths meet. Of a tile what the zeros reach is cut away (`unetflow.networks.fitted`).
* Batch normalisation (Ioffe and Szegedy 2015) after each 3x3 convolution, which then has no bias;
  `norm` may be instance or group normalisation, which make it not seamless, or none.
* No dropout, if none is asked for; where it is, on the two lowest levels.
* `up: interpolated`: linear, with a 1x1 convolution, in the place of the 2x2 up-convolution.
* `axes: 3`: volumes, by 3x3x3 convolutions, poolings and up-convolutions of 2x2x2.

With three channels and two classes it has 31,037,698 parameters, as have popular programs.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile, of volumes D H W.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unetflow.networks.blocks import CONVOLUTION, convolutions, initialise, way_down, way_up
from unetflow.networks.sizes.unet_padded import UNetPaddedOptions


class UNetPadded(nn.Module):
    """Logits (B, K, H, W) of images (B, C, H, W); H and W are multiples of 2**depth.

    Of volumes (B, K, D, H, W), and D too.
    """

    last_layer = "classify."

    def __init__(self, options: UNetPaddedOptions) -> None:
        super().__init__()
        self.depth = options.depth
        widths = [options.base_channels * 2**level for level in range(options.depth + 1)]
        self.encoder = nn.ModuleList(
            _level(before, after, options)
            for before, after in zip([options.in_channels, *widths], widths, strict=False)
        )
        self.dropout = nn.Dropout(options.dropout)
        self.up = nn.ModuleList(
            way_up(options.up, width * 2, width, options.axes) for width in widths[:-1]
        )
        self.decoder = nn.ModuleList(_level(2 * width, width, options) for width in widths[:-1])
        self.classify = CONVOLUTION[options.axes](widths[0], options.num_classes, kernel_size=1)
        self.apply(initialise)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class for every pixel."""
        *skipped, features_BCHW = way_down(self.encoder, image_BCHW, self.dropout)
        for level in reversed(range(self.depth)):
            features_BCHW = self.up[level](features_BCHW)  # twice as large, half as wide
            merged_BCHW = torch.cat([skipped.pop(), features_BCHW], dim=1)
            features_BCHW = self.decoder[level](merged_BCHW)
        logits_BKHW: Tensor = self.classify(features_BCHW)
        return logits_BKHW


def build(**options: Any) -> UNetPadded:
    """Build it; options as of `UNetPaddedOptions`. Raises ValueError that names those there are."""
    return UNetPadded(UNetPaddedOptions.of("unet_padded", options))


def _level(before: int, after: int, options: UNetPaddedOptions) -> nn.Sequential:
    return convolutions(
        before,
        after,
        norm=options.norm,
        activation=options.activation,
        kernel_size=options.kernel_size,
        axes=options.axes,
        bias=options.norm is None,
    )
