"""U-Net with the encoder of a classifier: ResNet, MobileNet or EfficientNet.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile.

The decoder is that of Ronneberger et al. 2015: an up-convolution of 2x2, the encoder's features of
that size beside it, two convolutions of 3x3.

Differences to that paper:

* Convolutions are zero-padded and batch-normalised, as those of the encoders are.
* The encoders halve the size in their first layer and have no features as large as the image: the
  last level of the decoder has nothing beside it. There are five levels instead of four.
* Widths of the decoder are 16 times base_channels at 1/16 of the size, halved on each level.
"""

import torch
from torch import Tensor, nn

from unetflow.networks.backbone_weights import load_backbone
from unetflow.networks.backbones import backbone_of
from unetflow.networks.layers import (
    PaddedNetwork,
    built,
    convolution,
    initialise,
    norm_of,
    positive,
    why_not_seamless,
)


class BackboneUNet(PaddedNetwork):
    """U-Net with a named backbone: (B, C, H, W) -> (B, K, H, W), multiples of 32 px.

    `backbone` is one of `unetflow.networks.backbones.BACKBONES`, `weights` a file of its weights
    (safetensors, or a state dict with torchvision's names). Such weights were trained on images
    with channels of mean 0 and deviation 1, as an experiment's are, too; for other numbers of
    channels see `load_backbone`. The backbone's normalisations are those it was published with;
    `norm` is that of the decoder. efficientnet_b0 is not seamless: its squeeze and excitation
    takes means over the whole tile.
    """

    last_layer = "classify."
    step_px = 32

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        backbone: str = "resnet34",
        base_channels: int = 16,
        norm: str | None = "batch",
        weights: str | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, classes, base = positive(
            in_channels=in_channels, num_classes=num_classes, base_channels=base_channels
        )
        self.backbone = backbone_of(backbone, self.in_channels)
        norm = norm_of(norm)
        self.why = self.backbone.why or why_not_seamless(norm)
        beside = [0, *self.backbone.widths[:-1]]  # finest first, 0: none as large as the image
        widths = [base * 2**level for level in range(len(beside))]
        below = [*widths[1:], self.backbone.widths[-1]]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(before, after, kernel_size=2, stride=2)
            for before, after in zip(below, widths, strict=True)
        )
        self.expanding = nn.ModuleList(
            nn.Sequential(
                convolution(after + kept, after, norm),
                convolution(after, after, norm),
            )
            for after, kept in zip(widths, beside, strict=True)
        )
        self.classify = nn.Conv2d(base, classes, kernel_size=1)
        self.apply(initialise)
        if weights is not None:
            load_backbone(self.backbone, weights)

    @property
    def encoder(self) -> nn.Module:
        """The backbone."""
        return self.backbone

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class, as large as the input."""
        self.check_size(image_BCHW)
        *skipped, features_BCHW = self.backbone(image_BCHW)
        for level in reversed(range(len(self.up))):
            features_BCHW = self.up[level](features_BCHW)  # twice as large
            if level:
                features_BCHW = torch.cat([skipped[level - 1], features_BCHW], dim=1)
            features_BCHW = self.expanding[level](features_BCHW)
        logits_BKHW: Tensor = self.classify(features_BCHW)
        return logits_BKHW


def build(**options: object) -> BackboneUNet:
    """Build the network; options as of `BackboneUNet`. Raises ValueError that names them."""
    return built(BackboneUNet, options)
