"""Zarr arrays that survive a kill at any moment: one writer per shard, restarts.

A store is no output of the workflow; its receipt is (`unetflow.provenance.receipts`). Each array
carries the digest of all that decides its content. Opening it again with the same digest keeps its
finished shards; with another digest *that array* is cleared. Shards are written whole, by rename,
so one that exists is finished; every chunk ends in a CRC32C, so one that is damaged is found.
"""

import hashlib
import json
import logging
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, BloscShuffle, Crc32cCodec

from unetflow.errors import StoreError
from unetflow.store.arrays import DamagedError, StoredArray, in_short
from unetflow.store.arrays import read_array as read_array  # who also writes finds them here
from unetflow.store.arrays import read_lazily as read_lazily
from unetflow.store.files import digest_of
from unetflow.tiles.regions import shard_grid, shard_region

log = logging.getLogger(__name__)


CHUNK_PX = 512  # smallest readable piece of an array of images or labels
SHARD_PX = 1024  # smallest writable piece
Index = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """What an array looks like on disk. The last axes are spatial: (Y, X) or (Z, Y, X)."""

    shape: tuple[int, ...]  # [px] on spatial axes
    dtype: str
    axes: tuple[str, ...]  # "c", "z", "y", "x"
    shard_px: int = SHARD_PX
    chunk_px: int = CHUNK_PX

    @property
    def shards(self) -> tuple[int, ...]:
        """Shard shape: all channels together, planes one by one, `shard_px` along y and x."""
        return self._pieces(self.shard_px, whole_channels=True)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Chunk shape: one channel, one plane, `chunk_px` along y and x."""
        return self._pieces(self.chunk_px, whole_channels=False)

    def _pieces(self, size_px: int, *, whole_channels: bool) -> tuple[int, ...]:
        sizes = {"c": self.shape[0] if whole_channels else 1, "z": 1}
        return tuple(sizes.get(axis, size_px) for axis in self.axes)


class ShardedArray:
    """A Zarr array opened for writing whole shards; made by `open_array`."""

    def __init__(self, path: Path, chosen: dict[str, Any]) -> None:
        self.array = StoredArray(path, writable=True)
        self.path = path
        self.chosen = chosen  # what was resolved automatically when the array was created

    def shards(self) -> list[Index]:
        """Indices of all shards, in the order of their keys."""
        return shard_grid(self.array.shape, self.array.shards)

    def region(self, index: Index) -> tuple[slice, ...]:
        """The pixels of a shard, clipped at the end of the array."""
        return shard_region(index, self.array.shape, self.array.shards)

    def missing(self) -> list[Index]:
        """Shards that are not finished yet."""
        return [index for index in self.shards() if not self._file(index).exists()]

    def write(self, index: Index, block: np.ndarray) -> None:
        """Store one shard, whole. Raises StoreError where the disk refuses it."""
        region = self.region(index)
        if block.shape != tuple(part.stop - part.start for part in region):
            raise ValueError(f"shard {index} of {self.path} is no block of shape {block.shape}")
        try:
            self.array.write(region, block)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{self.path}: shard {index} could not be written ({in_short(error)}). Make room "
                "or rights and run the same command again: finished shards are kept."
            ) from error

    def drop_unreadable(self) -> None:
        """Delete finished shards that cannot be decoded, after a power loss say, and name them."""
        for index in self.shards():
            if not self._file(index).exists():
                continue
            try:
                self.array[self.region(index)]
            except DamagedError as error:
                why = in_short(error.__cause__ or error)
                log.warning("%s: shard %s is damaged (%s): doing it again", self.path, index, why)
                self._file(index).unlink()

    def content_digest(self) -> str:
        """Digest of what readers see: metadata without attributes, and every shard's bytes."""
        metadata = json.loads((self.path / "zarr.json").read_text())
        metadata.pop("attributes", None)
        digest = hashlib.blake2b(digest_of(metadata).encode(), digest_size=16)
        for index in self.shards():
            digest.update(self._file(index).read_bytes())
        return digest.hexdigest()

    def _file(self, index: Index) -> Path:
        return self.path.joinpath("c", *map(str, index))


def open_array(
    store: str | Path,
    name: str,
    layout: Layout,
    *,
    decided_by: Mapping[str, object],
    chosen: Mapping[str, Any] | None = None,
    can_have: Callable[[dict[str, Any]], bool] = lambda chosen: True,
) -> ShardedArray:
    """Open array `name` of a store to finish it: keep its shards if they are of the same making.

    `decided_by` is all that decides the content (digests of inputs, parameters, code); `chosen`
    is what was resolved automatically (device, precision, threads). An array that was begun with
    the same `decided_by` keeps its own `chosen` if this machine `can_have` it, or if nothing is
    missing; else the array is cleared, and the log says what is different. Damaged shards and
    leftovers are removed.
    """
    path = Path(store) / name
    wanted = json.loads(json.dumps(dict(decided_by)))
    for leftover in path.glob("c/**/*.__lock"):  # shards that were not whole yet
        leftover.unlink()
    found = _found(path)
    if found is not None:
        reason = _difference(found, wanted, layout)
        if reason is None:
            sharded = ShardedArray(path, dict(found["chosen"]))
            sharded.drop_unreadable()
            total, missing = len(sharded.shards()), len(sharded.missing())
            if not missing or can_have(sharded.chosen):
                log.info("%s: kept %d of %d shards", path, total - missing, total)
                return sharded
            reason = f"it was begun with {found['chosen']}, which cannot be had here now"
            if total > missing:
                log.warning("%s: %d finished shards are lost", path, total - missing)
        log.info("%s: starting anew, because %s", path, reason)
    clear(path)
    made = {"decided_by": wanted, "chosen": dict(chosen or {}), "layout": _described(layout)}
    _create(Path(store), name, layout, {"unetflow": made})
    return ShardedArray(path, dict(chosen or {}))


def join_array(
    store: str | Path, name: str, layout: Layout, *, decided_by: Mapping[str, object]
) -> ShardedArray:
    """Open array `name` of a store that another job has begun, beside others that write to it.

    Nothing is cleared or removed. Raises StoreError where there is none, or one of another making.
    """
    path = Path(store) / name
    found = _found(path)
    wanted = json.loads(json.dumps(dict(decided_by)))
    reason = "it is not there" if found is None else _difference(found, wanted, layout)
    if found is None or reason is not None:
        raise StoreError(
            f"{path}: cannot be joined, because {reason}. Delete the receipts beside the store and "
            "run the same command again: the array is begun anew."
        )
    return ShardedArray(path, dict(found["chosen"]))


def clear(path: Path) -> None:
    """Remove an array. It is renamed first: a kill halfway leaves nothing to be taken for whole."""
    if path.exists():
        trash = path.with_name(f".trash-{path.name}-{uuid.uuid4().hex}")
        path.rename(trash)
        shutil.rmtree(trash)
    for trash in path.parent.glob(f".trash-{path.name}-*"):  # not those of arrays beside it
        shutil.rmtree(trash, ignore_errors=True)


def _create(store: Path, name: str, layout: Layout, attributes: Mapping[str, object]) -> None:
    try:
        zarr.create_array(
            store / name,
            shape=layout.shape,
            dtype=layout.dtype,
            chunks=layout.chunks,
            shards=layout.shards,
            compressors=(
                BloscCodec(
                    typesize=np.dtype(layout.dtype).itemsize,
                    cname="zstd",
                    clevel=1,
                    shuffle=BloscShuffle.shuffle,
                ),
                Crc32cCodec(),
            ),
            dimension_names=layout.axes,
            attributes=attributes,
            zarr_format=3,
        )
    except OSError as error:
        raise StoreError(
            f"{store / name}: could not be created ({error.strerror}). Make room or rights and "
            "run the same command again."
        ) from error


def _found(path: Path) -> dict[str, Any] | None:
    """What an existing array says of its making, or None where there is no whole array."""
    try:
        made: dict[str, Any] = json.loads((path / "zarr.json").read_text())["attributes"][
            "unetflow"
        ]
    except (OSError, ValueError, KeyError):
        return None
    return made


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any], layout: Layout) -> str | None:
    """Why an array cannot be continued, in words, or None where it can."""
    if found["layout"] != _described(layout):
        return "its layout is another one"
    before = found["decided_by"]
    keys = sorted(k for k in before.keys() | wanted.keys() if before.get(k) != wanted.get(k))
    return "of another " + ", ".join(keys) if keys else None


def _described(layout: Layout) -> list[object]:
    """A layout as JSON gives it back."""
    parts = (layout.shape, layout.dtype, layout.axes, layout.shards, layout.chunks)
    described: list[object] = json.loads(json.dumps(parts))
    return described
