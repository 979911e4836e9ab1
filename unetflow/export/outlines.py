"""Outlines of objects along the edges of pixels, and their GeoJSON."""

import json
import math
from collections.abc import Iterator
from typing import TypedDict, cast

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from unetflow.store.arrays import StoredArray
from unetflow.tiles.regions import Region, shard_region, touched, within

LARGE_PX = 2048  # side of the box of an object that is outlined block by block

# What is exported of a row of the table of objects; `class` is a keyword of Python.
ObjectRow = TypedDict(
    "ObjectRow",
    {
        "id": int,
        "class": str,
        "area_px": int,  # of the segmented image, which may be coarser than its file
        "area_um2": float,  # NaN where the size of a pixel is not known
        "mean_foreground": float,
        "top_px": int,
        "left_px": int,
        "bottom_px": int,
        "right_px": int,
    },
)


def outlined_objects(
    labels: StoredArray, objects: pd.DataFrame
) -> Iterator[tuple[ObjectRow, shapely.Geometry]]:
    """Each object with its outline (x, y) [px], those that begin in the same shard together."""
    height, width = labels.shards
    shard = [objects["top_px"] // height, objects["left_px"] // width]
    for _, group in objects.groupby(shard, sort=True):
        tall = group["bottom_px"] - group["top_px"] > LARGE_PX
        large = tall | (group["right_px"] - group["left_px"] > LARGE_PX)
        small = group[~large]
        window = _around(small) if len(small) else (slice(0, 0), slice(0, 0))
        block = np.asarray(labels[window])
        rows = cast(list[ObjectRow], group.to_dict("records"))
        for row, is_large in zip(rows, large, strict=True):
            box = slice(row["top_px"], row["bottom_px"]), slice(row["left_px"], row["right_px"])
            if is_large:
                yield row, _outline_by_blocks(labels, box, row["id"])
            else:
                yield row, outline_of(block[within(box, window)] == row["id"], box)


def _around(objects: pd.DataFrame) -> Region:
    """The smallest region that holds these objects."""
    return (
        slice(int(objects["top_px"].min()), int(objects["bottom_px"].max())),
        slice(int(objects["left_px"].min()), int(objects["right_px"].max())),
    )


def _outline_by_blocks(labels: StoredArray, box: Region, number: int) -> shapely.Geometry:
    """The outline of an object; in memory are one block and the outline itself."""
    blocks = [
        shard_region(index, labels.shape, labels.shards) for index in touched(box, labels.shards)
    ]
    parts = [outline_of(np.asarray(labels[block]) == number, block) for block in blocks]
    return shapely.union_all(parts).simplify(0)


def outline_of(mask: NDArray[np.bool_], region: Region) -> shapely.Geometry:
    """The outline (x, y) of a mask (Y, X) of a region: along the edges of pixels, with holes."""
    padded = np.pad(mask.astype(np.int8), ((0, 0), (1, 1)))
    change = np.diff(padded, axis=1)
    rows, starts = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)
    top, left = (part.start for part in region)
    boxes = shapely.box(starts + left, rows + top, ends + left, rows + top + 1)
    return shapely.union_all(boxes).simplify(0)  # without the ends of rows along straight edges


def feature_of(row: ObjectRow, geometry: shapely.Geometry, colour: tuple[int, int, int]) -> str:
    """A detection of QuPath as text: outline, class in its colour, measurements."""
    measurements: dict[str, float] = {"area px": row["area_px"]}
    if not math.isnan(row["area_um2"]):
        measurements["area um^2"] = round(row["area_um2"], 4)
    measurements["mean foreground"] = round(row["mean_foreground"], 4)
    properties = {
        "objectType": "detection",
        "name": str(row["id"]),
        "classification": {"name": row["class"], "color": list(colour)},
        "measurements": measurements,
    }
    # an outline may have millions of corners: it is written as it comes
    outline = shapely.to_geojson(geometry)
    return f'{{"type": "Feature", "geometry": {outline}, "properties": {json.dumps(properties)}}}'
