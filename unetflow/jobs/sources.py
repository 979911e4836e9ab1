"""Raw files as inputs: fingerprints of their content that cost one `stat` when nothing changed."""

import hashlib
import json
from pathlib import Path
from typing import Any

from unetflow.errors import UnetflowError
from unetflow.paths import split_dataset
from unetflow.receipts import write_whole

PIECE_BYTES = 64 * 1024
PIECES_BETWEEN = 8
FILES_BETWEEN = 32  # files of a folder whose content counts, beside its metadata


class Sources:
    """Fingerprints and sizes of raw files, remembered by path, byte size and time."""

    def __init__(self, cache: str | Path) -> None:
        self._path = Path(cache)
        self._known: dict[str, dict[str, Any]] = {}
        self._changed = False
        try:
            self._known = json.loads(self._path.read_text())
        except (OSError, ValueError):
            self._known = {}  # a cache: measured again

    def fingerprint(self, path: str | Path) -> str:
        """Byte size and digest of the first and last 64 kB and some pieces between.

        Raises FileNotFoundError for a file that is not there (yet).
        """
        entry = self._entry(path)
        if "fingerprint" not in entry:
            entry["fingerprint"] = _fingerprint(path)
            self._changed = True
        return str(entry["fingerprint"])

    def shape_px(self, path: str | Path, *, level: int, **chosen: Any) -> list[int] | None:
        """(Y, X) of a level of an image file, or None where it cannot be opened.

        `chosen` says which image of it, as for `unetflow.slides.Slide`. A file that cannot be
        opened is no error here: its own job names it, and the others go on.
        """
        entry = self._entry(path)
        key = f"shape {level} {sorted(chosen.items())}"
        if key not in entry:
            entry[key] = _shape_px(path, level, chosen)
            self._changed = True
        found: list[int] | None = entry[key]
        return found

    def save(self) -> None:
        """Write what was learnt, if anything was."""
        if self._changed:
            write_whole(self._path, json.dumps(self._known, indent=0).encode())
            self._changed = False

    def _entry(self, path: str | Path) -> dict[str, Any]:
        files = _files(path)
        stats = [file.stat() for file in files]
        seen = [len(files), sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats)]
        entry = self._known.get(str(path))
        if entry is None or entry["seen"] != seen:
            entry = self._known[str(path)] = {"seen": seen}
        return entry


def _files(path: str | Path) -> list[Path]:
    """The file, or all files of a folder in a stable order. Raises FileNotFoundError for none."""
    file, _ = split_dataset(path)
    files = sorted(each for each in file.rglob("*") if each.is_file()) if file.is_dir() else [file]
    if not files:
        raise FileNotFoundError(f"{path}: the folder is empty")
    return files


def _fingerprint(path: str | Path) -> str:
    """Of a folder: of the names and sizes of all files, and of the content of some."""
    files = _files(path)
    folder, _ = split_dataset(path)
    if files == [folder]:
        return _fingerprint_of_file(folder)
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        digest.update(f"{file.relative_to(folder)} {file.stat().st_size}\n".encode())
    metadata = [file for file in files if file.suffix == ".json" or file.name.startswith(".z")]
    step = max(1, len(files) // FILES_BETWEEN)
    for file in sorted({*metadata, *files[::step]}):
        digest.update(_fingerprint_of_file(file).encode())
    return f"{len(files)} files-{digest.hexdigest()}"


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


def _shape_px(path: str | Path, level: int, chosen: dict[str, Any]) -> list[int] | None:
    from unetflow.slides import Slide  # heavy, and not needed while nothing changed

    try:
        with Slide(path, **chosen) as slide:
            return list(slide.levels[level].shape_px)
    except (UnetflowError, IndexError):
        return None
