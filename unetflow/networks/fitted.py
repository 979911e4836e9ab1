"""A network as the package needs it: a plain module with its geometry, its padding cut away.

Shape suffixes: B batch, C channels, K classes, H W of a patch or tile.

A network whose convolutions pad with zeros answers for all of its input, and near the border what
it says hangs on the zeros:

    |<------------------- input ------------------->|
    | before |<----------- output ---------->| after |
     zeros     what no zero reaches            zeros
     reach                                     reach

So it runs on a tile that is larger by its receptive field, and what zeros may reach is cut away.
"""

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from unetflow.networks.blocks import centre
from unetflow.networks.gradients import geometry_by_gradients
from unetflow.networks.network import Network
from unetflow.networks.operations import Untraceable
from unetflow.networks.walk import geometry_of_module, on_no_device, walk
from unetflow.tiles.geometry import Geometry

log = logging.getLogger(__name__)

TILE_PX = 512  # that work is counted for where it hangs on the tile


class Fitted(Network):
    """Logits of another module, less what its zero padding reaches.

    Its parts keep the names that the module gives: `encoder`, a module, and `last_layer`, the
    prefix of its weights. Without them every layer is taken for the encoder but the last of the
    state dict. Raises ValueError for an input size that is not possible, naming the nearest.
    """

    def __init__(self, inner: nn.Module, geometry: Geometry, in_channels: int) -> None:
        super().__init__()
        self.inner, self.geometry, self.in_channels = inner, geometry, in_channels
        last = getattr(inner, "last_layer", None) or _last_of(inner)
        self.last_layer = f"inner.{last}"

    @property
    def encoder(self) -> nn.Module:
        """What the module calls its encoder."""
        named = getattr(self.inner, "encoder", None)
        if isinstance(named, nn.Module):
            return named
        return nn.ModuleList(_all_but(self.inner, self.last_layer.removeprefix("inner.")))

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits of each class, smaller than the input by both halos."""
        sizes = [
            self.geometry.output_px(size_px, axis)
            for axis, size_px in enumerate(image_BCHW.shape[2:])
        ]
        logits_BKHW: Tensor = self.inner(image_BCHW)
        return centre(logits_BKHW, *sizes)


def fitted(
    made: nn.Module, options: Mapping[str, object], geometry: Callable[[], Geometry]
) -> Network:
    """What a `build` returned, as a network of this package: as it is, or `Fitted`.

    `geometry` is asked for where the module has none.
    """
    if isinstance(getattr(made, "geometry", None), Geometry):
        return cast(Network, made)
    return Fitted(made, geometry(), cast(int, options.get("in_channels", 1)))


def computed_geometry(make: Callable[[], nn.Module], options: Mapping[str, object]) -> Geometry:
    """The geometry that a network says, or that follows of its graph, or else of its gradients.

    Raises ValueError where it has none that is known here.
    """
    network, channels = on_no_device(make), cast(int, options.get("in_channels", 1))
    said = getattr(network, "geometry", None)
    if isinstance(said, Geometry):
        return said
    try:
        return geometry_of_module(network, channels)
    except Untraceable as error:
        log.info("%s; its geometry is found by gradients", error)
        return geometry_by_gradients(make(), channels)


def multiply_adds_per_px(network: Network) -> float | None:
    """Multiply-adds for each output pixel of an image without end, in convolutions.

    Where the network is not traced, those of all layers for each pixel of a tile of `TILE_PX`;
    None where these cannot be counted.
    """
    try:
        return walk(network, network.in_channels, network.geometry.smallest_input_px).multiply_adds
    except ValueError:  # untraceable, or what only a network that says its geometry may be
        pass
    axes = len(network.geometry.axes)
    sizes = [network.geometry.input_px(TILE_PX, axis) for axis in range(axes)]
    try:
        bare = copy.deepcopy(network).to("meta").eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            bare(torch.empty(1, network.in_channels, *sizes, device="meta"))
    except Exception:  # of a network of a user's own
        return None
    return float(counter.get_total_flops() / 2 / math.prod(sizes))  # which counts each as two


def _all_but(module: nn.Module, last: str) -> Iterator[nn.Module]:
    """The parts of a module, of one that holds the last layer its parts in turn, but that layer."""
    for name, child in module.named_children():
        if not last.startswith(f"{name}."):
            yield child
        elif last != f"{name}.":
            yield from _all_but(child, last.removeprefix(f"{name}."))


def _last_of(module: nn.Module) -> str:
    """Prefix of the weights of the last layer, in the order in which they were made."""
    return list(module.state_dict())[-1].rpartition(".")[0] + "."
