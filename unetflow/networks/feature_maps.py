"""The feature maps of a network, in the order in which they are made, for a drawing of it.

Read off the traced graph, as `unetflow.networks.walk` does, but of any network that can be traced:
what is no convolution, pooling, enlargement or meeting of two maps is passed through, and so are
the tokens of a transformer, which have no rows and columns.
"""

import copy
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.fx import Node
from torch.fx.experimental.proxy_tensor import make_fx

from unetflow.networks.description import FeatureMap

log = logging.getLogger(__name__)

POOLED = (
    "max_pool2d_with_indices",
    "avg_pool2d",
    "max_pool3d_with_indices",
    "avg_pool3d",
)
ENLARGED = {
    "upsample_nearest2d": "nearest",
    "upsample_nearest3d": "nearest",
    "upsample_bilinear2d": "bilinear",
    "upsample_trilinear3d": "trilinear",
}
MET = {"cat": "concatenated", "add": "added", "mul": "multiplied"}


def feature_maps(network: nn.Module, channels: int, size_px: Sequence[int]) -> list[FeatureMap]:
    """Maps for an input (1, C, H, W), the image first; none where it cannot be traced.

    Of volumes for (1, C, D, H, W).
    Maps in a row that are made alike and have one shape are one with a count.
    """
    image = torch.empty(1, channels, *size_px, device="meta")
    try:
        with torch.no_grad():
            graph = make_fx(copy.deepcopy(network).to("meta").eval())(image).graph
    except Exception as error:  # whatever copying it and its forward pass raise
        log.warning("the network is not drawn, as it cannot be traced: %s", error)
        return []
    found: list[FeatureMap] = []
    behind: dict[Node, tuple[int, ...]] = {}  # the maps that a node is made of
    for node in graph.nodes:
        if node.op == "output":
            break
        if node.op == "placeholder":
            found.append(_map(node, "image", 1, ()))
            behind[node] = (0,)
            continue
        of = tuple(
            dict.fromkeys(at for each in node.all_input_nodes for at in behind.get(each, ()))
        )
        made = _made(node, of, found) if len(_shape(node)) == image.ndim else None
        if made is None:
            behind[node] = of
        else:
            found.append(made)
            behind[node] = (len(found) - 1,)
    return _together(found)


def _made(node: Node, of: tuple[int, ...], found: Sequence[FeatureMap]) -> FeatureMap | None:
    """The map that a node makes, None where it only changes values."""
    shape = _shape(node)
    if not of:
        return None
    name, step_px = _name(node), found[of[0]]["step_px"]
    if name == "convolution":
        words, step_px = _convolution(node, step_px)
        return _map(node, words, step_px, of[:1])
    if name in POOLED:
        kernel, stride = node.args[1], (node.args[2] if len(node.args) > 2 else node.args[1])
        kind = "max" if "max" in name else "mean"
        return _map(node, f"{kind} pooling {_by(kernel)}", step_px * _along_x(stride), of[:1])
    if name in ENLARGED:
        before = _shape(node.all_input_nodes[0])[-2]
        return _map(node, f"enlarged, {ENLARGED[name]}", step_px * before / shape[-2], of[:1])
    if name in MET and len(of) > 1:
        return _map(node, MET[name], step_px, of)
    return None


def _convolution(node: Node, step_px: float) -> tuple[str, float]:
    _, weight, _, stride, _, dilation, transposed, _, groups = node.args
    kernel = list(_shape(weight)[2:])
    if transposed:
        return f"up-convolution {_by(kernel)}", step_px / _along_x(stride)
    words = f"{'depthwise ' if groups != 1 else ''}convolution {_by(kernel)}"
    words += f", stride {_along_x(stride)}" if _along_x(stride) > 1 else ""
    words += f", dilated {_along_x(dilation)}" if _along_x(dilation) > 1 else ""
    return words, step_px * _along_x(stride)


def _map(node: Node, made_by: str, step_px: float, of: tuple[int, ...]) -> FeatureMap:
    _, channels, *sides = _shape(node)
    return {
        "made_by": made_by,
        "channels": channels,
        "size_px": [*sides],
        "step_px": step_px,
        "of": list(of),
        "count": 1,
    }


def _together(found: Sequence[FeatureMap]) -> list[FeatureMap]:
    """Maps in a row that are made alike as one; who was made of them is made of that."""
    uses = [0] * len(found)
    for each in found:
        for at in each["of"]:
            uses[at] += 1
    kept: list[FeatureMap] = []
    place: dict[int, int] = {}  # among those kept
    for number, each in enumerate(found):
        before = number - 1
        alike = each["of"] == [before] and uses[before] == 1 and _alike(each, found[before])
        if alike:
            kept[-1]["count"] += 1
        else:
            kept.append({**each, "of": [place[at] for at in each["of"]]})
        place[number] = len(kept) - 1
    return kept


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[key] == other[key] for key in ("made_by", "channels", "size_px", "step_px"))


def _shape(node: Any) -> tuple[int, ...]:
    value = node.meta.get("val")
    first = value[0] if isinstance(value, tuple | list) else value
    return tuple(first.shape) if isinstance(first, torch.Tensor) else ()


def _name(node: Node) -> str:
    """Such as "convolution" of aten.convolution.default."""
    return str(node.target).partition(".")[2].partition(".")[0].removesuffix("_")


def _along_x(value: Any) -> int:
    return int(value[-1] if isinstance(value, Sequence) else value)


def _by(kernel: Any) -> str:
    sides = list(kernel) if isinstance(kernel, Sequence) else [kernel]
    return "x".join(map(str, sides if len(sides) > 1 else sides * 2))
