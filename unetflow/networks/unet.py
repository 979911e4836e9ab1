"""The U-Net of Ronneberger, Fischer and Brox 2015, figure 1, to the layer.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from unetflow.arguments import number_of, whole_number_of
from unetflow.networks.network import Network
from unetflow.tiles.valid_sizes import unet_geometry

NORMS: dict[str | None, Callable[[int], list[nn.Module]]] = {
    None: lambda channels: [],
    "batch": lambda channels: [nn.BatchNorm2d(channels)],
    "instance": lambda channels: [nn.InstanceNorm2d(channels, affine=True)],
}


class UNet(Network):
    """Contracting and expanding path of valid convolutions: (B, C, 572, 572) -> (B, K, 388, 388).

    At base 64 and depth 4 it has 23 convolution layers and 31 million parameters. Dropout stands
    at the end of the contracting path (on the two lowest levels, as in the authors' released
    model). Weights start from N(0, sqrt(2/N)), biases from 0. `norm` is none, as in the paper, or
    batch or instance normalisation after each convolution; of the latter the statistics are those
    of a tile, so that no two tiles fit together exactly: it is not seamless. Raises ValueError
    for an input size that is not possible, naming the nearest that are.
    """

    last_layer = "classify."

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        base_channels: int = 64,
        depth: int = 4,
        dropout: float = 0.5,
        norm: str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(norm, str | None) or norm not in NORMS:
            raise ValueError(f"norm {norm!r} is not known; there are None, batch and instance")
        in_channels = whole_number_of(in_channels, "in_channels", least=1)
        num_classes = whole_number_of(num_classes, "num_classes", least=1)
        base_channels = whole_number_of(base_channels, "base_channels", least=1)
        depth = whole_number_of(depth, "depth", least=1)
        if not 0 <= number_of(dropout, "dropout") < 1:
            raise ValueError(f"dropout is {dropout}: must lie in [0, 1), usually 0 to 0.5.")
        self.geometry = unet_geometry(depth, base_channels, norm)
        self.in_channels, self.depth = in_channels, depth
        widths = [base_channels * 2**level for level in range(depth + 1)]
        self.contracting = nn.ModuleList(
            _two_convolutions(before, after, norm)
            for before, after in zip([in_channels, *widths], widths, strict=False)
        )
        self.dropout = nn.Dropout(dropout)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(width * 2, width, kernel_size=2, stride=2) for width in widths[:-1]
        )
        self.expanding = nn.ModuleList(
            _two_convolutions(2 * width, width, norm) for width in widths[:-1]
        )
        self.classify = nn.Conv2d(base_channels, num_classes, kernel_size=1)
        self.apply(_initialise)

    @property
    def encoder(self) -> nn.Module:
        """The contracting path."""
        return self.contracting

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class, smaller than the input by twice the halo."""
        for axis, size_px in enumerate(image_BCHW.shape[-2:]):
            self.geometry.output_px(size_px, axis)
        skipped = []
        features_BCHW = image_BCHW
        for level, convolve in enumerate(self.contracting):
            features_BCHW = convolve(features_BCHW)
            if level >= self.depth - 1:
                features_BCHW = self.dropout(features_BCHW)
            if level < self.depth:
                skipped.append(features_BCHW)
                features_BCHW = nn.functional.max_pool2d(features_BCHW, 2)
        for level in reversed(range(self.depth)):
            features_BCHW = self.up[level](features_BCHW)  # twice as large, half as wide
            kept_BCHW = _centre(skipped.pop(), features_BCHW)
            features_BCHW = self.expanding[level](torch.cat([kept_BCHW, features_BCHW], dim=1))
        logits_BKHW: Tensor = self.classify(features_BCHW)
        return logits_BKHW


def build(**options: int | float | str | None) -> UNet:
    """Build the paper's network; options as of `UNet`."""
    try:
        return UNet(**options)  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError(
            f"options {sorted(options)} do not fit: {error}; there are in_channels, num_classes, "
            "base_channels, depth, dropout and norm"
        ) from error


def _two_convolutions(before: int, after: int, norm: str | None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, kernel_size=3), *NORMS[norm](after)]
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _centre(features_BCHW: Tensor, like_BCHW: Tensor) -> Tensor:
    """The middle of a feature map, as large as another one: the paper's crop."""
    height, width = like_BCHW.shape[-2:]
    top = (features_BCHW.shape[-2] - height) // 2
    left = (features_BCHW.shape[-1] - width) // 2
    if features_BCHW.requires_grad:
        # The gradient of a slice comes plane by plane, and all that is below it then lays the
        # channels side by side again; that of a negative border keeps the layout.
        bottom = features_BCHW.shape[-2] - height - top
        right = features_BCHW.shape[-1] - width - left
        return nn.functional.pad(features_BCHW, (-left, -right, -top, -bottom))
    return features_BCHW[..., top : top + height, left : left + width]


def _initialise(layer: nn.Module) -> None:
    """He et al. 2015: N(0, sqrt(2/N)), N the incoming nodes of one neuron; biases 0.

    N is kernel area times input channels; of an up-convolution with stride 2 and kernel 2 each
    output pixel sees one tap, so N is its input channels.
    """
    if isinstance(layer, nn.ConvTranspose2d):
        incoming = layer.in_channels
    elif isinstance(layer, nn.Conv2d):
        incoming = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
    else:
        return
    nn.init.normal_(layer.weight, std=math.sqrt(2 / incoming))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
