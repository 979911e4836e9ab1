"""Images of H&E as if all were stained alike: the stains of each are measured, and replaced.

Sources: Macenko et al. 2009 (ISBI, the two stains of an image by its optical densities), Reinhard
et al. 2001 (IEEE CG&A 21, mean and deviation in the colour space of Ruderman et al. 1998).

What stands for an image is measured in squares of it, the same whatever part of it is read later,
and each pixel is changed by itself: tiles do not show. C is red, green, blue; S haematoxylin,
eosin; N pixels.
"""

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from unetflow.tiles.regions import Region

WAYS = MACENKO, REINHARD = "macenko", "reinhard"
CHANNELS = 3
Stains = Mapping[str, Any]
"""Of Macenko `vectors` (S, C) and `most` (S,), of Reinhard `mean` and `deviation` (C,)."""
LOOKED_AT = 16  # squares along each axis, where an image has more
SQUARE_PX = 64
STAINED = 0.15  # optical density (natural logarithm) in each channel; less is glass
FEWEST = 1000  # stained pixels, to know the stains
OUTLIERS = 1.0  # percent of the pixels at either end that directions and amounts leave out
TO_CONES = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
OPPONENT = np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]]) / np.sqrt([[3], [6], [2]])


class Coloured(Protocol):
    """An image (C, Y, X) that is read by slices."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Region, /) -> np.ndarray: ...


def suits(channels: int, dtype: np.dtype) -> bool:
    """Whether an image can be of stains: red, green and blue of 8 or 16 bits."""
    return channels == CHANNELS and dtype in (np.dtype(np.uint8), np.dtype(np.uint16))


def stains_of(image: Coloured, way: str) -> Stains | None:
    """The stains of an image; None where too little of it is stained to tell.

    Squares of 64 px are looked at, evenly over the image, 16 by 16 at most.
    """
    pixels_CN = _looked_at(image)
    density_CN = _densities(pixels_CN)
    stained = (density_CN > STAINED).all(axis=0) & (pixels_CN > 0).any(axis=0)  # 0: not read
    if np.count_nonzero(stained) < FEWEST:
        return None
    if way == MACENKO:
        return _macenko(density_CN[:, stained])
    seen_CN = _opponent(density_CN[:, stained])
    deviation_C = seen_CN.std(axis=1, dtype=np.float64)
    if not (deviation_C > 0).all():
        return None
    return {
        "mean": seen_CN.mean(axis=1, dtype=np.float64).tolist(),
        "deviation": deviation_C.tolist(),
    }


def mean_of(every: list[Stains]) -> Stains:
    """The stains that several images have in the mean."""
    mean = {key: np.mean([of[key] for of in every], axis=0) for key in every[0]}
    if "vectors" in mean:
        mean["vectors"] /= np.linalg.norm(mean["vectors"], axis=1, keepdims=True)
    return {key: value.tolist() for key, value in mean.items()}


def restained(pixels_CHW: np.ndarray, way: str, own: Stains, target: Stains) -> np.ndarray:
    """The same pixels with other stains: float32, 0 to 255 (or 65,535) as they were."""
    peak = np.iinfo(pixels_CHW.dtype).max
    density_CHW = _densities(np.ascontiguousarray(pixels_CHW))
    if way == MACENKO:
        factors_S = np.asarray(target["most"]) / np.asarray(own["most"])
        to_amounts_SC = factors_S[:, None] * np.linalg.pinv(np.asarray(own["vectors"]).T)
        amounts_SHW = np.maximum(_mixed(to_amounts_SC, density_CHW), 0)
        density_CHW = _mixed(np.asarray(target["vectors"]).T, amounts_SHW)
    else:
        factor_C, own_C, target_C = (
            np.asarray(target["deviation"]) / np.asarray(own["deviation"]),
            np.asarray(own["mean"]),
            np.asarray(target["mean"]),
        )
        shift_C = target_C - factor_C * own_C
        seen_CHW = _opponent(density_CHW)
        for channel in range(CHANNELS):
            seen_CHW[channel] *= np.float32(factor_C[channel])
            seen_CHW[channel] += np.float32(shift_C[channel])
        density_CHW = _from_opponent(seen_CHW)
    found: np.ndarray = np.exp(-density_CHW) * np.float32(peak + 1) - np.float32(1)
    return np.asarray(np.clip(found, 0, peak))


def _looked_at(image: Coloured) -> np.ndarray:
    """Pixels (C, N) of squares all over an image."""
    starts = []
    for size in image.shape[1:]:
        count = min(LOOKED_AT, math.ceil(size / SQUARE_PX))
        starts.append(np.linspace(0, max(0, size - SQUARE_PX), count).astype(int).tolist())
    every = slice(0, image.shape[0])
    squares = [
        np.asarray(image[every, slice(y, y + SQUARE_PX), slice(x, x + SQUARE_PX)])
        for y in starts[0]
        for x in starts[1]
    ]
    return np.concatenate([square.reshape(len(square), -1) for square in squares], axis=1)


def _densities(pixels: np.ndarray) -> np.ndarray:
    """Optical densities, of full brightness 0, in float32; a table knows those of each value."""
    peak = np.iinfo(pixels.dtype).max
    table = -np.log((np.arange(peak + 1) + 1) / (peak + 1))
    return np.asarray(table.astype(np.float32)[pixels])


def _macenko(density_CN: np.ndarray) -> Stains:
    """The two directions at the ends of the plane that the densities lie in, and the amounts."""
    density_CN = density_CN.astype(np.float64)
    _, axes_CC = np.linalg.eigh(np.cov(density_CN))
    plane_CA = axes_CC[:, [2, 1]]  # of the two largest eigenvalues
    plane_CA = plane_CA * np.where(plane_CA.sum(axis=0) < 0, -1, 1)
    along_AN = plane_CA.T @ density_CN
    angles = np.arctan2(along_AN[1], along_AN[0])
    ends = np.percentile(angles, [OUTLIERS, 100 - OUTLIERS])
    vectors_SC = np.array([plane_CA @ [np.cos(end), np.sin(end)] for end in ends])
    if vectors_SC[0, 0] < vectors_SC[1, 0]:  # haematoxylin takes more of the red
        vectors_SC = vectors_SC[::-1]
    amounts_SN = np.linalg.pinv(vectors_SC.T) @ density_CN
    most_S = np.percentile(amounts_SN, 100 - OUTLIERS, axis=1)
    return {"vectors": vectors_SC.tolist(), "most": np.maximum(most_S, STAINED).tolist()}


def _opponent(density_CHW: np.ndarray) -> np.ndarray:
    """Ruderman's l, alpha and beta of optical densities, of natural logarithms."""
    cones_CHW = _mixed(TO_CONES, np.exp(-density_CHW))
    return _mixed(OPPONENT, np.log(cones_CHW))


def _from_opponent(seen_CHW: np.ndarray) -> np.ndarray:
    """Optical densities of l, alpha and beta; what no screen shows counts as black."""
    cones_CHW = np.exp(_mixed(np.linalg.inv(OPPONENT), seen_CHW))
    shown_CHW = _mixed(np.linalg.inv(TO_CONES), cones_CHW)
    return np.asarray(-np.log(np.maximum(shown_CHW, np.finfo(np.float32).tiny)))


def _mixed(matrix: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Sums of planes in float32, taken in one order: the bits of a pixel are its own."""
    rows = []
    for factors in matrix.astype(np.float32):
        row = factors[0] * planes[0]
        for factor, plane in zip(factors[1:], planes[1:], strict=True):
            row += factor * plane
        rows.append(row)
    return np.stack(rows)
