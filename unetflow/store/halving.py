"""Means of 2x2 pixels of integers."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def halved_integers(block):
    """Of (C, Y, X); see `unetflow.store.pyramid.halved`."""
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
