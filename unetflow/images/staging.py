"""Raw files copied to a node's own disk while they are read.

Reading a slide region by region takes thousands of small reads, which a network drive answers one
by one; copying it takes one long one.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unetflow.errors import UnetflowError
from unetflow.images.sources import (
    Content,
    RawFile,
    content_of,
    files_of,
    is_store,
    seen,
    seen_of,
    split_dataset,
)

log = logging.getLogger(__name__)


@contextmanager
def staged(raw: RawFile, scratch: str | None) -> Iterator[RawFile]:
    """The raw image with its path in a folder of its own below `scratch`; where it is, if None.

    Variables of the environment in `scratch` are filled in ($TMPDIR). Files that belong to the
    image are copied beside it. It is read where it is, with a warning, where there is no room, no
    such folder, or files lie elsewhere. Errors name the image as the sheet does.
    """
    near = None if scratch is None else _copied(raw, Path(os.path.expandvars(scratch)))
    if near is None:
        yield raw
        return
    folder, path = near
    try:
        yield {**raw, "path": path}
    except UnetflowError as error:
        if path not in str(error):
            raise
        raise type(error)(str(error).replace(path, raw["path"])) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def content_as_read(raw: RawFile, near: RawFile) -> Content:
    """What the file that is read holds; it is the raw one that may be replaced meanwhile."""
    content = content_of(near)
    return content if near is raw else content._replace(seen=seen_of(raw))


def _copied(raw: RawFile, scratch: Path) -> tuple[Path, str] | None:
    """The folder of the copies and the image's path there; None where it stays where it is."""
    file, dataset = split_dataset(raw["path"])
    base = file.parent
    files = [each for each in _files_of(raw, file) if each.exists()]
    if not files or not all(each.is_relative_to(base) for each in files):
        log.info("%s: is read where it lies: files of it lie elsewhere", raw["path"])
        return None
    needed = sum(each.stat().st_size for each in files)
    folder: Path | None = None
    try:
        if shutil.disk_usage(scratch).free < needed:
            raise OSError(f"{needed / 1e9:.3g} GB are needed, more than is free there")
        folder = Path(tempfile.mkdtemp(prefix="unetflow-", dir=scratch))
        before = seen(files)
        for each in files:
            copy = folder / each.relative_to(base)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(each, copy)
        if seen(files) != before:
            raise OSError("it was replaced meanwhile")
    except OSError as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        log.warning(
            "%s: is not copied to %s, but read where it lies: %s", raw["path"], scratch, error
        )
        return None
    log.info("%s: %.3g GB copied to %s", raw["path"], needed / 1e9, folder)
    inside = "" if dataset is None else f":{dataset}"
    return folder, f"{folder / file.name}{inside}"


def _files_of(raw: RawFile, file: Path) -> list[Path]:
    """All files of the image; none of a folder of frames, of which one is read."""
    if file.is_dir() and not is_store(file):
        return []
    return files_of(raw["path"])
