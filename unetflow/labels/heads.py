"""What the heads of a network are asked for, made of the numbers of the objects.

In pixels of the patch that the network sees: the numbers are turned, zoomed and deformed first, and
distances are taken in what comes of that, so that a head says of an image what it would measure
there. Of an object that the patch cuts the edge of the patch is no edge.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy import ndimage

from unetflow.store.heads import BORDER_PX, DISTANCE_PX


def border_target(labels: np.ndarray) -> np.ndarray:
    """1 within `BORDER_PX` of two objects, their own counted with 0, else 0: float32.

    Ground that lies between two objects belongs to their border. Any number of axes.
    """
    near = np.zeros(labels.shape, np.uint8)
    for number, box in _objects(labels, BORDER_PX):
        away_px = ndimage.distance_transform_edt(labels[box] != number)
        near[box] = np.minimum(near[box] + (away_px <= BORDER_PX), 2)
    return np.asarray(near == 2, np.float32)


def distance_target(labels: np.ndarray) -> np.ndarray:
    """Distance to the object's own edge, `DISTANCE_PX` and more as 1, ground as 0: float32.

    Of a pixel at the edge it is that of one pixel. Any number of axes.
    """
    found = np.zeros(labels.shape, np.float32)
    for number, box in _objects(labels, 1):
        mask = labels[box] == number
        depth_px = ndimage.distance_transform_edt(mask) if not mask.all() else DISTANCE_PX * mask
        found[box][mask] = np.minimum(depth_px[mask] / DISTANCE_PX, 1)
    return found


TARGETS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "border": border_target,
    "distance": distance_target,
}
REACH_PX = {"border": BORDER_PX, "distance": DISTANCE_PX}  # that a target depends on, around it


def _objects(labels: np.ndarray, around_px: int) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """The number of each object, and its box, larger by some pixels to each side."""
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            yield (
                number,
                tuple(
                    slice(max(part.start - around_px, 0), min(part.stop + around_px, size))
                    for part, size in zip(box, labels.shape, strict=True)
                ),
            )
