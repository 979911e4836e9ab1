"""Raw files: paths that name a dataset inside, the files behind a path, what they hold."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict

PIECE_BYTES = 8 * 2**20
THREADS = 4  # that digest a file: a disk is faster than one
HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".ilp")
TIFF_SUFFIXES = (".tif", ".tiff", ".ome", ".btf", ".tf8")
POLYGON_SUFFIXES = (".geojson", ".geojson.gz", ".json", ".xml")
ZARR_MARKS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
LITTER = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|desktop\.ini", re.IGNORECASE)  # of systems


class RawFile(TypedDict):
    """One image of a raw file, as a row of the sheet names it."""

    path: str
    plane: int | None  # of a stack
    time: int | None  # of a series
    axes: str | None  # of an array that has no names for them, such as "czyx"
    scene: str | None  # of a file of several images
    volume: NotRequired[bool]  # all planes of it; left out of images
    planes: NotRequired[
        list[int]
    ]  # or from the first to the last of these, and the axis if it is not z
    adjacent: NotRequired[
        int
    ]  # planes to each side that are channels; left out where there are none
    first_px: NotRequired[
        list[int]
    ]  # of polygons: where their volume begins (z, y, x) in the stack that they are drawn on


class Chosen(TypedDict):
    """Which image of a file is meant, as for `unetflow.images.slide.Slide`."""

    plane: int | None
    time: int | None
    axes: str | None
    scene: str | None
    volume: NotRequired[bool]
    planes: NotRequired[list[int]]
    adjacent: NotRequired[int]


def chosen_of(raw: RawFile) -> Chosen:
    """Which image of its file it is."""
    chosen: Chosen = {
        "plane": raw["plane"],
        "time": raw["time"],
        "axes": raw["axes"],
        "scene": raw["scene"],
    }
    if raw.get("volume"):  # of others the receipts say nothing of it
        chosen["volume"] = True
    if "planes" in raw:
        chosen["planes"] = raw["planes"]
    if raw.get("adjacent"):
        chosen["adjacent"] = raw["adjacent"]
    return chosen


def split_dataset(path: str | Path) -> tuple[Path, str | None]:
    """The file and the dataset in it: `stack.h5:/raw` is (stack.h5, /raw), others have none."""
    match = re.fullmatch(r"(.+\.(?:h5|hdf5|hdf|ilp)):(/?.+)", str(path), re.IGNORECASE)
    return (Path(match[1]), match[2]) if match else (Path(path), None)


class Content(NamedTuple):
    """What a raw file holds, and how its files looked when it was read."""

    digest: str  # of every byte of all its files
    seen: str  # of names, sizes, times and inodes


def files_of(
    path: str | Path, *, time: int | None = None, plane: int | None = None, volume: bool = False
) -> list[Path]:
    """The file and those that belong to it, or all of a folder, in a stable order.

    To an OME-TIFF belong the others of its set, to a dataset of an HDF5 file those where its pixels
    lie, to a MIRAX slide those of its folder; they may be missing. Of a folder of frames it is the
    one of that time and plane, where one is asked for, and of a `volume` the slices of that time.
    Raises FileNotFoundError for an empty folder, ValueError where there is no such frame.
    """
    file, dataset = split_dataset(path)
    if not file.is_dir():
        return [file, *_others_of(file, dataset)]
    if volume and time is not None and not is_store(file):
        from unetflow.images.slices import slices_of  # as below

        if slices := slices_of(file, time):
            return slices  # else whoever opens the folder says what is in it
    elif (time, plane) != (None, None) and not is_store(file):
        from unetflow.images.frames import frame_file  # NumPy takes a moment

        return [frame_file(file, time, plane)[0]]
    files = sorted(each for each in file.rglob("*") if each.is_file() and not _is_litter(each))
    if not files:
        raise FileNotFoundError(f"{path}: the folder is empty")
    return files


def holds_polygons(path: str | Path) -> bool:
    """Whether a path names a file of polygons: GeoJSON, or XML of ImageScope."""
    return str(path).lower().endswith(POLYGON_SUFFIXES)


def is_store(folder: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any((folder / name).exists() for name in ZARR_MARKS)


def _is_litter(file: Path) -> bool:
    return LITTER.fullmatch(file.name) is not None


def _others_of(file: Path, dataset: str | None) -> list[Path]:
    suffix = file.suffix.lower()
    if suffix in TIFF_SUFFIXES and file.exists():
        from unetflow.images.tiff_files import files_of_set  # the libraries take half a second

        return files_of_set(file)
    if suffix in HDF5_SUFFIXES and file.exists():
        from unetflow.images.file_links import files_behind

        return files_behind(file, dataset)
    if suffix == ".mrxs":
        folder = file.with_suffix("")
        return sorted(each for each in folder.rglob("*") if each.is_file())
    return []


def seen(files: Sequence[Path]) -> str:
    """How files look without being opened: names, sizes, times and inodes, as a digest.

    Raises FileNotFoundError where the first is not there; others may be missing.
    """
    digest = hashlib.blake2b(digest_size=16)
    for number, file in enumerate(files):
        if number == 0 or file.exists():
            of = file.stat()
            digest.update(f"{file.name} {of.st_size} {of.st_mtime_ns} {of.st_ino}\n".encode())
        else:
            digest.update(f"{file.name} missing\n".encode())
    return digest.hexdigest()


def raw_digest(
    path: str | Path, *, time: int | None = None, plane: int | None = None, volume: bool = False
) -> str:
    """Digest of every byte of a file, of those that belong to it and of their names.

    With the name of the dataset, if the path has one. Raises as `files_of`.
    """
    files = files_of(path, time=time, plane=plane, volume=volume)
    first, dataset = split_dataset(path)
    digest = hashlib.blake2b(digest_size=16)
    with ThreadPoolExecutor(THREADS) as pool:
        for number, file in enumerate(files):
            if len(files) > 1:
                base = first if first.is_dir() else first.parent
                inside = file.is_relative_to(base)  # else behind a link of the file system
                digest.update(f"{file.relative_to(base) if inside else file.name}\n".encode())
            if number and not file.exists():
                digest.update(b"missing\n")
                continue
            digest.update(f"{file.stat().st_size}\n".encode())
            for of_piece in pool.map(_digest_of_piece, *zip(*_pieces(file), strict=True)):
                digest.update(of_piece)
    return digest.hexdigest() + (f" {dataset.strip('/')}" if dataset else "")


def _pieces(file: Path) -> Iterator[tuple[Path, int]]:
    for start in range(0, max(1, file.stat().st_size), PIECE_BYTES):
        yield file, start


def _digest_of_piece(file: Path, start: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(start)
        return hashlib.blake2b(opened.read(PIECE_BYTES), digest_size=16).digest()


def content_of(raw: RawFile) -> Content:
    """What a raw file holds now. Raises as `files_of`."""
    before = seen_of(raw)
    return Content(raw_digest(raw["path"], **_frame_of(raw)), before)


def seen_of(raw: RawFile) -> str:
    """How the files of a raw image look now. Raises as `files_of`."""
    return seen(files_of(raw["path"], **_frame_of(raw)))


class _Frame(TypedDict):
    time: int | None
    plane: int | None
    volume: bool


def _frame_of(raw: RawFile) -> _Frame:
    """Which file of a folder of frames it is; of a volume all of its time."""
    volume = raw.get("volume", False)
    return {"time": raw["time"], "plane": None if volume else raw["plane"], "volume": volume}


def has_changed(raw: RawFile, content: Content) -> bool:
    """Whether a file holds something else than when its content was taken."""
    try:
        if seen_of(raw) == content.seen:
            return False
        return content_of(raw).digest != content.digest
    except (OSError, ValueError):
        return True


def replaced(path: str | Path) -> str:
    """What to say of a file that has changed."""
    return (
        f"{path}: was replaced while the run went on. Run the same command again and leave the "
        "file as it is meanwhile."
    )
