"""An image with the outlines of its instances, drawn region by region."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from unetflow.colours import CLASSES, rgb_bytes
from unetflow.export.tiff import planes_of, tiles_of
from unetflow.store.arrays import StoredArray
from unetflow.tiles.regions import Region, with_halo

if TYPE_CHECKING:
    from unetflow.provenance.schemas import Intensities

SPREAD = 2.5  # deviations from the mean that an overlay shows, of images that are not RGB


def drawing(
    level: StoredArray, labels: StoredArray, first_ids: Sequence[int], pixels: "Intensities"
) -> Callable[[Region], NDArray[np.uint8]]:
    """Draws a region of a level as RGB (Y, X, 3), instances outlined in the colours of classes.

    `first_ids` are of each class the number of its first instance, ascending; `pixels` are the
    intensities of the whole image.
    """

    def draw(region: Region) -> NDArray[np.uint8]:
        rgb = _as_rgb(np.asarray(level[(slice(None), *region)]), pixels)
        wide, inner = with_halo(region, (1, 1), level.shape[1:])
        return _outlined(rgb, np.asarray(labels[wide]), inner, first_ids)

    return draw


def drawn_planes(
    level: StoredArray, labels: StoredArray, first_ids: Sequence[int], pixels: "Intensities"
) -> Iterator[NDArray[np.uint8]]:
    """The same of a volume as tiles of its planes: outlines are those in the plane."""
    images = planes_of(labels.shape, lambda at: np.moveaxis(level[(slice(None), *at)], 0, 1))
    of_labels = planes_of(labels.shape, lambda at: np.asarray(labels[at]))
    for image_CYX, labels_YX in zip(images, of_labels, strict=True):
        whole = tuple(slice(0, size) for size in labels_YX.shape)
        rgb = _outlined(_as_rgb(image_CYX, pixels), labels_YX, whole, first_ids)
        yield from tiles_of(labels_YX.shape, rgb.__getitem__)


def _outlined(
    rgb: NDArray[np.uint8], labels_YX: np.ndarray, inner: Region, first_ids: Sequence[int]
) -> NDArray[np.uint8]:
    """The drawn pixels with the outlines of instances; `inner` is where they lie in the labels."""
    colours = np.array([rgb_bytes(colour) for colour in CLASSES], np.uint8)
    outlined = find_boundaries(labels_YX, mode="inner")[inner]
    numbers = np.searchsorted(first_ids, labels_YX[inner][outlined], side="right") - 1
    rgb[outlined] = colours[numbers % len(colours)]
    return rgb


def _as_rgb(image_CYX: np.ndarray, pixels: "Intensities") -> NDArray[np.uint8]:
    """Three channels of bytes as they are, else the mean of the channels, stretched."""
    if len(image_CYX) == 3 and image_CYX.dtype == np.uint8:
        return np.moveaxis(image_CYX, 0, -1).copy()
    mean, deviation = float(np.mean(pixels["mean"])), float(np.mean(pixels["deviation"]))
    low = max(mean - SPREAD * deviation, min(pixels["lowest"]))
    high = min(mean + SPREAD * deviation, max(pixels["highest"]))
    span = max(high - low, 1e-12)
    gray_YX = (image_CYX.astype(np.float64).mean(axis=0) - low) / span
    return np.repeat(np.rint(255 * np.clip(gray_YX, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)
