"""U-Net with the encoder of a classifier: ResNet, MobileNet or EfficientNet.

The decoder is that of Ronneberger et al. 2015: an up-convolution of 2x2, the encoder's features of
that size beside it, two convolutions of 3x3. Differences to that paper:

* Convolutions are zero-padded and batch-normalised, as those of the encoders are; what the zeros
  reach of a tile is cut away (`unetflow.networks.fitted`).
* The encoders halve the size in their first layer and have no features as large as the image: the
  last level of the decoder has nothing beside it. There are five levels instead of four.
* Widths of the decoder are 16 times base_channels at 1/16 of the size, halved on each level.

The encoder starts from random weights, or from a file of them that the experiment's `pretrained`
names (`unetflow.networks.backbone_weights`). Such weights were trained on channels of mean 0 and
deviation 1, as an experiment's are, too. Its normalisations are those it was published with; `norm`
is that of the decoder. efficientnet_b0 is not seamless: its squeeze and excitation takes means over
the whole tile.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unetflow.networks.backbones import backbone_of
from unetflow.networks.blocks import convolutions, initialise
from unetflow.networks.sizes.backbone_unet import BackboneUNetOptions


class BackboneUNet(nn.Module):
    """Logits (B, K, H, W) of images (B, C, H, W); H and W are multiples of 32."""

    last_layer = "classify."

    def __init__(self, options: BackboneUNetOptions) -> None:
        super().__init__()
        base, norm = options.base_channels, options.norm
        self.encoder = backbone_of(options.backbone, options.in_channels)
        beside = [0, *self.encoder.widths[:-1]]  # finest first, 0: none as large as the image
        widths = [base * 2**level for level in range(len(beside))]
        below = [*widths[1:], self.encoder.widths[-1]]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(before, after, kernel_size=2, stride=2)
            for before, after in zip(below, widths, strict=True)
        )
        self.decoder = nn.ModuleList(
            convolutions(after + kept, after, norm=norm, bias=norm is None)
            for after, kept in zip(widths, beside, strict=True)
        )
        self.classify = nn.Conv2d(base, options.num_classes, kernel_size=1)
        self.apply(initialise)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class for every pixel."""
        *skipped, features_BCHW = self.encoder(image_BCHW)
        for level in reversed(range(len(self.up))):
            features_BCHW = self.up[level](features_BCHW)  # twice as large
            if level:
                features_BCHW = torch.cat([skipped[level - 1], features_BCHW], dim=1)
            features_BCHW = self.decoder[level](features_BCHW)
        logits_BKHW: Tensor = self.classify(features_BCHW)
        return logits_BKHW


def build(**options: Any) -> BackboneUNet:
    """Build it; options as of `BackboneUNetOptions`; ValueErrors name those there are."""
    return BackboneUNet(BackboneUNetOptions.of("backbone_unet", options))
