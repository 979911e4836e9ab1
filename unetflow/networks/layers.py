"""What the padded networks share: the base class, normalisations, first weights, options.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from unetflow.arguments import number_of, whole_number_of

NORMS: dict[str | None, Callable[[int], list[nn.Module]]] = {
    None: lambda channels: [],
    "batch": lambda channels: [nn.BatchNorm2d(channels)],
    "instance": lambda channels: [nn.InstanceNorm2d(channels, affine=True)],
    "group": lambda channels: [nn.GroupNorm(math.gcd(channels, 32), channels)],
}
"""Normalisation layers of a number of channels. Groups: 32 as in Wu and He 2018, or fewer where
they do not divide the channels."""

OF_A_TILE = ("instance", "group")  # take their statistics from the tile: not seamless


class PaddedNetwork(nn.Module):
    """Logits (B, K, H, W) of images (B, C, H, W) whose H and W are multiples of `step_px`.

    Shifted by whole steps the input gives the same, shifted, where no padding reaches: no layer
    knows where in the image it is, and no interpolation has aligned corners.
    """

    in_channels: int
    step_px: int
    last_layer: str  # prefix of the weights that depend on the number of classes
    why: str = ""  # why tiles do not fit together exactly; empty where they do

    @property
    def encoder(self) -> nn.Module:
        """The contracting path, which a training may keep as it is."""
        raise NotImplementedError

    def check_size(self, image_BCHW: Tensor) -> None:
        """Raise ValueError for a size that some level cannot halve, with the nearest ones."""
        for axis, size_px in zip("yx", image_BCHW.shape[-2:], strict=True):
            below = size_px // self.step_px * self.step_px
            if size_px != below or not size_px:
                sizes = [f"{size} px" for size in (below, below + self.step_px) if size]
                raise ValueError(
                    f"an input of {size_px} px is not possible along {axis}: it must be a "
                    f"multiple of {self.step_px} px; the nearest valid sizes are "
                    + " and ".join(sizes)
                )


Built = TypeVar("Built", bound=nn.Module)


def built(network: type[Built], options: Mapping[str, object]) -> Built:
    """The network with its options. Raises ValueError for unknown ones, with those there are."""
    known = list(inspect.signature(network).parameters)
    unknown = sorted(options.keys() - known)
    if unknown:
        raise ValueError(
            f"{network.__name__} has no option {', '.join(unknown)}; there are {', '.join(known)}"
        )
    return network(**options)


def norm_of(value: object, *known: str | None) -> str | None:
    """The name of a normalisation, of all or of those `known`."""
    choices = known or tuple(NORMS)
    if not isinstance(value, str | None) or value not in choices:
        raise ValueError(f"norm {value!r} is not known; there are {', '.join(map(str, choices))}")
    return value


def why_not_seamless(norm: str | None) -> str:
    """Why tiles of a network with this normalisation do not fit together; empty if they do."""
    return f"{norm} normalisation takes the mean and deviation of a tile" * (norm in OF_A_TILE)


def positive(**options: object) -> list[int]:
    """Whole numbers, 1 or more, in their order; an error names the option."""
    return [whole_number_of(value, name, least=1) for name, value in options.items()]


def dropout_of(value: object) -> float:
    """A probability of dropout, in [0, 1)."""
    probability = number_of(value, "dropout")
    if not 0 <= probability < 1:
        raise ValueError(f"dropout is {value}: must lie in [0, 1), usually 0 to 0.5.")
    return probability


def convolution(
    before: int, after: int, norm: str | None, *, kernel: int = 3, relu: bool = True
) -> nn.Sequential:
    """Convolution that keeps the size (zero padding), normalisation, ReLU.

    Without normalisation it has a bias; a normalisation brings its own.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=norm is None),
        *NORMS[norm](after),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


@torch.no_grad()
def initialise(layer: nn.Module) -> None:
    """He et al. 2015: N(0, sqrt(2/N)), N the incoming nodes of one neuron; biases 0.

    N is kernel area times input channels of a group. Of an up-convolution each output pixel sees
    kernel area / stride area of the taps.
    """
    if isinstance(layer, nn.ConvTranspose2d):
        area = math.prod(layer.kernel_size) / math.prod(layer.stride)
        incoming = layer.in_channels // layer.groups * area
    elif isinstance(layer, nn.Conv2d):
        incoming = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    elif isinstance(layer, nn.Linear):
        incoming = layer.in_features
    else:
        return
    nn.init.normal_(layer.weight, std=math.sqrt(2 / incoming))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def enlarged(features_BCHW: Tensor, factor: int, mode: str = "bilinear") -> Tensor:
    """Features `factor` times as large, by interpolation.

    Bilinear without aligned corners: the pixel at y lies at (y + 0.5) / factor - 0.5, whatever the
    size is, so that a tile that begins at a multiple of the step gives what the whole image gives.
    Beyond the border the outermost pixel is repeated; that reaches one small pixel into it.
    """
    if mode == "nearest":
        return nn.functional.interpolate(features_BCHW, scale_factor=factor, mode="nearest")
    return nn.functional.interpolate(
        features_BCHW, scale_factor=factor, mode="bilinear", align_corners=False
    )
