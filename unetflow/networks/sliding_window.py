"""A classifier of the patch around each pixel. Ciresan, Giusti, Gambardella, Schmidhuber 2012.

"Deep Neural Networks Segment Neuronal Membranes in Electron Microscopy Images". The network is N4
of its table 1: four convolutions, each with a pooling of 2x2 after it, a hidden layer and the
classes. The patch of 95 px becomes 92, 46, 42, 21, 18, 9, 6 and 3 px:

    4x4, pool, 5x5, pool, 4x4, pool, 4x4, pool, 200 hidden, K classes

The *naive* way cuts the patch of each pixel out of the image and classifies it. Neighbours share
nearly all of their patches, so nearly all of that work is done again and again. The *dense* way
gives the same numbers, up to rounding: poolings that move by 1 px instead of 2, and dilations that
double with each of them, compute what all patches have in common once (the fragments of Giusti et
al. 2013, side by side in one image).

Differences to the paper: one network, not the mean of four (N1 to N4); ReLU as the activation; no
foveation and no uneven sampling of the patch; no calibration of the outputs afterwards.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile, P patches.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unetflow.networks.blocks import initialise
from unetflow.networks.network import Network
from unetflow.networks.sizes.sliding_window import SlidingWindowOptions

PATCHES_AT_ONCE = 128  # 48 maps of 92x92 px of each: 200 MB


class SlidingWindow(Network):
    """Logits (B, K, H - 94, W - 94) of images (B, C, H, W), of any size.

    The pixel is the centre of its patch, so the patch must be odd. Raises ValueError for an image
    that is smaller than the patch.
    """

    last_layer = "classify."

    def __init__(self, options: SlidingWindowOptions) -> None:
        super().__init__()
        self.geometry, self.in_channels = options.geometry(), options.in_channels
        self.patch_px, self.way = options.patch_px, options.way
        base, hidden = options.base_channels, options.hidden_channels
        layers: list[nn.Module] = []
        for level, size in enumerate(options.kernels):
            dilation = 2**level
            before = base if level else self.in_channels
            layers += [
                nn.Conv2d(before, base, size, dilation=dilation),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2, stride=1, dilation=dilation),
            ]
        self.features = nn.Sequential(*layers)
        self.hidden = nn.Sequential(
            nn.Conv2d(base, hidden, options.top_px, dilation=2 ** len(options.kernels)),
            nn.ReLU(inplace=True),
        )
        self.classify = nn.Conv2d(hidden, options.num_classes, kernel_size=1)
        self.apply(initialise)

    @property
    def encoder(self) -> nn.Module:
        """Convolutions and poolings, without the hidden layer."""
        return self.features

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class, smaller than the input by the patch less one pixel."""
        for axis, size_px in enumerate(image_BCHW.shape[-2:]):
            self.geometry.output_px(size_px, axis)  # refuses what is too small
        return self.naive(image_BCHW) if self.way == "naive" else self.dense(image_BCHW)

    def dense(self, image_BCHW: Tensor) -> Tensor:
        """Logits of all pixels at once."""
        logits_BKHW: Tensor = self.classify(self.hidden(self.features(image_BCHW)))
        return logits_BKHW

    def naive(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each pixel's patch by itself, some patches at a time."""
        patches = image_BCHW.unfold(2, self.patch_px, 1).unfold(3, self.patch_px, 1)
        rows = []
        for row in patches.unbind(2):  # (B, C, W, patch, patch)
            patches_PCHW = row.transpose(1, 2).flatten(0, 1)
            logits = [self.of_patches(some) for some in patches_PCHW.split(PATCHES_AT_ONCE)]
            rows.append(torch.cat(logits).unflatten(0, (len(image_BCHW), -1)))  # (B, W, K)
        return torch.stack(rows, dim=1).permute(0, 3, 1, 2)

    def of_patches(self, patches_PCHW: Tensor) -> Tensor:
        """Logits (P, K) of whole patches, with poolings that halve them: the paper's classifier."""
        features_PCHW = patches_PCHW
        for layer in [*self.features, *self.hidden, self.classify]:
            if isinstance(layer, nn.Conv2d):
                features_PCHW = nn.functional.conv2d(features_PCHW, layer.weight, layer.bias)
            elif isinstance(layer, nn.MaxPool2d):
                features_PCHW = nn.functional.max_pool2d(features_PCHW, 2)
            else:
                features_PCHW = layer(features_PCHW)
        return features_PCHW.flatten(1)


def build(**options: Any) -> SlidingWindow:
    """Build it; options as of `SlidingWindowOptions`; ValueErrors name those there are."""
    return SlidingWindow(SlidingWindowOptions.of("sliding_window", options))
