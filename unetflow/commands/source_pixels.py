"""The pixels of an image file for the command, read when they are needed."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unetflow.images.resampling import Lost, Source
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.tiles.regions import Region


class SourcePixels:
    """An image file at one resolution as an array (C, Y, X) that is read by region.

    Places that cannot be read, or are no numbers, are 0, and noted in a file: a run that goes on
    knows those of the run before. `digest` is that of all that decides what is read.
    """

    def __init__(self, source: Source, channels: Sequence[int], notes: Path, digest: str) -> None:
        self._source, self._channels = source, list(channels)
        self.shape, self.dtype = (len(channels), *source.shape_px), source.slide.dtype
        self.notes, self._digest = notes, digest
        before = read_receipt(notes) if notes.exists() else {}
        self.lost: list[Lost] = before["lost"] if before.get("of") == digest else []
        self._sum_C, self._count = np.zeros(len(channels)), 0
        self._low_C, self._high_C = np.full((2, len(channels)), [[np.inf], [-np.inf]])
        self._lock = threading.Lock()  # a file is read by one thread at a time

    def __getitem__(self, key: Region, /) -> np.ndarray:
        """All channels of a region (rows, columns), whatever stands before these in `key`."""
        _, *region = key
        with self._lock:
            found: list[Lost] = []
            pixels_CYX = self._source.read(tuple(region), found, self._channels)
            new = [place for place in found if place not in self.lost]
            if new:
                self.lost += new
                write_receipt(self.notes, {"of": self._digest, "lost": self.lost})
            self._sum_C += pixels_CYX.sum(axis=(1, 2), dtype=np.float64)
            self._count += pixels_CYX[0].size
            self._low_C = np.minimum(self._low_C, pixels_CYX.min(axis=(1, 2)))
            self._high_C = np.maximum(self._high_C, pixels_CYX.max(axis=(1, 2)))
        return pixels_CYX

    @property
    def values_C(self) -> list[NDArray[np.float64]] | None:
        """Mean, lowest and highest of each channel over what was read, None before."""
        if not self._count:
            return None
        return [self._sum_C / self._count, self._low_C, self._high_C]
