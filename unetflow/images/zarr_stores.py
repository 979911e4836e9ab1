"""Zarr: OME-Zarr images and labels, stores of several images, plain arrays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from unetflow.images.arrays import named_array
from unetflow.images.opened import Candidate, Opened, Unclear, choose_image
from unetflow.images.units import PixelUm, pixel_of, um_of

Attributes = Mapping[str, Any]


def open_zarr(folder: Path, *, axes: str | None, scene: str | None) -> Opened:
    """An OME-Zarr image or label image (0.4, 0.5), its levels as they are listed, or an array.

    Of a store of several images (as bioformats2raw makes them, or a well) the one that `scene`
    names, else the largest. Raises ValueError that says where images lie.
    """
    node = zarr.open(folder, mode="r")
    if isinstance(node, zarr.Array):
        return named_array(node, axes or _dimensions(node))
    ome = _ome(node)
    if "multiscales" in ome:
        return _image(node, ome, axes)
    if "plate" in ome:
        wells = [well["path"] for well in ome["plate"].get("wells", [])]
        raise Unclear(f"it is a plate, whose images lie in {_places(folder, wells, '/0')}", "path")
    names = _images_in(node, ome)
    if not names:
        within = [*node.array_keys(), *node.group_keys()]
        raise Unclear(
            "it is a Zarr group, but no OME-Zarr image or label image"
            + (f", and holds {_places(folder, within)}" if within else " and empty"),
            "path",
        )
    found = [Candidate(name, _size_px(node[name])) for name in names]
    chosen, notes = choose_image(found, scene)
    of = _image(node[names[chosen]], _ome(node[names[chosen]]), axes)
    return replace(of, images=len(found), notes=notes)


def _ome(node: Any) -> Attributes:
    """What OME says of a group: in `ome` since version 0.5, before in the attributes themselves."""
    attributes = dict(node.attrs)
    ome = attributes.get("ome", attributes)
    return ome if isinstance(ome, Mapping) else {}


def _images_in(group: Any, ome: Attributes) -> list[str]:
    """The paths of the images in a group that is none itself."""
    if "well" in ome:
        listed = [image["path"] for image in ome["well"].get("images", [])]
    else:  # of bioformats2raw: by its list of series, or by their numbers
        series = _ome(group["OME"]).get("series") if "OME" in group else None
        listed = list(series or sorted((k for k in group.group_keys() if k.isdecimal()), key=int))
    return [name for name in listed if name in group and "multiscales" in _ome(group[name])]


def _size_px(group: Any) -> tuple[int, int]:
    image = _image(group, _ome(group), None)
    shape = image.levels[0].shape
    at = [
        image.axes.index(side) if side in image.axes else axis
        for axis, side in ((-2, "Y"), (-1, "X"))
    ]
    return shape[at[0]], shape[at[1]]


def _image(group: Any, ome: Attributes, given: str | None) -> Opened:
    multiscale = ome["multiscales"][0]
    named = multiscale.get("axes", [])
    described = [{"name": axis} if isinstance(axis, str) else axis for axis in named]
    own = "".join(axis["name"][:1] for axis in described)  # of "channel" and "time" too
    levels = [group[dataset["path"]] for dataset in multiscale["datasets"]]
    count = levels[0].ndim
    of_version = own or ("tczyx" if count == 5 else "")  # before 0.3 without names, in this order
    axes = (given if given and len(given) == count else of_version).upper()
    pixels, planes = [], []
    for dataset in multiscale["datasets"]:
        # a dataset's scale is in what the multiscale's scales once more
        scales = [*_scales(dataset), *_scales(multiscale)] if own else []
        scale = np.prod(scales, axis=0)
        pixels.append(_pixel(scale, described, axes) if scales and {*"YX"} <= {*axes} else None)
        planes.append(_length(scale, described, axes, "Z") if scales and "Z" in axes else None)
    notes: tuple[str, ...] = ()
    if len(ome["multiscales"]) > 1:
        notes = (f"the first of {len(ome['multiscales'])} pyramids is read",)
    return Opened(levels, axes, pixels, planes_um=planes, notes=notes)


def _scales(of: Attributes) -> Iterator[np.ndarray]:
    for each in of.get("coordinateTransformations", []):
        if each["type"] == "scale" and "scale" in each:
            yield np.array(each["scale"], float)


def _pixel(scale: np.ndarray, axes: Sequence[Attributes], names: str) -> PixelUm | None:
    height, width = (_length(scale, axes, names, side) for side in "YX")
    return pixel_of(height, width)


def _length(scale: np.ndarray, axes: Sequence[Attributes], names: str, side: str) -> float | None:
    return um_of(float(scale[names.index(side)]), axes[names.index(side)].get("unit"))


def _dimensions(array: Any) -> str | None:
    """The axes that an array names itself: Zarr 3's dimension_names, or those of xarray."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    if not names or not all(isinstance(name, str) and len(name) == 1 for name in names):
        return None
    return "".join(names)


def _places(folder: Path, names: Sequence[str], within: str = "") -> str:
    shown = [f"{folder.name}/{name}{within}" for name in names[:4]]
    return ", ".join(shown) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
