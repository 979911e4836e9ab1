"""Which labels meet on the same pixel, and how often: the counting behind the contingency table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unetflow.arguments import array_of
from unetflow.engine.compiled import compiled
from unetflow.metrics.checks import IntArray, LabelArray, flags_like, label_pair


class Pairs(NamedTuple):
    """Distinct pairs of a true and a predicted label, in the order of first appearance."""

    keys: NDArray[np.uint64]  # (P,) true label << 32 | predicted label
    pixels: IntArray  # (P,) [px] that the pair shares, never 0
    first: IntArray  # (P,) position in raster order where the pair appears first

    @property
    def truth(self) -> LabelArray:
        return (self.keys >> np.uint64(32)).astype(np.uint32)

    @property
    def predicted(self) -> LabelArray:
        return self.keys.astype(np.uint32)


def count_pairs(
    truth_labels: ArrayLike, predicted_labels: ArrayLike, ignore: ArrayLike | None
) -> Pairs:
    """Count the pairs of two label images in memory, in one pass, without the ignored pixels."""
    pairs = Pairs(*_count(*label_pair(truth_labels, predicted_labels, ignore)))
    if ignore is None:
        return pairs
    kept = np.flatnonzero(~flags_like(ignore, array_of(truth_labels, "truth_labels"), "ignore"))
    return pairs._replace(first=kept[pairs.first])


def merge_pairs(parts: Sequence[Pairs]) -> Pairs:
    """The pairs of several parts of an image as one; `first` must be positions in the image."""
    keys, pixels, first = map(np.concatenate, zip(*parts, strict=True))
    distinct, which = np.unique(keys, return_inverse=True)
    total = np.zeros(distinct.size, np.int64)
    np.add.at(total, which, pixels)
    earliest = np.full(distinct.size, np.iinfo(np.int64).max)
    np.minimum.at(earliest, which, first)
    order = np.argsort(earliest)
    return Pairs(distinct[order], total[order], earliest[order])


@compiled
def _count(
    truth: LabelArray, predicted: LabelArray
) -> tuple[NDArray[np.uint64], IntArray, IntArray]:
    """Distinct (truth << 32 | predicted), their pixels and first positions, as they appear.

    An open-addressing dictionary, touched once per run of equal pairs rather than once per pixel.
    """
    bits = 10
    slots = np.full(1 << bits, -1, np.int64)
    keys = np.empty(1 << (bits - 1), np.uint64)
    pixels = np.empty(1 << (bits - 1), np.int64)
    first = np.empty(1 << (bits - 1), np.int64)
    golden = np.uint64(0x9E3779B97F4A7C15)
    count, start, size = 0, 0, truth.size
    while start < size:
        t, p = truth[start], predicted[start]
        end = start + 1
        while end < size and truth[end] == t and predicted[end] == p:
            end += 1
        key = (np.uint64(t) << np.uint64(32)) | np.uint64(p)
        slot = np.int64((key * golden) >> np.uint64(64 - bits))
        while slots[slot] >= 0 and keys[slots[slot]] != key:
            slot = (slot + 1) & (slots.size - 1)
        if slots[slot] >= 0:
            pixels[slots[slot]] += end - start
        else:
            slots[slot] = count
            keys[count] = key
            pixels[count] = end - start
            first[count] = start
            count += 1
        start = end
        if count == keys.size:  # half of the slots are taken: double them
            bits += 1
            slots = np.full(1 << bits, -1, np.int64)
            keys = np.concatenate((keys, np.empty(count, np.uint64)))
            pixels = np.concatenate((pixels, np.empty(count, np.int64)))
            first = np.concatenate((first, np.empty(count, np.int64)))
            for entry in range(count):
                slot = np.int64((keys[entry] * golden) >> np.uint64(64 - bits))
                while slots[slot] >= 0:
                    slot = (slot + 1) & (slots.size - 1)
                slots[slot] = entry
    return keys[:count].copy(), pixels[:count].copy(), first[:count].copy()
