"""An image with the outlines of its instances, drawn region by region."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from skimage.segmentation import find_boundaries

from unetflow.colours import COLOURS
from unetflow.store.arrays import StoredArray
from unetflow.tiles.regions import Region, with_halo

SPREAD = 2.5  # deviations from the mean that an overlay shows, of images that are not RGB


def drawing(
    level: StoredArray, labels: StoredArray, first_ids: Sequence[int], receipt: dict[str, Any]
) -> Callable[[Region], np.ndarray]:
    """Draws a region of a level as RGB (Y, X, 3), instances outlined in the colours of classes."""
    colours = np.array(COLOURS, np.uint8)

    def draw(region: Region) -> np.ndarray:
        rgb = _as_rgb(np.asarray(level[(slice(None), *region)]), receipt)
        wide, inner = with_halo(region, (1, 1), level.shape[1:])
        labels_YX = np.asarray(labels[wide])
        outlined = find_boundaries(labels_YX, mode="inner")[inner]
        numbers = np.searchsorted(first_ids, labels_YX[inner][outlined], side="right") - 1
        rgb[outlined] = colours[numbers % len(colours)]
        return rgb

    return draw


def _as_rgb(image_CYX: np.ndarray, receipt: dict[str, Any]) -> np.ndarray:
    """Three channels of bytes as they are, else the mean of the channels, stretched."""
    if len(image_CYX) == 3 and image_CYX.dtype == np.uint8:
        return np.moveaxis(image_CYX, 0, -1).copy()
    mean, deviation = np.mean(receipt["pixels"]["mean"]), np.mean(receipt["pixels"]["deviation"])
    low = max(mean - SPREAD * deviation, min(receipt["pixels"]["lowest"]))
    high = min(mean + SPREAD * deviation, max(receipt["pixels"]["highest"]))
    span = max(high - low, 1e-12)
    gray_YX = (image_CYX.astype(np.float64).mean(axis=0) - low) / span
    return np.repeat(np.rint(255 * np.clip(gray_YX, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)
