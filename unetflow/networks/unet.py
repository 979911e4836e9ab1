"""The U-Net of Ronneberger, Fischer and Brox 2015, figure 1, to the layer.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unetflow.networks.blocks import centre, convolutions, initialise, way_down, way_up
from unetflow.networks.network import Network
from unetflow.networks.sizes.unet import UNetOptions


class UNet(Network):
    """Contracting and expanding path of valid convolutions: (B, C, 572, 572) -> (B, K, 388, 388).

    At base 64 and depth 4 it has 23 convolution layers and 31 million parameters. Dropout stands
    at the end of the contracting path (on the two lowest levels, as in the authors' released
    model). Weights start from N(0, sqrt(2/N)), biases from 0. By itself it is the paper's; options
    change it:

    * `norm`: batch, instance or group normalisation after each convolution. Statistics of the
      latter two are those of a tile, so that no two tiles fit together exactly: not seamless.
    * `kernel_size`, `activation`, and `convolutions` a level: the paper has 3x3, ReLU and two.
    * `merge: add`: what is skipped is added, as in residual networks, not concatenated.
    * `up: interpolated`: linear, without its outermost pixels, which lack a neighbour, and with a
      1x1 convolution, in the place of the 2x2 up-convolution.

    Raises ValueError for an input size that is not possible, naming the nearest that are.
    """

    last_layer = "classify."

    def __init__(self, options: UNetOptions) -> None:
        super().__init__()
        self.geometry = options.geometry()
        self.in_channels, self.depth = options.in_channels, options.depth
        self.adds, self.cut_px = options.merge == "add", int(options.up == "interpolated")
        widths = [options.base_channels * 2**level for level in range(options.depth + 1)]
        self.contracting = nn.ModuleList(
            _level(before, after, options)
            for before, after in zip([options.in_channels, *widths], widths, strict=False)
        )
        self.dropout = nn.Dropout(options.dropout)
        self.up = nn.ModuleList(way_up(options.up, width * 2, width) for width in widths[:-1])
        self.expanding = nn.ModuleList(
            _level(width if self.adds else 2 * width, width, options) for width in widths[:-1]
        )
        self.classify = nn.Conv2d(options.base_channels, options.num_classes, kernel_size=1)
        self.apply(initialise)

    @property
    def encoder(self) -> nn.Module:
        """The contracting path."""
        return self.contracting

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class, smaller than the input by twice the halo."""
        for axis, size_px in enumerate(image_BCHW.shape[-2:]):
            self.geometry.output_px(size_px, axis)
        *skipped, features_BCHW = way_down(self.contracting, image_BCHW, self.dropout)
        for level in reversed(range(self.depth)):
            features_BCHW = self.up[level](features_BCHW)  # twice as large, half as wide
            # no name keeps the skipped and the merged map, which are the largest, any longer
            features_BCHW = self.expanding[level](self._merged(skipped.pop(), features_BCHW))
        logits_BKHW: Tensor = self.classify(features_BCHW)
        return logits_BKHW

    def _merged(self, skipped_BCHW: Tensor, features_BCHW: Tensor) -> Tensor:
        """What was skipped, cropped to what came up, with it."""
        height, width = (size - 2 * self.cut_px for size in features_BCHW.shape[-2:])
        if self.cut_px:
            features_BCHW = centre(features_BCHW, height, width)
        kept_BCHW = centre(skipped_BCHW, height, width)
        if self.adds:
            return kept_BCHW + features_BCHW
        return torch.cat([kept_BCHW, features_BCHW], dim=1)


def build(**options: Any) -> UNet:
    """Build it; options as of `UNetOptions`. Raises ValueError that names those there are."""
    return UNet(UNetOptions.of("unet", options))


def _level(before: int, after: int, options: UNetOptions) -> nn.Sequential:
    return convolutions(
        before,
        after,
        norm=options.norm,
        activation=options.activation,
        kernel_size=options.kernel_size,
        times=options.convolutions,
        padded=False,
    )
