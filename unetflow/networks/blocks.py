"""What networks are made of: convolutions with norm and activation, ways up, crops, first weights.

Shape suffixes: B batch, C channels, H W of a feature map.
"""

import math
from collections.abc import Callable

from torch import Tensor, nn

GROUPS = 32  # of group normalisation: Wu and He 2018; fewer where they do not divide the channels

NORMS: dict[str | None, Callable[[int], list[nn.Module]]] = {
    None: lambda channels: [],
    "batch": lambda channels: [nn.BatchNorm2d(channels)],
    "instance": lambda channels: [nn.InstanceNorm2d(channels, affine=True)],
    "group": lambda channels: [nn.GroupNorm(math.gcd(GROUPS, channels), channels)],
}

# True: in place, where what goes in is needed nowhere else.
ACTIVATIONS: dict[str, Callable[[bool], nn.Module]] = {
    "relu": lambda in_place: nn.ReLU(in_place),
    "leaky_relu": lambda in_place: nn.LeakyReLU(0.01, in_place),
    "elu": lambda in_place: nn.ELU(1.0, in_place),
    "gelu": lambda in_place: nn.GELU(),
    "silu": lambda in_place: nn.SiLU(in_place),
}


def convolutions(
    before: int,
    after: int,
    *,
    norm: str | None = None,
    activation: str | None = "relu",
    kernel_size: int = 3,
    times: int = 2,
    padded: bool = True,
    bias: bool = True,
) -> nn.Sequential:
    """Convolution, norm and activation, several times; `padded` keeps height and width."""
    layers: list[nn.Module] = []
    padding = kernel_size // 2 if padded else 0
    for channels in (before, *(after for _ in range(times - 1))):
        layers += [
            nn.Conv2d(channels, after, kernel_size, padding=padding, bias=bias),
            *NORMS[norm](after),
            *([ACTIVATIONS[activation](True)] if activation else []),
        ]
    return nn.Sequential(*layers)


class Interpolated(nn.Module):
    """Twice as high and wide by linear interpolation, with other channels by a 1x1 convolution.

    The convolution comes first, where it has a quarter of the work: weights of an interpolation
    sum to one, so that the order changes nothing but rounding.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(before, after, kernel_size=1)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, other C, 2 H, 2 W)."""
        return enlarged(self.convolve(features_BCHW), linear=True)


def way_down(
    levels: nn.ModuleList, image_BCHW: Tensor, dropout: nn.Module | None = None
) -> list[Tensor]:
    """The map of each level, pooled from one to the next; dropout is on the lowest two."""
    maps: list[Tensor] = []
    for level, convolve in enumerate(levels):
        entering_BCHW = nn.functional.max_pool2d(maps[-1], 2) if maps else image_BCHW
        features_BCHW = convolve(entering_BCHW)
        if dropout is not None and level >= len(levels) - 2:
            features_BCHW = dropout(features_BCHW)
        maps.append(features_BCHW)
    return maps


def way_up(kind: str, before: int, after: int) -> nn.Module:
    """The layer that doubles height and width: "transposed" or "interpolated"."""
    if kind == "transposed":
        return nn.ConvTranspose2d(before, after, kernel_size=2, stride=2)
    return Interpolated(before, after)


def enlarged(features_BCHW: Tensor, factor: int = 2, *, linear: bool = False) -> Tensor:
    """`factor` times as high and wide, by the nearest pixels or linear between them.

    Corners are not aligned: where aligned ones lie depends on the tile's size.
    """
    if not linear:
        return nn.functional.interpolate(features_BCHW, scale_factor=factor, mode="nearest")
    return nn.functional.interpolate(
        features_BCHW, scale_factor=factor, mode="bilinear", align_corners=False
    )


def centre(features_BCHW: Tensor, height: int, width: int) -> Tensor:
    """The middle of a feature map: the paper's crop."""
    top = (features_BCHW.shape[-2] - height) // 2
    left = (features_BCHW.shape[-1] - width) // 2
    if features_BCHW.requires_grad:
        # The gradient of a slice comes plane by plane, and all that is below it then lays the
        # channels side by side again; that of a negative border keeps the layout.
        bottom = features_BCHW.shape[-2] - height - top
        right = features_BCHW.shape[-1] - width - left
        return nn.functional.pad(features_BCHW, (-left, -right, -top, -bottom))
    return features_BCHW[..., top : top + height, left : left + width]


def initialise(layer: nn.Module) -> None:
    """He et al. 2015: N(0, sqrt(2/N)), N the incoming nodes of one neuron; biases 0.

    N is kernel area times input channels of a group; of an up-convolution each output pixel sees
    kernel area / stride area of the taps.
    """
    if isinstance(layer, nn.ConvTranspose2d):
        taps = math.prod(layer.kernel_size) // math.prod(layer.stride)
        incoming = layer.in_channels // layer.groups * taps
    elif isinstance(layer, nn.Conv2d):
        incoming = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    else:
        return
    nn.init.normal_(layer.weight, std=math.sqrt(2 / incoming))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
