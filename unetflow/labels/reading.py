"""An annotation read region by region at the pixels of its image: polygons or label images."""

from collections.abc import Callable, Sequence

import numpy as np

from unetflow.errors import LabelsError
from unetflow.images.polygons import Polygons
from unetflow.images.slide import Slide
from unetflow.labels.encoding import checked_truth
from unetflow.store.shards import SHARD_PX
from unetflow.tiles.regions import Region

Reader = Callable[[slice, slice], tuple[np.ndarray, np.ndarray]]
"""Labels (uint32) and ignored pixels (bool) of a region (Y, X) of the image."""


def polygon_reader(polygons: Polygons, kind: str) -> Reader:
    """Draws objects, or their classes where that is what the truth is."""
    if kind != "classes":
        return polygons.draw

    def read(rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        labels, ignored = polygons.draw(rows, columns)
        return polygons.classes[labels].astype(np.uint32), ignored

    return read


def label_reader(
    slide: Slide,
    levels_px: Sequence[tuple[int, int]],
    shape_px: tuple[int, int],
    kind: str,
    ignore_value: int | None,
    classes: int,
) -> Reader:
    """Reads a label image at the pixels of the prepared image.

    It has their size, or that of a level of the image's file, (Y, X) in `levels_px`.
    """
    size_px = slide.levels[0].shape_px
    if slide.channels != 1 or (size_px != shape_px and size_px not in levels_px):
        raise LabelsError(
            f"{slide.path}: the truth is {size_px[0]}x{size_px[1]} px with {slide.channels} "
            f"channel(s), its image {shape_px[0]}x{shape_px[1]} px. A truth has one channel and "
            "the size of its image as it is used, or of a level of the image's file: "
            + ", ".join(f"{height}x{width}" for height, width in levels_px)
            + "."
        )
    at = [
        np.minimum(((np.arange(n) + 0.5) * size / n).astype(np.int64), size - 1)
        for n, size in zip(shape_px, size_px, strict=True)
    ]

    def read(rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        y, x = at[0][rows], at[1][columns]
        values = slide.read(0, slice(int(y[0]), int(y[-1]) + 1), slice(int(x[0]), int(x[-1]) + 1))
        picked = values[0][np.ix_(y - y[0], x - x[0])]
        return checked_truth(picked, kind, ignore_value, str(slide.path), classes=classes)

    if kind != "interior":
        return read

    from unetflow.components.objects_of_image import find_objects  # a second of numba, only here
    from unetflow.components.pieces_of_block import Labelling

    def interior(region: Region) -> tuple[np.ndarray, None, None]:
        return read(*region)[0] != 0, None, None

    block = (SHARD_PX, SHARD_PX)
    numbered = find_objects(interior, shape_px, block, Labelling())

    def read_numbered(rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        labels, ignored = read(rows, columns)
        index = (rows.start // SHARD_PX, columns.start // SHARD_PX)
        return numbered.draw(index, labels != 0), ignored

    return read_numbered
