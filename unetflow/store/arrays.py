"""Regions of Zarr arrays, read and written by TensorStore.

Of zarr-python, which makes the arrays and groups, this takes the slow part: there all threads of a
job wait for one event loop, and Python's lock is held while chunks are decoded and encoded.
TensorStore must be in no process that forks; those of this package start anew or use threads.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorstore as ts
from numpy.typing import DTypeLike

from unetflow.errors import StoreError
from unetflow.tiles.regions import Region

if TYPE_CHECKING:
    import dask.array as da

Part = int | slice | EllipsisType
Key = Part | tuple[Part, ...]
CONTEXT = ts.Context(
    {
        "cache_pool": {
            "total_bytes_limit": 0
        },  # `unetflow.store.chunk_cache` keeps what is read again
    }
)


class DamagedError(StoreError):
    """A shard that is not what was written: its checksum is wrong, or it is not there."""


class StoredArray:
    """A Zarr array: shape, type and slicing, to NumPy arrays. Every shard must have been written.

    Reading raises DamagedError where what is on disk is damaged: every chunk has a checksum.
    """

    def __init__(self, path: Path) -> None:
        spec = {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str(path.resolve())},
            "fill_missing_data_reads": False,
        }
        try:
            opening = ts.open(spec, open=True, read=True, context=CONTEXT)
            self._array = opening.result()
            self.attrs: dict[str, Any] = json.loads((path / "zarr.json").read_text())["attributes"]
        except (OSError, ValueError, KeyError) as error:
            what, mend = "no readable array", "Delete the receipt of this store"
            if _is_of_system(error):  # it may be whole
                what, mend = "could not be opened", "Mend that"
            raise StoreError(
                f"{path}: {what} ({in_short(error)}). {mend} and run the same command again."
            ) from error
        self.path = path
        self.shape: tuple[int, ...] = self._array.shape
        self.ndim, self.dtype = len(self.shape), np.dtype(self._array.dtype.numpy_dtype)
        layout: Any = self._array.chunk_layout
        self.chunks: tuple[int, ...] = layout.read_chunk.shape
        self.shards: tuple[int, ...] = layout.write_chunk.shape

    def __reduce__(self) -> tuple[type["StoredArray"], tuple[Path]]:
        return StoredArray, (self.path.absolute(),)  # another process opens it anew

    def __getitem__(self, key: Key) -> np.ndarray:
        inside = self._inside(key)
        try:
            return np.asarray(self._array[inside].read().result())
        except (OSError, ValueError, KeyError) as error:
            where = f"at {_in_words(inside)} ({in_short(error)})"
            if _is_of_system(error):
                raise StoreError(f"{self.path}: could not be read {where}") from error
            raise DamagedError(
                f"{self.path}: damaged {where}. Delete the receipts of this store and run the same "
                "command again: damaged shards are done again."
            ) from error

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return self[...].astype(dtype or self.dtype, copy=False)

    def _inside(self, key: Key) -> tuple[int | slice, ...]:
        """A key of integers, slices and ... as positions that lie inside the array."""
        parts = list(key) if isinstance(key, tuple) else [key]
        if any(part is Ellipsis for part in parts):
            where = next(k for k, part in enumerate(parts) if part is Ellipsis)
            parts[where : where + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        parts += [slice(None)] * (self.ndim - len(parts))
        if len(parts) > self.ndim:
            raise IndexError(f"{key!r} has more than the {self.ndim} axes of {self.path}")
        return tuple(_clipped(part, size) for part, size in zip(parts, self.shape, strict=True))


class Encoder:
    """Blocks of an array with these metadata (a zarr.json) as Zarr stores them, made in memory."""

    def __init__(self, metadata: Mapping[str, object]) -> None:
        spec = {
            "driver": "zarr3",
            "kvstore": {"driver": "memory"},
            "metadata": dict(metadata),
            # Else a shard of nothing but the fill value is no file, and counts as unfinished.
            "store_data_equal_to_fill_value": True,
        }
        context = ts.Context(CONTEXT.spec.to_json())  # has a memory of its own
        self._array = ts.open(spec, create=True, context=context).result()
        files = self._array.kvstore
        assert files is not None  # an array of Zarr lies in one
        self._files = files

    def encoded(self, index: Sequence[int], region: Region, block: np.ndarray) -> bytes:
        """The shard at `index`, whose pixels are `region`. Raises ValueError for other types."""
        key = "/".join(["c", *map(str, index)])
        with ts.Transaction() as together:
            self._array.with_transaction(together)[region].write(block).result()
        encoded: bytes = self._files.read(key).result().value
        self._files.write(key, None).result()
        return encoded


def read_array(store: str | Path, name: str) -> StoredArray:
    """Open array `name` of a store for reading. Raises StoreError where it is not there."""
    return StoredArray(Path(store) / name)


def read_lazily(store: str | Path, name: str) -> "da.Array":
    """Array `name` of a store as a Dask array whose chunks are the shards."""
    import dask.array as da  # half a second that most jobs do not need

    array = read_array(store, name)
    return da.from_array(array, chunks=array.shards, name=False)


def _clipped(part: object, size: int) -> int | slice:
    if isinstance(part, slice):
        start, stop, step = part.indices(size)
        return slice(start, stop if len(range(start, stop, step)) else start, step)
    if isinstance(part, int | np.integer) and not isinstance(part, bool):
        return range(size)[part]
    raise IndexError(f"{part!r} in a key: arrays are read by integers and slices")


def _is_of_system(error: BaseException) -> bool:
    """Whether the system refused to read (rights, a disk that is away), whatever is stored."""
    return isinstance(error, OSError) or "[os_error_code=" in str(error)


def in_short(error: BaseException) -> str:
    """What went wrong, without the specification of the array and other details in brackets."""
    return re.split(r" \[\w+='", str(error))[0]


def _in_words(key: tuple[int | slice, ...]) -> str:
    """A region as [0:512, 1024:1536]."""
    texts = [f"{of.start}:{of.stop}" if isinstance(of, slice) else str(of) for of in key]
    return f"[{', '.join(texts)}]"
