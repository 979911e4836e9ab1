"""A folder of slices as one volume: each file a plane, in the order of their numbers."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from unetflow.errors import UnetflowError
from unetflow.images.frames import numbers_of
from unetflow.images.opened import Opened, Unclear
from unetflow.images.sources import LITTER

SUFFIXES = (".tif", ".tiff", ".png")
Open = Callable[[Path], Opened]
MOST_NAMED = 8


def open_slices(folder: Path, time: int | None, open_file: Open) -> Opened:
    """The slices of a folder, of one time where their names have two numbers (time, plane).

    Every header is read: sizes and types of pixels must be alike, and which value is black. Raises
    Unclear for a slice that is missing, there twice, of another kind, or more than a plane;
    ValueError names one that is damaged.
    """
    files = _in_order(folder, time)
    first = _described(files[0], open_file)
    _check_plane(files[0].name, first)
    for file in files[1:]:
        if (found := _described(file, open_file)) != first:
            raise Unclear(
                f"slices {files[0].name} ({_in_words(first)}) and {file.name} ({_in_words(found)}) "
                "are not alike, but are planes of one volume",
                "path",
                "Take out what is no slice, or correct {}.",
            )
    with_pixels = open_file(files[0])
    try:
        array = _Slices(files, with_pixels.levels[0], open_file)
        return Opened(
            [array],
            f"Z{with_pixels.axes}",
            with_pixels.pixel_um[:1],
            white=with_pixels.white,
            notes=with_pixels.notes,
            orientation=with_pixels.orientation,
        )
    finally:
        with_pixels.close()


def holds_slices(folder: Path, open_file: Open) -> bool:
    """Whether a folder is one volume, by its first file: a plane, or one that cannot be opened."""
    files = slices_of(folder, None)
    if not files:
        return False
    try:
        _check_plane(files[0].name, _described(files[0], open_file))
    except Unclear:
        return False
    except (ValueError, UnetflowError):  # who reads the volume names it
        return True
    return True


class _Slices:
    """Planes (Z, ...), of which each is a file that is opened when it is read."""

    def __init__(self, files: Sequence[Path], first: np.ndarray, open_file: Open) -> None:
        self._files, self._open = files, open_file
        self.shape, self.dtype = (len(files), *first.shape), np.dtype(first.dtype)
        self.ndim = len(self.shape)
        self.chunks = (1, *getattr(first, "chunks", first.shape))

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        first, *others = key
        if isinstance(first, slice):
            planes = [self._plane(k, others) for k in range(*first.indices(len(self._files)))]
            return np.stack(planes)
        return self._plane(first, others)

    def _plane(self, number: int, key: Sequence[slice | int]) -> np.ndarray:
        with _named(self._files[number]):
            opened = self._open(self._files[number])
            try:
                return np.asarray(opened.levels[0][tuple(key)])
            finally:
                opened.close()


def slices_of(folder: Path, time: int | None) -> list[Path]:
    """The files that are slices of a folder, of a series those of one time; by name."""
    files = sorted(file for file in folder.iterdir() if _is_slice(file.name))
    if time is None:
        return files
    return [file for file in files if (of := numbers_of(file))[:1] == (time,) and len(of) > 1]


def _is_slice(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not LITTER.fullmatch(name)


def _in_order(folder: Path, time: int | None) -> list[Path]:
    """The files by their numbers, of which one alone differs from file to file."""
    skipped = 0 if time is None else 1
    numbered = [(numbers_of(file)[skipped:], file) for file in slices_of(folder, time)]
    if not numbered:
        of_time = "" if time is None else f" of time {time}"
        raise Unclear(f"it is a folder with no slices{of_time} ({', '.join(SUFFIXES)})", "path")
    counts = {len(numbers) for numbers, _ in numbered}
    columns = [{*column} for column in zip(*(numbers for numbers, _ in numbered), strict=False)]
    varying = [k for k, values in enumerate(columns) if len(values) > 1] or [len(columns) - 1]
    if len(counts) > 1 or len(varying) > 1 or not columns:
        some = ", ".join(sorted(file.name for _, file in numbered)[:MOST_NAMED])
        raise Unclear(
            f"it is a folder whose files have no one number that says which slice each is ({some})",
            "path",
            "Name them as slice_000.tif and so on (of a series t000_z000.tif, and its time), or "
            "correct {}.",
        )
    by_number = sorted((numbers[varying[0]], file) for numbers, file in numbered)
    _check_complete([number for number, _ in by_number])
    return [file for _, file in by_number]


def _check_complete(numbers: Sequence[int]) -> None:
    """Raise Unclear where a number is missing between the first and the last, or there twice."""
    twice = [str(number) for number, count in Counter(numbers).items() if count > 1]
    missing = sorted({*range(numbers[0], numbers[-1] + 1)} - {*numbers})
    for named, what in ((twice, "there twice"), ([*map(str, missing)], "missing")):
        if named:
            more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
            raise Unclear(
                f"of its slices {numbers[0]} to {numbers[-1]} {', '.join(named[:MOST_NAMED])}{more}"
                f" {'are' if len(named) > 1 else 'is'} {what}",
                "path",
                "Put every slice there once, or number them without a gap; or correct {}.",
            )


def _described(file: Path, open_file: Open) -> tuple[object, ...]:
    """Shape, axes and type of the pixels of a slice, and the value that is black where 0 is not."""
    with _named(file):
        opened = open_file(file)
        try:
            level = opened.levels[0]
            return tuple(level.shape), opened.axes, str(level.dtype), opened.white
        finally:
            opened.close()


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Raise ValueError with the name of a slice that cannot be opened or read."""
    try:
        yield
    except (Unclear, UnetflowError, MemoryError):
        raise
    except Exception as error:  # decoders raise many kinds
        raise ValueError(f"slice {file.name}: {type(error).__name__}: {error}") from error


def _check_plane(name: str, described: tuple[object, ...]) -> None:
    """Raise Unclear where a slice has an axis beside those of a plane."""
    shape, axes, *_ = described
    assert isinstance(shape, tuple) and isinstance(axes, str)
    stacked = [(axis, size) for axis, size in zip(axes, shape, strict=False) if size > 1]
    for axis, size in stacked:
        if axis not in "YXSC":
            raise Unclear(
                f"its slice {name} holds {size} images along axis {axis}, not one plane",
                "path",
                "Save each plane as a file of its own, or name one file that holds all in {}.",
            )


def _in_words(described: tuple[object, ...]) -> str:
    shape, _, dtype, white = described
    assert isinstance(shape, tuple)
    what = f"{'x'.join(map(str, shape))} px of {dtype}"
    return what if white is None else f"{what}, 0 is white"
