"""FCN-8s, the fully convolutional network. Long, Shelhamer and Darrell 2015, figure 3.

"Fully Convolutional Networks for Semantic Segmentation": VGG16 (Simonyan and Zisserman 2015) with
its fully connected layers as convolutions. Classes are scored on three levels, of 32, 16 and 8 px,
and added from coarse to fine. Differences to the paper:

* The image is not padded by 100 px: the convolution of 7x7 after the fifth pooling, valid there, is
  zero-padded here as the others are, so that all sizes fit without a crop. The two differ where
  padding reaches, and that is cut away (`unetflow.networks.fitted`).
* The last step, 8 times larger, is bilinear interpolation. There it is a transposed convolution
  with bilinear weights that are not learnt, the same away from the border.
* Scores start from He's weights, not from 0: with these nothing below would learn at first.
* All layers learn at once, from random weights; there three networks were trained one after the
  other (32s, 16s, 8s), from VGG16's weights of ImageNet.
* `norm` is an option; the paper's has none.

At base 64, 4096 hidden channels, 3 channels and 21 classes it is the network of the paper, of 134
million parameters: of these 103 million are the one convolution of 7x7.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unetflow.networks.blocks import convolutions, enlarged, initialise
from unetflow.networks.sizes.fcn import VGG16, VGG16_WIDTHS, FCNOptions


class FCN(nn.Module):
    """Logits (B, K, H, W) of images (B, C, H, W); H and W are multiples of 32."""

    last_layer = "score."

    def __init__(self, options: FCNOptions) -> None:
        super().__init__()
        classes, hidden, norm = options.num_classes, options.hidden_channels, options.norm
        widths = [options.base_channels * factor for factor in VGG16_WIDTHS]
        self.encoder = nn.ModuleList(
            nn.Sequential(
                _convolutions(before, after, norm, times=count),
                nn.MaxPool2d(2),
            )
            for before, after, count in zip(
                [options.in_channels, *widths], widths, VGG16, strict=False
            )
        )
        self.encoder.append(
            nn.Sequential(
                _convolutions(widths[-1], hidden, norm, kernel_size=7),
                nn.Dropout(options.dropout),
                _convolutions(hidden, hidden, norm, kernel_size=1),
                nn.Dropout(options.dropout),
            )
        )
        self.score = nn.ModuleDict(
            {
                "of_8": nn.Conv2d(widths[2], classes, kernel_size=1),
                "of_16": nn.Conv2d(widths[3], classes, kernel_size=1),
                "of_32": nn.Conv2d(hidden, classes, kernel_size=1),
                "up_16": nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False),
                "up_8": nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False),
            }
        )
        self.apply(initialise)
        for name in ("up_16", "up_8"):
            start_bilinear(self.score[name])

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class for every pixel."""
        features_BCHW, pooled = image_BCHW, []
        for level in self.encoder:
            features_BCHW = level(features_BCHW)
            pooled.append(features_BCHW)
        of_8_BCHW, of_16_BCHW = pooled[2], pooled[3]
        scores_BKHW = self.score["up_16"](self.score["of_32"](features_BCHW))
        scores_BKHW = self.score["up_8"](scores_BKHW + self.score["of_16"](of_16_BCHW))
        return enlarged(scores_BKHW + self.score["of_8"](of_8_BCHW), 8, linear=True)


def build(**options: Any) -> FCN:
    """Build it; options as of `FCNOptions`. Raises ValueError that names those there are."""
    return FCN(FCNOptions.of("fcn", options))


@torch.no_grad()
def start_bilinear(up: nn.Module) -> None:
    """Make a transposed convolution that doubles the size interpolate each channel by itself."""
    assert isinstance(up, nn.ConvTranspose2d)
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25], device=up.weight.device)
    up.weight.zero_()
    up.weight.diagonal().copy_((taps[:, None] * taps)[..., None])


def _convolutions(
    before: int, after: int, norm: str | None, *, kernel_size: int = 3, times: int = 1
) -> nn.Sequential:
    bias = norm is None
    return convolutions(before, after, norm=norm, kernel_size=kernel_size, times=times, bias=bias)
