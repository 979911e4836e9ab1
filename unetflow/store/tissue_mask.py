"""Where a slide shows something: a coarse mask, so that empty ground is not read and not predicted.

A mask has one value per *cell*, a square of `CELL_PX` of the prepared image. A cell is kept if
something is in it or in a neighbour by edge or corner, so that no halo of a network of depth 4
reaches from an object into what was not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.store.files import digest_of
from unetflow.store.names import TISSUE
from unetflow.store.shards import Layout, open_array, read_array

CELL_PX = 256


@dataclass(frozen=True, slots=True)
class Tissue:
    """The cells (rows, columns), bool, that are kept, of an image of `shape_px`."""

    cells: np.ndarray
    by: str  # what decided

    def described(self) -> dict[str, Any]:
        """For receipts: what decided, the share of cells kept, and a digest of which."""
        kept = np.packbits(self.cells).tobytes().hex()
        return {
            "by": self.by,
            "share": float(self.cells.mean()),
            "cells": self.cells.shape,
            "digest": digest_of([self.cells.shape, kept]),
        }

    def inside(self, rows: slice, columns: slice) -> np.ndarray:
        """Whether each pixel (Y, X) of a region lies in a kept cell."""
        at = [np.arange(part.start, part.stop) // CELL_PX for part in (rows, columns)]
        return np.asarray(self.cells[np.ix_(*at)])

    def reaches(self, rows: slice, columns: slice) -> bool:
        """Whether any pixel of a region lies in a kept cell."""
        at = tuple(
            slice(part.start // CELL_PX, -(-part.stop // CELL_PX)) for part in (rows, columns)
        )
        return bool(self.cells[at].any())


def write_tissue(store: str | Path, tissue: Tissue) -> None:
    """Array `tissue` of a store: a byte per cell, 1 where it is kept."""
    layout = Layout(tissue.cells.shape, "uint8", ("y", "x"))
    array = open_array(store, TISSUE, layout, decided_by=tissue.described())
    for index in array.missing():
        array.write(index, tissue.cells[array.region(index)].astype(np.uint8))


def read_tissue(store: str | Path, described: Mapping[str, object] | None) -> Tissue | None:
    """The mask of a prepared image by what its receipt says; None where it has none."""
    if described is None:
        return None
    return Tissue(np.asarray(read_array(store, TISSUE)[:]) != 0, str(described["by"]))
