"""Mean, deviation and range of pixels that come block by block."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class Moments:
    """Of each channel; blocks are added one after the other (Chan, Golub and LeVeque 1979)."""

    count: int = 0  # pixels of each channel
    mean: np.ndarray = field(default_factory=lambda: np.zeros(1))
    squares: np.ndarray = field(default_factory=lambda: np.zeros(1))  # of deviations, summed
    low: np.ndarray = field(default_factory=lambda: np.full(1, np.inf))
    high: np.ndarray = field(default_factory=lambda: np.full(1, -np.inf))

    def add(self, block: np.ndarray) -> None:
        """Take pixels (C, ...) into account."""
        pixels = np.asarray(block, np.float64).reshape(len(block), -1)
        added = pixels.shape[1]
        if not added:
            return
        mean = pixels.mean(axis=1)
        squares = ((pixels - mean[:, None]) ** 2).sum(axis=1)
        total, shift = self.count + added, mean - self.mean
        self.squares = self.squares + squares + shift**2 * (self.count * added / total)
        self.mean = self.mean + shift * (added / total)
        self.count = total
        self.low = np.minimum(self.low, pixels.min(axis=1))
        self.high = np.maximum(self.high, pixels.max(axis=1))

    @property
    def deviation(self) -> np.ndarray:
        return np.asarray(np.sqrt(self.squares / self.count))
