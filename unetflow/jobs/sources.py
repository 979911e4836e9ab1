"""Raw files as inputs: fingerprints of their content that cost one `stat` when nothing changed."""

import hashlib
import json
from pathlib import Path
from typing import Any

from unetflow.errors import UnetflowError
from unetflow.receipts import write_whole

PIECE_BYTES = 64 * 1024
PIECES_BETWEEN = 8


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
            entry["fingerprint"] = _fingerprint(Path(path))
            self._changed = True
        return str(entry["fingerprint"])

    def shape_px(self, path: str | Path, plane: int | None, level: int) -> list[int] | None:
        """(Y, X) of a level of an image file, or None where it cannot be opened.

        Such a file is no error here: its own job names it, and the others go on.
        """
        entry = self._entry(path)
        key = f"shape {plane} {level}"
        if key not in entry:
            entry[key] = _shape_px(path, plane, level)
            self._changed = True
        found: list[int] | None = entry[key]
        return found

    def save(self) -> None:
        """Write what was learnt, if anything was."""
        if self._changed:
            write_whole(self._path, json.dumps(self._known, indent=0).encode())
            self._changed = False

    def _entry(self, path: str | Path) -> dict[str, Any]:
        stat = Path(path).stat()
        seen = [stat.st_size, stat.st_mtime_ns]
        entry = self._known.get(str(path))
        if entry is None or entry["seen"] != seen:
            entry = self._known[str(path)] = {"seen": seen}
        return entry


def _fingerprint(path: Path) -> str:
    size_bytes = path.stat().st_size
    last = max(0, size_bytes - PIECE_BYTES)
    starts = {last * k // (PIECES_BETWEEN + 1) for k in range(PIECES_BETWEEN + 2)}
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        for start in sorted(starts):
            file.seek(start)
            digest.update(file.read(PIECE_BYTES))
    return f"{size_bytes}-{digest.hexdigest()}"


def _shape_px(path: str | Path, plane: int | None, level: int) -> list[int] | None:
    from unetflow.slides import Slide  # heavy, and not needed while nothing changed

    try:
        with Slide(path, plane=plane) as slide:
            return list(slide.levels[level].shape_px)
    except (UnetflowError, IndexError):
        return None
