"""Thinning: grow the regions of a binary image until one-pixel membranes are left.

The official ISBI 2012 score since 2015 thins the proposal first, so that thick membranes cost
nothing (Arganda-Carreras et al. 2015, "Crowdsourcing the creation of image segmentation algorithms
for connectomics"). The flooding is Vincent and Soille 1991, on two gray levels.
"""

import numpy as np
from numpy.typing import ArrayLike

from unetflow.engine.compiled import compiled
from unetflow.metrics.checks import IntArray, LabelArray, slice_of
from unetflow.metrics.components import label_interior

# No region has these numbers: there are fewer regions than pixels, and under 2^32 - 1 pixels.
_QUEUED = np.uint32(2**32 - 1)
_UNSEEN = np.uint32(2**32 - 2)


def thin_membranes(interior: ArrayLike) -> LabelArray:
    """Label the interior of a binary (Y, X) image and flood the membranes with the labels.

    0 is the one-pixel line where two regions meet. Regions are numbered in column-major order of
    their first pixel, as in Fiji. An image without interior is one region, as in Fiji.

        1 0 0 0 1        1 1 0 2 2
        1 0 0 0 1   ->   1 1 0 2 2
    """
    image = slice_of(interior)
    if not image.any():
        return np.ones(image.shape, np.uint32)
    # On the transposed image column-major is raster order: the inner loops stay contiguous.
    labels = label_interior(np.ascontiguousarray(image.T))
    _flood(labels, int(np.count_nonzero(labels == 0)))
    return np.ascontiguousarray(labels.T)


@compiled
def _flood(labels: LabelArray, membrane_px: int) -> None:
    """Flood in place, first in first out; labels are (X, Y).

    To the bit: neighbours in the order x-1, y-1, x+1, y+1; a pixel takes the first labelled
    neighbour, becomes 0 if a later one has another label and then stays 0; beside a 0 it becomes
    0 unless a later labelled neighbour claims it.
    """
    width, height = labels.shape
    queue = np.empty(membrane_px, np.int64)
    tail = _fill_queue(labels, queue)
    head = 0
    while head < tail:
        x, y = queue[head] // height, queue[head] % height
        head += 1
        own, conflict = _QUEUED, False
        for k in range(4):
            nx, ny = x + (k == 2) - (k == 0), y + (k == 3) - (k == 1)
            if nx < 0 or ny < 0 or nx >= width or ny >= height:
                continue
            other = labels[nx, ny]
            if other == _UNSEEN:
                labels[nx, ny] = _QUEUED
                queue[tail] = nx * height + ny
                tail += 1
            elif other == 0:
                if own == _QUEUED:
                    own = np.uint32(0)
            elif other != _QUEUED:
                if own == _QUEUED or (own == 0 and not conflict):
                    own = other
                elif own != 0 and own != other:
                    own, conflict = np.uint32(0), True
        labels[x, y] = own


@compiled
def _fill_queue(labels: LabelArray, queue: IntArray) -> int:
    """Queue the membrane pixels beside a region, column-major; how many. Mark the others unseen."""
    width, height = labels.shape
    tail = 0
    for x in range(width):
        for y in range(height):
            if labels[x, y] == 0:
                labels[x, y] = _UNSEEN
    for x in range(width):
        for y in range(height):
            if labels[x, y] == _UNSEEN and (
                (x > 0 and labels[x - 1, y] < _UNSEEN)
                or (y > 0 and labels[x, y - 1] < _UNSEEN)
                or (x + 1 < width and labels[x + 1, y] < _UNSEEN)
                or (y + 1 < height and labels[x, y + 1] < _UNSEEN)
            ):
                labels[x, y] = _QUEUED
                queue[tail] = x * height + y
                tail += 1
    return tail
