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
from unetflow.networks.gradients import SIZE_PX, geometry_by_gradients
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

    Raises ValueError where it has none that is known here, or not an output for each class.
    """
    network, channels = on_no_device(make), cast(int, options.get("in_channels", 1))
    said = getattr(network, "geometry", None)
    if isinstance(said, Geometry):
        return said
    try:
        geometry = geometry_of_module(network, channels)
        image = torch.empty(1, channels, *_sizes(geometry, TILE_PX), device="meta")
    except Untraceable as error:
        log.info("%s; its geometry is found by gradients", error)
        geometry = geometry_by_gradients(network := make(), channels)
        image = torch.zeros(1, channels, *_sizes(geometry, SIZE_PX))
    try:
        with torch.no_grad():
            logits = network.eval()(image)
    except Exception:  # that it takes no other sizes than it was asked about is another matter
        return geometry
    _check_logits(logits, cast(int | None, options.get("num_classes")))
    return geometry


def _check_logits(logits: object, classes: int | None) -> None:
    if not isinstance(logits, Tensor):
        raise ValueError(
            f"the network returns a {type(logits).__name__}: return the logits alone, as one tensor"
        )
    if classes is not None and logits.shape[1] != classes:
        count = f"{logits.shape[1]} channel{'s' * (logits.shape[1] != 1)}"
        raise ValueError(
            f"of num_classes: {classes} the network returns {count}: return logits of each class, "
            "background among them; of one class that are two, in the place of one for a sigmoid"
        )


def _sizes(geometry: Geometry, px: int) -> list[int]:
    """Of an input whose output has so many pixels, or a few more, along each axis."""
    return [geometry.input_px(px, axis) for axis in range(len(geometry.axes))]


def multiply_adds_per_px(network: Network) -> float | None:
    """Multiply-adds for each output pixel of an image without end, in convolutions.

    Where the network is not traced, those of all layers for each pixel of a tile of `TILE_PX`;
    None where these cannot be counted.
    """
    try:
        return walk(network, network.in_channels, network.geometry.smallest_input_px).multiply_adds
    except ValueError:  # untraceable, or what only a network that says its geometry may be
        pass
    sizes = _sizes(network.geometry, TILE_PX)
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
