"""MultiResUNet of Ibtehaz and Rahman 2020, figures 3 to 5 and table 1.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile.

A MultiRes block takes the place of two convolutions: three of 3x3 in a row, whose outputs lie side
by side as those of 3x3, 5x5 and 7x7 would, beside a shortcut. A Res path, of convolutions with a
shortcut each, takes the place of a copy from the encoder to the decoder.

Differences to the paper:

* Logits come from a convolution of 1x1 with a bias; in the authors' program batch normalisation
  comes after it, without a bias, and then the sigmoid of one class.
* Batch normalisations have a scale and a shift; in the authors' program those right after a
  convolution have a shift alone.
* `norm` may be another one, or none.
"""

import torch
from torch import Tensor, nn

from unetflow.arguments import number_of
from unetflow.networks.layers import (
    NORMS,
    PaddedNetwork,
    built,
    convolution,
    initialise,
    norm_of,
    positive,
    why_not_seamless,
)

SHARES = (0.167, 0.333, 0.5)  # 1/6, 1/3, 1/2 as the authors' program has them, rounded down


class MultiResUNet(PaddedNetwork):
    """U-Net of MultiRes blocks: (B, C, H, W) -> (B, K, H, W), multiples of 2**depth px.

    A level of U filters in a U-Net has W = alpha * U here, shared out to the convolutions of its
    blocks as W/6, W/3 and W/2. With alpha 1.67 there are about as many parameters as in a padded
    U-Net of the same base: 7.3 million at base 32 (7.8 million).
    """

    last_layer = "classify."

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        base_channels: int = 32,
        depth: int = 4,
        alpha: float = 1.67,
        norm: str | None = "batch",
    ) -> None:
        super().__init__()
        self.in_channels, classes, base, depth = positive(
            in_channels=in_channels,
            num_classes=num_classes,
            base_channels=base_channels,
            depth=depth,
        )
        norm, self.why = norm_of(norm), why_not_seamless(norm)
        self.step_px = 2**depth
        nominal = [base * 2**level for level in range(depth + 1)]
        shares = [shares_of(filters, alpha) for filters in nominal]
        widths = [sum(each) for each in shares]
        self.blocks = nn.ModuleList(
            MultiResBlock(before, share, norm)
            for before, share in zip([self.in_channels, *widths], shares, strict=False)
        )
        self.paths = nn.ModuleList(
            nn.Sequential(
                *(
                    ResidualConvolution(width if first else filters, filters, norm)
                    for first in [True] + [False] * (depth - level - 1)
                )
            )
            for level, (width, filters) in enumerate(zip(widths[:-1], nominal, strict=False))
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(below, filters, kernel_size=2, stride=2)
            for below, filters in zip(widths[1:], nominal, strict=False)
        )
        self.expanding = nn.ModuleList(
            MultiResBlock(2 * filters, share, norm)
            for filters, share in zip(nominal[:-1], shares, strict=False)
        )
        self.classify = nn.Conv2d(widths[0], classes, kernel_size=1)
        self.apply(initialise)

    @property
    def encoder(self) -> nn.Module:
        """The blocks of the contracting path."""
        return self.blocks

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class, as large as the input."""
        self.check_size(image_BCHW)
        features_BCHW, skipped = image_BCHW, []
        for level, block in enumerate(self.blocks):
            features_BCHW = block(features_BCHW)
            if level < len(self.paths):
                skipped.append(self.paths[level](features_BCHW))
                features_BCHW = nn.functional.max_pool2d(features_BCHW, 2)
        for level in reversed(range(len(self.paths))):
            features_BCHW = self.up[level](features_BCHW)  # twice as large
            features_BCHW = torch.cat([features_BCHW, skipped[level]], dim=1)
            features_BCHW = self.expanding[level](features_BCHW)
        logits_BKHW: Tensor = self.classify(features_BCHW)
        return logits_BKHW


class MultiResBlock(nn.Module):
    """Convolutions in a row, their outputs side by side, and a shortcut of 1x1 added: figure 3."""

    def __init__(self, before: int, shares: list[int], norm: str | None) -> None:
        super().__init__()
        width = sum(shares)
        self.shortcut = convolution(before, width, norm, kernel=1, relu=False)
        self.row = nn.ModuleList(
            convolution(*pair, norm) for pair in zip([before, *shares], shares, strict=False)
        )
        self.inner = nn.Sequential(*NORMS[norm](width))
        self.outer = nn.Sequential(*NORMS[norm](width))

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """As large as its input, with as many channels as its shares have together."""
        found, last_BCHW = [], features_BCHW
        for layer in self.row:
            last_BCHW = layer(last_BCHW)
            found.append(last_BCHW)
        sum_BCHW = self.shortcut(features_BCHW) + self.inner(torch.cat(found, dim=1))
        result_BCHW: Tensor = self.outer(nn.functional.relu(sum_BCHW))
        return result_BCHW


class ResidualConvolution(nn.Module):
    """A convolution of 3x3 beside one of 1x1, added: of such a Res path consists, figure 4."""

    def __init__(self, before: int, after: int, norm: str | None) -> None:
        super().__init__()
        self.shortcut = convolution(before, after, norm, kernel=1, relu=False)
        self.convolve = convolution(before, after, norm)
        self.outer = nn.Sequential(*NORMS[norm](after))

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """As large as its input."""
        sum_BCHW = self.shortcut(features_BCHW) + self.convolve(features_BCHW)
        result_BCHW: Tensor = self.outer(nn.functional.relu(sum_BCHW))
        return result_BCHW


def shares_of(filters: int, alpha: float) -> list[int]:
    """Filters of the three convolutions in a block where a U-Net has `filters`.

    Raises ValueError where one would have none.
    """
    shares = [int(number_of(alpha, "alpha") * filters * share) for share in SHARES]
    if min(shares) < 1:
        raise ValueError(
            f"alpha {alpha} and base_channels {filters} give blocks of {shares} filters: each must "
            "have 1 or more. Take a larger base, 4 or more at alpha 1.67."
        )
    return shares


def build(**options: object) -> MultiResUNet:
    """Build the network; options as of `MultiResUNet`. Raises ValueError that names them."""
    return built(MultiResUNet, options)
