"""Mirrored padding: what an image shows beyond its border, the edge pixel not repeated."""

from typing import Protocol

import numpy as np

from unetflow.tiles.regions import Region


class Sliceable(Protocol):
    """An array that is read by slices, such as NumPy's or Zarr's."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: tuple[slice, ...], /) -> np.ndarray: ...


def mirror(positions: np.ndarray, size_px: int) -> np.ndarray:
    """Where positions outside [0, size) lie after mirroring, the edge pixel not repeated.

    As `numpy.pad(mode="reflect")`, again and again where the level is smaller than the reach:
    positions -2 -1 0 1 2 3 4 of a level of 3 px are 2 1 0 1 2 1 0.
    """
    if size_px == 1:
        return np.zeros_like(positions)
    period = 2 * (size_px - 1)
    folded = np.abs(positions) % period
    inside: np.ndarray = np.minimum(folded, period - folded)
    return inside


def read_mirrored(array: Sliceable, region: Region) -> np.ndarray:
    """Read `region` of an array's last axes, mirrored where it leaves the array.

    Axes before the region's are read whole. Only pixels of the array that the region needs are
    read, each once.
    """
    leading = (slice(None),) * (len(array.shape) - len(region))
    sizes_px = array.shape[len(leading) :]
    inside = []  # what is read, as slices of the array
    picks = []  # where each pixel of the region lies in what was read
    for part, size_px in zip(region, sizes_px, strict=True):
        positions = mirror(np.arange(part.start, part.stop), size_px)
        first = int(positions.min())
        inside.append(slice(first, int(positions.max()) + 1))
        picks.append(positions - first)
    pixels = np.asarray(array[(*leading, *inside)])
    for axis, pick in enumerate(picks, start=len(leading)):
        if len(pick) != pixels.shape[axis] or pick[0] != 0:
            pixels = np.take(pixels, pick, axis=axis)
    return pixels
