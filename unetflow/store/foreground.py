"""Foreground as it is stored and as it is meant: uint8 with 255 for 1.0, or floats."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unetflow.store.arrays import Key, read_array, read_lazily
from unetflow.store.names import FOREGROUND
from unetflow.store.probabilities import as_probability as as_probability  # found here, too
from unetflow.store.probabilities import as_stored as as_stored

if TYPE_CHECKING:
    import dask.array as da


def read_foreground(store: str | Path, region: Key = (), *, array: str = FOREGROUND) -> np.ndarray:
    """Foreground (K, Y, X) of a store of predictions as float32 in [0, 1], or a region of it.

    `array` is `FOREGROUND`, as the network gives it, or `REFINED`.
    """
    return as_probability(np.asarray(read_array(store, array)[region]))


def read_foreground_lazily(store: str | Path, array: str = FOREGROUND) -> "da.Array":
    """As `read_foreground`, as a Dask array whose chunks are the shards."""
    return read_lazily(store, array).map_blocks(as_probability, dtype=np.float32)
