"""A conditional random field with a finite kernel, by mean-field steps.

Teichmann and Cipolla 2019, "Convolutional CRFs for Semantic Segmentation", with the two kernels of
Krähenbühl and Koltun 2011 and Potts' model. Pixel i takes messages of the pixels j around it, no
farther than the radius along each axis, itself excluded:

    k(i, j) = w1 a(i - j) exp(-|I_i - I_j|^2 / (2 s^2)) + w2 b(i - j)

with Gaussians a and b of the distance, each 1 in sum. (Theirs are 1 at distance 0, so that weights
mean another thing at each radius; here w1 + w2 is the most that neighbours can add
to the log odds.) A step is Q_l ~ p_l exp(sum_j k(i, j) Q_l(j)), normalised over the classes, of
which background is one.

Shape suffixes: K classes, C channels, Y X pixels.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np

LEAST = np.float32(0.5 / 255)  # of a probability: half a step of how it is stored
LEAST_EXPONENT = np.float32(-50)  # of a kernel: subnormal numbers are slow


@dataclass(frozen=True, slots=True)
class Crf:
    """Iterations, radius and both kernels.

    Iterations, both distances and the intensity (13 gray values, where the deviation is 58) are
    those of the authors' code, whose filter has 11 px at a quarter of the resolution. The radius, a
    filter of 7 px at full resolution, and the weights are ours: with their 10 and 3 touching
    objects merge (benchmarks/results/refine.md).
    """

    iterations: int = 5
    radius_px: int = 3
    appearance_weight: float = 3.0  # w1
    appearance_px: float = 80.0  # deviation of a
    appearance_intensity: float = 0.22  # s, in deviations of the image's channel
    smoothness_weight: float = 0.0  # w2
    smoothness_px: float = 3.0  # deviation of b

    @property
    def halo_px(self) -> int:
        """How far a pixel's neighbours reach after all steps."""
        return self.iterations * self.radius_px


class Pair(NamedTuple):
    """The kernel between each pixel and the one at an offset from it, below or to the right."""

    rows: int
    columns: int
    kernel_YX: np.ndarray  # of the pixels from row 0 and from `first` on, as far as both exist
    first: int

    def at(self, row: int, column: int, shape: Sequence[int]) -> np.ndarray:
        """Of the pixels of a region that begins there."""
        left = column - self.first
        return self.kernel_YX[row : row + shape[0], left : left + shape[1]]


def mean_field(foreground_KYX: np.ndarray, image_CYX: np.ndarray, how: Crf) -> np.ndarray:
    """Foreground after all steps, without the halo on each side; float32.

    `foreground_KYX` holds probabilities, `image_CYX` float32. A pixel has the same bits whatever
    lies around its halo: each is computed by the same operations in the same order.
    """
    radius, pairs = how.radius_px, list(_pairs(image_CYX, how))
    objects_KYX = np.maximum(foreground_KYX, LEAST)
    background_YX = np.maximum(np.float32(1) - _sum(foreground_KYX), LEAST)
    odds_KYX = np.log(objects_KYX / background_YX)
    found_KYX = _shares(odds_KYX)
    total_YX = _total(pairs, radius, image_CYX.shape[1:])
    for step in range(1, how.iterations + 1):
        messages_KYX = _messages(found_KYX, pairs, radius, radius * step)
        here = (slice(None), *_shrunk(odds_KYX.shape[1:], radius * step))
        own_YX = _shrunk(total_YX.shape, radius * (step - 1))
        # Potts: what speaks for a class, less what speaks for background, the rest of all
        messages_KYX += _sum(messages_KYX) - total_YX[own_YX]
        messages_KYX += odds_KYX[here]
        found_KYX = _shares(messages_KYX)
    return found_KYX


def _pairs(image_CYX: np.ndarray, how: Crf) -> Iterator[Pair]:
    """Half of all offsets; the kernel is the same from the other end."""
    height, width = image_CYX.shape[1:]
    factor = np.float32(-0.5 / how.appearance_intensity**2)
    appearance = _gaussian(how.appearance_px, how.radius_px)
    smoothness = _gaussian(how.smoothness_px, how.radius_px)
    for rows, columns in _offsets(how.radius_px):
        if (rows, columns) <= (0, 0):
            continue
        first = max(0, -columns)
        last = width - max(0, columns)
        differences = np.zeros((height - rows, last - first), np.float32)
        for plane in image_CYX:
            step = (
                plane[rows:, first + columns : last + columns] - plane[: height - rows, first:last]
            )
            differences += np.square(step, out=step)
        differences *= factor
        np.maximum(differences, LEAST_EXPONENT, out=differences)
        kernel = np.exp(differences, out=differences)
        kernel *= np.float32(how.appearance_weight * appearance[rows, columns])
        kernel += np.float32(how.smoothness_weight * smoothness[rows, columns])
        yield Pair(rows, columns, kernel, first)


def _offsets(radius: int) -> list[tuple[int, int]]:
    """(rows, columns) to all neighbours within a radius, and to the pixel itself."""
    along = range(-radius, radius + 1)
    return list(itertools.product(along, along))


def _gaussian(sigma_px: float, radius: int) -> dict[tuple[int, int], float]:
    """Of the distance to each neighbour; 1 in sum."""
    values = {
        (rows, columns): math.exp(-(rows**2 + columns**2) / (2 * sigma_px**2))
        for rows, columns in _offsets(radius)
        if rows or columns
    }
    total = math.fsum(values.values())
    # a far narrower one than a pixel has no neighbours
    return {offset: value / total if total else 0.0 for offset, value in values.items()}


def _total(pairs: Sequence[Pair], radius: int, shape: Sequence[int]) -> np.ndarray:
    """The kernel's sum over all neighbours of each pixel, without the radius on each side."""
    inner = [size - 2 * radius for size in shape]
    total_YX = np.zeros(inner, np.float32)
    for pair in pairs:
        total_YX += pair.at(radius, radius, inner)
        total_YX += pair.at(radius - pair.rows, radius - pair.columns, inner)
    return total_YX


def _messages(found_KYX: np.ndarray, pairs: Sequence[Pair], radius: int, margin: int) -> np.ndarray:
    """What all neighbours say of each class, without the radius on each side.

    `margin` is how far the result begins inside of what the kernels are of.
    """
    inner = [size - 2 * radius for size in found_KYX.shape[1:]]
    messages_KYX = np.zeros((len(found_KYX), *inner), np.float32)
    product_YX = np.empty(inner, np.float32)
    for pair in pairs:
        for sign in (1, -1):
            rows, columns = sign * pair.rows, sign * pair.columns
            behind = (pair.rows, pair.columns) if sign < 0 else (0, 0)
            kernel_YX = pair.at(margin - behind[0], margin - behind[1], inner)
            top, left = radius + rows, radius + columns
            neighbours_KYX = found_KYX[:, top : top + inner[0], left : left + inner[1]]
            for message_YX, neighbour_YX in zip(messages_KYX, neighbours_KYX, strict=True):
                message_YX += np.multiply(kernel_YX, neighbour_YX, out=product_YX)
    return messages_KYX


def _shares(odds_KYX: np.ndarray) -> np.ndarray:
    """Probabilities of log odds over background: softmax, where those of background are 0."""
    top_YX = reduce(np.maximum, odds_KYX, np.float32(0))
    shares_KYX = np.exp(odds_KYX - top_YX)
    shares_KYX /= _sum(shares_KYX) + np.exp(-top_YX)
    return shares_KYX


def _sum(planes_KYX: np.ndarray) -> np.ndarray:
    """Plane after plane: `sum` may add in another order where a block is small."""
    return reduce(np.add, planes_KYX[1:], planes_KYX[0].copy())


def _shrunk(shape: Sequence[int], by_px: int) -> tuple[slice, ...]:
    return tuple(slice(by_px, size - by_px) for size in shape)
