"""The stamp in each shard's file: of which making it is, and a digest of what is in it.

    |<--- chunks --->| making, 16 bytes | digest, 16 bytes |<--- index of the chunks --->|

The index lies at the end, and Zarr allows bytes that it does not name: any reader reads the shard
as if there were no stamp. A shard of another model that was copied or written beside today's
metadata is known by its making, one that was damaged by its digest, and a job that reads a store
compares the digests with those that its receipt knows: 32 bytes a shard.
"""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from unetflow.errors import StoreError
from unetflow.store.files import digest_of
from unetflow.tiles.regions import shard_grid

DIGEST_BYTES = 16
STAMP_BYTES = 2 * DIGEST_BYTES
Index = tuple[int, ...]
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


class Stamp(NamedTuple):
    """What a shard says of itself, in hexadecimal digits."""

    making: str
    content: str


@dataclass(frozen=True, slots=True)
class ShardFiles:
    """The files of an array's shards, and the stamps in them."""

    path: Path  # of the array
    shape: tuple[int, ...]
    shards: tuple[int, ...]  # shape of each
    index_bytes: int  # of the index of chunks at the end of each
    metadata: str  # digest of its zarr.json without attributes: shape, type and codecs

    @classmethod
    def of(cls, path: Path) -> Self:
        """Of a stored array, as its zarr.json says. Raises StoreError where that is not to be had.

        Its digest says whether it is the one that was written: nothing else is asked here.
        """
        try:
            found = json.loads((path / "zarr.json").read_text())
            found.pop("attributes", None)
            shards = found["chunk_grid"]["configuration"]["chunk_shape"]
            chunks = found["codecs"][0]["configuration"]["chunk_shape"]
            inside = math.prod(map(int.__floordiv__, shards, chunks))
            # of each chunk an offset and a length, then a CRC32C
            sizes = tuple(found["shape"]), tuple(shards), 16 * inside + 4
            return cls(path, *sizes, digest_of(found))
        except FileNotFoundError as error:
            raise StoreError(f"{path}: is not there") from error
        except (OSError, *_DAMAGED) as error:
            raise StoreError(f"{path}: its zarr.json cannot be read ({error})") from error

    def indices(self) -> list[Index]:
        """Indices of all shards, in the order of their keys."""
        return shard_grid(self.shape, self.shards)

    def file(self, index: Index) -> Path:
        """Where a shard lies."""
        return self.path.joinpath("c", *map(str, index))

    def stamp(self, index: Index) -> Stamp | None:
        """The stamp of a shard; None where there is no file, or one too short for it."""
        try:
            name = "/".join(map(str, index))  # a path for each takes as long as all the rest
            file = os.open(f"{self.path}/c/{name}", os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            at = os.fstat(file).st_size - self.index_bytes - STAMP_BYTES
            return _stamp_in(os.pread(file, STAMP_BYTES, at)) if at >= 0 else None
        finally:
            os.close(file)

    def content_digest(self) -> str:
        """Digest of what readers see: metadata without attributes, and every shard's bytes."""
        return digest_of([self.metadata, self.contents()])

    def contents(self) -> list[str]:
        """Digest of each shard, as its stamp tells. Raises StoreError where one is not there."""
        stamps = [self.stamp(index) for index in self.indices()]
        if None in stamps:
            raise StoreError(
                f"{self.path}: shard {self.indices()[stamps.index(None)]} is not there, or cut. "
                "Run the same command again: what is finished is kept."
            )
        return [stamp.content for stamp in stamps if stamp]

    def is_whole(self, index: Index) -> bool:
        """Whether what is in a shard's file is what its stamp says. All of it is read."""
        content = memoryview(self.file(index).read_bytes())
        at = len(content) - self.index_bytes - STAMP_BYTES
        if at < 0:
            return False
        stamp = _stamp_in(content[at : at + STAMP_BYTES])
        return stamp.content == _digest([content[:at], content[at + STAMP_BYTES :]]).hex()

    def stamped(self, encoded: bytes, making: str) -> list[memoryview]:
        """A shard as it is stored, in parts, of the bytes that Zarr makes of it."""
        at = len(encoded) - self.index_bytes
        chunks, index = memoryview(encoded)[:at], memoryview(encoded)[at:]
        stamp = bytes.fromhex(making) + _digest([chunks, index])
        return [chunks, memoryview(stamp), index]


def _stamp_in(read: bytes | memoryview) -> Stamp:
    return Stamp(read[:DIGEST_BYTES].hex(), read[DIGEST_BYTES:].hex())


def _digest(parts: Sequence[memoryview]) -> bytes:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()


def content_digest_of(store: str | Path, name: str) -> str:
    """As `ShardFiles.content_digest`, of an array that is finished. Raises StoreError."""
    return ShardFiles.of(Path(store) / name).content_digest()
