"""Which shards a receipt tells of: digests in a file beside it, and whether they are still there.

The list `{name}.shards.json` follows from the content, as the receipt does, which names the list by
its digest and stays small. A job that reads a store compares the digest in each shard's stamp with
the list, before it reads and again after: a store that was deleted, copied over or written anew by
other hands is an error, not a result.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import starmap
from pathlib import Path
from typing import NamedTuple, TypedDict

from unetflow.errors import StoreError
from unetflow.provenance.receipts import bundle_of, read_receipt
from unetflow.store.files import digest_of_file, write_whole
from unetflow.store.stamps import Index, ShardFiles


class Listed(TypedDict):
    """Of an array."""

    metadata: str  # digest of its zarr.json without attributes
    shards: list[str]  # digest of each, in the order of their keys


class Stored(NamedTuple):
    """Arrays of a store that a receipt tells of."""

    store: str | Path
    receipt: str | Path
    arrays: Sequence[str] | None = None  # None: all of them


def list_of(receipt: str | Path) -> Path:
    """Where the digests of a receipt's shards lie."""
    return Path(receipt).with_suffix(".shards.json")


def write_shard_list(receipt: str | Path, store: str | Path, arrays: Sequence[str]) -> str:
    """Note the shards of these finished arrays of a store; the list's digest, for the receipt.

    Raises StoreError where one is not there.
    """
    listed: dict[str, Listed] = {}
    for name in arrays:
        files = ShardFiles.of(Path(store) / name)
        listed[name] = {"metadata": files.metadata, "shards": files.contents()}
    path = list_of(receipt)
    write_whole(path, (json.dumps(listed, sort_keys=True, indent=0) + "\n").encode())
    return digest_of_file(path)


@contextmanager
def unchanged(*read: Stored) -> Iterator[None]:
    """These arrays are what their receipts tell of, before and after what is done with them.

    Raises StoreError, which says what is not and how that is mended. Of each shard 32 bytes are
    read: the rest has checksums, which are compared when it is read.
    """
    _check(read)
    yield
    _check(read)


def faults_of(of: Stored, *, thoroughly: bool = False) -> Iterator[str]:
    """What is not as a receipt tells, a line each; `thoroughly` reads all bytes of all shards.

    Raises StoreError where the receipt cannot be read.
    """
    path = list_of(of.receipt)
    told = read_receipt(of.receipt).get("shards")
    if told is None:
        yield f"{of.receipt}: names no list of its shards, as one of an earlier version"
    elif not path.is_file():
        yield f"{path}: is not there"
    elif digest_of_file(path) != told:
        yield f"{path}: is not the list that {of.receipt} names"
    else:
        listed: dict[str, Listed] = json.loads(path.read_bytes())
        for name in listed if of.arrays is None else of.arrays:
            yield from _faults_of_array(Path(of.store) / name, listed[name], thoroughly)


def _faults_of_array(path: Path, listed: Listed, thoroughly: bool) -> Iterator[str]:
    try:
        files = ShardFiles.of(path)
    except StoreError as error:
        yield str(error)
        return
    if files.metadata != listed["metadata"]:
        yield f"{path}: has another shape, type or codecs"
        return
    wrong: dict[str, list[Index]] = {}
    for index, content in zip(files.indices(), listed["shards"], strict=True):
        stamp = files.stamp(index)
        if stamp is None:
            wrong.setdefault("not there", []).append(index)
        elif stamp.content != content:
            wrong.setdefault("other ones", []).append(index)
        elif thoroughly and not files.is_whole(index):
            wrong.setdefault("damaged", []).append(index)
    for what, shards in wrong.items():
        total = len(listed["shards"])
        yield f"{path}: {len(shards)} of {total} shards are {what}, the first {shards[0]}"


def _check(read: Sequence[Stored]) -> None:
    for of in starmap(Stored, read):
        if fault := next(faults_of(of), None):
            raise StoreError(
                f"{fault}; {of.receipt} tells of what was there. Delete "
                f"{bundle_of(Path(of.receipt))} and run the same command again: what is there is "
                "checked, and the rest done again. `unetflow verify` looks through all results."
            )
