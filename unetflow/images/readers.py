"""One opener per family of image files: each gives levels of arrays with named axes.

Nothing is decoded here but metadata; arrays are read by region afterwards. Errors are those of the
libraries: `unetflow.images.slide` puts them into words.
"""

import io
import re
from pathlib import Path

import imagecodecs
import numpy as np

from unetflow.images.arrays import HDF5_SUFFIXES, open_hdf5, open_numpy
from unetflow.images.opened import Opened
from unetflow.images.openslide_files import SUFFIXES as OPENSLIDE_SUFFIXES
from unetflow.images.openslide_files import open_with_openslide
from unetflow.images.sources import split_dataset
from unetflow.images.tiff_files import open_tiff
from unetflow.images.zarr_stores import open_zarr

READABLE = (
    "TIFF (OME, BigTIFF, SVS, NDPI, stacks), PNG, JPEG, NumPy (.npy), HDF5 (file.h5:/dataset), "
    "Zarr, OME-Zarr, folders of numbered TIFFs and, with openslide-python, MIRAX, Leica, Ventana, "
    "DICOM"
)
PNG = b"\x89PNG"
COLOUR_TYPE, PALETTE = 25, b"\x03"  # a byte of a PNG, and its value

# Decoders of pictures by how a file begins; of all that there are, that of Ultra HDR crashes.
CODECS = {PNG: "png", b"\xff\xd8": "jpeg8 ljpeg jpegls", b"": "tiff bmp gif webp"}


def open_file(
    path: str | Path, *, axes: str | None, scene: str | None = None, as_shown: bool = False
) -> Opened:
    """Open a file by its name and content.

    `axes` names the axes of an array that has none, `scene` the image of a file that has several.
    `as_shown` tells pixels, which are to be as viewers show them, from numbers, which are to be as
    they are stored: of a palette its colours or its indices.
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
        return _open_picture(file, as_shown=as_shown)
    if suffix in OPENSLIDE_SUFFIXES:
        return open_with_openslide(file)
    return open_tiff(file, axes=axes, scene=scene, as_shown=as_shown)


def _open_picture(file: Path, *, as_shown: bool) -> Opened:
    """A PNG or a JPEG, whatever its name says. Raises ValueError for one that is cut off.

    JPEG's decoder fills with gray what is lacking.
    """
    content = file.read_bytes()
    if content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise ValueError("it is cut off: a JPEG ends with a mark, and this one does not")
    has_palette = content.startswith(PNG) and content[COLOUR_TYPE : COLOUR_TYPE + 1] == PALETTE
    if has_palette and not as_shown:
        pixels = _indices(content)
    else:
        codecs = next(of for beginning, of in CODECS.items() if content.startswith(beginning))
        pixels = imagecodecs.imread(content, codec=[*codecs.split()])
    return Opened([pixels], "YXS"[: pixels.ndim], [None])


def _indices(content: bytes) -> np.ndarray:
    """Of a PNG with a palette the number of each pixel's colour."""
    from PIL import Image  # the only one that hands them out

    Image.MAX_IMAGE_PIXELS = None  # what a user gives is no attack, whatever its size
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def tiffs_of(folder: Path) -> list[Path]:
    """The TIFF files of a folder, by name."""
    return [file for file in sorted(folder.iterdir()) if file.suffix.lower() in (".tif", ".tiff")]


def numbers_of(file: Path) -> tuple[int, ...]:
    """The numbers in a file's name: time, plane, or both.

    As the Cell Tracking Challenge names them: `t007.tif`, `man_seg007.tif`, `man_seg_007_012.tif`.
    """
    return tuple(map(int, re.findall(r"\d+", file.stem)))


def frame_file(folder: Path, time: int | None, plane: int | None) -> tuple[Path, int | None]:
    """The TIFF of a folder whose numbers are time and plane, and the plane that is left in it.

    Raises ValueError that says which numbers there are.
    """
    numbered = {numbers_of(file): file for file in tiffs_of(folder)}
    wanted = [n for n in (time, plane) if n is not None]
    if tuple(wanted) in numbered:
        return numbered[tuple(wanted)], None
    if time is not None and (time,) in numbered:
        return numbered[time,], plane
    if not numbered:
        raise ValueError("it is a folder, but neither a Zarr store nor of numbered TIFF files")
    there = ", ".join(" ".join(map(str, numbers)) for numbers in list(numbered)[:8])
    raise ValueError(
        f"it is a folder with {len(numbered)} TIFF files numbered {there}"
        f"{', ...' if len(numbered) > 8 else ''}; time {time} and plane {plane} are asked for"
    )
