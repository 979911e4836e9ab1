"""A walk through a network: what it sees, how much it computes and holds, of its traced graph.

The network is traced without any numbers (PyTorch's device "meta"), down to convolutions, poolings
and pixel-wise operations, each with its kernel, stride, padding and dilation; they make the maps of
`unetflow.tiles.receptive_field`. Whatever a forward pass decides by sizes is followed. Where a
network cannot be traced, or has an operation that is not known here, `Untraceable` says which.
"""

import copy
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import nn
from torch.fx import Node
from torch.fx.experimental.proxy_tensor import make_fx

from unetflow.networks.network import NO_LOGITS, RANDOM
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.receptive_field import Map, geometry_along

IMAGE = 2  # axes of an image: the last ones of a tensor, H W; a volume has D H W
TRIED_PX = range(512, 512 + 128)  # sizes at which a network is asked whether it takes them


Made = TypeVar("Made", bound=nn.Module)


class Untraceable(ValueError):
    """A network whose graph does not say what it sees."""


class Uneven(Untraceable):
    """The same, of an input of this size."""


# Of what is alive together, what inference was measured to take: of the paper's network up to 2; of
# networks of volumes up to 1.21 (benchmarks/results/volumes.md).
HELD = {IMAGE: 2, IMAGE + 1: 1.25}


@dataclass(slots=True)
class Walk:
    """What was found on the way."""

    axes: int = IMAGE
    seen: tuple[Map, ...] = ()  # the logits, along y and x, of volumes z, y and x
    multiply_adds: float = 0.0  # for each output pixel of an image without end
    values_per_px: float = 0.0  # alive together, at most, for each pixel of the image
    why: list[str] = field(default_factory=list)  # it is not seamless
    pads: bool = False

    shape: tuple[int, ...] = ()  # of the logits

    def geometry(self, *, padded: bool) -> Geometry:
        """The sizes that follow: `padded` where the logits are as large as the image."""
        return geometry_along(
            self.seen,
            values_per_px=HELD[self.axes] * self.values_per_px,
            why="; ".join(dict.fromkeys(self.why)),
            padded=padded,
        )

    @property
    def step_px(self) -> tuple[int, ...]:
        """By which an image may be shifted, along each axis."""
        return tuple(each.period_px for each in self.seen)


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
            found.seen, found.shape = maps.get(last) or (), _shape(last)[-found.axes :]
        else:
            maps[node] = _made(node, maps, found)
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


# One operation


def _made(
    node: Node, maps: Mapping[Node, tuple[Map, ...] | None], found: Walk
) -> tuple[Map, ...] | None:
    """The maps that an operation makes along both axes; None where its result has no pixels."""
    behind = [each for each in node.all_input_nodes if maps.get(each) is not None]
    if not behind:
        return None
    source, given = maps[behind[0]] or (), list(node.args)
    name = _name(node)
    if node.target is operator.getitem or name in SAME:
        return source
    if name in BY_LAYER:
        return BY_LAYER[name](node, given, source, found)
    if torch.Tag.pointwise in _tags(node) or name == "cat":
        return _joined(node, behind, maps, found)
    if name in GLOBAL:
        found.why.append("it takes the mean of a tile")
        return None
    raise Untraceable(f"operation {node.target} is not known here")


def _joined(
    node: Node, behind: list[Node], maps: Mapping[Node, tuple[Map, ...] | None], found: Walk
) -> tuple[Map, ...]:
    size = _shape(node)[-found.axes :]
    if any(_shape(each)[-found.axes :] != size for each in behind):
        raise Uneven(f"operation {node.target} stretches a map to another's size")
    beside = (
        _shape(each)[-found.axes :]
        for each in node.all_input_nodes
        if each not in behind and _name(each) not in UNIFORM
    )
    if any(size > 1 for sizes in beside for size in sizes):
        found.why.append("it joins maps with numbers that change from place to place of a tile")
    every = [maps[each] or () for each in behind]
    return tuple(each[0].joined(*each[1:]) for each in zip(*every, strict=True))


def _convolution(
    node: Node, given: list[Any], source: tuple[Map, ...], found: Walk
) -> tuple[Map, ...]:
    _, weight, _, stride, padding, dilation, transposed, output_padding, _ = given
    _, _, *kernels = shape = _shape(weight)
    stride, padding, dilation, output_padding = (
        _along(each, found.axes) for each in (stride, padding, dilation, output_padding)
    )
    if transposed:
        made = tuple(
            each.spread(dilation[axis] * (kernel - 1) + 1, stride[axis], padding[axis])
            if not output_padding[axis]
            else each.spread(kernel, stride[axis], padding[axis], output_padding[axis])
            for axis, (each, kernel) in enumerate(zip(source, kernels, strict=True))
        )
    else:
        found.pads |= any(padding)
        made = tuple(
            each.window(kernel, stride[axis], padding[axis], dilation[axis])
            for axis, (each, kernel) in enumerate(zip(source, kernels, strict=True))
        )
    # each weight is used once for a pixel of the smaller map
    smaller = source if transposed else made
    found.multiply_adds += math.prod(shape) / float(math.prod(each.step for each in smaller))
    return made


def _pooling(node: Node, given: list[Any], source: tuple[Map, ...], found: Walk) -> tuple[Map, ...]:
    dilated = "max" in str(node.target)
    defaults: list[Any] = [None, None, [], [0], [1], False]
    kernel, stride, padding, dilation = [*given, *defaults[len(given) :]][1:5]
    kernel, stride, padding, dilation = (
        _along(each, found.axes)
        for each in (kernel, stride or kernel, padding, dilation if dilated else 1)
    )
    found.pads |= any(padding)
    return tuple(
        each.window(kernel[axis], stride[axis], padding[axis], dilation[axis])
        for axis, each in enumerate(source)
    )


def _interpolation(
    node: Node, given: list[Any], source: tuple[Map, ...], found: Walk
) -> tuple[Map, ...]:
    linear = "linear" in str(node.target)
    if linear and given[2]:
        found.why.append("its interpolation aligns the corners of a tile")
    if not linear and "nearest" not in str(node.target):
        raise Untraceable(f"operation {node.target} is not known here")
    small, large = (_shape(each)[-found.axes :] for each in (node.all_input_nodes[0], node))
    if any(new % old for new, old in zip(large, small, strict=True)):
        raise Uneven(f"an interpolation from {small} to {large} px is by no whole factor")
    found.pads |= linear  # the outermost pixels have one neighbour
    factors = [new // old for new, old in zip(large, small, strict=True)]
    return tuple(
        each if factor == 1 else each.enlarged(factor, linear=linear)
        for each, factor in zip(source, factors, strict=True)
    )


def _slice(node: Node, given: list[Any], source: tuple[Map, ...], found: Walk) -> tuple[Map, ...]:
    size = _shape(node.all_input_nodes[0])
    dim, start, stop, step = [*given, *[None, 0, None, None, 1][len(given) :]][1:5]
    axis = dim - len(size) if dim >= 0 else dim
    if axis < -found.axes:
        return source
    if step != 1:
        raise Untraceable("it takes every other pixel")
    start, stop = (0 if start is None else start), (size[dim] if stop is None else stop)
    start = start + size[dim] if start < 0 else start
    stop = min(stop + size[dim] if stop < 0 else stop, size[dim])
    return _framed(source, axis, -start, stop - size[dim])


def _border(node: Node, given: list[Any], source: tuple[Map, ...], found: Walk) -> tuple[Map, ...]:
    pairs = list(given[1])
    for axis in range(-1, -1 - len(pairs) // 2, -1):
        before, after = pairs[-2 * axis - 2], pairs[-2 * axis - 1]
        found.pads |= before > 0 or after > 0
        if axis >= -found.axes:
            source = _framed(source, axis, before, after)
    return source


def _framed(source: tuple[Map, ...], axis: int, before: int, after: int) -> tuple[Map, ...]:
    maps = list(source)
    if before or after:
        maps[axis] = maps[axis].window(1, padding=(before, after))
    return tuple(maps)


def _normalisation(
    node: Node, given: list[Any], source: tuple[Map, ...], found: Walk
) -> tuple[Map, ...]:
    name = str(node.target)
    if "group_norm" in name:
        found.why.append("group normalisation takes the mean and deviation of a tile")
    elif "layer_norm" in name:
        raise Untraceable("layer normalisation is not known here")
    elif "no_training" not in name and any(each is True for each in given):
        found.why.append("instance normalisation takes the mean and deviation of a tile")
    return source


def _view(node: Node, given: list[Any], source: tuple[Map, ...], found: Walk) -> tuple[Map, ...]:
    before, after = _shape(node.all_input_nodes[0]), _shape(node)
    if before[-found.axes :] != after[-found.axes :]:
        raise Untraceable(f"it turns {before} to {after}")
    return source


SAME = {"clone", "detach", "alias", "contiguous", "_to_copy", "dropout", "native_dropout"}
UNIFORM = {"zeros", "ones", "full", "new_zeros", "new_ones", "new_full"}  # all pixels alike
ACTIVATIONS = {"_softmax", "softmax", "sigmoid"}  # that make probabilities of logits
GLOBAL = {"mean", "_adaptive_avg_pool2d", "adaptive_avg_pool2d"}
BY_LAYER: dict[str, Callable[[Node, list[Any], tuple[Map, ...], Walk], tuple[Map, ...]]] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": _pooling,
    "max_pool3d_with_indices": _pooling,
    "avg_pool2d": _pooling,
    "avg_pool3d": _pooling,
    "upsample_nearest2d": _interpolation,
    "upsample_nearest3d": _interpolation,
    "upsample_bilinear2d": _interpolation,
    "upsample_trilinear3d": _interpolation,
    "upsample_bicubic2d": _interpolation,
    "slice": _slice,
    "constant_pad_nd": _border,
    "reflection_pad2d": _border,
    "replication_pad2d": _border,
    "native_batch_norm": _normalisation,
    "_native_batch_norm_legit": _normalisation,
    "_native_batch_norm_legit_no_training": _normalisation,
    "native_group_norm": _normalisation,
    "native_layer_norm": _normalisation,
    "view": _view,
    "_unsafe_view": _view,
    "reshape": _view,
}


IN_PLACE = {"view", "_unsafe_view", "slice", "detach", "alias"}


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
            channels = math.prod(_shape(node)[: -len(made)])
            alive[node] = channels / float(math.prod(each.step for each in made))
        most = max(most, sum(alive.values()))
        alive = {each: size for each, size in alive.items() if last.get(each) is not node}
    return most


def _in_place(node: Node) -> bool:
    name = _name(node)
    return node.target is operator.getitem or name in IN_PLACE or name.endswith("_")


def _name(node: Node) -> str:
    """Such as "convolution" of aten.convolution.default."""
    return str(node.target).partition(".")[2].partition(".")[0]


def _tags(node: Node) -> Sequence[torch.Tag]:
    tags: Sequence[torch.Tag] = getattr(node.target, "tags", ())
    return tags


def _last_operation(nodes: Iterable[Node]) -> str:
    """The operation that the result comes from."""
    *_, end = nodes
    last = _only(end.args[0])
    while _name(last) in {*SAME, "slice"} and last.all_input_nodes:  # of what padding reaches
        last = last.all_input_nodes[0]
    return _name(last)


def _draws(node: Node) -> bool:
    """Whether it is random; attention has the tag even where it drops nothing."""
    return torch.Tag.nondeterministic_seeded in _tags(node) and "attention" not in _name(node)


def _shape(node: Node) -> tuple[int, ...]:
    value = node.meta["val"]
    return tuple((value[0] if isinstance(value, tuple) else value).shape)


def _only(result: Any) -> Node:
    node: Node = result[0] if isinstance(result, tuple | list) else result
    return node


def _along(value: Any, axes: int) -> list[int]:
    """A number for each of the axes."""
    values = list(value) if isinstance(value, Sequence) else [value]
    return values * axes if len(values) == 1 else values
