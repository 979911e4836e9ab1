"""Mean, deviation, range and percentiles of pixels that come block by block."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

Blocks = Callable[[], Iterable[np.ndarray]]
"""Pixels (C, ...) block by block, from the first on each time it is called."""

DIGIT = 16  # bits of a value that one pass over the pixels decides
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


def percentiles_of(
    blocks: Blocks, percents: Sequence[float], *, dtype: np.dtype, channels: int, count: int
) -> np.ndarray:
    """The values (P, C) that so many percent of a channel's `count` pixels do not exceed.

    Exact: each is the value of a pixel, the smallest that has at least `percent` of the pixels at
    or below it, as "inverted_cdf" of NumPy. `dtype` holds the pixels of all blocks. Values are
    decided from their highest digits on, a pass over the blocks for each 16 bits, so that memory
    holds counts and no pixels, and the range of the pixels does not matter.
    """
    ranks = [max(1, math.ceil(Fraction(str(percent)) / 100 * count)) for percent in percents]
    # of each percentile and channel the digits that are known, and its rank among those that share
    # them
    known = {(p, channel): (0, rank) for p, rank in enumerate(ranks) for channel in range(channels)}
    for shift in reversed(range(0, 8 * dtype.itemsize, DIGIT)):
        wanted = sorted({(channel, digits) for (_, channel), (digits, _) in known.items()})
        counts = {each: np.zeros(2**DIGIT, np.int64) for each in wanted}
        for block in blocks():
            keys_CN = [_in_order(pixels, dtype) >> shift for pixels in block]
            for channel, digits in wanted:
                keys = keys_CN[channel]
                same = keys[keys >> DIGIT == digits] if dtype.itemsize > 2 else keys
                low = same.astype(np.intp) & (2**DIGIT - 1)
                counts[channel, digits] += np.bincount(low, minlength=2**DIGIT)
        for each, (digits, rank) in known.items():
            up_to = np.cumsum(counts[each[1], digits])
            digit = int(np.searchsorted(up_to, rank))
            before = int(up_to[digit - 1]) if digit else 0
            known[each] = digits << DIGIT | digit, rank - before
    found = [[known[p, c][0] for c in range(channels)] for p in range(len(ranks))]
    return _of_keys(np.array(found, f"u{dtype.itemsize}"), dtype)


def _in_order(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Unsigned numbers (N,) that are ordered as the values are."""
    bits = np.ascontiguousarray(pixels, dtype).ravel().view(f"u{dtype.itemsize}")
    if dtype.kind in "ub":
        return bits
    sign = bits.dtype.type(1 << (8 * dtype.itemsize - 1))
    if dtype.kind == "i":
        return np.asarray(bits ^ sign)
    return np.where(bits & sign, ~bits, bits | sign)


def _of_keys(keys: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The values that `_in_order` made such numbers of."""
    sign = keys.dtype.type(1 << (8 * dtype.itemsize - 1))
    if dtype.kind == "i":
        keys = keys ^ sign
    elif dtype.kind == "f":
        keys = np.where(keys & sign, keys ^ sign, ~keys)
    return keys.view(dtype)
