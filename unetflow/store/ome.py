"""OME-Zarr 0.5 metadata: what lets viewers lay images, labels and predictions on one another."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetflow.errors import StoreError
from unetflow.store.files import write_whole
from unetflow.store.layout import spatial_axes
from unetflow.tiles.regions import PLANE

OMERO = "omero"  # how an image is shown
CUBE = 0.05  # of the width of a voxel, what its other sides may differ by
UM_PER = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3}


@dataclass(frozen=True, slots=True)
class PixelSize:
    """The size of a pixel of the finest level along the spatial axes, (Y, X) or (Z, Y, X)."""

    scale: tuple[float, ...]  # in `unit`; without one in pixels of the finest level
    unit: str | None = None  # as OME-Zarr names it; None: not known

    @classmethod
    def square(cls, mpp: float | None, axes: int = 2) -> "PixelSize":
        """Of pixels as wide as high, [um]; None: not known."""
        return cls((mpp or 1.0,) * axes, "micrometer" if mpp else None)

    @property
    def um(self) -> tuple[float, ...] | None:
        """In um, None where that is not known."""
        if self.unit not in UM_PER:
            return None
        return tuple(step * UM_PER[self.unit] for step in self.scale)

    def at_level(self, factors: Sequence[int]) -> list[float]:
        """The scale of a level of a pyramid: `unetflow.store.pyramid.level_factors`."""
        return [step * factor for step, factor in zip(self.scale, factors, strict=True)]


def image_axes(size: PixelSize) -> tuple[str, ...]:
    """The axes of an image with pixels of this size, channels first."""
    return ("c", *spatial_axes(len(size.scale)))


def write_group(store: str | Path, name: str, attributes: Mapping[str, object]) -> None:
    """Make group `name` of a store ("" for the root) with these attributes, whole or not at all.

    One that is there already gets them instead of its own, damaged or not; only how it is shown
    (`unetflow.store.rendering`) stays where they say nothing of it. Raises StoreError where the
    disk refuses it.
    """
    there = read_attributes(store, name)
    attributes = _shown_as(there, attributes)
    if there != attributes:
        group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        write_whole(Path(store) / name / "zarr.json", json.dumps(group, indent=2).encode())


def _shown_as(there: Mapping[str, Any], attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Attributes with the `omero` of those that are there, where they have none."""
    old, new = there.get("ome"), attributes.get("ome")
    if not isinstance(old, dict) or not isinstance(new, dict) or OMERO in new or OMERO not in old:
        return attributes
    return {**attributes, "ome": {**new, OMERO: old[OMERO]}}


def read_attributes(store: str | Path, name: str = "") -> dict[str, Any]:
    """Attributes of group `name` of a store, none where it is not there or damaged.

    Raises StoreError where it cannot be read just now: what was in it would be written over.
    """
    path = Path(store) / name / "zarr.json"
    try:
        return dict(json.loads(path.read_text())["attributes"])
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return {}
    except OSError as error:
        raise StoreError(f"{path}: could not be read ({error.strerror}). Mend that.") from error


def ome_image(
    name: str,
    axes: Sequence[str],
    levels: Mapping[str, Sequence[float]],
    *,
    unit: str | None,
    label: bool = False,
) -> dict[str, dict[str, Any]]:
    """Attributes of an image or label image: `levels` maps the path of each to its scale.

    A scale has one step per axis: `unit` per pixel on spatial axes (pixels of level 0 where the
    resolution is not known and `unit` is None), 1 on the channel axis.
    """
    spatial = {"type": "space"} | ({"unit": unit} if unit else {})
    described = [
        {"name": axis, "type": "channel"} if axis == "c" else {"name": axis, **spatial}
        for axis in axes
    ]
    datasets = [
        {"path": path, "coordinateTransformations": [{"type": "scale", "scale": list(scale)}]}
        for path, scale in levels.items()
    ]
    multiscale = {"name": name, "axes": described, "datasets": datasets}
    ome: dict[str, Any] = {"version": "0.5", "multiscales": [multiscale]}
    if label:
        ome["image-label"] = {}
    return {"ome": ome}


def write_labels(
    store: str | Path, name: str, size: PixelSize, *, levels: Sequence[Sequence[int]] = ()
) -> None:
    """Make the group `labels/{name}` and list it in `labels`.

    Its arrays are "0", "1", ...: the levels of the image, `unetflow.store.pyramid.level_factors`;
    without any there is "0" alone.
    """
    levels = levels or [(1,) * len(size.scale)]
    axes = spatial_axes(len(size.scale))
    scales = {str(k): size.at_level(factors) for k, factors in enumerate(levels)}
    attributes = ome_image(name, axes, scales, unit=size.unit, label=True)
    write_group(store, f"labels/{name}", attributes)
    try:
        listed = {*read_attributes(store, "labels")["ome"]["labels"]}
    except (KeyError, TypeError):  # there are none yet, or it is damaged
        listed = set()
    write_group(store, "labels", {"ome": {"version": "0.5", "labels": sorted({*listed, name})}})


def steps_of(store: str | Path, axes: int) -> tuple[float, ...] | None:
    """Of a volume's store the side of a pixel along each axis, in its width.

    None of an image, of which nothing is read. Raises as `pixel_size`.
    """
    if axes <= PLANE:
        return None
    scale = pixel_size(store).scale
    return tuple(step / scale[-1] for step in scale)


def are_cubes(steps: Sequence[float]) -> bool:
    """Whether the sides of a voxel are as long as its width, nearly."""
    return all(abs(step / steps[-1] - 1) <= CUBE for step in steps)


def first_level(store: str | Path) -> int:
    """The finest level that a store has: 0, but where an image keeps coarse ones alone.

    Raises as `pixel_size`.
    """
    with _as_it_was_written(store):
        return int(_multiscale(store)["datasets"][0]["path"])


def pixel_size(store: str | Path) -> PixelSize:
    """The size of a pixel of the finest level of a store.

    Raises StoreError where the store does not say it.
    """
    with _as_it_was_written(store):
        multiscale = _multiscale(store)
        spatial = [axis["type"] == "space" for axis in multiscale["axes"]]
        unit = next((axis["unit"] for axis in multiscale["axes"] if "unit" in axis), None)
        scale = multiscale["datasets"][0]["coordinateTransformations"][0]["scale"]
        steps = [float(step) for step, is_space in zip(scale, spatial, strict=True) if is_space]
    return PixelSize(tuple(steps), unit)


def _multiscale(store: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = read_attributes(store)["ome"]["multiscales"][0]
    return found


@contextmanager
def _as_it_was_written(store: str | Path) -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"{store}: its zarr.json is not there or damaged. Delete the receipts of this store "
            "and run the same command again: it is written anew."
        ) from error
