"""A classifier of the patch around each pixel: Ciresan, Giusti, Gambardella, Schmidhuber 2012.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile, P patches.

The network is N4 of the paper's table 1: four convolutions, each with a pooling of 2x2 after it, a
hidden layer and the classes. The patch of 95 px becomes 92, 46, 42, 21, 18, 9, 6 and 3 px:

    4x4, pool, 5x5, pool, 4x4, pool, 4x4, pool, 200 hidden, K classes

The *naive* way cuts the patch of each pixel out of the image and classifies it. Neighbours share
nearly all of their patches, so nearly all of that work is done again and again. The *dense* way
gives the same numbers, up to rounding: poolings that move by 1 px instead of 2, and dilations that
double with each of them, compute what all patches have in common once (the fragments of Giusti et
al. 2013, side by side in one image).

Differences to the paper: one network, not the mean of four (N1 to N4); ReLU as the activation; no
foveation and no uneven sampling of the patch; no calibration of the outputs afterwards.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unetflow.arguments import list_of
from unetflow.networks.layers import built, initialise, positive

PATCHES_AT_ONCE = 128  # 48 maps of 92x92 px of each: 200 MB


class SlidingWindow(nn.Module):
    """Patch classifier at each pixel: (B, C, H, W) -> (B, K, H - 94, W - 94), any H and W.

    `kernels` are the sizes of the convolutions, `top_px` what is left of the patch before the
    hidden layer. The pixel is the centre of its patch, so the patch must be odd: its size is even
    after the first pooling, whatever follows, and the first kernel adds one less than its own.
    `way` is "dense" or "naive". Raises ValueError for an image that is smaller than the patch.
    """

    last_layer = "classify."
    step_px = 1
    why = ""

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        base_channels: int = 48,
        hidden_channels: int = 200,
        kernels: Sequence[int] = (4, 5, 4, 4),
        top_px: int = 3,
        way: str = "dense",
    ) -> None:
        super().__init__()
        self.in_channels, classes, base, hidden, top_px = positive(
            in_channels=in_channels,
            num_classes=num_classes,
            base_channels=base_channels,
            hidden_channels=hidden_channels,
            top_px=top_px,
        )
        if way not in ("dense", "naive"):
            raise ValueError(f"way {way!r} is not known; there are dense and naive")
        self.way = way
        sizes = positive(**{f"kernels[{i}]": size for i, size in enumerate(list_of(kernels))})
        self.patch_px = patch_px(sizes, top_px)
        layers: list[nn.Module] = []
        for level, size in enumerate(sizes):
            dilation = 2**level
            before = base if level else self.in_channels
            layers += [
                nn.Conv2d(before, base, size, dilation=dilation),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2, stride=1, dilation=dilation),
            ]
        self.features = nn.Sequential(*layers)
        self.hidden = nn.Sequential(
            nn.Conv2d(base, hidden, top_px, dilation=2 ** len(sizes)), nn.ReLU(inplace=True)
        )
        self.classify = nn.Conv2d(hidden, classes, kernel_size=1)
        self.apply(initialise)

    @property
    def encoder(self) -> nn.Module:
        """Convolutions and poolings, without the hidden layer."""
        return self.features

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class, smaller than the input by the patch less one pixel."""
        if min(image_BCHW.shape[-2:]) < self.patch_px:
            raise ValueError(
                f"an input of {tuple(image_BCHW.shape[-2:])} px is smaller than the patch of "
                f"{self.patch_px} px: this network takes {self.patch_px} px and more"
            )
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


def patch_px(kernels: Sequence[int], top_px: int) -> int:
    """The side of the patch: (4, 5, 4, 4) and 3 px -> 95 px. Raises ValueError where it is even."""
    size_px = top_px
    for kernel in reversed(kernels):
        size_px = 2 * size_px + kernel - 1
    if size_px % 2 == 0:
        raise ValueError(
            f"kernels {list(kernels)} give a patch of {size_px} px, which has no pixel in its "
            "centre: the first kernel must be even, such as 4."
        )
    return size_px


def build(**options: object) -> SlidingWindow:
    """Build the classifier; options as of `SlidingWindow`. Raises ValueError that names them."""
    return built(SlidingWindow, options)
