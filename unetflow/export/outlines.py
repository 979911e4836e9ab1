"""Outlines of objects along the edges of pixels, and their GeoJSON.

Of a volume an object has an outline in each of its planes.
"""

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from typing import NotRequired, TypedDict, cast

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from unetflow.store.arrays import StoredArray
from unetflow.tiles.regions import PLANE, Region, shard_region, side_px, touched, within

LARGE_PX = 2048  # side of the box of an object that is outlined block by block; of cubes an eighth
STARTS = ("first_plane_px", "top_px", "left_px")  # columns of the table of objects
STOPS = ("end_plane_px", "bottom_px", "right_px")

# What is exported of a row of the table of objects; `class` is a keyword of Python.
ObjectRow = TypedDict(
    "ObjectRow",
    {
        "id": int,
        "class": str,
        "area_px": int,  # of the segmented image, which may be coarser than its file
        "area_um2": float,  # NaN where the size of a pixel is not known
        "volume_px": NotRequired[int],  # of a volume, in the place of areas
        "volume_um3": NotRequired[float],
        "mean_foreground": float,
        "top_px": int,
        "left_px": int,
        "bottom_px": int,
        "right_px": int,
    },
)


def outlined_objects(
    labels: StoredArray, objects: pd.DataFrame
) -> Iterator[tuple[ObjectRow, int | None, shapely.Geometry]]:
    """Each object with its outline (x, y) [px], those that begin in the same shard together.

    Of a volume as often as it has planes, with the index of the plane, which is None of an image.
    """
    axes = labels.ndim
    starts, stops = objects[[*STARTS[-axes:]]], objects[[*STOPS[-axes:]]]
    shard = [starts[name] // size for name, size in zip(starts, labels.shards, strict=True)]
    large = (stops.to_numpy() - starts.to_numpy() > side_px(LARGE_PX, axes)).any(axis=1)
    for _, group in objects.assign(large=large).groupby(shard, sort=True):
        window = _around(group[~group["large"]], axes)
        block = np.asarray(labels[window])
        rows = cast(list[ObjectRow], group.drop(columns="large").to_dict("records"))
        for row, is_large in zip(rows, group["large"], strict=True):
            box = _box(row, axes)
            if is_large:
                outlines = _outlines_by_blocks(labels, box, row["id"])
            else:
                outlines = _outlines(block[within(box, window)] == row["id"], box)
            for plane, outline in outlines:
                yield row, plane, outline


def on_planes_of_file(
    outlined: Iterator[tuple[ObjectRow, int | None, shapely.Geometry]], step: float
) -> Iterator[tuple[ObjectRow, int | None, shapely.Geometry]]:
    """The same on each plane of a file, which has `step` planes for one of the labels.

    An object has one outline on a plane: that of all its planes of labels that lie there.
    """
    alike = itertools.groupby(outlined, lambda each: (each[0]["id"], _of_file(each[1], step)))
    for (_, planes), found in alike:
        rows, _, outlines = zip(*found, strict=True)
        whole = outlines[0] if len(outlines) == 1 else shapely.union_all(outlines).simplify(0)
        for plane in planes:
            yield rows[0], plane, whole


def _of_file(plane: int | None, step: float) -> Sequence[int | None]:
    """The planes of a file that a plane of labels stands for; one at least."""
    if plane is None:
        return (None,)
    if step <= 1:
        return (int((plane + 0.5) * step),)
    return range(int(plane * step + 0.5), int((plane + 1) * step + 0.5))


def _box(row: ObjectRow, axes: int) -> Region:
    names = zip(STARTS[-axes:], STOPS[-axes:], strict=True)
    return tuple(slice(row[start], row[stop]) for start, stop in names)  # type: ignore[literal-required]


def _around(objects: pd.DataFrame, axes: int) -> Region:
    """The smallest region that holds these objects."""
    if objects.empty:
        return (slice(0, 0),) * axes
    names = zip(STARTS[-axes:], STOPS[-axes:], strict=True)
    return tuple(
        slice(int(objects[start].min()), int(objects[stop].max())) for start, stop in names
    )


def _outlines(
    mask: NDArray[np.bool_], region: Region
) -> Iterator[tuple[int | None, shapely.Geometry]]:
    """The outline of a mask of an image, or those of the planes of a volume where it is."""
    if mask.ndim == PLANE:
        yield None, outline_of(mask, region)
        return
    planes, *rest = region
    for k in np.flatnonzero(mask.any(axis=(1, 2))).tolist():
        yield planes.start + k, outline_of(mask[k], tuple(rest))


def _outlines_by_blocks(
    labels: StoredArray, box: Region, number: int
) -> Iterator[tuple[int | None, shapely.Geometry]]:
    """The same of an object; in memory are one block and the outlines of one layer of blocks."""
    indices = touched(box, labels.shards)
    layers = itertools.groupby(indices, lambda index: index[:-PLANE])  # of an image there is one
    for _, layer in layers:
        parts: dict[int | None, list[shapely.Geometry]] = {}
        for index in layer:
            block = shard_region(index, labels.shape, labels.shards)
            for plane, outline in _outlines(np.asarray(labels[block]) == number, block):
                parts.setdefault(plane, []).append(outline)
        for plane in sorted(parts, key=lambda plane: plane or 0):
            yield plane, shapely.union_all(parts[plane]).simplify(0)


def outline_of(mask: NDArray[np.bool_], region: Region) -> shapely.Geometry:
    """The outline (x, y) of a mask (Y, X) of a region: along the edges of pixels, with holes."""
    padded = np.pad(mask.astype(np.int8), ((0, 0), (1, 1)))
    change = np.diff(padded, axis=1)
    rows, starts = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)
    top, left = (part.start for part in region)
    boxes = shapely.box(starts + left, rows + top, ends + left, rows + top + 1)
    return shapely.union_all(boxes).simplify(0)  # without the ends of rows along straight edges


def feature_of(
    row: ObjectRow,
    geometry: shapely.Geometry,
    colour: tuple[int, int, int],
    plane: int | None = None,
) -> str:
    """A detection of QuPath as text: outline, class in its colour, measurements.

    Of an object of a volume its outline in one plane, with measurements of all of it.
    """
    kind, unit = ("area", "um2") if plane is None else ("volume", "um3")
    measurements: dict[str, float] = {f"{kind} px": row[f"{kind}_px"]}  # type: ignore[literal-required]
    size_um: float = row[f"{kind}_{unit}"]  # type: ignore[literal-required]
    if not math.isnan(size_um):
        measurements[f"{kind} um^{unit[-1]}"] = round(size_um, 4)
    measurements["mean foreground"] = round(row["mean_foreground"], 4)
    properties = {
        "objectType": "detection",
        "name": str(row["id"]),
        "classification": {"name": row["class"], "color": list(colour)},
        "measurements": measurements,
    }
    # an outline may have millions of corners: it is written as it comes
    outline = shapely.to_geojson(geometry)
    if plane is not None:  # as QuPath has it
        outline = f'{outline[:-1]}, "plane": {{"c": -1, "z": {plane}, "t": 0}}}}'
    return f'{{"type": "Feature", "geometry": {outline}, "properties": {json.dumps(properties)}}}'
