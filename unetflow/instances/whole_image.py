"""Instances of a foreground in memory: threshold, label, clean, take clumps apart."""

import math

import numpy as np
from numpy.typing import ArrayLike

from unetflow.arguments import (
    flag_of,
    number_of,
    probabilities_of,
    threshold_of,
    whole_number_of,
)
from unetflow.components.objects_of_image import label_image
from unetflow.components.pieces_of_block import Labelling
from unetflow.errors import StoreError
from unetflow.instances.clumps import split_labels
from unetflow.labels.encoding import UINT32_MAX


def label_instances(
    foreground: ArrayLike,
    *,
    threshold: float = 0.5,
    min_area_px: int = 0,
    fill_holes: bool = False,
    connectivity: int = 1,
    split_px: float | None = None,
    max_hole_px: int | None = None,
) -> np.ndarray:
    """Number the connected components of foreground > threshold: uint32, 0 background.

        0.9 0.8 0.1 0.7        1 1 0 2
        0.9 0.2 0.1 0.6   ->   1 0 0 2        at threshold 0.5

    One to three axes. `connectivity` 1 joins pixels by their edges, as many axes as there are also
    by their corners. Holes (background that does not reach the border, by edges) are filled
    before, if they have `max_hole_px` pixels or fewer, components under `min_area_px` removed
    after. Then clumps are taken apart where they are `split_px` thinner than on both sides
    (`unetflow.instances.clumps`), into parts of `min_area_px` or more.

    Numbers are consecutive in scanning order. Raises ValueError for more axes, for foreground that
    is neither floats in [0, 1] nor booleans, for thresholds out of [0, 1] and for options that are
    not possible, StoreError for more instances than uint32 holds.
    """
    probability = probabilities_of(foreground, "foreground", "P(object)")
    if probability.dtype.kind in "iu":  # of an empty place 1 is noise where 255 is 1.0
        raise ValueError(
            f"foreground has dtype {probability.dtype}: must be floats in [0, 1], or booleans. "
            "Divide an 8-bit foreground by 255; of a mask of 0 and 1 pass mask > 0."
        )
    if probability.ndim not in (1, 2, 3):
        raise ValueError(
            f"foreground has {probability.ndim} axes {probability.shape}: instances are found in "
            "(X), (Y, X) or (Z, Y, X). Label its images one by one."
        )
    min_area_px = whole_number_of(min_area_px, "min_area_px", least=0)
    connectivity = whole_number_of(connectivity, "connectivity", least=1)
    if connectivity > probability.ndim:
        raise ValueError(
            f"connectivity is {connectivity}: must be 1, to join pixels by their edges, or up to "
            f"{probability.ndim}, the number of axes, by their corners too."
        )
    if split_px is not None and not 0 < number_of(split_px, "split_px") < math.inf:
        raise ValueError(f"split_px is {split_px}: must be above 0, or None to split nothing.")
    mask = probability.astype(np.float64) > threshold_of(threshold)  # as the metrics binarise
    if max_hole_px is not None:
        max_hole_px = whole_number_of(max_hole_px, "max_hole_px", least=1)
    how = Labelling(min_area_px, flag_of(fill_holes, "fill_holes"), connectivity, max_hole_px)
    labels = label_image(mask, how)
    if split_px is None:
        return labels
    parts = split_labels(labels, split_px, connectivity, min_area_px)
    if parts.max(initial=0) > UINT32_MAX:
        raise StoreError(f"{parts.max()} instances do not fit uint32: raise min_area_px")
    return parts.astype(np.uint32)
