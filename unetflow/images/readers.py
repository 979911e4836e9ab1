"""One opener per family of image files: each gives levels of arrays with named axes.

Nothing is decoded here but metadata; arrays are read by region afterwards. Errors are those of the
libraries: `unetflow.images.slide` puts them into words.
"""

from pathlib import Path

import numpy as np

from unetflow.images.arrays import open_hdf5, open_numpy
from unetflow.images.lossless import TIFF
from unetflow.images.opened import Opened
from unetflow.images.openslide_files import SUFFIXES as OPENSLIDE_SUFFIXES
from unetflow.images.openslide_files import open_with_openslide
from unetflow.images.pictures import open_picture
from unetflow.images.sources import HDF5_SUFFIXES, split_dataset
from unetflow.images.tiff_files import open_tiff
from unetflow.images.zarr_stores import open_zarr

READABLE = (
    "TIFF (OME, BigTIFF, SVS, NDPI, stacks), PNG, JPEG, NumPy (.npy), HDF5 (file.h5:/dataset), "
    "Zarr, OME-Zarr, folders of numbered TIFFs and, with openslide-python, MIRAX, Leica, Ventana, "
    "DICOM"
)


def open_file(
    path: str | Path, *, axes: str | None, scene: str | None = None, as_shown: bool = False
) -> Opened:
    """Open a file by its name and content.

    `axes` names the axes of an array that has none, `scene` the image of a file that has several.
    `as_shown` tells pixels, which are to be as viewers show them, from numbers, which are to be as
    they are stored: of a palette its colours or its indices, of one bit 255 or true.
    """
    file, dataset = split_dataset(path)
    suffix = file.suffix.lower()
    if file.is_dir():
        return open_zarr(file, axes=axes, scene=scene)
    if suffix in HDF5_SUFFIXES:
        return open_hdf5(file, dataset, axes=axes)
    if suffix == ".npy":
        return open_numpy(file, axes=axes)
    if suffix in (".png", ".jpg", ".jpeg"):
        if _is_tiff(file):  # whatever its name says
            return open_tiff(file, axes=axes, scene=scene, as_shown=as_shown)
        return open_picture(file, as_shown=as_shown)
    if suffix in OPENSLIDE_SUFFIXES:
        return open_with_openslide(file)
    return open_tiff(file, axes=axes, scene=scene, as_shown=as_shown)


def holds_numbers(dtype: np.dtype) -> bool:
    """Whether values are whole or real numbers that a store takes: no records, texts, objects."""
    return dtype.kind in "buif" and dtype.itemsize <= 8


def _is_tiff(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) in TIFF
