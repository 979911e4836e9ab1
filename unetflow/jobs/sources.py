"""Raw files as inputs: fingerprints of their content that cost one `stat` when nothing changed."""

import json
import logging
from pathlib import Path
from typing import TypedDict, Unpack, cast

from unetflow.errors import SlideError, UnetflowError
from unetflow.images.sources import Chosen, files_of, fingerprint_of, split_dataset
from unetflow.jobs.sheet import Image
from unetflow.store.files import write_whole


class Prepared(TypedDict):
    """What preparation will make of an image, by the header of its file."""

    channels: int
    mpp: float | None  # [um/px]


# What it warns of while the graph is built is in the note of the file, and in the log of its job.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# what is known of a file
Entry = dict[str, str | list[int] | list[list[int]] | list[str] | Prepared]


def sources_cache(results: str) -> Path:
    """Where the fingerprints of raw files are remembered."""
    return Path(results) / ".sources.json"


class Sources:
    """Fingerprints and sizes of raw files, remembered by path, byte size and time."""

    def __init__(self, cache: str | Path) -> None:
        self._path = Path(cache).absolute()  # Snakemake leaves --directory before it is saved
        self._known: dict[str, Entry] = {}
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
            entry["fingerprint"] = fingerprint_of(path)
            self._changed = True
        return str(entry["fingerprint"])

    def shapes_px(self, path: str | Path, **chosen: Unpack[Chosen]) -> list[list[int]]:
        """(Y, X) of each level of an image file, none where it cannot be opened.

        `chosen` says which image of it, as for `unetflow.images.slide.Slide`. A file that cannot be
        opened is no error here: its own job names it, and the others go on.
        """
        entry = self._entry(path)
        key = f"shapes {sorted(chosen.items())}"
        if key not in entry:
            entry[key] = _shapes_px(path, chosen)
            self._changed = True
        return cast(list[list[int]], entry[key])

    def as_prepared(self, image: Image, want_mpp: float | None) -> Prepared | str:
        """What preparation will make of an image, or why it cannot.

        `want_mpp` [um/px] is what its dataset wants.
        """
        entry = self._entry(image.path)
        row = (image.chosen, image.level, image.mpp, image.channels, want_mpp)
        key = f"prepared {' '.join(map(str, row))}"
        if key not in entry:
            entry[key] = _as_prepared(image, want_mpp)
            self._changed = True
        return cast("Prepared | str", entry[key])

    def save(self) -> None:
        """Write what was learnt, if anything was."""
        if self._changed:
            write_whole(self._path, json.dumps(self._known, indent=0).encode())
            self._changed = False

    def _entry(self, path: str | Path) -> Entry:
        file, _ = split_dataset(path)
        entry = self._known.get(str(path))
        stat = file.stat()
        seen = [1, stat.st_size, stat.st_mtime_ns]
        if entry is None or entry["seen"] != seen:  # else it is alone still, and need not be opened
            stats = [each.stat() for each in files_of(path) if each == file or each.exists()]
            seen = [len(stats), sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats)]
        if entry is None or entry["seen"] != seen:
            entry = self._known[str(path)] = {"seen": seen}
        return entry


def _shapes_px(path: str | Path, chosen: Chosen) -> list[list[int]]:
    from unetflow.images.slide import Slide  # heavy, and not needed while nothing changed

    try:
        with Slide(path, **chosen) as slide:
            return [list(level.shape_px) for level in slide.levels]
    except UnetflowError:
        return []


def _as_prepared(image: Image, want_mpp: float | None) -> Prepared | str:
    from unetflow.images.resampling import picked_channels, source_at  # heavy, as above
    from unetflow.images.slide import Slide

    try:
        with Slide(image.path, **image.chosen, mpp=image.mpp) as slide:
            channels = picked_channels(slide, image.channels)
            return {
                "channels": len(channels),
                "mpp": source_at(slide, image.level, want_mpp).mpp,
            }
    except SlideError as error:
        return str(error)
