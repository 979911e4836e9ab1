"""Instances of a foreground in memory: threshold, label, clean, take clumps apart."""

import numpy as np

from unetflow.components.objects_of_image import label_image
from unetflow.components.pieces_of_block import Labelling
from unetflow.errors import StoreError
from unetflow.instances.clumps import split_labels
from unetflow.labels.encoding import UINT32_MAX


def label_instances(
    foreground: np.ndarray,
    *,
    threshold: float = 0.5,
    min_area_px: int = 0,
    fill_holes: bool = False,
    connectivity: int = 1,
    split_px: float | None = None,
) -> np.ndarray:
    """Number the connected components of foreground > threshold: uint32, 0 background.

        0.9 0.8 0.1 0.7        1 1 0 2
        0.9 0.2 0.1 0.6   ->   1 0 0 2        at threshold 0.5

    One to three axes. `connectivity` 1 joins pixels by their edges, as many axes as there are also
    by their corners. Holes (background that does not reach the border, by edges) are filled
    before, components under `min_area_px` removed after. Then clumps are taken apart where they
    are `split_px` thinner than on both sides (`unetflow.instances.clumps`), into parts of
    `min_area_px` or more. Numbers are consecutive in scanning order. Raises ValueError for more
    axes, StoreError for more instances than uint32 holds.
    """
    if foreground.ndim not in (1, 2, 3):
        raise ValueError(
            f"foreground has {foreground.ndim} axes {foreground.shape}: instances are found in "
            "(X), (Y, X) or (Z, Y, X). Label its images one by one."
        )
    mask = foreground.astype(np.float64) > threshold  # as the metrics binarise
    labels = label_image(mask, Labelling(min_area_px, fill_holes, connectivity))
    if split_px is None:
        return labels
    parts = split_labels(labels, split_px, connectivity, min_area_px)
    if parts.max(initial=0) > UINT32_MAX:
        raise StoreError(f"{parts.max()} instances do not fit uint32: raise min_area_px")
    return parts.astype(np.uint32)
