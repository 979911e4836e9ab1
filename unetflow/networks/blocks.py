"""What networks are made of: convolutions with norm and activation, ways up, crops, first weights.

`axes` are the spatial ones: 2 of images, 3 of volumes.

Shape suffixes: B batch, C channels, H W of a feature map; of volumes D H W.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

GROUPS = 32  # of group normalisation: Wu and He 2018; fewer where they do not divide the channels

NORMS: dict[str | None, Callable[[int], list[nn.Module]]] = {
    None: lambda channels: [],
    "batch": lambda channels: [nn.BatchNorm2d(channels)],
    "instance": lambda channels: [nn.InstanceNorm2d(channels, affine=True)],
    "group": lambda channels: [nn.GroupNorm(math.gcd(GROUPS, channels), channels)],
}

NORMS_OF_VOLUMES: dict[str | None, Callable[[int], list[nn.Module]]] = {
    **NORMS,
    "batch": lambda channels: [nn.BatchNorm3d(channels)],
    "instance": lambda channels: [nn.InstanceNorm3d(channels, affine=True)],
}
# By the number of spatial axes
NORMS_OF = {2: NORMS, 3: NORMS_OF_VOLUMES}
CONVOLUTION: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, Any] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOLING: dict[int, Any] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
LINEAR = {2: "bilinear", 3: "trilinear"}

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
    axes: int = 2,
) -> nn.Sequential:
    """Convolution, norm and activation, several times; `padded` keeps the sizes."""
    return convolutions_of(
        [before, *(after for _ in range(times))],
        norm=norm,
        activation=activation,
        kernel_size=(kernel_size,) * axes,
        padded=padded,
        bias=bias,
    )


def convolutions_of(
    channels: Sequence[int],
    *,
    norm: str | None,
    activation: str | None,
    kernel_size: tuple[int, ...],
    padded: bool,
    bias: bool,
) -> nn.Sequential:
    """The same from one number of channels to the next, with a kernel along each axis."""
    layers: list[nn.Module] = []
    layer, norms = CONVOLUTION[len(kernel_size)], NORMS_OF[len(kernel_size)]
    padding = tuple(size // 2 for size in kernel_size) if padded else 0
    for before, after in itertools.pairwise(channels):
        layers += [
            layer(before, after, kernel_size, padding=padding, bias=bias),
            *norms[norm](after),
            *([ACTIVATIONS[activation](True)] if activation else []),
        ]
    return nn.Sequential(*layers)


class Interpolated(nn.Module):
    """Twice as high and wide by linear interpolation, with other channels by a 1x1 convolution.

    The convolution comes first, where it has a quarter of the work: weights of an interpolation
    sum to one, so that the order changes nothing but rounding.
    """

    def __init__(self, before: int, after: int, axes: int = 2) -> None:
        super().__init__()
        self.convolve = CONVOLUTION[axes](before, after, kernel_size=1)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, other C, 2 H, 2 W)."""
        return enlarged(self.convolve(features_BCHW), linear=True)


def way_down(
    levels: nn.ModuleList, image_BCHW: Tensor, dropout: nn.Module | None = None
) -> list[Tensor]:
    """The map of each level, pooled from one to the next; dropout is on the lowest two."""
    maps: list[Tensor] = []
    for level, convolve in enumerate(levels):
        features_BCHW = convolve(halved(maps[-1]) if maps else image_BCHW)
        if dropout is not None and level >= len(levels) - 2:
            features_BCHW = dropout(features_BCHW)
        maps.append(features_BCHW)
    return maps


def halved(features_BCHW: Tensor) -> Tensor:
    """Half as large along each axis, by the largest of what lies together."""
    pool = nn.functional.max_pool3d if features_BCHW.ndim > 4 else nn.functional.max_pool2d
    return pool(features_BCHW, 2)


def way_up(kind: str, before: int, after: int, axes: int = 2) -> nn.Module:
    """The layer that doubles all sides: "transposed" or "interpolated"."""
    if kind == "transposed":
        return doubling(before, after, axes)
    return Interpolated(before, after, axes)


def doubling(before: int, after: int, axes: int = 2) -> nn.Module:
    """An up-convolution whose pixels do not overlap."""
    layer: nn.Module = TRANSPOSED[axes](before, after, kernel_size=2, stride=2)
    return layer


def enlarged(features_BCHW: Tensor, factor: int = 2, *, linear: bool = False) -> Tensor:
    """`factor` times as high and wide, by the nearest pixels or linear between them.

    Corners are not aligned: where aligned ones lie depends on the tile's size.
    """
    if not linear:
        return nn.functional.interpolate(features_BCHW, scale_factor=factor, mode="nearest")
    mode = LINEAR[features_BCHW.ndim - 2]
    return nn.functional.interpolate(
        features_BCHW, scale_factor=factor, mode=mode, align_corners=False
    )


def centre(features_BCHW: Tensor, *sizes: int) -> Tensor:
    """The middle of a feature map, of these sizes along its last axes: the paper's crop."""
    whole = features_BCHW.shape[-len(sizes) :]
    starts = [(every - size) // 2 for every, size in zip(whole, sizes, strict=True)]
    if features_BCHW.requires_grad:
        # The gradient of a slice comes plane by plane, and all that is below it then lays the
        # channels side by side again; that of a negative border keeps the layout.
        borders = [
            (-start, start + size - every)
            for every, size, start in zip(whole, sizes, starts, strict=True)
        ]
        return nn.functional.pad(features_BCHW, [n for pair in reversed(borders) for n in pair])
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True), start=-len(sizes)):
        features_BCHW = features_BCHW.narrow(axis, start, size)
    return features_BCHW


def initialise(layer: nn.Module) -> None:
    """He et al. 2015: N(0, sqrt(2/N)), N the incoming nodes of one neuron; biases 0.

    N is kernel area times input channels of a group; of an up-convolution each output pixel sees
    kernel area / stride area of the taps.
    """
    if isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d):
        taps = math.prod(layer.kernel_size) // math.prod(layer.stride)
        incoming = layer.in_channels // layer.groups * taps
    elif isinstance(layer, nn.Conv2d | nn.Conv3d):
        incoming = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    else:
        return
    nn.init.normal_(layer.weight, std=math.sqrt(2 / incoming))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
