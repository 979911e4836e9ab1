"""Files that are written whole or not at all, and digests of what is in them."""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unetflow.errors import StoreError


def digest_of(content: object) -> str:
    """Digest of JSON-like content; the order of keys does not count."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def digest_of_file(path: str | Path) -> str:
    """Digest of all bytes of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def write_whole(path: str | Path, *parts: bytes | memoryview, sync: bool = True) -> None:
    """Write a file by rename: after a kill at any moment it is the old one or the new one, whole.

    Without `sync` a power loss may damage it. Raises StoreError, naming the file, where the disk
    is full or read-only.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with temporary.open("xb") as file:  # made by the kernel with the rights of any new file
                file.writelines(parts)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"{path}: could not be written ({error.strerror}). Make room or rights and run the "
            "same command again: what is finished is kept."
        ) from error


@contextmanager
def renamed_at_end(path: str | Path) -> Iterator[Path]:
    """A name beside `path` to write to: becomes `path` at the end, removed after an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
