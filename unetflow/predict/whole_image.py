"""Prediction of an image in memory, to an array.

Shape suffixes: K classes, H W of a tile, Y X of a level.
"""

import numpy as np
from torch import nn

from unetflow.predict.forward import cut, read_tile, ready
from unetflow.predict.runners import mean_probabilities, turns_of
from unetflow.store.pixels import ImageLike
from unetflow.tiles.tiling import put_tile, tiles_for


def predict_array(
    network: nn.Module,
    image: ImageLike,
    *,
    write_px: int = 512,
    precision: str = "fp32",
    average: int = 1,
    device: str = "cpu",
) -> np.ndarray:
    """Class probabilities (K, Y, X), float32, of an image (C, Y, X) that is already normalised.

    The result is that of the whole image, mirrored at its borders, in one pass of the network, to
    rounding, for every `write_px` that is a multiple of 2**depth. `average` is 1, 7 or 8: the
    number of flips and rotations of the padded input whose probabilities are averaged.
    Raises ValueError for another `write_px`, `average` or `precision`.
    """
    turns = turns_of(average)
    inferring = ready(network, device=device, precision=precision)
    shape_YX = tuple(image.shape[1:])
    everywhere = tuple(slice(0, size) for size in shape_YX)
    whole_KYX: np.ndarray | None = None
    for tile in tiles_for(network, shape_YX, write_px, everywhere):
        probabilities = mean_probabilities([inferring], [read_tile(image, tile)], turns)
        found_KHW = cut(probabilities.cpu(), tile).numpy()
        if whole_KYX is None:
            whole_KYX = np.zeros((len(found_KHW), *shape_YX), np.float32)
        put_tile(whole_KYX, everywhere, found_KHW, tile, network, write_px, shape_YX)
    if whole_KYX is None:
        raise ValueError(f"an image of shape {tuple(image.shape)} has no pixels")
    return whole_KYX
