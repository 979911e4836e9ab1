"""Files that are written whole or not at all, and digests of what is in them."""

import hashlib
import json
import os
import platform
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from unetflow.errors import StoreError

HOUR_S = 3600.0  # a file that another machine did not write to for so long is left over
_PARTIAL = re.compile(r"[.].+[.](?P<pid>[0-9]+)@(?P<host>.*)[.][0-9a-f]{8}[.]partial")


def digest_of(content: object) -> str:
    """Digest of JSON-like content; the order of keys does not count."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def digest_of_file(path: str | Path) -> str:
    """Digest of all bytes of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file by rename: after a kill at any moment it is the old one or the new one, whole.

    Raises StoreError, naming the file, where the disk is full or read-only.
    """
    with renamed_at_end(path) as partial, partial.open("xb") as file:
        file.write(content)


@contextmanager
def renamed_at_end(path: str | Path) -> Iterator[Path]:
    """A name beside `path` to write to: becomes `path` at the end, removed after an error.

    It is this writer's own. What others that were killed left in the folder is removed. Raises
    StoreError, naming `path`, where the disk is full or read-only.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(path.parent)
        here = f"{os.getpid()}@{platform.node()}.{secrets.token_hex(4)}"
        partial = path.with_name(f".{path.name}.{here}.partial")
        try:
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"{path}: could not be written ({error.strerror or error}). Make room or rights and "
            "run the same command again: what is finished is kept."
        ) from error


@cache  # once a process: to list a folder of many images takes time
def _clear_leftovers(folder: Path) -> None:
    """Remove what killed writers left in a folder: of this machine, and old files of others."""
    with os.scandir(folder) as entries:
        partials = [found for each in entries if (found := _PARTIAL.fullmatch(each.name))]
    for found in partials:
        with suppress(OSError):  # another process was first, or it is another user's
            if _is_left(folder / found[0], found):
                (folder / found[0]).unlink()


def _is_left(path: Path, found: re.Match[str]) -> bool:
    if found["host"] == platform.node():
        return not _runs(int(found["pid"]))
    return time.time() - path.stat().st_mtime > HOUR_S


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # the second is no number of a process
        return False
    except PermissionError:
        return True  # another user's
    return True
