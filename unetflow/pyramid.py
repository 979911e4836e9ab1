"""The next coarser level of an image: means of 2x2 pixels."""

import numpy as np
from numba import njit


def halved(block: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels of (C, Y, X), in the block's dtype; a last odd row or column alone.

    Integers are rounded to the nearest, halves to even, and summed in 64 bits.
    """
    if block.dtype == bool:
        block = block.view(np.uint8)
    if np.issubdtype(block.dtype, np.integer):
        return np.asarray(_halved_integers(np.ascontiguousarray(block)))
    odd = [(0, 0), *((0, size % 2) for size in block.shape[1:])]
    even = np.pad(block, odd, mode="edge").astype(np.float64)
    channels, height, width = even.shape
    means = even.reshape(channels, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    return means.astype(block.dtype)


@njit(cache=True, nogil=True)
def _halved_integers(block):
    channels, height, width = block.shape
    out = np.empty((channels, (height + 1) // 2, (width + 1) // 2), block.dtype)
    for c in range(channels):
        for i in range(out.shape[1]):
            top, bottom = block[c, 2 * i], block[c, min(2 * i + 1, height - 1)]
            for j in range(out.shape[2]):
                left, right = 2 * j, min(2 * j + 1, width - 1)
                total = (
                    np.int64(top[left])
                    + np.int64(top[right])
                    + np.int64(bottom[left])
                    + np.int64(bottom[right])
                )
                quotient, rest = total >> 2, total & 3
                up = rest == 3 or (rest == 2 and quotient & 1)
                out[c, i, j] = quotient + up
    return out
