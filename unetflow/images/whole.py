"""A file as one array, all of it: an annotation or a prediction that is to be scored.

Zarr is handed on as it lies, so that what is larger than memory is read block by block.
"""

import itertools
from pathlib import Path
from typing import TypeAlias

import numpy as np
import zarr

from unetflow.errors import SlideError
from unetflow.images.gray import NotGray, one_channel
from unetflow.images.opened import Unclear
from unetflow.images.readers import READABLE, numbers_of, open_file, tiffs_of
from unetflow.images.slide import ZARR_MARKS
from unetflow.images.sources import split_dataset

WholeImage: TypeAlias = np.ndarray | zarr.Array


def read_whole(path: str | Path, notes: list[str] | None = None) -> WholeImage:
    """An image (Y, X), or a stack with its planes or frames first, without axes of size 1.

    Of a TIFF the largest image with all its pages, of a pyramid the finest level, of a folder all
    TIFFs in the order of their numbers. Zarr is not read where its axes are to stay as they are.
    Of a palette the indices are read; colour is refused unless all channels are the same. What is
    not read is added to `notes`. Raises SlideError.
    """
    file, _ = split_dataset(path)
    if not file.exists():
        raise SlideError(f"{path}: there is no such file. Readable are {READABLE}.")
    said = [] if notes is None else notes
    try:
        if file.is_dir() and not any((file / name).exists() for name in ZARR_MARKS):
            return _read_folder(file, said)
        return _read_file(path, said)
    except Unclear as error:
        raise SlideError(
            f"{path}: {error}. Save what is meant as a file of its own, or name it in the path."
        ) from error
    except NotGray as error:
        raise SlideError(f"{path}: {error}.") from error
    except Exception as error:  # decoders raise many kinds
        why, _, _ = str(error).partition("\n")
        raise SlideError(
            f"{path}: cannot be read ({why}). Readable are {READABLE}. If it is one of these, "
            "open it in another program; if it is whole there, save it anew."
        ) from error


def _read_file(path: str | Path, notes: list[str]) -> WholeImage:
    opened = open_file(path, axes=None)
    try:
        notes += (f"{path}: {note}" for note in opened.notes)
        if opened.absent is not None:
            raise ValueError(opened.lacking)
        array, axes = opened.levels[0], opened.axes
        lazy = isinstance(array, zarr.Array) and not opened.at_once
        if lazy and 1 not in array.shape and axes[-2:] in ("YX", ""):
            return array
        everything = (slice(None),) * len(array.shape)
        whole = opened.at_once() if opened.at_once else np.asarray(array[everything])
    finally:
        opened.close()
    if axes[-1:] in ("C", "S"):
        whole = one_channel(whole, samples=axes.endswith("S"))[..., None]
    return _planes_first(whole, axes).squeeze()


def _planes_first(image: np.ndarray, axes: str) -> np.ndarray:
    """With the axes Y and X last, where they have names."""
    if not {"Y", "X"} <= set(axes):
        return image
    return np.moveaxis(image, (axes.index("Y"), axes.index("X")), (-2, -1))


def _read_folder(folder: Path, notes: list[str]) -> np.ndarray:
    """TIFFs of a folder, one behind the other."""
    files = sorted(tiffs_of(folder), key=numbers_of)
    if not files:
        raise ValueError("it is a folder with neither Zarr in it nor numbered TIFFs")
    for before, after in itertools.pairwise(files):
        if numbers_of(before) == numbers_of(after):
            raise ValueError(f"{before.name} and {after.name} have the same number")
    first = np.asarray(_read_file(files[0], notes))
    stack = np.empty((len(files), *first.shape), first.dtype)
    for number, file in enumerate(files):
        frame = np.asarray(_read_file(file, notes))
        if (frame.shape, frame.dtype) != (first.shape, first.dtype):
            raise ValueError(
                f"{file.name} is {frame.dtype} of shape {frame.shape}, {files[0].name} "
                f"{first.dtype} of {first.shape}"
            )
        stack[number] = frame
    return stack.squeeze()
