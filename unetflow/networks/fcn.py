"""FCN-8s, the fully convolutional network of Long, Shelhamer and Darrell 2015, figure 3.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile.

The encoder is VGG16 (Simonyan and Zisserman 2015) with its fully connected layers as convolutions.
Classes are scored on three levels, of 32, 16 and 8 px, and added from coarse to fine.

Differences to the paper:

* The image is not padded by 100 px: the convolution of 7x7 after the fifth pooling, valid there, is
  zero-padded here as the others are, so that all sizes fit without a crop. The two differ where
  padding reaches.
* The last step, 8 times larger, is bilinear interpolation. There it is a transposed convolution
  with bilinear weights that are not learnt, the same away from the border.
* Scores start from He's weights, not from 0: with these nothing below would learn at first.
* All layers learn at once, from random weights; there three networks were trained one after the
  other (32s, 16s, 8s), from VGG16's weights of ImageNet.
* `norm` is an option; the paper's has none.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from unetflow.networks.layers import (
    PaddedNetwork,
    built,
    convolution,
    dropout_of,
    enlarged,
    initialise,
    norm_of,
    positive,
    why_not_seamless,
)

CONVOLUTIONS = (2, 2, 3, 3, 3)  # of VGG16, before each pooling
WIDTHS = (1, 2, 4, 8, 8)  # times base_channels


class FCN(PaddedNetwork):
    """FCN-8s: (B, C, H, W) -> (B, K, H, W), H and W multiples of 32 px.

    At base 64, 4096 hidden channels, 3 channels and 21 classes it is the network of the paper, of
    134 million parameters: of these 103 million are the one convolution of 7x7.
    """

    last_layer = "score."
    step_px = 32

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        base_channels: int = 64,
        hidden_channels: int = 4096,
        dropout: float = 0.5,
        norm: str | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, classes, base, hidden = positive(
            in_channels=in_channels,
            num_classes=num_classes,
            base_channels=base_channels,
            hidden_channels=hidden_channels,
        )
        norm, self.why = norm_of(norm), why_not_seamless(norm)
        widths = [base * factor for factor in WIDTHS]
        self.levels = nn.ModuleList(
            _level(before, after, count, norm)
            for before, after, count in zip(
                [self.in_channels, *widths], widths, CONVOLUTIONS, strict=False
            )
        )
        self.levels.append(
            nn.Sequential(
                convolution(widths[-1], hidden, norm, kernel=7),
                nn.Dropout(dropout_of(dropout)),
                convolution(hidden, hidden, norm, kernel=1),
                nn.Dropout(dropout),
            )
        )
        self.score = nn.ModuleDict(
            {
                "of_8": nn.Conv2d(widths[2], classes, kernel_size=1),
                "of_16": nn.Conv2d(widths[3], classes, kernel_size=1),
                "of_32": nn.Conv2d(hidden, classes, kernel_size=1),
                "up_16": _twice_as_large(classes),
                "up_8": _twice_as_large(classes),
            }
        )
        self.apply(initialise)
        for up in (self.score["up_16"], self.score["up_8"]):
            start_bilinear(up)

    @property
    def encoder(self) -> nn.Module:
        """VGG16, without the scores."""
        return self.levels

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class, as large as the input."""
        self.check_size(image_BCHW)
        features_BCHW, pooled = image_BCHW, []
        for level in self.levels:
            features_BCHW = level(features_BCHW)
            pooled.append(features_BCHW)
        of_8_BCHW, of_16_BCHW = pooled[2], pooled[3]
        scores_BKHW = self.score["up_16"](self.score["of_32"](features_BCHW))
        scores_BKHW = self.score["up_8"](scores_BKHW + self.score["of_16"](of_16_BCHW))
        return enlarged(scores_BKHW + self.score["of_8"](of_8_BCHW), 8)


def build(**options: object) -> FCN:
    """Build FCN-8s; options as of `FCN`. Raises ValueError that names those there are."""
    return built(FCN, options)


@torch.no_grad()
def start_bilinear(up: nn.Module) -> None:
    """Make a transposed convolution that doubles the size interpolate each channel by itself."""
    assert isinstance(up, nn.ConvTranspose2d)
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25], device=up.weight.device)
    up.weight.zero_()
    up.weight.diagonal().copy_((taps[:, None] * taps)[..., None])


def _level(before: int, after: int, count: int, norm: str | None) -> nn.Sequential:
    """Convolutions of 3x3, and a pooling."""
    widths = [before] + [after] * count
    layers = [convolution(*pair, norm) for pair in pairwise(widths)]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def _twice_as_large(channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False)
