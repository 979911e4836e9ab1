"""What every metric asks of its input, and the one place where a proposal becomes binary."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unetflow.arguments import (
    LARGEST_ID,
    array_of,
    labels_of,
    list_of,
    probabilities_of,
    threshold_of,
)

BoolArray = NDArray[np.bool_]
LabelArray = NDArray[np.uint32]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

INVERTED = -0.5
"""Correlation of a proposal with the interior below which it is taken for P(membrane)."""

CHALLENGE_THRESHOLDS: tuple[float, ...] = tuple(np.cumsum([0.0] + [0.1] * 10).tolist())
"""0, 0.1, ... 1 as the ISBI 2012 programs count them: accumulated doubles (0.30000000000000004)."""


def binarise(proposal: NDArray[np.generic], threshold: float) -> BoolArray:
    """Proposal > threshold, strictly, both as float64.

    A plain `proposal > 0.3` on float32 narrows the threshold instead (NumPy 2, NEP 50), which
    moves pixels that sit on it. The signature widens block by block and copies no image.
    """
    proposed, above = array_of(proposal, "proposal"), threshold_of(threshold)
    return np.asarray(np.greater(proposed, above, signature="dd->?"))


def membrane_pair(
    truth: ArrayLike, proposal: ArrayLike, mask: ArrayLike | None = None
) -> tuple[BoolArray, NDArray[np.generic], BoolArray | None]:
    """Truth, proposal and mask (or ignore) of a membrane metric, checked, as stacks (Z, Y, X)."""
    truth_array, proposal_array = array_of(truth, "truth"), array_of(proposal, "proposal")
    _same_shape("truth", truth_array, "proposal", proposal_array)
    if truth_array.ndim not in (2, 3):
        raise ValueError(
            f"truth has {truth_array.ndim} axes {truth_array.shape}: membrane metrics take one "
            "slice (Y, X) or a stack (Z, Y, X). Drop or index the other axes."
        )
    if truth_array.size == 0:
        raise ValueError(f"truth has shape {truth_array.shape}: there is no pixel to score.")
    if truth_array.shape[-2] * truth_array.shape[-1] >= LARGEST_ID:
        raise ValueError(
            f"truth has shape {truth_array.shape}: a slice must stay under 2^32 pixels, which its "
            "regions are numbered by. Score it in parts and pool their sums."
        )
    interior = interior_of(truth_array, "truth")
    probabilities_of(proposal_array, "proposal", "P(interior)")
    flags = None if mask is None else flags_like(mask, truth_array, "mask (or ignore)")
    stack = (-1, *truth_array.shape[-2:])
    return (
        interior.reshape(stack),
        proposal_array.reshape(stack),
        None if flags is None else flags.reshape(stack),
    )


def check_polarity(
    truth: ArrayLike, proposal: ArrayLike, *, ignore: ArrayLike | None = None
) -> None:
    """Raise ValueError where a proposal is bright on the truth's membranes and dark inside.

    That is where it and the interior correlate below `INVERTED`: far beyond chance, so that a
    poor proposal is still scored.
    """
    interior, proposed, ignored = membrane_pair(truth, proposal, ignore)
    if ignored is not None:
        interior, proposed = interior[~ignored], proposed[~ignored]
    if interior.all() or not interior.any():
        return
    probability = proposed.astype(np.float64)
    inside, outside = float(probability[interior].mean()), float(probability[~interior].mean())
    share, spread = float(interior.mean()), float(probability.std())
    # (inside - outside) * deviation of the interior / spread is Pearson's correlation
    if (inside - outside) * math.sqrt(share * (1 - share)) < INVERTED * spread:
        raise ValueError(
            f"proposal is {inside:.2f} on average inside the truth's regions and {outside:.2f} on "
            "its membranes: it looks inverted, and must be P(interior), bright inside. Pass "
            "1 - proposal, or invert the truth if that is the wrong one."
        )


def slice_of(interior: ArrayLike) -> BoolArray:
    """A binary image (Y, X) as booleans, checked."""
    image = array_of(interior, "interior")
    if image.ndim != 2:
        raise ValueError(
            f"interior has {image.ndim} axes {image.shape}: must be one slice (Y, X). Take the "
            "slices of a stack one by one."
        )
    return interior_of(image, "interior") if image.size else image != 0


def interior_of(image: NDArray[np.generic], name: str) -> BoolArray:
    """A truth as booleans: 0 is membrane, any other whole number (1, 255) is cell interior."""
    if image.dtype == np.bool_:
        return np.asarray(image)
    lowest = image.min()
    if not lowest >= 0:  # also true of NaN
        raise ValueError(
            f"{name} holds {lowest}: must be 0 (membrane) or above (interior). "
            "Mark pixels that nobody annotated in `ignore` instead."
        )
    if image.dtype.kind == "f" and (fractions := image[image != np.floor(image)]).size:
        raise ValueError(
            f"{name} of dtype {image.dtype} holds {fractions[0]}: must be whole numbers, 0 "
            "membrane, 1 interior. If it is a prediction, give the truth first, or threshold it."
        )
    return np.asarray(image != 0)


def label_pair(
    truth_labels: ArrayLike, predicted_labels: ArrayLike, ignore: ArrayLike | None = None
) -> tuple[LabelArray, LabelArray]:
    """Two label images as flat uint32, checked, without the ignored pixels."""
    truth, predicted = label_images(truth_labels, predicted_labels)
    flat = truth.ravel(), predicted.ravel()
    if ignore is None:
        return flat
    keep = ~flags_like(ignore, truth, "ignore").ravel()
    return flat[0][keep], flat[1][keep]


def label_images(
    truth_labels: ArrayLike, predicted_labels: ArrayLike
) -> tuple[LabelArray, LabelArray]:
    """Two label images of one shape as uint32, checked."""
    names = "truth_labels", "predicted_labels"
    for name, labels in zip(names, (truth_labels, predicted_labels), strict=True):
        if any(len(frame.shape) > 1 for frame in _as_list(labels) or []):
            raise ValueError(
                f"{name} is a list of images: as one array their objects would be joined by their "
                "numbers. Score each and add the sums (matching_sums, jaccard_sums); seg_score and "
                "det_score take lists. Of the planes of a volume pass numpy.stack."
            )
    truth = array_of(truth_labels, names[0])
    predicted = array_of(predicted_labels, names[1])
    _same_shape(names[0], truth, names[1], predicted)
    if not truth.size:
        raise ValueError(f"the images have shape {truth.shape}: there is no pixel to score.")
    one, other = labels_of(truth, names[0]), labels_of(predicted, names[1])
    return np.ascontiguousarray(one, np.uint32), np.ascontiguousarray(other, np.uint32)


def flags_like(flags: ArrayLike, image: NDArray[np.generic], name: str) -> BoolArray:
    """A mask as booleans of the image's shape; one (Y, X) mask serves all slices of a stack."""
    array = array_of(flags, name)
    if array.shape != image.shape and array.shape != image.shape[-2:]:
        raise ValueError(
            f"{name} has shape {array.shape} and the image {image.shape}: must be the same. "
            f"Pass one boolean per pixel."
        )
    if array.dtype != np.bool_ and not np.isin(array, (0, 1, 255)).all():
        raise ValueError(
            f"{name} of dtype {array.dtype} holds values other than 0, 1, 255: must be "
            "flags. Pass booleans, or 0 and 1."
        )
    return np.broadcast_to(array != 0, image.shape)


def thresholds_of(thresholds: float | Sequence[float] | NDArray[np.floating]) -> list[float]:
    """Thresholds as a list of floats in [0, 1]; one number is a list of one."""
    values = [threshold_of(value) for value in list_of(thresholds)]
    if not values:
        raise ValueError("thresholds is empty: pass at least one, such as CHALLENGE_THRESHOLDS.")
    return values


def frames_of(truth: Any, predicted: Any, ignore: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Frames (or slices) side by side; anything but a list or tuple of arrays is one frame."""
    true_frames, predicted_frames = _as_list(truth), _as_list(predicted)
    if true_frames is None and predicted_frames is None:
        yield truth, predicted, ignore
        return
    if true_frames is None or predicted_frames is None:
        raise ValueError(
            "one of truth and prediction is a list of frames and the other one array: pass two "
            "lists of the same length, or two arrays."
        )
    ignored = [None] * len(true_frames) if ignore is None else _as_list(ignore) or []
    if not len(true_frames) == len(predicted_frames) == len(ignored):
        raise ValueError(
            f"{len(true_frames)} frames of truth, {len(predicted_frames)} predicted, "
            f"{len(ignored)} of ignore: must be the same frames. Leave out those without truth."
        )
    if not true_frames:
        raise ValueError("the lists of frames are empty: pass at least one frame, or two arrays.")
    yield from zip(true_frames, predicted_frames, ignored, strict=True)


def _as_list(frames: Any) -> list[Any] | None:
    if isinstance(frames, list | tuple) and all(hasattr(each, "shape") for each in frames):
        return list(frames)
    return None


def _same_shape(name_a: str, a: NDArray[np.generic], name_b: str, b: NDArray[np.generic]) -> None:
    if a.shape != b.shape:
        raise ValueError(
            f"{name_a} has shape {a.shape} and {name_b} {b.shape}: must be the same image. "
            "Crop or pad one of them."
        )
