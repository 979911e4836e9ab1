"""Raw files: paths that name a dataset inside, fingerprints of what they hold."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

PIECE_BYTES = 64 * 1024
PIECES_BETWEEN = 8
TIFF_SUFFIXES = (".tif", ".tiff", ".ome", ".btf", ".tf8")
FILES_BETWEEN = 32  # files of a folder whose content counts, beside its metadata


class RawFile(TypedDict):
    """One image of a raw file, as a row of the sheet names it."""

    path: str
    fingerprint: str  # of `fingerprint_of`, when the work was planned
    plane: int | None  # of a stack
    time: int | None  # of a series
    axes: str | None  # of an array that has no names for them, such as "czyx"
    scene: str | None  # of a file of several images


class Chosen(TypedDict):
    """Which image of a file is meant, as for `unetflow.images.slide.Slide`."""

    plane: int | None
    time: int | None
    axes: str | None
    scene: str | None


def chosen_of(raw: RawFile) -> Chosen:
    """Which image of its file it is."""
    return {
        "plane": raw["plane"],
        "time": raw["time"],
        "axes": raw["axes"],
        "scene": raw["scene"],
    }


def split_dataset(path: str | Path) -> tuple[Path, str | None]:
    """The file and the dataset in it: `stack.h5:/raw` is (stack.h5, /raw), others have none."""
    match = re.fullmatch(r"(.+\.(?:h5|hdf5|hdf|ilp)):(/?.+)", str(path), re.IGNORECASE)
    return (Path(match[1]), match[2]) if match else (Path(path), None)


def files_of(path: str | Path) -> list[Path]:
    """The file and those that belong to it, or all of a folder, in a stable order.

    To an OME-TIFF belong the others of its set, to a MIRAX slide those of its folder; they may be
    missing. Raises FileNotFoundError for an empty folder.
    """
    file, _ = split_dataset(path)
    if not file.is_dir():
        return [file, *_others_of(file)]
    files = sorted(each for each in file.rglob("*") if each.is_file())
    if not files:
        raise FileNotFoundError(f"{path}: the folder is empty")
    return files


def _others_of(file: Path) -> list[Path]:
    suffix = file.suffix.lower()
    if suffix in TIFF_SUFFIXES and file.exists():
        from unetflow.images.tiff_files import files_of_set  # the libraries take half a second

        return files_of_set(file)
    if suffix == ".mrxs":
        folder = file.with_suffix("")
        return sorted(each for each in folder.rglob("*") if each.is_file())
    return []


def fingerprint_of(path: str | Path) -> str:
    """Byte size and digest of the first and last 64 kB and some pieces between.

    With the name of the dataset, if the path has one. Of a folder: names and sizes of all files,
    and the content of its metadata and some others.
    Raises FileNotFoundError for what is not there.
    """
    files = files_of(path)
    first, dataset = split_dataset(path)
    if files == [first]:
        within = f" {dataset.strip('/')}" if dataset else ""
        return _fingerprint_of_file(first) + within
    if not first.is_dir():
        return _fingerprint_of_set(files)
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        digest.update(f"{file.relative_to(first)} {file.stat().st_size}\n".encode())
    metadata = [file for file in files if file.suffix == ".json" or file.name.startswith(".z")]
    step = max(1, len(files) // FILES_BETWEEN)
    for file in sorted({*metadata, *files[::step]}):
        digest.update(_fingerprint_of_file(file).encode())
    return f"{len(files)} files-{digest.hexdigest()}"


def _fingerprint_of_set(files: Sequence[Path]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for number, file in enumerate(files):
        there = number == 0 or file.exists()  # without its first file there is no set
        own = _fingerprint_of_file(file) if there else "missing"
        digest.update(f"{file.relative_to(files[0].parent)} {own}\n".encode())
    return f"set of {len(files)}-{digest.hexdigest()}"


def _fingerprint_of_file(path: Path) -> str:
    size_bytes = path.stat().st_size
    last = max(0, size_bytes - PIECE_BYTES)
    starts = {last * k // (PIECES_BETWEEN + 1) for k in range(PIECES_BETWEEN + 2)}
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        for start in sorted(starts):
            file.seek(start)
            digest.update(file.read(PIECE_BYTES))
    return f"{size_bytes}-{digest.hexdigest()}"


def replaced(path: str | Path) -> str:
    """What to say of a file that has changed."""
    return (
        f"{path}: was replaced while the run went on. Run the same command again and leave the "
        "file as it is meanwhile."
    )


def has_changed(path: str | Path, fingerprint: str) -> bool:
    """Whether a file is another one than when its fingerprint was taken."""
    try:
        return fingerprint_of(path) != fingerprint
    except OSError:
        return True
