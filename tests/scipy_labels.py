"""Instances as SciPy finds them: what labelling by run-length encoding is compared with."""

import numpy as np
from scipy import ndimage


def scipy_instances(
    foreground: np.ndarray,
    *,
    threshold: float = 0.5,
    min_area_px: int = 0,
    fill_holes: bool = False,
    connectivity: int = 1,
    max_hole_px: int | None = None,
) -> np.ndarray:
    """As `unetflow.instances.label_instances`, of any number of axes, without `split_px`."""
    mask = foreground.astype(np.float64) > threshold
    if fill_holes:
        filled = ndimage.binary_fill_holes(mask)
        if max_hole_px is not None:
            holes, _ = ndimage.label(filled & ~mask)
            filled &= mask | (np.bincount(holes.ravel())[holes] <= max_hole_px)
        mask = filled
    structure = ndimage.generate_binary_structure(mask.ndim, connectivity)
    labels, count = ndimage.label(mask, structure, output=np.int64)
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= min_area_px
    keep[0] = False
    return np.asarray(np.where(keep, np.cumsum(keep), 0)[labels], np.uint32)
