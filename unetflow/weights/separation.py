"""The weight map of Ronneberger et al. 2015, equation 2: learn the border between touching cells.

    w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

d1, d2 are the distances to the nearest and second nearest object, between pixel centres. The
second term, the *separation term*, stands on background pixels only; it is what is stored per
image, for the class balance w_c belongs to a fold.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unetflow.arguments import labels_of, list_of, number_of, whole_number_of
from unetflow.engine.compiled import compiled
from unetflow.engine.each import for_each
from unetflow.labels.encoding import separate_touching
from unetflow.tiles.regions import PLANE, Region, shard_grid, shard_region, with_halo
from unetflow.weights.two_nearest import two_nearest

PIECE_PX = 1024  # side of what is in memory at once beside the image and its map
PIECE_OF_VOLUME_PX = 192  # the same of a volume: half a GB, with its halo
LARGEST = 1e30  # of a number that is given: sums stay in float32, squares in float64
NEGLIGIBLE = 4e-9  # the term is defined as exactly 0 below this, so that its reach is finite


def reach_px(w0: float, sigma_px: float) -> float:
    """d1 + d2 beyond which the separation term is exactly 0: 32.9 px for w0 = 10, sigma = 5 px."""
    return sigma_px * math.sqrt(2 * math.log(w0 / NEGLIGIBLE)) if w0 > NEGLIGIBLE else 0.0


def weight_map(
    labels: ArrayLike,
    *,
    class_weights: tuple[float, float] = (1.0, 1.0),
    w0: float = 10.0,
    sigma_px: float = 5.0,
    spacing: Sequence[float] | None = None,
    threads: int = 1,
) -> np.ndarray:
    """Weight of each pixel in the loss, float32, of labelled objects with any number of axes.

    `class_weights` is (background, objects). Touching instances are separated first; `spacing` is
    the size of a pixel along each axis, in units of sigma (default 1). Source: Ronneberger et al.
    2015, equation 2. Made by `threads` threads in pieces with a halo as wide as the term reaches;
    any pieces give the same bits. Raises ValueError for labels that are no whole numbers from 0 on,
    and for numbers out of range.
    """
    image = labels_of(labels, "labels")
    background, objects = map(np.float32, _numbers(class_weights, "class_weights", 2))
    (w0,) = _numbers(w0, "w0", 1)
    (sigma_px,) = _numbers(sigma_px, "sigma_px", 1, above_0=True)
    steps, reach = _steps(image, spacing), reach_px(w0, sigma_px)
    weights = np.empty(image.shape, np.float32)
    if not image.size:
        return weights
    halo = tuple(math.ceil(reach / step) + 1 for step in steps)  # one more for what touches

    def fill(piece: Region) -> None:
        wide, inner = with_halo(piece, halo, image.shape)
        separated = separate_touching(image[wide])
        term = separation_term(separated, w0=w0, sigma_px=sigma_px, spacing=steps, inner=inner)
        weights[piece] = np.where(separated[inner] == 0, background + term, objects)

    for_each(fill, _pieces(image.shape), threads=whole_number_of(threads, "threads", least=1))
    return weights


def separation_term(
    separated: np.ndarray,
    *,
    w0: float,
    sigma_px: float,
    spacing: Sequence[float] | None = None,
    inner: Region | None = None,
) -> np.ndarray:
    """The second term of the weight map, float32, of instances that do not touch.

    0 on objects, beyond the reach, and where there are fewer than two objects. Of the pixels of
    `inner` alone, where that is given: the rest is halo.
    """
    reach = reach_px(w0, sigma_px)
    if not reach or not separated.size:
        whole = np.zeros(separated.shape, np.float32)
        return whole if inner is None else whole[inner]
    labels = np.ascontiguousarray(separated, np.uint32)
    steps = _steps(labels, spacing)
    across = math.hypot(*(size * step for size, step in zip(labels.shape, steps, strict=True)))
    nearest, second = two_nearest(labels, reach=min(reach, across), spacing=steps, inner=inner)
    term = _term(nearest.ravel(), second.ravel(), reach, w0, 2 * sigma_px**2)
    return np.asarray(term).reshape(nearest.shape)


def _steps(labels: np.ndarray, spacing: Sequence[float] | None) -> tuple[float, ...]:
    if spacing is None:
        return (1.0,) * labels.ndim
    return _numbers(spacing, "spacing", labels.ndim, above_0=True)


def _numbers(
    values: float | Sequence[float], name: str, count: int, *, above_0: bool = False
) -> tuple[float, ...]:
    """So many numbers of 0 or more, or only more."""
    found = tuple(number_of(value, name) for value in list_of(values))
    possible = all(0 <= value <= LARGEST and (value or not above_0) for value in found)
    if len(found) != count or not possible:
        many = "one number" if count == 1 else f"{count} numbers"
        rule = "more than 0" if above_0 else "0 or more"
        raise ValueError(f"{name} is {values}: must be {many}, {rule} and up to {LARGEST:g}.")
    return found


def _pieces(shape: tuple[int, ...]) -> list[Region]:
    """An image or a volume in pieces of about as many pixels along each axis."""
    side_px = PIECE_PX if len(shape) <= PLANE else PIECE_OF_VOLUME_PX
    counts = [max(1, round(size / side_px)) for size in shape]
    piece = [-(-size // count) for size, count in zip(shape, counts, strict=True)]
    return [shard_region(index, shape, piece) for index in shard_grid(shape, piece)]


@compiled
def _term(
    nearest: NDArray[np.float32],
    second: NDArray[np.float32],
    reach: float,
    w0: float,
    double_variance: float,
) -> NDArray[np.float32]:
    term = np.zeros(nearest.size, np.float32)
    for k in range(nearest.size):
        both = math.sqrt(np.float64(nearest[k])) + math.sqrt(np.float64(second[k]))
        if nearest[k] > 0 and both <= reach:
            term[k] = w0 * math.exp(-(both**2) / double_variance)
    return term
