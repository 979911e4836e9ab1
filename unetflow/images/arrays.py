"""Arrays whose axes have no names of their own: NumPy, HDF5, plain Zarr."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.images.file_links import checked_dataset
from unetflow.images.kept_chunks import KEPT_BYTES
from unetflow.images.opened import Opened, Unclear
from unetflow.images.units import PixelUm, pixel_of, um_of


def named_array(array: Any, axes: str | None) -> Opened:
    """An array with the axes that are given for it; (Y, X) where it has two."""
    return Opened([array], axes_of(array.ndim, axes).upper(), [None])


def axes_of(axes: int, given: str | None) -> str:
    """The names of so many axes, "" where they are not known.

    `given` may be those of an image, whose labels lack the channels, or are of one plane:

        array       given   axes
        (C,Z,Y,X)   czyx    czyx
        (Z,Y,X)     czyx    zyx
        (Y,X)       czyx    yx
    """
    if given and len(given) == axes:
        return given
    if axes == 2:
        return "yx"
    without = (given or "").lower().replace("c", "").replace("s", "")
    return without if len(without) == axes else ""


def open_numpy(file: Path, *, axes: str | None) -> Opened:
    """An array of a .npy file, which is not read before its pixels are needed; never of objects."""
    return named_array(np.lib.format.open_memmap(file, mode="r"), axes)


def open_hdf5(file: Path, dataset: str | None, *, axes: str | None) -> Opened:
    """A dataset of an HDF5 file, the only one where none is named."""
    import h5py

    opened = h5py.File(file, "r", rdcc_nbytes=KEPT_BYTES)  # else large chunks are decoded often
    try:
        if dataset is None:
            found = _datasets_in(opened)
            if len(found) != 1:
                raise Unclear(
                    f"it holds the datasets {', '.join(found[:8]) or 'none'}: say which, as "
                    f"{file.name}:/{found[0] if found else 'name'}",
                    "path",
                )
            (dataset,) = found
        array = opened.get(dataset)
        if not isinstance(array, h5py.Dataset):
            found = _datasets_in(opened)
            within = [name for name in found if name.startswith(dataset.strip("/") + "/")]
            here = ", ".join((within or found)[:8])
            raise Unclear(f"it holds no dataset {dataset}, but {here or 'none at all'}", "path")
        if array.shape is None:
            raise ValueError("the dataset holds nothing")
        array = checked_dataset(array, file)
        tags = array.attrs.get("axistags")  # of ilastik and vigra
        keys = re.findall(r'"key":\s*"(\w)"', str(tags)) if tags is not None else []
        of = named_array(array, axes or "".join(keys) or None)
        size = np.ravel(array.attrs.get("element_size_um", ()))
        apart = um_of(size[-3], "um") if len(size) > 2 else None
        return replace(of, pixel_um=[_pixel(size)], planes_um=[apart], close=opened.close)
    except BaseException:
        opened.close()
        raise


def _datasets_in(group: Any) -> list[str]:
    import h5py

    found: list[str] = []
    group.visititems(
        lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None
    )
    return found


def _pixel(size: np.ndarray) -> PixelUm | None:
    """By `element_size_um` (.., Y, X), as Fiji's HDF5 and PlantSeg write it."""
    if len(size) < 2:
        return None
    return pixel_of(um_of(size[-2], "um"), um_of(size[-1], "um"))
