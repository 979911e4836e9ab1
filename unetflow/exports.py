"""Results in the formats of other programs: QuPath, ImageJ, viewers of slides, the ISBI challenge.

Everything is written tile by tile or object by object: memory does not grow with the image.
"""

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
import tifffile
from skimage.segmentation import find_boundaries

from unetflow.arrays import StoredArray
from unetflow.objects import read_objects
from unetflow.ome import UM_PER, spatial_scale
from unetflow.receipts import read_receipt, renamed_at_end
from unetflow.stores import read_array, read_foreground
from unetflow.tiles import Region, shard_grid, shard_region, touched, with_halo, within

TILE_PX = 512
LARGE_PX = 2048  # side of the box of an object that is outlined block by block
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167), (240, 228, 66))
SPREAD = 2.5  # deviations from the mean that an overlay shows, of images that are not RGB
JPEG_QUALITY = 90


def export_geojson(
    *,
    store: str | Path,
    table: str | Path,
    instances: str | Path,
    image_receipt: str | Path,
    classes: Sequence[str],
    output: str | Path,
) -> None:
    """Instances as polygons for QuPath, gzipped GeoJSON: detections with class and colour.

    Outlines run along the edges of pixels, holes are kept; coordinates (x, y) are pixels of the
    finest level of the image's file. `table` is the one of `unetflow.objects`, which the job left
    whose receipt is `instances`.
    """
    labels = read_array(store, "labels/instances/0")
    size_px = read_receipt(image_receipt)["levels_of_file"][0]["shape"]
    scale_yx = np.divide(size_px, labels.shape)
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(classes)}
    with (
        renamed_at_end(output) as partial,
        partial.open("wb") as file,
        # neither name nor time: the same objects give the same bytes
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
    ):
        packed.write(b'{"type": "FeatureCollection", "features": [')
        between = b"\n"
        for row, geometry in _polygons(labels, read_objects(table, instances)):
            geometry = shapely.transform(geometry, lambda xy: xy * scale_yx[::-1])
            feature = _feature(row, geometry, colours[row["class"]])
            packed.write(between + feature.encode())
            between = b",\n"
        packed.write(b"\n]}\n")


def export_labels(*, store: str | Path, output: str | Path) -> None:
    """Instances as a tiled, compressed BigTIFF of uint32."""
    labels = read_array(store, "labels/instances/0")
    with renamed_at_end(output) as partial:
        tifffile.imwrite(
            partial,
            _tiles(labels.shape, lambda region: np.asarray(labels[region])),
            shape=labels.shape,
            dtype=labels.dtype,
            tile=(TILE_PX, TILE_PX),
            compression="zlib",
            bigtiff=True,
            photometric="minisblack",
            metadata=None,
            **_resolution(store, 0),
        )


def export_overlay(
    *,
    image: str | Path,
    image_receipt: str | Path,
    store: str | Path,
    instances: str | Path,
    output: str | Path,
) -> None:
    """The image with outlines of its instances as a pyramidal OME-TIFF, RGB in JPEG.

    A colour for each class, as in GeoJSON; `instances` is the receipt of the image's instances.
    """
    receipt = read_receipt(image_receipt)
    classes = read_receipt(instances)["classes"].values()
    first_ids = sorted(of["first_id"] for of in classes)
    levels = [read_array(image, str(k)) for k in range(len(receipt["levels"]))]
    options: dict[str, Any] = {
        **{"dtype": np.uint8, "tile": (TILE_PX, TILE_PX), "photometric": "rgb"},
        **{"compression": "jpeg", "compressionargs": {"level": JPEG_QUALITY}},
    }
    with (
        renamed_at_end(output) as partial,
        tifffile.TiffWriter(partial, ome=True, bigtiff=True) as tiff,
    ):
        for k, level in enumerate(levels):
            shape = level.shape[1:]
            draw = _drawing(level, read_array(store, f"labels/instances/{k}"), first_ids, receipt)
            place = {"subifds": len(levels) - 1} if k == 0 else {"subfiletype": 1}
            metadata = {"axes": "YXS", **_physical_size(image)} if k == 0 else None
            size = {"shape": (*shape, 3), **_resolution(image, k)}
            tiff.write(_tiles(shape, draw), metadata=metadata, **size, **place, **options)


def export_stack(*, predictions: Sequence[str | Path], output: str | Path) -> None:
    """P(interior) of slices as one 32-bit TIFF stack, as the ISBI 2012 challenge wanted it."""
    with renamed_at_end(output) as partial, tifffile.TiffWriter(partial, bigtiff=False) as tiff:
        for store in predictions:
            foreground_YX = read_foreground(store)[0]
            tiff.write(foreground_YX, photometric="minisblack", contiguous=True, metadata=None)


def _polygons(
    labels: StoredArray, objects: pd.DataFrame
) -> Iterator[tuple[dict[str, Any], shapely.Geometry]]:
    """Each object with its outline, those that begin in the same shard together."""
    height, width = labels.shards
    shard = [objects["top_px"] // height, objects["left_px"] // width]
    for _, group in objects.groupby(shard, sort=True):
        tall = group["bottom_px"] - group["top_px"] > LARGE_PX
        large = tall | (group["right_px"] - group["left_px"] > LARGE_PX)
        small = group[~large]
        window = _around(small) if len(small) else (slice(0, 0), slice(0, 0))
        block = np.asarray(labels[window])
        rows: list[dict[str, Any]] = group.to_dict("records")  # type: ignore[assignment]
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


def outline_of(mask: np.ndarray, region: Region) -> shapely.Geometry:
    """The outline (x, y) of a mask (Y, X) of a region: along the edges of pixels, with holes."""
    padded = np.pad(mask.astype(np.int8), ((0, 0), (1, 1)))
    change = np.diff(padded, axis=1)
    rows, starts = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)
    top, left = (part.start for part in region)
    boxes = shapely.box(starts + left, rows + top, ends + left, rows + top + 1)
    return shapely.union_all(boxes).simplify(0)  # without the ends of rows along straight edges


def _area_um2(row: dict[str, Any]) -> dict[str, float]:
    """Of an object, nothing where the size of a pixel is not known."""
    area = row["area_um2"]
    return {} if np.isnan(area) else {"area um^2": round(area, 4)}


def _feature(row: dict[str, Any], geometry: shapely.Geometry, colour: tuple[int, int, int]) -> str:
    properties = {
        "objectType": "detection",
        "name": str(row["id"]),
        "classification": {"name": row["class"], "color": list(colour)},
        "measurements": {
            "area px": row["area_px"],  # of the segmented image, which may be coarser
            **_area_um2(row),
            "mean foreground": round(row["mean_foreground"], 4),
        },
    }
    # an outline may have millions of corners: it is written as it comes
    outline = shapely.to_geojson(geometry)
    return f'{{"type": "Feature", "geometry": {outline}, "properties": {json.dumps(properties)}}}'


def _tiles(shape: Sequence[int], read: Callable[[Region], np.ndarray]) -> Iterator[np.ndarray]:
    """Tiles of an image in raster order, those at its end filled with 0."""
    size = (TILE_PX, TILE_PX)
    for index in shard_grid(shape, size):
        tile = read(shard_region(index, shape, size))
        rest = [(0, TILE_PX - n) for n in tile.shape[:2]]
        yield np.pad(tile, [*rest, *[(0, 0)] * (tile.ndim - 2)])


def _drawing(
    level: StoredArray, labels: StoredArray, first_ids: Sequence[int], receipt: dict[str, Any]
) -> Callable[[Region], np.ndarray]:
    """Draws a region of a level as RGB (Y, X, 3), instances outlined in the colours of classes."""
    colours = np.array(COLOURS, np.uint8)

    def draw(region: Region) -> np.ndarray:
        rgb = _as_rgb(np.asarray(level[(slice(None), *region)]), receipt)
        wide, inner = with_halo(region, (1, 1), level.shape[1:])
        labels_YX = np.asarray(labels[wide])
        outlined = find_boundaries(labels_YX, mode="inner")[inner]
        numbers = np.searchsorted(first_ids, labels_YX[inner][outlined], side="right") - 1
        rgb[outlined] = colours[numbers % len(colours)]
        return rgb

    return draw


def _as_rgb(image_CYX: np.ndarray, receipt: dict[str, Any]) -> np.ndarray:
    """Three channels of bytes as they are, else the mean of the channels, stretched."""
    if len(image_CYX) == 3 and image_CYX.dtype == np.uint8:
        return np.moveaxis(image_CYX, 0, -1).copy()
    mean, deviation = np.mean(receipt["pixels"]["mean"]), np.mean(receipt["pixels"]["deviation"])
    low = max(mean - SPREAD * deviation, min(receipt["pixels"]["lowest"]))
    high = min(mean + SPREAD * deviation, max(receipt["pixels"]["highest"]))
    span = max(high - low, 1e-12)
    gray_YX = (image_CYX.astype(np.float64).mean(axis=0) - low) / span
    return np.repeat(np.rint(255 * np.clip(gray_YX, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)


def _physical_size(store: str | Path) -> dict[str, Any]:
    """The size of a pixel for OME-XML, nothing where it is not known."""
    scale, unit = spatial_scale(store)
    if unit not in UM_PER:
        return {}
    sizes = {
        f"PhysicalSize{axis}": step * UM_PER[unit] for axis, step in zip("YX", scale, strict=True)
    }
    return {**sizes, **{f"PhysicalSize{axis}Unit": "µm" for axis in "YX"}}


def _resolution(store: str | Path, level: int) -> dict[str, Any]:
    """Resolution tags of a TIFF, none where a pixel's size is not known."""
    scale, unit = spatial_scale(store)
    if unit not in UM_PER:
        return {}
    per_cm = tuple(1e4 / (step * UM_PER[unit] * 2**level) for step in reversed(scale))
    return {"resolution": per_cm, "resolutionunit": "CENTIMETER"}
