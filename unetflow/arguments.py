"""What public functions are given, checked: arrays, numbers, flags.

Each check returns what it was given, or raises ValueError: what came, the rule, the way out. It is
for functions that a notebook calls; what they hand on is not checked again where that costs a pass.
"""

import numbers
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]

LARGEST_ID = 2**32 - 1
"""Instance ids are uint32 everywhere in this package."""

ROUNDING = 1e-6
"""By which probabilities may leave [0, 1]: weights of blended tiles sum to 1 in float32."""


def array_of(value: object, name: str) -> Array:
    """An array of numbers or booleans: NumPy's, or what NumPy makes of a list, tensor, Dask."""
    kind = type(value).__name__
    try:
        array = np.asarray(value)
    except Exception as error:  # each library has its own kinds
        why, _, _ = str(error).partition("\n")
        raise ValueError(
            f"{name} is a {kind} that NumPy makes no array of ({why}): must be an array of "
            "numbers. Give lists one length; of a tensor pass .detach().float().cpu().numpy()."
        ) from error
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} is a {kind} and has dtype {array.dtype}: must be an array of real numbers or "
            "booleans. Read a file first (tifffile.imread), or convert with .astype."
        )
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(
            f"{name} is a masked array: what stands behind its mask would count. Pass "
            ".filled(0), or whatever those pixels are."
        )
    return array


def labels_of(value: object, name: str) -> Array:
    """Labels, 0 background: whole numbers that fit uint32, in any type, of one axis or more."""
    labels = array_of(value, name)
    if not labels.ndim:
        raise ValueError(f"{name} is one number: must be an array of labels, such as (Y, X).")
    if not labels.size:
        return labels
    if labels.dtype.kind == "f":
        _check_whole(labels, name)
    if labels.dtype.kind in "if" and labels.min() < 0:
        raise ValueError(
            f"{name} holds {labels.min():.0f}: ids must be 0 or above. "
            "Put 0 there; scores take pixels that nobody annotated as `ignore`."
        )
    if (labels.dtype.kind == "f" or labels.itemsize > 4) and float(labels.max()) > LARGEST_ID:
        raise ValueError(
            f"{name} holds id {labels.max():.0f}: ids must fit uint32 (at most {LARGEST_ID}). "
            "Renumber with skimage.segmentation.relabel_sequential."
        )
    return labels


def _check_whole(labels: Array, name: str) -> None:
    if np.isnan(labels).any():
        raise ValueError(
            f"{name} holds NaN: must be whole numbers, 0 background. Put 0 there "
            "(numpy.nan_to_num); scores take pixels that nobody annotated as `ignore`."
        )
    fractions = labels[labels != np.floor(labels)]
    if fractions.size:
        raise ValueError(
            f"{name} of dtype {labels.dtype} holds {fractions[0]}: must be whole numbers, 0 "
            "background, one id per instance. Label a probability image first "
            "(unetflow.instances.label_instances)."
        )


def probabilities_of(value: object, name: str, meaning: str) -> Array:
    """An array of P(`meaning`), in [0, 1] up to rounding."""
    array = array_of(value, name)
    if not array.size or array.dtype == np.bool_:
        return array
    lowest, highest = array.min(), array.max()
    if np.isnan(lowest):  # np.min hands NaN on
        raise ValueError(f"{name} holds NaN: {meaning} must be a number in [0, 1] everywhere.")
    if lowest < -ROUNDING or highest > 1 + ROUNDING:
        way_out = (
            f"Divide an 8-bit {name} by 255; numbers of objects are no probabilities."
            if 1 < highest <= 255 and lowest >= 0
            else "Apply the sigmoid or softmax to logits first."
        )
        raise ValueError(
            f"{name} of dtype {array.dtype} spans {lowest} to {highest}: {meaning} must lie in "
            f"[0, 1]. {way_out}"
        )
    return array


def threshold_of(value: object) -> float:
    """A threshold of probabilities."""
    threshold = number_of(value, "threshold")
    if not -ROUNDING <= threshold <= 1 + ROUNDING:
        raise ValueError(
            f"threshold is {threshold:g}: must lie in [0, 1], as the probabilities do. Divide one "
            "of an 8-bit image by 255."
        )
    return threshold


def number_of(value: object, name: str) -> float:
    """One number, NaN and infinity among them: the caller knows the range."""
    number = _item(value)
    if not isinstance(number, numbers.Real) or isinstance(number, bool):
        raise ValueError(f"{_came(value, name)}: must be one number.")
    return float(number)


def whole_number_of(value: object, name: str, *, least: int) -> int:
    """A whole number, `least` or more."""
    number = _item(value)
    if not isinstance(number, numbers.Integral) or isinstance(number, bool) or number < least:
        raise ValueError(f"{_came(value, name)}: must be a whole number, {least} or more.")
    return int(number)


def list_of(values: object) -> list[object]:
    """The values of a list, a tuple or an array with axes; of anything else a list of it alone."""
    if isinstance(values, str | bytes) or (isinstance(values, np.ndarray) and not values.ndim):
        return [values]
    return list(values) if isinstance(values, Sequence | np.ndarray) else [values]


def flag_of(value: object, name: str) -> bool:
    """True or False, or 1 or 0."""
    flag = _item(value)
    if not isinstance(flag, numbers.Integral) or flag not in (0, 1):
        raise ValueError(f"{_came(value, name)}: must be True or False.")
    return bool(flag)


def _item(value: object) -> object:
    """The number in an array without axes."""
    if isinstance(value, np.ndarray | np.generic) and value.ndim == 0:
        item: object = value.item()
        return item
    return value


def _came(value: object, name: str) -> str:
    return f"{name} is {value!r:.60} ({type(value).__name__})"
