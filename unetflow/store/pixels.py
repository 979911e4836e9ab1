"""Images that are read by region, wherever their pixels lie."""

from typing import Protocol

import numpy as np

from unetflow.tiles.regions import Region


class ImageLike(Protocol):
    """An array, mostly (C, Y, X), that is read by slices: NumPy's, Zarr's, `Normalised`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Region, /) -> np.ndarray: ...


class Normalised:
    """An image (C, Y, X) that is read as (pixel - mean) / deviation of its channel, in float32."""

    def __init__(self, image: ImageLike, intensity: dict[str, list[float]]) -> None:
        self._image, self._intensity = image, intensity
        self.shape = image.shape

    def __getitem__(self, key: Region) -> np.ndarray:
        return normalised(np.asarray(self._image[key]), self._intensity)


def normalised(pixels_CHW: np.ndarray, intensity: dict[str, list[float]]) -> np.ndarray:
    """(pixel - mean) / deviation of its channel, in float32."""
    mean_C11, deviation_C11 = (
        np.asarray(intensity[name], np.float32)[:, None, None] for name in ("mean", "deviation")
    )
    result: np.ndarray = np.subtract(pixels_CHW, mean_C11, dtype=np.float32)
    result /= deviation_C11
    return result


class Pixels(ImageLike, Protocol):
    """An image (C, Y, X) that knows the type of its pixels."""

    @property
    def dtype(self) -> np.dtype: ...
