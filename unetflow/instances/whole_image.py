"""Instances of a foreground in memory: threshold, label, clean, take clumps apart."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from unetflow.arguments import (
    flag_of,
    list_of,
    number_of,
    probabilities_of,
    threshold_of,
    whole_number_of,
)
from unetflow.components.objects_of_image import label_image
from unetflow.components.pieces_of_block import Labelling
from unetflow.errors import StoreError
from unetflow.instances.separation import Separation
from unetflow.instances.watershed import split_labels
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
    separate: str = "necks",
    split_logits: float | None = None,
    seed_threshold: float | None = None,
    border_threshold: float | None = None,
    head: ArrayLike | None = None,
    spacing: Sequence[float] | None = None,
) -> np.ndarray:
    """Number the connected components of foreground > threshold: uint32, 0 background.

        0.9 0.8 0.1 0.7        1 1 0 2
        0.9 0.2 0.1 0.6   ->   1 0 0 2        at threshold 0.5

    One to three axes. `connectivity` 1 joins pixels by their edges, as many axes as there are also
    by their corners. Holes (background that does not reach the border, by edges) are filled
    before, if they have `max_hole_px` pixels or fewer, components under `min_area_px` removed
    after. Then clumps are taken apart, into parts of `min_area_px` or more, by the method that
    `separate` names (`unetflow.instances.landscapes`):

    * "necks": where they are `split_px` thinner than on both sides; without it nowhere
    * "valleys": where logit of foreground + distance to the edge is `split_logits` lower
    * "seeds": into one part for each piece above `seed_threshold`; objects without one are left out
    * "border": into one part for each piece where `head` is at most `border_threshold`
    * "distance": where the distance in `head` is `split_px` lower
    * "none": nowhere

    `head` is what a network with such a head says, in [0, 1], of the shape of foreground.
    `spacing` is the side of a pixel along each axis, in what `split_px` is given in (default 1).
    Numbers are consecutive in scanning order. Raises ValueError for more axes, for foreground that
    is neither floats in [0, 1] nor booleans, for thresholds out of [0, 1] and for options that are
    not possible, StoreError for more instances than uint32 holds.
    """
    probability = _checked(foreground)
    min_area_px = whole_number_of(min_area_px, "min_area_px", least=0)
    connectivity = whole_number_of(connectivity, "connectivity", least=1)
    if connectivity > probability.ndim:
        raise ValueError(
            f"connectivity is {connectivity}: must be 1, to join pixels by their edges, or up to "
            f"{probability.ndim}, the number of axes, by their corners too."
        )
    separation = Separation.of(
        {
            "separate": separate,
            "split_px": split_px,
            "split_logits": split_logits,
            "seed_threshold": seed_threshold,
            "border_threshold": border_threshold,
        },
        _steps(spacing, probability.ndim),
    )
    head_values = _head_of(head, separation, probability.shape)
    mask = probability.astype(np.float64) > threshold_of(threshold)  # as the metrics binarise
    if max_hole_px is not None:
        max_hole_px = whole_number_of(max_hole_px, "max_hole_px", least=1)
    how = Labelling(min_area_px, flag_of(fill_holes, "fill_holes"), connectivity, max_hole_px)
    labels = label_image(mask, how)
    if separation is None:
        return labels
    parts = split_labels(
        labels,
        separation,
        connectivity,
        min_area_px,
        foreground=probability.astype(np.float32),  # as of a store
        head=head_values,
    )
    if parts.max(initial=0) > UINT32_MAX:
        raise StoreError(f"{parts.max()} instances do not fit uint32: raise min_area_px")
    return parts.astype(np.uint32)


def _checked(foreground: ArrayLike) -> np.ndarray:
    """A foreground of one to three axes, floats in [0, 1] or booleans. Raises ValueError."""
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
    return probability


def _steps(spacing: Sequence[float] | None, axes: int) -> tuple[float, ...] | None:
    """The sides of a pixel. Raises ValueError where they are not one for each axis, above 0."""
    if spacing is None:
        return None
    steps = tuple(number_of(step, "spacing") for step in list_of(spacing))
    if len(steps) != axes or not all(0 < step < math.inf for step in steps):
        raise ValueError(f"spacing is {spacing}: must be {axes} numbers above 0, one for each axis")
    return steps


def _head_of(
    head: ArrayLike | None, separation: Separation | None, shape: tuple[int, ...]
) -> np.ndarray | None:
    """The head's values as float32, None where the method needs none. Raises ValueError."""
    if separation is None or separation.head is None:
        return None
    if head is None:
        raise ValueError(
            f"separate is {separation.method!r}, but there is no head: hand in what a network with "
            f"a {separation.method} head says (array `heads` of its store), or choose necks, "
            "valleys or seeds, which need none."
        )
    values = probabilities_of(head, "head", f"{separation.method} head")
    if values.shape != shape:
        raise ValueError(
            f"head has shape {values.shape}: must be that of the foreground, {shape}. Of a store's "
            "`heads` take one plane, heads[0]."
        )
    if values.dtype.kind in "iu":
        raise ValueError(f"head has dtype {values.dtype}: must be floats in [0, 1]; divide by 255.")
    return values.astype(np.float32)
