"""A file as one array, all of it: an annotation or a prediction that is to be scored.

Zarr is handed on as it lies, so that what is larger than memory is read block by block.
"""

import itertools
from pathlib import Path
from typing import TypeAlias

import numpy as np
import zarr

from unetflow.errors import SlideError
from unetflow.images.readers import READABLE, numbers_of, open_file, tiffs_of
from unetflow.images.slide import ZARR_MARKS
from unetflow.images.sources import split_dataset

WholeImage: TypeAlias = np.ndarray | zarr.Array
BIT_DEPTH, COLOUR_TYPE = 24, 25  # bytes of a PNG
PALETTE = 3  # a colour type


def read_whole(path: str | Path) -> WholeImage:
    """An image (Y, X), or a stack with its planes or frames first, without axes of size 1.

    Of a TIFF the first series with all its pages, of a pyramid the finest level, of a folder all
    TIFFs in the order of their numbers. Zarr is not read where its axes are to stay as they are.
    Colour is refused unless all channels are the same, and so are palettes. Raises SlideError.
    """
    file, _ = split_dataset(path)
    if not file.exists():
        raise SlideError(f"{path}: there is no such file. Readable are {READABLE}.")
    try:
        if file.is_dir() and not any((file / name).exists() for name in ZARR_MARKS):
            return _read_folder(file)
        return _read_file(path)
    except Exception as error:  # decoders raise many kinds
        why, _, _ = str(error).partition("\n")
        raise SlideError(
            f"{path}: cannot be read ({why}). Readable are {READABLE}. If it is one of these, "
            "open it in another program; if it is whole there, save it anew."
        ) from error


def _read_file(path: str | Path) -> WholeImage:
    file, _ = split_dataset(path)
    png = _png_header(file) if file.suffix.lower() == ".png" else b""
    if png and png[COLOUR_TYPE] == PALETTE:
        raise ValueError("its colours are a palette: save label numbers as gray values")
    opened = open_file(path, axes=None)
    try:
        array, axes = opened.levels[0], opened.axes
        lazy = isinstance(array, zarr.Array) and not opened.at_once
        if lazy and 1 not in array.shape and axes[-2:] in ("YX", ""):
            return array
        everything = (slice(None),) * len(array.shape)
        whole = opened.at_once() if opened.at_once else np.asarray(array[everything])
    finally:
        opened.close()
    if png and png[BIT_DEPTH] == 1:
        whole = whole != 0
    return _planes_first(_gray(whole, axes), axes).squeeze()


def _png_header(file: Path) -> bytes:
    with file.open("rb") as opened:
        header = opened.read(COLOUR_TYPE + 1)
    if len(header) <= COLOUR_TYPE:
        raise ValueError("it ends within its header")
    return header


def _gray(image: np.ndarray, axes: str) -> np.ndarray:
    """The first channel of an image whose last axis are channels, if all are the same."""
    if axes[-1:] not in ("C", "S"):
        return image
    channels = image.shape[-1]
    if axes.endswith("S") and channels in (2, 4):
        channels -= 1  # the last is transparency
    if not (image[..., :channels] == image[..., :1]).all():
        raise ValueError(
            f"it is a colour image of shape {image.shape}: save labels or probabilities as gray "
            "values"
        )
    return image[..., :1]


def _planes_first(image: np.ndarray, axes: str) -> np.ndarray:
    """With the axes Y and X last, where they have names."""
    if not {"Y", "X"} <= set(axes):
        return image
    return np.moveaxis(image, (axes.index("Y"), axes.index("X")), (-2, -1))


def _read_folder(folder: Path) -> np.ndarray:
    """TIFFs of a folder, one behind the other."""
    files = sorted(tiffs_of(folder), key=numbers_of)
    if not files:
        raise ValueError("it is a folder with neither Zarr in it nor numbered TIFFs")
    for before, after in itertools.pairwise(files):
        if numbers_of(before) == numbers_of(after):
            raise ValueError(f"{before.name} and {after.name} have the same number")
    first = np.asarray(_read_file(files[0]))
    stack = np.empty((len(files), *first.shape), first.dtype)
    for number, file in enumerate(files):
        frame = np.asarray(_read_file(file))
        if (frame.shape, frame.dtype) != (first.shape, first.dtype):
            raise ValueError(
                f"{file.name} is {frame.dtype} of shape {frame.shape}, {files[0].name} "
                f"{first.dtype} of {first.shape}"
            )
        stack[number] = frame
    return stack.squeeze()
