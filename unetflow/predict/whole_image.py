"""Prediction of an image or a volume in memory, to an array.

Shape suffixes: K classes, H W of a tile, Y X of a level; of volumes (Z, Y, X).
"""

from collections.abc import Sequence

import numpy as np
import torch

from unetflow.arguments import array_of, whole_number_of
from unetflow.errors import ModelError
from unetflow.networks.network import Network, heads_of
from unetflow.predict.forward import cut, read_tile, ready
from unetflow.predict.runners import OF_CUBES, mean_probabilities, orientations_of
from unetflow.store.pixels import ImageLike
from unetflow.tiles.grid import Tile
from unetflow.tiles.tiling import Tiling

WRITE_PX = {2: 512, 3: 64}  # of a tile, by the number of spatial axes


def predict_array(
    network: Network,
    image: ImageLike,
    *,
    write_px: int | None = None,
    precision: str = "fp32",
    average: int = 1,
    device: str = "cpu",
) -> np.ndarray:
    """Class probabilities (K, Y, X), float32, of an image (C, Y, X) that is already normalised.

    Of a network of volumes (K, Z, Y, X) of (C, Z, Y, X). The result is that of the whole image,
    mirrored at its borders, in one pass of the network, to rounding, for every `write_px` that is a
    multiple of the network's step, if it is seamless (None: 512 px, of volumes 64 px).
    `average` is 1, 7 or 8, of volumes also 16, and 48 where voxels are cubes: the number of flips
    and rotations of the padded input whose probabilities are averaged (test-time augmentation).
    Raises ValueError for another
    `write_px`, `average`, `precision` or `device`, for an image that does not fit the network or
    has pixels that are no numbers, and where the network gives none or has one class alone.
    """
    if not hasattr(network, "geometry") or not hasattr(network, "in_channels"):
        raise ValueError(
            f"network is a {type(network).__name__}: must be a network of this package, with its "
            "geometry. Make one with unetflow.networks.build, or load one with "
            "unetflow.networks.model_file.load_model."
        )
    axes = network.geometry.axes
    orientations = orientations_of(whole_number_of(average, "average", least=1), len(axes))
    if len(orientations) > 1 and not network.geometry.symmetric:
        raise ValueError(
            f"test-time augmentation over {average} flips and turns the image, but this network "
            f"sees {network.geometry.before_px} px before a pixel and {network.geometry.after_px} "
            "px after it: what it says would be moved. Pass average=1."
        )
    if orientations == OF_CUBES and not network.geometry.alike:
        raise ValueError(
            f"test-time augmentation over {average} turns any side of a cube up, and this network "
            f"does not see alike along {', '.join(axes)}. Pass average=16."
        )
    size_px = WRITE_PX[len(axes)] if write_px is None else write_px
    tiling = Tiling.square(network.geometry, whole_number_of(size_px, "write_px", least=1))
    pixels = _checked(image, network.in_channels, axes)
    if 0 in pixels.shape:
        raise ValueError(f"an image of shape {tuple(pixels.shape)} has no pixels")
    try:
        inferring = ready(network, device=_usable(device), precision=str(precision))
    except ModelError as error:
        raise ValueError(f"network: {error}") from error
    shape_YX = tuple(pixels.shape[1:])
    everywhere = tuple(slice(0, size) for size in shape_YX)
    tiling = tiling.for_image(shape_YX)  # no tile is larger than it
    whole_KYX: np.ndarray | None = None
    for tile in tiling.tiles(shape_YX, everywhere):
        with np.errstate(over="ignore"):  # beyond float32 is infinite, which is refused
            input_BCHW = read_tile(pixels, tile)
        if not torch.isfinite(input_BCHW).all():
            raise ValueError(
                f"image has NaN or infinite pixels {_around(tile)}: must be numbers, as they would "
                "spread. Replace them (numpy.nan_to_num)."
            )
        probabilities = mean_probabilities([inferring], [input_BCHW], orientations)
        classes = len(probabilities) - len(heads_of(network))
        if classes < 2:
            raise ValueError(
                "the network has one class, whose probability is 1 everywhere, whatever it says: "
                "background is a class too. Build and train it with num_classes=2."
            )
        found_KHW = cut(probabilities[:classes].cpu(), tile).numpy()
        if not np.isfinite(found_KHW).all():
            raise ValueError(
                f"the network gives NaN {_around(tile)}, of pixels that are numbers: they, or its "
                "weights, are far too large. Normalise the image as in training, or load another "
                "network."
            )
        if whole_KYX is None:
            whole_KYX = np.zeros((len(found_KHW), *shape_YX), np.float32)
        tiling.put(whole_KYX, everywhere, found_KHW, tile, shape_YX)
    assert whole_KYX is not None  # there are pixels, and so there is a tile
    return whole_KYX


def _checked(image: ImageLike, channels: int, axes: Sequence[str]) -> ImageLike:
    """The image (C, Y, X); what is no array that is read by region is made one."""
    wanted = f"(C, {', '.join(axes).upper()})"
    pixels = image
    if isinstance(image, np.ndarray | torch.Tensor) or not hasattr(image, "shape"):
        pixels = array_of(image, "image")
    shape = tuple(pixels.shape)
    if len(shape) != 1 + len(axes):
        raise ValueError(
            f"image has {len(shape)} axes {shape}: must be {wanted}. Pass image[None] for one "
            f"({', '.join(axes).upper()}) of one channel; predict several images one by one."
        )
    if shape[0] != channels:
        raise ValueError(
            f"image has shape {shape}, of {shape[0]} channels: must be {wanted}, and the network "
            f"takes {channels}. Move channels that are last with numpy.moveaxis(image, -1, 0)."
        )
    corner = array_of(pixels[(slice(None), *(slice(0, 1) for _ in axes))], "image")
    if corner.size and corner.dtype.kind != "f":
        raise ValueError(
            f"image has dtype {corner.dtype}: must be floats, normalised as in training, (pixel - "
            "mean) / deviation of its channel. Pass image.astype(numpy.float32) if it is."
        )
    return pixels


def _usable(device: str) -> str:
    """The device, or ValueError where PyTorch has none of that name."""
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, TypeError) as error:
        why, _, _ = str(error).partition("\n")
        raise ValueError(
            f"device {device!r} cannot be used ({why:.120}): must be one that PyTorch finds, "
            'mostly "cpu" or "cuda"'
        ) from error
    return device


def _around(tile: Tile) -> str:
    names = ("planes", "rows", "columns")[-len(tile.write) :]
    places = zip(names, tile.write, strict=True)
    return "in or around " + ", ".join(f"{name} {of.start} to {of.stop}" for name, of in places)
