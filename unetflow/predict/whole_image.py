"""Prediction of an image in memory, to an array.

Shape suffixes: K classes, H W of a tile, Y X of a level.
"""

import numpy as np

from unetflow.networks.network import Network
from unetflow.predict.forward import cut, read_tile, ready
from unetflow.predict.runners import mean_probabilities, orientations_of
from unetflow.store.pixels import ImageLike
from unetflow.tiles.tiling import Tiling


def predict_array(
    network: Network,
    image: ImageLike,
    *,
    write_px: int = 512,
    precision: str = "fp32",
    average: int = 1,
    device: str = "cpu",
) -> np.ndarray:
    """Class probabilities (K, Y, X), float32, of an image (C, Y, X) that is already normalised.

    The result is that of the whole image, mirrored at its borders, in one pass of the network, to
    rounding, for every `write_px` that is a multiple of the network's step, if it is seamless.
    `average` is 1, 7 or 8: the number of flips and rotations of the padded input whose
    probabilities are averaged (test-time augmentation). Raises ValueError for another `write_px`,
    `average` or `precision`.
    """
    orientations = orientations_of(average)
    tiling = Tiling.square(network.geometry, write_px)
    inferring = ready(network, device=device, precision=precision)
    shape_YX = tuple(image.shape[1:])
    everywhere = tuple(slice(0, size) for size in shape_YX)
    whole_KYX: np.ndarray | None = None
    for tile in tiling.tiles(shape_YX, everywhere):
        probabilities = mean_probabilities([inferring], [read_tile(image, tile)], orientations)
        found_KHW = cut(probabilities.cpu(), tile).numpy()
        if whole_KYX is None:
            whole_KYX = np.zeros((len(found_KHW), *shape_YX), np.float32)
        tiling.put(whole_KYX, everywhere, found_KHW, tile, shape_YX)
    if whole_KYX is None:
        raise ValueError(f"an image of shape {tuple(image.shape)} has no pixels")
    return whole_KYX
