"""One tile through the network: what prediction and validation have in common.

Shape suffixes: B batch, C channels, K classes, H W of a tile, Y X of a level.
"""

import copy
import logging
import os
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from unetflow.errors import ModelError
from unetflow.gpus import claim_gpus
from unetflow.tiles import (
    Region,
    Tile,
    overlapping_grid,
    read_mirrored,
    tile_grid,
    valid_input_px,
)

log = logging.getLogger(__name__)


class ImageLike(Protocol):
    """Anything with a shape (C, Y, X) and NumPy slicing: NumPy or Zarr arrays, `Normalised`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class Normalised:
    """An image (C, Y, X) that is read as (pixel - mean) / deviation of its channel, in float32."""

    def __init__(self, image: ImageLike, intensity: dict[str, list[float]]) -> None:
        self._image, self._intensity = image, intensity
        self.shape = image.shape

    def __getitem__(self, key: Any) -> np.ndarray:
        return normalised(np.asarray(self._image[key]), self._intensity)


def normalised(pixels_CHW: np.ndarray, intensity: dict[str, list[float]]) -> np.ndarray:
    """(pixel - mean) / deviation of its channel, in float32."""
    mean_C11, deviation_C11 = (
        np.asarray(intensity[name], np.float32)[:, None, None] for name in ("mean", "deviation")
    )
    result = np.subtract(pixels_CHW, mean_C11, dtype=np.float32)
    result /= deviation_C11
    return result


def resolve_device(*, gpu: bool, require_gpu: bool = False) -> str:
    """The kind of device to use: "cuda" or "mps" where wanted and there, else "cpu".

    Raises ModelError where a GPU is required and there is none.
    """
    for kind, there in (
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
    ):
        if gpu and there:
            if kind == "cuda" and "LOCAL_RANK" not in os.environ:  # torchrun has shared them out
                torch.cuda.set_device(claim_gpus()[0])
            return kind
    if require_gpu:
        raise ModelError(
            "require_gpu is true, but "
            + ("PyTorch finds no GPU" if gpu else "this job was given none (--resources gpu=0)")
            + ". Run on a machine with one, or set require_gpu to false to use the CPU."
        )
    _say_once("no GPU here: running on the CPU")
    return "cpu"


@cache
def _say_once(what: str) -> None:
    log.info(what)


def machine_of(device: str) -> dict[str, str]:
    """What rounding depends on, as far as known, beside precision and number of threads."""
    on_gpu = device == "cuda" and torch.cuda.is_available()
    name = torch.cuda.get_device_name() if on_gpu else torch.backends.cpu.get_cpu_capability()
    return {"processor": name, "PyTorch": str(torch.__version__)}


def resolve_precision(wanted: str, device: str) -> str:
    """fp32 or bf16; "auto" is bf16 where the hardware multiplies in it, else fp32."""
    if wanted == "bf16" and device == "cpu" and not _processor_has_bf16():
        _say_once("no instructions for bf16 are known of this processor: fp32 may be far faster")
    if wanted != "auto":
        return wanted
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device == "cpu" and _processor_has_bf16() else "fp32"


def _processor_has_bf16() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(granted: int) -> int:
    """Let PyTorch use the threads that the job was granted, but no more than there are cores.

    It counts for the calling thread, and for threads that ask PyTorch for the first time.
    """
    threads = max(1, min(granted, cores()))
    torch.set_num_threads(threads)
    torch.get_num_threads()  # settles it here: another thread may set another number later
    return threads


def grid_for(
    network: Any, shape_YX: tuple[int, ...], write_px: int, origin: tuple[int, ...] = (0, 0)
) -> list[Tile]:
    """Tiles whose write regions partition a level, or a part of it from `origin` on.

    They are aligned to the network's poolings. Raises ValueError where `write_px` is no multiple of
    2**depth.
    """
    check_write_px(network, write_px)
    read_px = valid_input_px(write_px, network.depth)
    return tile_grid(shape_YX, write_px, network.halo_px, read_px, origin)


def tiles_for(network: Any, shape_YX: tuple[int, ...], write_px: int, region: Region) -> list[Tile]:
    """The tiles of a level of `shape_YX` that make a region of it.

    Of a seamless network they partition the region; of others they overlap by `overlap_px`, are the
    same for any region, and are to be blended.
    """
    if overlap := overlap_px(network, write_px):
        check_write_px(network, write_px)
        read_px = read_px_of(network, write_px)
        return overlapping_grid(shape_YX, region, write_px, overlap, network.halo_px, read_px)
    sizes_px = tuple(part.stop - part.start for part in region)
    return grid_for(network, sizes_px, write_px, tuple(part.start for part in region))


def no_more_than_written(tile: Tile, network: Any) -> Tile:
    """The tile, reading no more than its write region needs: of use where an image ends."""
    sizes_px = [valid_input_px(part.stop - part.start, network.depth) for part in tile.write]
    read = [
        slice(part.start, part.start + size) for part, size in zip(tile.read, sizes_px, strict=True)
    ]
    return Tile(tile.write, tuple(read))


def read_px_of(network: Any, write_px: int) -> int:
    """Side of the input of a tile that writes `write_px` px of its own."""
    return valid_input_px(write_px + 2 * overlap_px(network, write_px), network.depth)


def overlap_px(network: Any, write_px: int) -> int:
    """Pixels by which tiles reach into the next one's, to be blended: none where they fit."""
    return 0 if network.seamless else max(1, write_px // 4)


def check_write_px(network: Any, write_px: int) -> None:
    """Raises ValueError where `write_px` is no multiple of 2**depth: tiling changes the result."""
    step = 2**network.depth
    if write_px < step or write_px % step:
        below, above = max(step, write_px // step * step), (write_px // step + 1) * step
        raise ValueError(
            f"write_px = {write_px} px is not possible for a network of depth {network.depth}: "
            f"write regions must be multiples of {step} px, else tiling changes the result; the "
            f"nearest are {below} px and {above} px"
        )


def exact_fp32() -> None:
    """Let fp32 be fp32 on a GPU too, whose convolutions else round to 10 bits (TF32)."""
    torch.backends.cudnn.allow_tf32 = False


def ready(network: nn.Module, *, device: str, precision: str) -> nn.Module:
    """A copy of the network that infers: on the device, in the precision, channels last."""
    exact_fp32()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}.get(precision)
    if dtype is None:
        raise ValueError(f"precision {precision!r} is not known; there are fp32 and bf16")
    network = copy.deepcopy(network).eval().to(device=device, dtype=dtype)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def read_tile(image_CYX: ImageLike, tile: Tile) -> Tensor:
    """The padded input of one tile, (1, C, H, W) float32 (mirrored where it leaves the image)."""
    return as_batch(read_mirrored(image_CYX, tile.read))


def as_batch(pixels_CHW: np.ndarray) -> Tensor:
    """One tile as (1, C, H, W) float32."""
    return torch.from_numpy(np.ascontiguousarray(pixels_CHW, dtype=np.float32))[None]


@torch.inference_mode()
def tile_logits(network: nn.Module, tile_BCHW: Tensor) -> Tensor:
    """Logits (B, K, H, W) in float32 of padded inputs, on the device of the `ready` network."""
    weight = next(network.parameters())
    tile_BCHW = tile_BCHW.to(weight.device, weight.dtype, memory_format=torch.channels_last)
    # plane by plane: a softmax over channels that lie side by side takes four times as long
    logits_BKHW: Tensor = network(tile_BCHW).float().contiguous()
    return logits_BKHW


def cut(output_KHW: Tensor, tile: Tile) -> Tensor:
    """The part of a tile's output that belongs to its write region; the surplus is at the end."""
    height, width = (part.stop - part.start for part in tile.write)
    return output_KHW[..., :height, :width]
