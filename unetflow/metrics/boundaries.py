"""Are the outlines in the right place? Boundary F1 and Hausdorff distance.

The boundary of an image are the pixels of its objects that have a neighbour by an edge with another
label, background included; the image's border is no boundary:

    labels  1 1 1 0      boundary  . . x .
            1 1 2 2                . x x x
            1 1 2 2                . x x .

Both work on the boundaries of all objects together, and ask for no matching of objects.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import distance_transform_edt

from unetflow.arguments import labels_of, number_of
from unetflow.metrics.checks import BoolArray, FloatArray, flags_like, label_images
from unetflow.metrics.overlap import ratio


class BoundaryScore(NamedTuple):
    """Boundary F1 and its parts, each in [0, 1], NaN where undefined."""

    f: float  # NaN where neither image has a boundary
    precision: float  # share of the predicted boundary near a true one; NaN without any
    recall: float  # share of the true boundary near a predicted one; NaN without any


def boundary_f1(
    truth_labels: ArrayLike,
    predicted_labels: ArrayLike,
    *,
    tolerance_px: float = 2.0,
    ignore: ArrayLike | None = None,
) -> BoundaryScore:
    """F-score of boundary pixels that lie within `tolerance_px` of the other image's boundary.

    Two label images of one shape and any number of axes, 0 background. Distances are Euclidean,
    between pixel centres. Ignored pixels are no boundary themselves, but do bound their neighbours.
    Source: Csurka et al. 2013, "What is a good evaluation measure for semantic segmentation?",
    after Martin et al. 2004.
    """
    if not number_of(tolerance_px, "tolerance_px") >= 0:
        raise ValueError(f"tolerance_px is {tolerance_px}: must be 0 or more, usually 1 to 3.")
    of_truth, of_prediction = _distances(truth_labels, predicted_labels, ignore)
    recall = ratio(int((of_truth <= tolerance_px).sum()), of_truth.size)
    precision = ratio(int((of_prediction <= tolerance_px).sum()), of_prediction.size)
    if not of_truth.size or not of_prediction.size:
        f = 0.0 if of_truth.size or of_prediction.size else float("nan")
    else:
        f = ratio(2 * precision * recall, precision + recall) if precision or recall else 0.0
    return BoundaryScore(f, precision, recall)


def hausdorff_distance_px(
    truth_labels: ArrayLike,
    predicted_labels: ArrayLike,
    *,
    percentile: float = 100.0,
    ignore: ArrayLike | None = None,
) -> float:
    """The largest distance [px] from a boundary pixel of one image to the other's boundary.

    The larger of both directions; `percentile` 95 instead of the largest gives HD95, which single
    stray pixels do not decide. Input as `boundary_f1`. NaN where neither image has a boundary,
    infinite where only one has.
    """
    if not 0 < number_of(percentile, "percentile") <= 100:
        raise ValueError(f"percentile is {percentile}: must lie in (0, 100], usually 100 or 95.")
    directions = _distances(truth_labels, predicted_labels, ignore)
    sizes = [each.size for each in directions]
    if not all(sizes):
        return float("inf") if any(sizes) else float("nan")
    return max(float(np.percentile(each, percentile)) for each in directions)


def boundary_pixels(labels: ArrayLike) -> BoolArray:
    """Pixels of objects that have a neighbour by an edge with another label."""
    image = labels_of(labels, "labels")
    found = np.zeros(image.shape, np.bool_)
    for axis in range(image.ndim):
        before = tuple(slice(None, -1) if a == axis else slice(None) for a in range(image.ndim))
        after = tuple(slice(1, None) if a == axis else slice(None) for a in range(image.ndim))
        differ = image[before] != image[after]
        found[before] |= differ
        found[after] |= differ
    found &= image != 0
    return found


def _distances(
    truth_labels: ArrayLike, predicted_labels: ArrayLike, ignore: ArrayLike | None
) -> tuple[FloatArray, FloatArray]:
    """From each true boundary pixel to the predicted boundary [px], and the other way round."""
    images = label_images(truth_labels, predicted_labels)
    truth, predicted = (boundary_pixels(image) for image in images)
    if ignore is not None:
        kept = ~flags_like(ignore, truth, "ignore")
        truth, predicted = truth & kept, predicted & kept
    return _to(predicted)[truth], _to(truth)[predicted]


def _to(boundary: BoolArray) -> FloatArray:
    if not boundary.any():
        return np.full(boundary.shape, np.inf)
    return np.asarray(distance_transform_edt(~boundary))
