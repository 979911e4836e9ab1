"""What lies around the tissue of a slide, taken from a coarse level of its file."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unetflow.store.tissue_mask import Tissue


@dataclass(frozen=True, slots=True)
class Coarse:
    """A coarse level of an image."""

    read: Callable[[slice, slice], np.ndarray]  # pixels (C, Y, X) of a region
    size_px: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """What lies around the tissue of an image of `shape_px`, from a coarse level of its file."""

    tissue: Tissue
    coarse: Coarse
    shape_px: tuple[int, ...]

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """A region (C, Y, X) at the nearest pixels of the coarse level."""
        at = [
            np.minimum(((np.arange(part.start, part.stop) + 0.5) * size / n).astype(int), size - 1)
            for part, n, size in zip(
                (rows, columns), self.shape_px, self.coarse.size_px, strict=True
            )
        ]
        y, x = at
        pixels = self.coarse.read(slice(y[0], y[-1] + 1), slice(x[0], x[-1] + 1))
        return np.asarray(pixels[:, y - y[0]][:, :, x - x[0]])
