"""The weight map of Ronneberger et al. 2015, equation 2: learn the border between touching cells.

    w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

d1, d2 are the distances to the nearest and second nearest object, between pixel centres. The
second term, the *separation term*, stands on background pixels only; it is what is stored per
image, for the class balance w_c belongs to a fold.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from unetflow.labels import separate_touching
from unetflow.progress import progress
from unetflow.receipts import RunRecord, read_receipt, write_receipt
from unetflow.stores import Layout, open_array, read_array

NEGLIGIBLE = 4e-9  # the term is defined as exactly 0 below this, so that its reach is finite


def reach_px(w0: float, sigma_px: float) -> float:
    """d1 + d2 beyond which the separation term is exactly 0: 32.9 px for w0 = 10, sigma = 5 px."""
    return sigma_px * math.sqrt(2 * math.log(w0 / NEGLIGIBLE)) if w0 > NEGLIGIBLE else 0.0


def weight_map(
    labels: np.ndarray,
    *,
    class_weights: tuple[float, float] = (1.0, 1.0),
    w0: float = 10.0,
    sigma_px: float = 5.0,
    spacing: Sequence[float] | None = None,
) -> np.ndarray:
    """Weight of each pixel in the loss, float32, of labelled objects with any number of axes.

    `class_weights` is (background, objects). Touching instances are separated first; `spacing` is
    the size of a pixel along each axis, in units of sigma (default 1). Source: Ronneberger et al.
    2015, equation 2.
    """
    separated = separate_touching(labels)
    classes = np.where(separated == 0, *map(np.float32, class_weights))
    term = separation_term(separated, w0=w0, sigma_px=sigma_px, spacing=spacing)
    return (classes + term).astype(np.float32)


def separation_term(
    separated: np.ndarray,
    *,
    w0: float,
    sigma_px: float,
    spacing: Sequence[float] | None = None,
) -> np.ndarray:
    """The second term of the weight map, float32, of instances that do not touch.

    0 on objects, beyond the reach, and where there are fewer than two objects. Each object is
    measured in a window as far as its term reaches: cost grows with objects times their window.
    """
    steps = tuple(spacing or (1.0,) * separated.ndim)
    reach = reach_px(w0, sigma_px)
    margins = [math.ceil(reach / step) + 1 for step in steps]
    nearest = np.full(separated.shape, np.inf)
    second = np.full(separated.shape, np.inf)
    numbers, dense = np.unique(separated, return_inverse=True)
    dense = dense.reshape(separated.shape) + (0 if numbers[0] == 0 else 1)
    for number, box in enumerate(ndimage.find_objects(dense), start=1):
        window = tuple(
            slice(max(0, part.start - margin), part.stop + margin)
            for part, margin in zip(box, margins, strict=True)
        )
        distance = ndimage.distance_transform_edt(dense[window] != number, sampling=steps)
        farther = np.maximum(nearest[window], distance)
        second[window] = np.minimum(second[window], farther)
        nearest[window] = np.minimum(nearest[window], distance)
    both = nearest + second
    near = (both <= reach) & (separated == 0)
    term = np.zeros(separated.shape, np.float32)
    term[near] = w0 * np.exp(-(both[near] ** 2) / (2 * sigma_px**2))
    return term


def write_weights(
    *,
    truth: str | Path,
    truth_receipt: str | Path,
    store: str | Path,
    receipt: str | Path,
    w0: float,
    sigma_px: float,
    code: str,
) -> None:
    """Rule weights: the separation term of one image, shard by shard, 0 on ignored pixels."""
    record = RunRecord(receipt)
    labels, ignore = read_array(truth, "labels/truth/0"), read_array(truth, "labels/ignore/0")
    term = open_array(
        Path(store).parent,
        Path(store).name,
        Layout(labels.shape, "float32", ("y", "x")),
        decided_by={
            "truth": read_receipt(truth_receipt)["digest"],
            "parameters": {"w0": w0, "sigma_px": sigma_px},
            "code": code,
        },
    )
    halo_px = math.ceil(reach_px(w0, sigma_px)) + 1  # one more for separating what touches
    missing = term.missing()
    with progress("weights", total=len(missing)) as tick:
        for index in missing:
            region = term.region(index)
            wide = tuple(
                slice(max(0, part.start - halo_px), min(size, part.stop + halo_px))
                for part, size in zip(region, labels.shape, strict=True)
            )
            inner = tuple(
                slice(part.start - far.start, part.stop - far.start)
                for part, far in zip(region, wide, strict=True)
            )
            separated = separate_touching(labels[wide])
            block = separation_term(separated, w0=w0, sigma_px=sigma_px)[inner]
            term.write(index, np.where(ignore[region] != 0, np.float32(0), block))
            tick()
    write_receipt(receipt, {"shape": labels.shape, "digest": term.content_digest()})
    record.write()
