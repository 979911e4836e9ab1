"""Images for the command: TIFF, PNG, NumPy and Zarr files as arrays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from PIL import Image

FORMATS = "TIFF (.tif, .tiff), PNG (.png), NumPy (.npy) or a Zarr folder"


def open_image(path: str | Path) -> Any:
    """An image file as an array without axes of size 1; a Zarr array where nothing is to change.

    Of a TIFF the first series, all its pages; of an OME-Zarr image or label image the finest level.
    Colour is refused unless all channels are the same. Raises ValueError for what is no image.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path}: there is no such file. Give the path of a {FORMATS}.")
    if path.is_dir():
        return _squeezed(_open_zarr(path))
    readers: dict[str, Callable[[Path], Any]] = {
        ".tif": _read_tiff,
        ".tiff": _read_tiff,
        ".png": _read_png,
        ".npy": np.load,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: is no image that is known here. Convert it to {FORMATS}.")
    try:
        image = reader(path)
    except Exception as error:  # decoders raise many kinds
        raise ValueError(
            f"{path}: cannot be read ({error}). Open it in another program; if it is whole there, "
            "save it anew."
        ) from error
    return _squeezed(np.asarray(image))


def _read_tiff(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        return _gray(series.asarray(), path) if series.axes.endswith("S") else series.asarray()


def _read_png(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        if image.mode == "P":
            raise ValueError("its colours are a palette: save label numbers as gray values")
        return _gray(np.asarray(image), path)


def _gray(image: np.ndarray, path: Path) -> np.ndarray:
    """One channel of an image whose last axis is colour, if all are the same."""
    if image.ndim < 3:
        return image
    colours = image[..., :3]
    if not (colours == colours[..., :1]).all():
        raise ValueError(
            f"it is a colour image of shape {image.shape}: save labels or probabilities as gray "
            "values"
        )
    return colours[..., 0]


def _open_zarr(path: Path) -> zarr.Array:
    try:
        node = zarr.open(path, mode="r")
        if isinstance(node, zarr.Array):
            return node
        attributes = dict(node.attrs)
        multiscales = attributes.get("ome", attributes)["multiscales"]
        return node[multiscales[0]["datasets"][0]["path"]]
    except Exception as error:
        raise ValueError(
            f"{path}: is no Zarr array, OME-Zarr image or label image ({error}). Give the folder "
            "of an array, such as image.ome.zarr/labels/nuclei."
        ) from error


def _squeezed(image: Any) -> Any:
    return np.asarray(image).squeeze() if 1 in image.shape else image
