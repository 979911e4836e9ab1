"""Zarr arrays that survive a kill at any moment: one writer per shard, restarts.

A store is no output of the workflow; its receipt is (`unetflow.provenance.receipts`). Each array
carries the digest of all that decides its content, its *making*, and so does each shard
(`unetflow.store.stamps`). Opening it again with the same making keeps its finished shards; with
another *that array* is cleared. Who writes it is known by its lock (`unetflow.store.locks`). Shards
are written whole, by rename, so one that exists is finished; its stamp has a digest, so one that is
damaged is found.
"""

import json
import logging
import shutil
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.errors import StoreError
from unetflow.store.arrays import Encoder, StoredArray
from unetflow.store.arrays import read_array as read_array  # who also writes finds them here
from unetflow.store.arrays import read_lazily as read_lazily
from unetflow.store.files import digest_of, write_whole
from unetflow.store.layout import CHUNK_PX as CHUNK_PX
from unetflow.store.layout import SHARD_PX as SHARD_PX
from unetflow.store.layout import Layout as Layout
from unetflow.store.locks import BorrowedLock, Lock
from unetflow.store.stamps import Index as Index
from unetflow.store.stamps import ShardFiles
from unetflow.tiles.regions import shard_region

log = logging.getLogger(__name__)


class ShardedArray:
    """A Zarr array opened for writing whole shards; made by `open_array`.

    Its lock is held until nobody refers to it any more. In another process, sent there, it writes
    under that lock, as long as this process holds it.
    """

    def __init__(
        self, path: Path, layout: Layout, made: Mapping[str, Any], lock: Lock | BorrowedLock
    ) -> None:
        self._made_of = path.absolute(), layout, made, lock
        self.array = StoredArray(path)
        self.path = path
        # what was resolved automatically when the array was created
        self.chosen: dict[str, Any] = dict(made["chosen"])
        self._files, self._making, self._lock = ShardFiles.of(path), _making(made), lock
        self._encoder = Encoder(layout.metadata)

    def __reduce__(self) -> tuple[type["ShardedArray"], tuple[Any, ...]]:
        return ShardedArray, self._made_of

    def shards(self) -> list[Index]:
        """Indices of all shards, in the order of their keys."""
        return self._files.indices()

    def region(self, index: Index) -> tuple[slice, ...]:
        """The pixels of a shard, clipped at the end of the array."""
        return shard_region(index, self.array.shape, self.array.shards)

    def missing(self) -> list[Index]:
        """Shards that are not finished yet."""
        return [index for index in self.shards() if not self._files.file(index).exists()]

    def write(self, index: Index, block: np.ndarray) -> None:
        """Store one shard, whole. Raises StoreError where the disk refuses it or the lock is lost.

        A power loss may damage it or take it away: that is found when it is read or opened again.
        """
        region = self.region(index)
        if block.shape != tuple(part.stop - part.start for part in region):
            raise ValueError(f"shard {index} of {self.path} is no block of shape {block.shape}")
        parts = self._files.stamped(self._encoder.encoded(index, region, block), self._making)
        self._lock.confirm()
        write_whole(self._files.file(index), *parts, sync=False)

    def drop_unusable(self) -> None:
        """Delete shards of another making and damaged ones, after a power loss say, and name them.

        Where others write the array too, they are left to who opened it first.
        """
        if self._lock.is_shared():
            return
        for leftover in self.path.glob("c/**/.*.*"):  # shards that were not whole yet
            leftover.unlink()
        for index in self.shards():
            if why := self._fault(index):
                log.warning("%s: shard %s %s: doing it again", self.path, index, why)
                self._files.file(index).unlink()

    def content_digest(self) -> str:
        """Digest of what readers see: metadata without attributes, and every shard's bytes."""
        return self._files.content_digest()

    def _fault(self, index: Index) -> str | None:
        """Why a shard that is there is of no use, None where it is or is not there."""
        if not self._files.file(index).exists():
            return None
        stamp = self._files.stamp(index)
        if stamp is None or not self._files.is_whole(index):
            return "is damaged"
        return None if stamp.making == self._making else "is of another making"


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
    path, wanted = Path(store) / name, _wanted(decided_by, layout)
    with _opening(path, wanted) as lock:
        array = _continued(path, layout, wanted, lock, can_have)
        if array is None:
            clear(path)
            made = {**wanted, "chosen": dict(chosen or {})}
            _create(path, layout, made)
            array = ShardedArray(path, layout, made, lock)
    weakref.finalize(array, lock.release)
    return array


def join_array(
    store: str | Path, name: str, layout: Layout, *, decided_by: Mapping[str, object]
) -> ShardedArray:
    """Open array `name` of a store that another job has begun, beside others that write to it.

    Nothing is cleared or removed. Raises StoreError where there is none, or one of another making.
    """
    path, wanted = Path(store) / name, _wanted(decided_by, layout)
    with _opening(path, wanted) as lock:
        found = _found(path)
        reason = "it is not there" if found is None else _difference(found, wanted, layout)
        if found is None or reason is not None:
            raise StoreError(
                f"{path}: cannot be joined, because {reason}. Delete the receipts beside the store "
                "and run the same command again: the array is begun anew."
            )
        array = ShardedArray(path, layout, found["attributes"]["unetflow"], lock)
    weakref.finalize(array, lock.release)
    return array


def clear(path: Path) -> None:
    """Remove an array. It is renamed first: a kill halfway leaves nothing to be taken for whole."""
    if path.exists():
        trash = path.with_name(f".trash-{path.name}-{uuid.uuid4().hex}")
        path.rename(trash)
        shutil.rmtree(trash)
    for trash in path.parent.glob(f".trash-{path.name}-*"):  # not those of arrays beside it
        shutil.rmtree(trash, ignore_errors=True)


@contextmanager
def _opening(path: Path, wanted: Mapping[str, Any]) -> Iterator[Lock]:
    """The lock of an array, which nobody else opens meanwhile; kept but after an error."""
    lock = Lock(path, _making(wanted))
    try:
        yield lock
        lock.share()
    except BaseException:
        lock.release()
        raise


def _continued(
    path: Path,
    layout: Layout,
    wanted: Mapping[str, Any],
    lock: Lock,
    can_have: Callable[[dict[str, Any]], bool],
) -> ShardedArray | None:
    """The array as it is there, without what is of no use; None where it must be begun anew."""
    if not path.exists():
        return None
    found = _found(path)
    reason = "it cannot be opened" if found is None else _difference(found, wanted, layout)
    if found is not None and reason is None:
        sharded = ShardedArray(path, layout, found["attributes"]["unetflow"], lock)
        sharded.drop_unusable()
        total, missing = len(sharded.shards()), len(sharded.missing())
        if not missing or can_have(sharded.chosen):
            log.info("%s: kept %d of %d shards", path, total - missing, total)
            return sharded
        reason = f"it was begun with {sharded.chosen}, which cannot be had here now"
        if total > missing:
            log.warning("%s: %d finished shards are lost", path, total - missing)
    if lock.is_shared():
        raise StoreError(
            f"{path}: is being written by another process, and this one cannot go on with it, "
            f"because {reason}. Wait until the other has ended, and run the same command again."
        )
    log.info("%s: starting anew, because %s", path, reason)
    return None


def _create(path: Path, layout: Layout, made: Mapping[str, Any]) -> None:
    """The metadata of an array that has no shards yet."""
    metadata = {**layout.metadata, "attributes": {"unetflow": made}}
    write_whole(path / "zarr.json", json.dumps(metadata, indent=2).encode())


def _wanted(decided_by: Mapping[str, object], layout: Layout) -> dict[str, Any]:
    """What decides the content of an array, as JSON gives it back."""
    decided: dict[str, Any] = json.loads(json.dumps(dict(decided_by)))
    return {"decided_by": decided, "layout": layout.described}


def _making(made: Mapping[str, Any]) -> str:
    """Digest of what decides the content: in the lock and in each shard."""
    return digest_of([made["decided_by"], made["layout"]])


def _found(path: Path) -> dict[str, Any] | None:
    """The zarr.json of an array, None where there is none of ours. Raises StoreError."""
    try:
        found: dict[str, Any] = json.loads((path / "zarr.json").read_text())
        made = found["attributes"]["unetflow"]
        ours = isinstance(made["decided_by"], dict) and isinstance(made["chosen"], dict)
        return found if ours else None
    except (FileNotFoundError, NotADirectoryError, ValueError, LookupError, TypeError):
        return None
    except OSError as error:  # what cannot be read just now may be whole
        raise StoreError(
            f"{path}: its zarr.json could not be read ({error.strerror}). Mend that, or delete the "
            "folder, and run the same command again."
        ) from error


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any], layout: Layout) -> str | None:
    """Why an array cannot be continued, in words, or None where it can."""
    made = found["attributes"]["unetflow"]
    if made.get("layout") != wanted["layout"]:
        return "its layout is another one"
    before, now = made["decided_by"], wanted["decided_by"]
    keys = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
    if keys:
        return "of another " + ", ".join(keys)
    metadata = {key: value for key, value in found.items() if key != "attributes"}
    if metadata != layout.metadata:
        return "its zarr.json has another shape, type or codecs than it was made with"
    return None
