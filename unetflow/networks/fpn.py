"""Feature pyramid network of Lin et al. 2017, figures 2 and 3, with a head for segmentation.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile.

Down a ResNet, and up again: the coarser map, twice as large by its nearest pixels, is *added* to
the finer one, which a convolution of 1x1 gave as many channels (U-Net lays the two side by side). A
convolution of 3x3 follows on each of the four levels, of 1/4 to 1/32 of the size.

Differences to the papers:

* Lin et al. predict boxes, and masks from windows of 5x5. The head here is that of Kirillov et al.
  2019 (Panoptic FPN, figure 3): each level is brought to 1/4 by convolutions of 3x3 that are
  interpolated to twice the size each; their sum gives the classes, 4 times larger by interpolation.
* The head has batch normalisation, Kirillov et al. group normalisation: with that (`norm: group`)
  tiles do not fit together exactly.
* The backbone starts from random weights, unless a file is given; theirs was trained on ImageNet.
"""

from torch import Tensor, nn

from unetflow.networks.backbone_weights import load_backbone
from unetflow.networks.backbones import backbone_of
from unetflow.networks.layers import (
    PaddedNetwork,
    built,
    convolution,
    enlarged,
    initialise,
    norm_of,
    positive,
    why_not_seamless,
)


class FPN(PaddedNetwork):
    """Pyramid of four levels, added: (B, C, H, W) -> (B, K, H, W), multiples of 32 px.

    `backbone` is one of `unetflow.networks.backbones.BACKBONES`, `weights` a file of its weights.
    Its normalisations are those it was published with; `norm` is that of the head.
    """

    last_layer = "classify."
    step_px = 32

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        backbone: str = "resnet50",
        pyramid_channels: int = 256,
        head_channels: int = 128,
        norm: str | None = "batch",
        weights: str | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, classes, width, head = positive(
            in_channels=in_channels,
            num_classes=num_classes,
            pyramid_channels=pyramid_channels,
            head_channels=head_channels,
        )
        self.backbone = backbone_of(backbone, self.in_channels)
        norm = norm_of(norm)
        self.why = self.backbone.why or why_not_seamless(norm)
        levels = self.backbone.widths[1:]  # of 1/4 to 1/32
        self.lateral = nn.ModuleList(nn.Conv2d(before, width, kernel_size=1) for before in levels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in levels)
        self.head = nn.ModuleList(
            nn.ModuleList(
                convolution(head if later else width, head, norm) for later in range(max(1, level))
            )
            for level in range(len(levels))
        )
        self.classify = nn.Conv2d(head, classes, kernel_size=1)
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
        pyramid = [
            lateral(features_BCHW)
            for lateral, features_BCHW in zip(
                self.lateral, self.backbone(image_BCHW)[1:], strict=True
            )
        ]
        for level in reversed(range(len(pyramid) - 1)):
            pyramid[level] = pyramid[level] + enlarged(pyramid[level + 1], 2, "nearest")
        levels = [
            self._at_a_quarter(level, smooth(pyramid[level]))
            for level, smooth in enumerate(self.smooth)
        ]
        return enlarged(self.classify(sum(levels)), 4)

    def _at_a_quarter(self, level: int, features_BCHW: Tensor) -> Tensor:
        """Features of one level of the pyramid, as large as those of its finest."""
        layers = self.head[level]
        assert isinstance(layers, nn.ModuleList)
        for convolve in layers:
            features_BCHW = convolve(features_BCHW)
            if level:
                features_BCHW = enlarged(features_BCHW, 2)
        return features_BCHW


def build(**options: object) -> FPN:
    """Build the network; options as of `FPN`. Raises ValueError that names those there are."""
    return built(FPN, options)
