"""Feature pyramid network, with a head for segmentation. Lin et al. 2017, figures 2 and 3.

"Feature Pyramid Networks for Object Detection": down a backbone, and up again: the coarser map,
twice as large by its nearest pixels, is *added* to the finer one, which a 1x1 convolution gave as
many channels (U-Net lays the two side by side). A 3x3 convolution follows on each of the four
levels, of 1/4 to 1/32 of the size. Differences to the papers:

* Lin et al. predict boxes, and masks from windows of 5x5. The head here is that of Kirillov et al.
  2019 ("Panoptic Feature Pyramid Networks", figure 3): each level is brought to 1/4 by 3x3
  convolutions that are interpolated to twice the size each; their sum gives the classes, 4 times
  larger by interpolation.
* The head has batch normalisation, Kirillov et al. group normalisation: with that (`norm: group`)
  it is not seamless.
* The backbone starts from random weights, or a file that `pretrained` names; theirs was trained on
  ImageNet. Its normalisations are those it was published with; `norm` is that of the head.
* Of a tile what zero padding reaches is cut away (`unetflow.networks.fitted`).

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile.
"""

from typing import Any

from torch import Tensor, nn

from unetflow.networks.backbones import backbone_of
from unetflow.networks.blocks import convolutions, enlarged, initialise
from unetflow.networks.sizes.fpn import FPNOptions


class FPN(nn.Module):
    """Logits (B, K, H, W) of images (B, C, H, W); H and W are multiples of 32."""

    last_layer = "classify."

    def __init__(self, options: FPNOptions) -> None:
        super().__init__()
        width, head = options.pyramid_channels, options.head_channels
        self.encoder = backbone_of(options.backbone, options.in_channels)
        levels = self.encoder.widths[1:]  # of 1/4 to 1/32
        self.lateral = nn.ModuleList(nn.Conv2d(before, width, kernel_size=1) for before in levels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in levels)
        self.head = nn.ModuleList(
            _head(width, head, level, options) for level in range(len(levels))
        )
        self.classify = nn.Conv2d(head, options.num_classes, kernel_size=1)
        self.apply(initialise)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class for every pixel."""
        _, *features = self.encoder(image_BCHW)
        pyramid = [lateral(each) for lateral, each in zip(self.lateral, features, strict=True)]
        for level in reversed(range(len(pyramid) - 1)):
            pyramid[level] = pyramid[level] + enlarged(pyramid[level + 1])
        heads = [
            head(smooth(each))
            for head, smooth, each in zip(self.head, self.smooth, pyramid, strict=True)
        ]
        sum_BCHW = heads[0]
        for each in heads[1:]:
            sum_BCHW = sum_BCHW + each
        return enlarged(self.classify(sum_BCHW), 4, linear=True)


class Doubled(nn.Module):
    """Twice as high and wide, by interpolation."""

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2 H, 2 W)."""
        return enlarged(features_BCHW, linear=True)


def build(**options: Any) -> FPN:
    """Build it; options as of `FPNOptions`. Raises ValueError that names those there are."""
    return FPN(FPNOptions.of("fpn", options))


def _head(width: int, head: int, level: int, options: FPNOptions) -> nn.Sequential:
    """Brings one level of the pyramid to the size of its finest."""
    layers: list[nn.Module] = []
    for later in range(max(1, level)):
        bias = options.norm is None
        before = head if later else width
        layers.append(convolutions(before, head, norm=options.norm, times=1, bias=bias))
        layers += [Doubled()] if level else []
    return nn.Sequential(*layers)
