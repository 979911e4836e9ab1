"""Operations of a traced network: the maps that each makes of those it is given.

Of convolutions, poolings and pixel-wise operations, each with its kernel, stride, padding and
dilation, which make the maps of `unetflow.tiles.receptive_field`.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import Node

from unetflow.tiles.geometry import Geometry
from unetflow.tiles.receptive_field import Map, geometry_along

IMAGE = 2  # axes of an image: the last ones of a tensor, H W; a volume has D H W
# Of what is alive together, what inference was measured to take: of the paper's network up to 2; of
# networks of volumes up to 1.21 (benchmarks/results/volumes.md).
HELD = {IMAGE: 2, IMAGE + 1: 1.25}


class Untraceable(ValueError):
    """A network whose graph does not say what it sees."""


class Uneven(Untraceable):
    """The same, of an input of this size."""


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


def maps_made(
    node: Node, maps: Mapping[Node, tuple[Map, ...] | None], found: Walk
) -> tuple[Map, ...] | None:
    """The maps that an operation makes along both axes; None where its result has no pixels."""
    behind = [each for each in node.all_input_nodes if maps.get(each) is not None]
    if not behind:
        return None
    source, given = maps[behind[0]] or (), list(node.args)
    name = name_of(node)
    if node.target is operator.getitem or name in SAME:
        return source
    if name in BY_LAYER:
        return BY_LAYER[name](node, given, source, found)
    if torch.Tag.pointwise in tags_of(node) or name == "cat":
        return _joined(node, behind, maps, found)
    if name in GLOBAL:
        found.why.append("it takes the mean of a tile")
        return None
    raise Untraceable(f"operation {node.target} is not known here")


def _joined(
    node: Node, behind: list[Node], maps: Mapping[Node, tuple[Map, ...] | None], found: Walk
) -> tuple[Map, ...]:
    size = shape_of(node)[-found.axes :]
    if any(shape_of(each)[-found.axes :] != size for each in behind):
        raise Uneven(f"operation {node.target} stretches a map to another's size")
    beside = (
        shape_of(each)[-found.axes :]
        for each in node.all_input_nodes
        if each not in behind and name_of(each) not in UNIFORM
    )
    if any(size > 1 for sizes in beside for size in sizes):
        found.why.append("it joins maps with numbers that change from place to place of a tile")
    every = [maps[each] or () for each in behind]
    return tuple(each[0].joined(*each[1:]) for each in zip(*every, strict=True))


def _convolution(
    node: Node, given: list[Any], source: tuple[Map, ...], found: Walk
) -> tuple[Map, ...]:
    _, weight, _, stride, padding, dilation, transposed, output_padding, _ = given
    _, _, *kernels = shape = shape_of(weight)
    stride, padding, dilation, output_padding = (
        _along(each, found.axes) for each in (stride, padding, dilation, output_padding)
    )
    if transposed:
        made = tuple(
            each.spread(
                dilation[axis] * (kernel - 1) + 1, stride[axis], padding[axis], output_padding[axis]
            )
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
    small, large = (shape_of(each)[-found.axes :] for each in (node.all_input_nodes[0], node))
    if any(new % old for new, old in zip(large, small, strict=True)):
        raise Uneven(f"an interpolation from {small} to {large} px is by no whole factor")
    found.pads |= linear  # the outermost pixels have one neighbour
    factors = [new // old for new, old in zip(large, small, strict=True)]
    return tuple(
        each if factor == 1 else each.enlarged(factor, linear=linear)
        for each, factor in zip(source, factors, strict=True)
    )


def _slice(node: Node, given: list[Any], source: tuple[Map, ...], found: Walk) -> tuple[Map, ...]:
    size = shape_of(node.all_input_nodes[0])
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
    before, after = shape_of(node.all_input_nodes[0]), shape_of(node)
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


# What a node is


def name_of(node: Node) -> str:
    """Such as "convolution" of aten.convolution.default."""
    return str(node.target).partition(".")[2].partition(".")[0]


def tags_of(node: Node) -> Sequence[torch.Tag]:
    tags: Sequence[torch.Tag] = getattr(node.target, "tags", ())
    return tags


def shape_of(node: Node) -> tuple[int, ...]:
    value = node.meta["val"]
    return tuple((value[0] if isinstance(value, tuple) else value).shape)


def _along(value: Any, axes: int) -> list[int]:
    """A number for each of the axes."""
    values = list(value) if isinstance(value, Sequence) else [value]
    return values * axes if len(values) == 1 else values
