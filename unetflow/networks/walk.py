"""A walk through a network: what it sees, how much it computes and holds, of its traced graph.

The network is traced without any numbers (PyTorch's device "meta"), down to the operations of
`unetflow.networks.operations`. Whatever a forward pass decides by sizes is followed. Where a
network cannot be traced, or has an operation that is not known here, `Untraceable` says which.
"""

import copy
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import nn
from torch.fx import Node
from torch.fx.experimental.proxy_tensor import make_fx

from unetflow.networks.network import NO_LOGITS, RANDOM
from unetflow.networks.operations import (
    ACTIVATIONS,
    IMAGE,
    SAME,
    Uneven,
    Untraceable,
    Walk,
    maps_made,
    name_of,
    shape_of,
    tags_of,
)
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.receptive_field import Map

TRIED_PX = range(512, 512 + 128)  # sizes at which a network is asked whether it takes them
# Whose results lie in the memory of what they are given
IN_PLACE = {"view", "_unsafe_view", "slice", "detach", "alias"}

Made = TypeVar("Made", bound=nn.Module)


def on_no_device(make: Callable[[], Made]) -> Made:
    """A network without numbers: of any size in no time."""
    with torch.device("meta"):
        return make()


def walk(network: nn.Module, channels: int, size_px: Sequence[int]) -> Walk:
    """Walk through a network for an input (1, C, H, W) or (1, C, D, H, W). Raises Untraceable.

    And ValueError where what it says is random, or no logits.
    """
    image = torch.empty(1, channels, *size_px, device="meta")
    try:
        bare = copy.deepcopy(network).to("meta").eval()
        with torch.no_grad():
            graph = make_fx(bare)(image).graph
    except Exception as error:  # whatever copying it and its forward pass raise
        raise Untraceable(f"the network cannot be traced: {error}") from error
    if any(map(_draws, graph.nodes)):
        raise ValueError(RANDOM)
    if _last_operation(graph.nodes) in ACTIVATIONS:
        raise ValueError(NO_LOGITS)
    found, maps = Walk(len(size_px)), dict[Node, tuple[Map, ...] | None]()
    for node in graph.nodes:
        if node.op == "placeholder":
            maps[node] = (Map(),) * found.axes
        elif node.op == "output":
            last = _only(node.args[0])
            found.seen, found.shape = maps.get(last) or (), shape_of(last)[-found.axes :]
        else:
            maps[node] = maps_made(node, maps, found)
    if not found.seen:
        raise Untraceable("the network returns no map of features: its last result has no pixels")
    found.values_per_px = _alive(graph.nodes, maps)
    return found


def geometry_of_module(network: nn.Module, channels: int, axes: int = IMAGE) -> Geometry:
    """The geometry of a network, computed of its graph, by inputs as long along all axes.

    Raises Untraceable where there is none, or where no size of an input suits it.
    """
    bare = copy.deepcopy(network).to("meta").eval()
    refused: Exception | None = None
    for size_px in TRIED_PX:
        try:
            with torch.no_grad():
                bare(torch.empty(1, channels, *(size_px,) * axes, device="meta"))
        except Exception as error:  # whatever a forward pass raises of a size that it does not take
            refused = error
            continue
        try:
            found = walk(bare, channels, (size_px,) * axes)
        except Uneven:
            continue
        if (geometry := _fitting(found, size_px)) is not None:
            return geometry
    tried = f"of inputs of {TRIED_PX.start} to {TRIED_PX.stop - 1} px"
    why = f"; the last that was refused: {type(refused).__name__}: {refused}" if refused else ""
    raise Untraceable(f"{tried} none passes all layers evenly{why}") from refused


def _fitting(found: Walk, size_px: int) -> Geometry | None:
    """The geometry, if an input of a size passes evenly."""
    padded = found.shape == (size_px,) * found.axes
    if padded and any(size_px % step for step in found.step_px):
        return None
    if not padded and found.pads:
        return None
    try:
        geometry = found.geometry(padded=padded)
        if padded:  # which may be less than its halo
            return geometry
        sizes = tuple(geometry.output_px(size_px, axis) for axis in range(found.axes))
    except ValueError:
        return None
    return geometry if sizes == found.shape else None


# What nodes hold


def _alive(nodes: Iterable[Node], maps: Mapping[Node, tuple[Map, ...] | None]) -> float:
    """The most values that are alive together, for each pixel of the image."""
    owners: dict[Node, Node] = {}  # of the memory that a node's result lies in
    last: dict[Node, Node] = {}
    for node in nodes:
        used = [owners[each] for each in node.all_input_nodes]
        owners[node] = used[0] if used and _in_place(node) else node
        last |= dict.fromkeys(used, node)
    alive, most = dict[Node, float](), 0.0
    for node in nodes:
        made = maps.get(node)
        if made and owners[node] is node:
            channels = math.prod(shape_of(node)[: -len(made)])
            alive[node] = channels / float(math.prod(each.step for each in made))
        most = max(most, sum(alive.values()))
        alive = {each: size for each, size in alive.items() if last.get(each) is not node}
    return most


def _in_place(node: Node) -> bool:
    name = name_of(node)
    return node.target is operator.getitem or name in IN_PLACE or name.endswith("_")


def _last_operation(nodes: Iterable[Node]) -> str:
    """The operation that the result comes from."""
    *_, end = nodes
    last = _only(end.args[0])
    while name_of(last) in {*SAME, "slice"} and last.all_input_nodes:  # of what padding reaches
        last = last.all_input_nodes[0]
    return name_of(last)


def _draws(node: Node) -> bool:
    """Whether it is random; attention has the tag even where it drops nothing."""
    return torch.Tag.nondeterministic_seeded in tags_of(node) and "attention" not in name_of(node)


def _only(result: Any) -> Node:
    node: Node = result[0] if isinstance(result, tuple | list) else result
    return node
