"""A volume as a picture: three planes through a point, at right angles to one another.

    +-------+---+
    | y x   | y |     the plane (y, x), to its right (y, z), below it (z, x);
    |       | z |     z is stretched, so that lengths are alike along all sides
    +-------+---+
    | z x   |   |
    +-------+---+

Of pixels, labels and all else alike, so that what is drawn of images is drawn of volumes too.
"""

from collections.abc import Callable, Sequence

import numpy as np

from unetflow.tiles.regions import PLANE, Region

GAP_PX = 3  # between the planes
Read = Callable[[Region], np.ndarray]
"""Values (..., Y, X), or (..., Z, Y, X), of a region."""


def shown(
    read: Read,
    region: Region,
    at: Sequence[int] = (),
    steps: Sequence[float] | None = None,
) -> np.ndarray:
    """Values (..., H, W) of a region as a picture: of an image as they are.

    Of a volume planes through the pixel `at`, whose sides are `steps` in its width; 0 between them.
    """
    if len(region) == PLANE:
        return read(region)
    z, y, x = at
    planes, rows, columns = region
    factor = steps[0] if steps else 1.0
    flat = read((slice(z, z + 1), rows, columns))[..., 0, :, :]
    below = read((planes, slice(y, y + 1), columns))[..., 0, :]
    beside = np.swapaxes(read((planes, rows, slice(x, x + 1)))[..., 0], -1, -2)
    stretched = _stretched(below.shape[-2], factor)
    below, beside = below[..., stretched, :], beside[..., stretched]
    height, width = flat.shape[-2:]
    deep = len(stretched)
    picture = np.zeros(
        (*flat.shape[:-2], height + GAP_PX + deep, width + GAP_PX + deep), flat.dtype
    )
    picture[..., :height, :width] = flat
    picture[..., height + GAP_PX :, :width] = below
    picture[..., :height, width + GAP_PX :] = beside
    return picture


def shown_px(shape: Sequence[int], steps: Sequence[float] | None) -> list[int]:
    """Height and width of such a picture of a region of this shape."""
    if len(shape) == PLANE:
        return [*shape]
    deep = len(_stretched(shape[0], steps[0] if steps else 1.0)) + GAP_PX
    return [shape[1] + deep, shape[2] + deep]


def _stretched(planes: int, factor: float) -> np.ndarray:
    """Which plane each pixel along z is of."""
    size = max(1, round(planes * factor))
    along: np.ndarray = ((np.arange(size) + 0.5) * planes / size).astype(int)
    return np.asarray(np.minimum(along, planes - 1))
