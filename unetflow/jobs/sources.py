"""Files as inputs: what is known of them, remembered, so that it costs one `stat` to know again."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict, Unpack, cast

from unetflow.errors import UnetflowError
from unetflow.images.at_once import MOST_BYTES
from unetflow.images.sources import (
    Chosen,
    files_of,
    holds_polygons,
    raw_digest,
    seen,
    split_dataset,
)
from unetflow.jobs.sheet import Image
from unetflow.store.files import write_whole

if TYPE_CHECKING:
    from unetflow.images.slide import Slide


class Prepared(TypedDict):
    """What preparation will make of an image, by the header of its file."""

    channels: int
    mpp: float | None  # [um/px]
    peak_bytes: int  # that reading a pixel takes
    spacing: NotRequired[list[float]]  # of volumes: along z, y, x, in um where mpp is known
    shape_px: NotRequired[list[int]]  # of volumes: (Z, Y, X)


# What it warns of while the graph is built is in the note of the file, and in the log of its job.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# what is known of a file
Entry = dict[str, str | int | list[int] | list[list[int]] | list[str] | Prepared | None]


PREPARED, NO_LABELS = "prepared in bytes", "no labels"  # how keys begin of what may be a reason
THE_ONLY_ONE: Chosen = {"plane": None, "time": None, "axes": None, "scene": None}


def sources_cache(results: str) -> Path:
    """Where digests and sizes of files are remembered."""
    return Path(results) / ".sources.json"


class Sources:
    """Digests and sizes of files, remembered by path, byte size, time and inode."""

    def __init__(self, cache: str | Path) -> None:
        self._path = Path(cache).absolute()  # Snakemake leaves --directory before it is saved
        self._known: dict[str, Entry] = {}
        self._changed = False
        try:
            known: dict[str, Entry] = json.loads(self._path.read_text())
        except (OSError, ValueError):
            known = {}  # a cache: measured again
        # what could not be opened then may be now, though the file looks the same: the drive was
        # gone, it was nobody's to read, a library was missing
        self._known = {
            path: {key: of for key, of in entry.items() if _could_be_opened(key, of)}
            for path, entry in known.items()
        }

    def raw_digest(
        self,
        path: str | Path,
        *,
        time: int | None = None,
        plane: int | None = None,
        volume: bool = False,
    ) -> str:
        """Digest of every byte of a raw file: `unetflow.images.sources.raw_digest`."""
        files = files_of(path, time=time, plane=plane, volume=volume)
        key = str(path) if Path(path).is_dir() is False else f"{path} {time} {plane}"
        return self._digest(
            key, seen(files), lambda: raw_digest(path, time=time, plane=plane, volume=volume)
        )

    def digest(self, path: Path, measure: Callable[[Path], str]) -> str:
        """Digest of a file, measured where it is not known."""
        return self._digest(str(path), seen([path]), lambda: measure(path))

    def _digest(self, name: str, now: str, measure: Callable[[], str]) -> str:
        key = f"digest {name}"
        entry = self._known.get(key)
        if entry is None or entry["seen"] != now:
            entry = self._known[key] = {"seen": now, "digest": measure()}
            self._changed = True
        return str(entry["digest"])

    def shapes_px(self, path: str | Path, **chosen: Unpack[Chosen]) -> list[list[int]]:
        """(Y, X) of each level of an image file, (Z, Y, X) of a volume; none if it does not open.

        `chosen` says which image of it, as for `unetflow.images.slide.Slide`. A file that cannot be
        opened is no error here: its own job names it, and the others go on.
        """
        if holds_polygons(path):
            return []
        entry = self._entry(path)
        key = _key_of_shapes(chosen)
        if key not in entry:
            entry[key] = _shapes_px(path, chosen)
            self._changed = True
        return cast(list[list[int]], entry[key])

    def why_no_labels(self, path: str | Path, **chosen: Unpack[Chosen]) -> str | None:
        """Why a file does not open as labels, None where it does."""
        entry = self._entry(path)
        key = f"{NO_LABELS} {sorted(chosen.items())}"
        if key not in entry:
            entry[key] = _why_no_labels(path, chosen)
            self._changed = True
        return cast("str", entry[key]) or None

    def as_prepared(self, image: Image, want: float | Sequence[float] | None) -> Prepared | str:
        """What preparation will make of an image, or why it cannot.

        `want` [um/px] is what its dataset wants, of a volume along z, y, x.
        """
        entry = self._entry(image.path)
        size = (image.spacing, image.in_um) if image.volume else image.mpp
        row = (image.chosen, image.level, size, image.channels, want)
        key = f"{PREPARED} {' '.join(map(str, row))}"
        if key not in entry:
            entry[key] = _as_prepared(image, want, entry)
            self._changed = True
        return cast("Prepared | str", entry[key])

    def peak_bytes(self, path: str | Path, chosen: Chosen = THE_ONLY_ONE) -> int:
        """What reading a truth or a mask takes at once; 0 where it cannot be opened or is not."""
        try:
            entry = self._entry(path)
        except FileNotFoundError:  # Snakemake's business
            return 0
        key = f"peak {sorted(chosen.items())}"
        if key not in entry:
            entry[key] = _peak_bytes(path, chosen, entry)
            self._changed = True
        return cast("int | None", entry[key]) or 0

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
            files = files_of(path)
            stats = [each.stat() for each in files if each == file or each.exists()]
            # a file whose others are missing is not alone: they may come
            seen = [len(files), sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats)]
        if entry is None or entry["seen"] != seen:
            entry = self._known[str(path)] = {"seen": seen}
        return entry


def _could_be_opened(key: str, found: object) -> bool:
    """Whether what is known by this key of an entry comes of a file that could be opened."""
    if key.startswith(NO_LABELS):
        return found == ""
    return found not in (None, []) and not (key.startswith(PREPARED) and isinstance(found, str))


def _key_of_shapes(chosen: Chosen) -> str:
    return f"shapes {sorted(chosen.items())}"


def _shapes_px(path: str | Path, chosen: Chosen) -> list[list[int]]:
    from unetflow.images.slide import Slide  # heavy, and not needed while nothing changed

    try:
        with Slide(path, **chosen) as slide:
            return _shapes_of(slide)
    except UnetflowError:
        return []


def _shapes_of(slide: "Slide") -> list[list[int]]:
    return [list(level.shape_px) for level in slide.levels]


def _why_no_labels(path: str | Path, chosen: Chosen) -> str:
    from unetflow.images.slide import Slide  # heavy, as above

    try:
        Slide(path, **chosen, as_labels=True).close()
    except UnetflowError as error:
        return str(error)
    return ""


def _as_prepared(
    image: Image, want: float | Sequence[float] | None, entry: Entry
) -> Prepared | str:
    """See `Sources.as_prepared`; the shapes of its levels are noted, while the file is open."""
    from unetflow.images.resampling import picked_channels, source_at  # heavy, as above
    from unetflow.images.slide import Slide

    try:
        with Slide(image.path, **image.chosen, **image.resolution) as slide:
            entry[_key_of_shapes(image.chosen)] = _shapes_of(slide)
            channels = picked_channels(slide, image.channels)
            source = source_at(slide, image.level, want)
            slide.check_size(source.level, MOST_BYTES)
            prepared: Prepared = {
                "channels": len(channels),
                "mpp": source.mpp,
                "peak_bytes": slide.peak_bytes(source.level),
            }
            if image.volume:
                prepared["spacing"] = [*source.size.scale]
                prepared["shape_px"] = [*source.shape_px]
            return prepared
    except UnetflowError as error:
        return str(error)


def _peak_bytes(path: str | Path, chosen: Chosen, entry: Entry) -> int | None:
    """See `Sources.peak_bytes`; the shapes of its levels are noted, while the file is open.

    None where it cannot be opened.
    """
    from unetflow.images import geojson  # heavy, as above
    from unetflow.images.slide import Slide

    if holds_polygons(path):
        return geojson.peak_bytes(path)
    try:
        with Slide(path, **chosen, as_labels=True) as slide:
            entry[_key_of_shapes(chosen)] = _shapes_of(slide)
            slide.check_size(0, MOST_BYTES)
            return slide.peak_bytes(0)
    except UnetflowError:  # its own job names it
        return None
