"""Regions of Zarr arrays, read and written by TensorStore.

Of zarr-python, which makes the arrays and groups, this takes the slow part: there all threads of a
job wait for one event loop, and Python's lock is held while chunks are decoded and encoded.
TensorStore must be in no process that forks; those of this package start anew or use threads.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from unetflow.errors import StoreError
from unetflow.tiles import Region

CONTEXT = ts.Context(
    {
        "cache_pool": {"total_bytes_limit": 0},  # `unetflow.kept` keeps what is read again
        "file_io_sync": False,  # what a power loss damages is found by its checksum
        "file_io_locking": {"mode": "none"},  # a shard has one writer and is renamed when whole
    }
)


class StoredArray:
    """A Zarr array: shape, type and slicing, to NumPy arrays.

    Reading raises StoreError where what is on disk is damaged: every chunk has a checksum.
    """

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        spec = {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str(path.resolve())},
            # Else a shard of nothing but the fill value is no file, and counts as unfinished.
            "store_data_equal_to_fill_value": True,
        }
        opening = ts.open(spec, open=True, read=True, write=writable, context=CONTEXT)
        self._array, self.path = opening.result(), path
        self.shape: tuple[int, ...] = self._array.shape
        self.ndim, self.size = len(self.shape), math.prod(self.shape)
        self.dtype: np.dtype = self._array.dtype.numpy_dtype
        layout: Any = self._array.chunk_layout
        self.chunks: tuple[int, ...] = layout.read_chunk.shape
        self.shards: tuple[int, ...] = layout.write_chunk.shape
        self.attrs: dict[str, Any] = json.loads((path / "zarr.json").read_text())["attributes"]

    def __getitem__(self, key: Any) -> np.ndarray:
        try:
            return np.asarray(self._array[self._inside(key)].read().result())
        except Exception as error:  # TensorStore raises many kinds
            raise StoreError(
                f"{self.path}: damaged at {_in_words(key)} ({error}). Delete the receipts of "
                "this store and run the same command again: damaged shards are done again."
            ) from error

    def write(self, region: Region, block: np.ndarray) -> None:
        """Write a region of whole shards; each appears at once. Raises OSError and ValueError."""
        with ts.Transaction() as together:
            self._array.with_transaction(together)[region].write(block).result()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[...].astype(dtype or self.dtype, copy=False)

    def _inside(self, key: Any) -> tuple[Any, ...]:
        """A key as NumPy understands it, in positions that lie inside the array."""
        parts = key if isinstance(key, tuple) else (key,)
        if Ellipsis in parts:
            before = parts.index(Ellipsis)
            rest = (slice(None),) * (self.ndim - len(parts) + 1)
            parts = (*parts[:before], *rest, *parts[before + 1 :])
        parts = (*parts, *(slice(None),) * (self.ndim - len(parts)))
        return tuple(
            slice(*part.indices(size)) if isinstance(part, slice) else range(size)[part]
            for part, size in zip(parts, self.shape, strict=True)
        )


def _in_words(key: Any) -> str:
    """A region as [0:512, 1024:1536]."""
    parts = key if isinstance(key, tuple) else (key,)
    texts = [
        f"{part.start or ''}:{part.stop or ''}" if isinstance(part, slice) else str(part)
        for part in parts
    ]
    return f"[{', '.join(texts)}]"
