"""Images that are read by region, wherever their pixels lie."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from unetflow.errors import UnsuitableError
from unetflow.store.stains import WAYS, restained, stains_of, suits
from unetflow.store.surroundings import locally_normalised, with_surroundings
from unetflow.tiles.regions import Region

LOG, LOCAL = "log", "local"
Intensity = Mapping[str, Any]
"""`mean` and `deviation` of each channel. Where not linear `scale`: "log", "local" with `px`, or a
way of `unetflow.store.stains` with the `target`, and for an image with its `own` stains."""


class ImageLike(Protocol):
    """An array, mostly (C, Y, X), that is read by slices: NumPy's, Zarr's, `Normalised`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Region, /) -> np.ndarray: ...


class Normalised:
    """An image (C, Y, X) that is read as a network sees it, in float32.

    That is (pixel - mean) / deviation of its channel, the logarithm of the pixel in its place where
    `intensity` says so, or the pixel in other stains, or mean and deviation of its surroundings in
    theirs. Any region has the bits that it has in the whole image.
    """

    def __init__(self, image: ImageLike, intensity: Intensity) -> None:
        self._image, self._intensity = image, of_image(intensity, image)
        self.shape = image.shape

    def __getitem__(self, key: Region) -> np.ndarray:
        if not is_local(self._intensity):
            return normalised(np.asarray(self._image[key]), self._intensity)
        channels, *parts = key
        region = tuple(
            slice(*part.indices(size)[:2]) for part, size in zip(parts, self.shape[1:], strict=True)
        )
        px = self._intensity["px"]
        read = with_surroundings(region, px, self.shape[1:])
        mean, deviation = (
            np.asarray(self._intensity[name], np.float64)[channels]
            for name in ("mean", "deviation")
        )
        pixels = np.asarray(self._image[(channels, *read)])
        return locally_normalised(pixels, read, region, px, mean, deviation)


def of_image(intensity: Intensity, image: ImageLike) -> Intensity:
    """The same for one image: with its own stains, where these are replaced.

    They are those of the training where too little is stained to tell. Raises UnsuitableError where
    an image has no stains: it is not of red, green and blue.
    """
    if intensity.get("scale") not in WAYS or "own" in intensity:
        return intensity
    dtype = image[(slice(None), *(slice(0, 1) for _ in image.shape[1:]))].dtype
    if not suits(image.shape[0], dtype):
        raise UnsuitableError(
            f"the image has {image.shape[0]} channels of {dtype}, but the model was trained "
            f"with intensity: {intensity['scale']}, for red, green and blue of 8 or 16 bits. "
            "Convert the image, or take a model that was trained without."
        )
    own = stains_of(image, intensity["scale"]) or intensity["target"]
    return {**intensity, "own": own}


def is_local(intensity: Intensity) -> bool:
    """Whether a pixel is normalised by its surroundings."""
    return intensity.get("scale") == LOCAL


def normalised(pixels_CHW: np.ndarray, intensity: Intensity) -> np.ndarray:
    """(pixel - mean) / deviation of its channel, in float32; of the logarithm, or in other stains.

    Raises ValueError where surroundings are needed, which `Normalised` reads.
    """
    if is_local(intensity):
        raise ValueError("pixels alone have no surroundings: read them through Normalised")
    if intensity.get("scale") == LOG:
        pixels_CHW = logarithms(pixels_CHW)
    if (way := intensity.get("scale")) in WAYS:
        pixels_CHW = restained(pixels_CHW, way, intensity["own"], intensity["target"])
    ones = [1 for _ in pixels_CHW.shape[1:]]
    mean_C11, deviation_C11 = (
        np.asarray(intensity[name], np.float32).reshape(-1, *ones) for name in ("mean", "deviation")
    )
    result: np.ndarray = np.subtract(pixels_CHW, mean_C11, dtype=np.float32)
    result /= deviation_C11
    return result


def logarithms(pixels: np.ndarray) -> np.ndarray:
    """log(1 + pixel) in float32; what is below 0 counts as 0."""
    if pixels.dtype in (np.uint8, np.uint16):
        table = np.log1p(np.arange(np.iinfo(pixels.dtype).max + 1)).astype(np.float32)
        return np.asarray(table[pixels])
    # in a row, where each pixel has the bits that it has among any others
    above = np.maximum(np.ascontiguousarray(pixels, np.float64), 0)
    return np.log1p(above).astype(np.float32)


class Pixels(ImageLike, Protocol):
    """An image (C, Y, X) that knows the type of its pixels."""

    @property
    def dtype(self) -> np.dtype: ...
