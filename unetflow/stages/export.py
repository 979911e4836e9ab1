"""Results in the formats of other programs: QuPath, ImageJ, viewers of slides, the ISBI challenge.

Everything is written tile by tile or object by object: memory does not grow with the image.
`stored` are the stores that are read, with the receipts that tell of them.
"""

import gzip
import math
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import shapely
import tifffile

from unetflow.colours import CLASSES, rgb_bytes
from unetflow.export.outlines import feature_of, on_planes_of_file, outlined_objects
from unetflow.export.overlay import drawing, drawn_planes
from unetflow.export.tiff import (
    TILE_PX,
    physical_size,
    resolution_tags,
    tiles_of,
    tiles_of_planes,
)
from unetflow.instances.table import read_objects
from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.schemas import ImageReceipt, InstancesReceipt
from unetflow.provenance.shard_lists import Stored, unchanged
from unetflow.store.arrays import read_array
from unetflow.store.files import digest_of, renamed_at_end
from unetflow.store.foreground import read_foreground
from unetflow.store.names import FOREGROUND, INSTANCES, of_labels
from unetflow.store.stamps import content_digest_of
from unetflow.tiles.regions import PLANE

JPEG_QUALITY = 90
PIXEL_BYTES = 4  # of a stack
TIFF_BYTES = 4 * 10**9  # beside their tags, 2^32 in all


def export_geojson(
    *,
    store: str | Path,
    table: str | Path,
    instances: str | Path,
    image_receipt: str | Path,
    classes: Sequence[str],
    stored: Sequence[Stored],
    output: str | Path,
    first_px: Sequence[int] = (0, 0, 0),
) -> None:
    """Instances as polygons for QuPath, gzipped GeoJSON: detections with class and colour.

    Outlines run along the edges of pixels, holes are kept; coordinates (x, y) are pixels of the
    finest level of the image's file. Of a volume a feature for each object and plane of the file,
    of which the image is the part from `first_px` (z, y, x) on. `table` is the one of
    `unetflow.instances.table`, which the job left whose receipt is `instances`.
    """
    labels = read_array(store, of_labels(INSTANCES))
    image = cast(ImageReceipt, read_receipt(image_receipt))
    scale = np.divide(image["levels_of_file"][0]["shape"], labels.shape)
    colours = {name: rgb_bytes(CLASSES[k % len(CLASSES)]) for k, name in enumerate(classes)}
    with (
        renamed_at_end(output) as partial,
        unchanged(*stored),
        partial.open("wb") as file,
        # neither name nor time: the same objects give the same bytes
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
    ):
        packed.write(b'{"type": "FeatureCollection", "features": [')
        between = b"\n"
        outlined = outlined_objects(labels, read_objects(table, instances))
        for row, plane, geometry in on_planes_of_file(outlined, scale[0]):
            geometry = shapely.transform(geometry, lambda xy: xy * scale[:-3:-1] + first_px[:0:-1])
            if plane is not None:
                plane += first_px[0]
            feature = feature_of(row, geometry, colours[row["class"]], plane)
            packed.write(between + feature.encode())
            between = b",\n"
        packed.write(b"\n]}\n")


def export_labels(*, store: str | Path, stored: Sequence[Stored], output: str | Path) -> None:
    """Instances as a tiled, compressed BigTIFF of uint32; of a volume as OME-TIFF with z."""
    labels = read_array(store, of_labels(INSTANCES))
    volume = labels.ndim > PLANE
    tiles = tiles_of_planes if volume else tiles_of
    metadata: dict[str, Any] | None = None
    if volume:  # tifffile's own identifier is random: the same labels give the same bytes
        of = content_digest_of(store, of_labels(INSTANCES))
        identifier = str(uuid.uuid5(uuid.NAMESPACE_OID, of))
        metadata = {"axes": "ZYX", "UUID": identifier, **physical_size(store)}
    with renamed_at_end(output) as partial, unchanged(*stored):
        tifffile.imwrite(
            partial,
            tiles(labels.shape, lambda region: np.asarray(labels[region])),
            shape=labels.shape,
            dtype=labels.dtype,
            tile=(TILE_PX, TILE_PX),
            compression="zlib",
            bigtiff=True,
            ome=volume,
            photometric="minisblack",
            metadata=metadata,
            **resolution_tags(store, 0),
        )


def export_overlay(
    *,
    image: str | Path,
    image_receipt: str | Path,
    store: str | Path,
    instances: str | Path,
    stored: Sequence[Stored],
    output: str | Path,
) -> None:
    """The image with outlines of its instances as a pyramidal OME-TIFF, RGB in JPEG.

    A colour for each class, as in GeoJSON; a volume plane by plane, in one level. `instances` is
    the receipt of the image's instances.
    """
    prepared = cast(ImageReceipt, read_receipt(image_receipt))
    segmented = cast(InstancesReceipt, read_receipt(instances))
    first_ids = sorted(of["first_id"] for of in segmented["classes"].values())
    # tifffile's own identifier is random: the same drawing gives the same bytes
    drawn = [prepared["levels"], prepared["pixels"], segmented["digest"], first_ids]
    identifier = str(uuid.uuid5(uuid.NAMESPACE_OID, digest_of(drawn)))
    volume = read_array(image, "0").ndim > 1 + PLANE
    axes = "ZYXS" if volume else "YXS"
    metadata = {"axes": axes, "UUID": identifier, **physical_size(image)}
    drawn_levels = 1 if volume else len(prepared["levels"])  # a pyramid of OME-TIFF keeps z
    levels = [read_array(image, str(k)) for k in range(drawn_levels)]
    with (
        renamed_at_end(output) as partial,
        unchanged(*stored),
        tifffile.TiffWriter(partial, ome=True, bigtiff=True) as tiff,
    ):
        for k, level in enumerate(levels):
            labels = read_array(store, of_labels(INSTANCES, k))
            shape = level.shape[1:]
            tiles = (
                drawn_planes(level, labels, first_ids, prepared["pixels"])
                if volume
                else tiles_of(shape, drawing(level, labels, first_ids, prepared["pixels"]))
            )
            tiff.write(
                tiles,
                shape=(*shape, 3),
                dtype=np.uint8,
                tile=(TILE_PX, TILE_PX),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": JPEG_QUALITY},
                metadata=None if k else metadata,
                subifds=None if k else len(levels) - 1,
                subfiletype=1 if k else None,
                **resolution_tags(image, k),
            )


def export_stack(
    *,
    predictions: Sequence[str | Path],
    stored: Sequence[Stored],
    output: str | Path,
    foreground: str = FOREGROUND,
) -> None:
    """P(interior) of slices as one 32-bit TIFF stack, as the ISBI 2012 challenge wanted it.

    `foreground` is the array of the stores. A stack beyond what a TIFF holds is a BigTIFF.
    """
    pixels = sum(math.prod(read_array(store, foreground).shape[1:]) for store in predictions)
    with (
        renamed_at_end(output) as partial,
        unchanged(*stored),
        tifffile.TiffWriter(partial, bigtiff=pixels * PIXEL_BYTES > TIFF_BYTES) as tiff,
    ):
        for store in predictions:
            foreground_YX = read_foreground(store, array=foreground)[0]
            tiff.write(foreground_YX, photometric="minisblack", contiguous=True, metadata=None)
