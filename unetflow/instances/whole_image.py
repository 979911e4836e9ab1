"""Instances of a foreground in memory: threshold, label, clean, take clumps apart."""

import numpy as np
from scipy import ndimage

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
    """Number the connected pieces of foreground > threshold: uint32 (Y, X), 0 background.

        0.9 0.8 0.1 0.7        1 1 0 2
        0.9 0.2 0.1 0.6   ->   1 0 0 2        at threshold 0.5

    Any number of axes. `connectivity` 1 joins pixels by their edges, as many axes as there are
    also by their corners. Holes (background that does not reach the border, by edges) are filled
    before, pieces under `min_area_px` removed after. Then clumps are taken apart where they are
    `split_px` thinner than on both sides (`unetflow.instances.clumps`), into parts of
    `min_area_px` or more. Numbers are consecutive in scanning order.
    """
    mask = foreground.astype(np.float64) > threshold  # as the metrics binarise
    if fill_holes:
        mask = ndimage.binary_fill_holes(mask)
    structure = ndimage.generate_binary_structure(mask.ndim, connectivity)
    labels, count = ndimage.label(mask, structure, output=np.int64)
    if min_area_px > 1:
        areas_px = np.bincount(labels.ravel(), minlength=count + 1)
        keep = areas_px >= min_area_px
        keep[0] = False
        labels = np.where(keep, np.cumsum(keep), 0)[labels]
        count = int(keep.sum())
    if split_px is not None:
        labels = split_labels(labels, split_px, connectivity, min_area_px)
        count = int(labels.max(initial=0))
    if count > UINT32_MAX:
        raise StoreError(f"{count} instances do not fit uint32: raise min_area_px")
    return labels.astype(np.uint32)
