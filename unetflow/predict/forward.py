"""One tile through the network: what prediction and validation have in common.

Shape suffixes: B batch, C channels, K classes, H W of a tile, Y X of a level.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from unetflow.engine.devices import exact_fp32
from unetflow.errors import ModelError
from unetflow.networks.network import Network, channels_last, not_finite
from unetflow.store.pixels import ImageLike
from unetflow.tiles.grid import Tile
from unetflow.tiles.mirror import read_mirrored


def ready(network: Network, *, device: str, precision: str) -> Network:
    """A copy of the network that infers: on the device, in the precision, channels last.

    Raises ModelError where a weight is not finite: behind a ReLU that need not show in the result.
    """
    exact_fp32()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}.get(precision)
    if dtype is None:
        raise ValueError(f"precision {precision!r} is not known; there are fp32 and bf16")
    network = copy.deepcopy(network).eval().to(device=device, dtype=dtype)
    network.to(memory_format=channels_last(len(network.geometry.axes)))  # type: ignore[call-overload]
    if name := not_finite(network):
        raise ModelError(
            f"the network holds NaN or infinity ({name}, in {precision}): what it says would mean "
            "nothing. Choose another model, or train it anew."
        )
    return network


def read_tile(image_CYX: ImageLike, tile: Tile) -> Tensor:
    """The padded input of one tile, (1, C, H, W) float32 (mirrored where it leaves the image)."""
    return as_batch(read_mirrored(image_CYX, tile.read))


def as_batch(pixels_CHW: np.ndarray) -> Tensor:
    """One tile as (1, C, H, W) float32."""
    return torch.from_numpy(np.ascontiguousarray(pixels_CHW, dtype=np.float32))[None]


@torch.inference_mode()
def tile_logits(network: nn.Module, tile_BCHW: Tensor) -> Tensor:
    """Logits (B, K, H, W) in float32 of padded inputs, on the device of the `ready` network.

    Of volumes (B, K, D, H, W).
    """
    weight, layout = next(network.parameters()), channels_last(tile_BCHW.ndim - 2)
    tile_BCHW = tile_BCHW.to(weight.device, weight.dtype, memory_format=layout)
    # plane by plane: a softmax over channels that lie side by side takes four times as long
    logits_BKHW: Tensor = network(tile_BCHW).float().contiguous()
    return logits_BKHW


def cut(output_KHW: Tensor, tile: Tile) -> Tensor:
    """The part of a tile's output that belongs to its write region; the surplus is at the end."""
    for axis, part in enumerate(tile.write, start=-len(tile.write)):
        output_KHW = output_KHW.narrow(axis, 0, part.stop - part.start)
    return output_KHW
