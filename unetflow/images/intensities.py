"""Mean, deviation and range of pixels that come block by block."""

from dataclasses import dataclass, field

import numpy as np

COUNTED = (np.dtype(np.uint8), np.dtype(np.uint16))  # few enough values to count each


@dataclass(slots=True)
class Moments:
    """Of each channel; blocks are added one after the other (Chan, Golub and LeVeque 1979)."""

    count: int = 0  # pixels of each channel
    mean: np.ndarray = field(default_factory=lambda: np.zeros(1))
    squares: np.ndarray = field(default_factory=lambda: np.zeros(1))  # of deviations, summed
    low: np.ndarray = field(default_factory=lambda: np.full(1, np.inf))
    high: np.ndarray = field(default_factory=lambda: np.full(1, -np.inf))

    @classmethod
    def of(cls, block: np.ndarray) -> "Moments":
        """Those of pixels (C, ...)."""
        found = cls()
        found.add(block)
        return found

    def add(self, block: np.ndarray) -> None:
        """Take pixels (C, ...) into account."""
        pixels = block.reshape(len(block), -1)
        if not pixels.shape[1]:
            return
        if pixels.dtype in COUNTED:
            found = np.array([_of_counts(np.bincount(each)) for each in pixels])
            mean, squares, low, high = found.T
        else:
            pixels = pixels.astype(np.float64)
            mean, low, high = pixels.mean(axis=1), pixels.min(axis=1), pixels.max(axis=1)
            squares = ((pixels - mean[:, None]) ** 2).sum(axis=1)
        self.merge(Moments(pixels.shape[1], mean, squares, low, high))

    def merge(self, other: "Moments") -> None:
        """Take the pixels of another into account."""
        if not other.count:
            return
        total, shift = self.count + other.count, other.mean - self.mean
        self.squares = self.squares + other.squares + shift**2 * (self.count * other.count / total)
        self.mean = self.mean + shift * (other.count / total)
        self.count = total
        self.low = np.minimum(self.low, other.low)
        self.high = np.maximum(self.high, other.high)

    @property
    def deviation(self) -> np.ndarray:
        return np.asarray(np.sqrt(self.squares / self.count))


def _of_counts(counts: np.ndarray) -> tuple[float, float, float, float]:
    values = np.flatnonzero(counts)
    pixels = counts[values]
    mean = float((values * pixels).sum() / pixels.sum())
    squares = float(((values - mean) ** 2 * pixels).sum())
    return mean, squares, float(values[0]), float(values[-1])
