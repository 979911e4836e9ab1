"""Annotations read: what their values mean, and regions of them at the pixels of their image."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetflow.errors import LabelsError
from unetflow.images.lossless import lossy_compression
from unetflow.images.polygon_volume import PolygonVolume
from unetflow.images.polygons import Polygons
from unetflow.images.slide import Slide
from unetflow.labels.encoding import UINT32_MAX
from unetflow.labels.pieces import MASK_VALUES
from unetflow.store.shards import SHARD_PX
from unetflow.tiles.regions import Region, shard_region, side_px, touched, with_halo

Reader = Callable[..., tuple[np.ndarray, np.ndarray]]
"""Labels (uint32) and ignored pixels (bool) of a region (rows, columns) of the image.

Of a volume of planes, rows and columns.
"""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the values of a label image mean.

    `kind` is "instances" (each object has its number), "interior" (membranes as in EM: 0 is
    membrane, one of `MASK_VALUES` is inside; or `inside` alone is, and all other values are
    membrane) or "classes" (each pixel has the number of its class, 1 to `classes`; objects have
    none). Pixels with `ignore_value` are ignored and background.
    """

    kind: str
    ignore_value: int | None = None
    classes: int = 1
    inside: int | None = None


def read_truth(values: np.ndarray, meaning: Meaning, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels (uint32, 0 background) and ignored pixels (bool) of an annotation (Y, X).

    Instances of an interior are the 4-connected components inside. `name` is the file, for
    messages. Raises LabelsError for values that have no meaning.
    """
    labels, ignored = checked_truth(values, meaning, name)
    if meaning.kind == "interior":
        from unetflow.components.objects_of_image import label_image  # numba, which few jobs need
        from unetflow.components.pieces_of_block import Labelling

        labels = label_image(labels != 0, Labelling())
    return labels, ignored


def checked_truth(values: np.ndarray, meaning: Meaning, name: str) -> tuple[np.ndarray, np.ndarray]:
    """As `read_truth`, but the inside of all cells of kind "interior" is one label."""
    kind, classes, ignore_value = meaning.kind, meaning.classes, meaning.ignore_value
    if values.dtype == bool:
        values = values.astype(np.uint8)
    # ignored pixels may hold what no label can be, such as -1 or 2^64 - 1: they are checked by none
    ignored = np.zeros(values.shape, bool) if ignore_value is None else values == ignore_value
    annotated = values[~ignored] if ignored.any() else values
    _check_whole(annotated, name)
    if meaning.inside is not None:
        return ((values == meaning.inside) & ~ignored).astype(np.uint32), ignored
    _check_numbers(annotated, name)
    labels = np.where(ignored, values.dtype.type(0), values).astype(np.uint32)
    if kind == "instances":
        return labels, ignored
    known = np.unique(annotated)
    inside = known[known != 0]
    if kind == "classes":
        if known.size and known[-1] > classes:
            if classes == 1 and len(inside) == 1 and inside[0] in MASK_VALUES:
                raise LabelsError(
                    f"{name}: holds the values 0 and {inside[0]}, as a mask does, but of truth of "
                    f"kind classes the one class is 1. Write 1 in place of {inside[0]} (Fiji: "
                    "Process, Math, Divide), or set the dataset's truth to interior (what hangs "
                    "together is one object). Where the number means that nobody annotated the "
                    "pixel, set the ignore value to it."
                )
            raise LabelsError(
                f"{name}: holds the values {', '.join(map(str, known[:8]))}, but the dataset names "
                f"{classes} classes, 1 to {classes}. Name all classes in the config, in the order "
                "of their numbers, or set the ignore value if one of them means that."
            )
        return labels, ignored
    if len(inside) > 1 or not np.isin(inside, MASK_VALUES).all():
        raise _no_interior(name, known.tolist())
    return (labels != 0).astype(np.uint32), ignored


def _no_interior(name: str, known: Sequence[int]) -> LabelsError:
    return LabelsError(
        f"{name}: holds the values {', '.join(map(str, known[:8]))}; truth of kind interior "
        "holds 0 (membrane) and one other: 1, 255 or the largest number of its type (inside a "
        "cell). Set the dataset's truth to instances if these are object numbers, its "
        "label_value to the one that is inside a cell, or its ignore value if one of them "
        "means that."
    )


def _check_whole(values: np.ndarray, name: str) -> None:
    """Refuse what is no whole number, of pixels that somebody annotated."""
    is_float = np.issubdtype(values.dtype, np.floating)
    if is_float and not (np.isfinite(values) & (values == np.floor(values))).all():
        raise LabelsError(
            f"{name}: holds {values.dtype} values that are no whole numbers; a truth holds "
            "integer labels. Save it as an integer image; what nobody annotated (NaN) gets a "
            "number of its own, which the dataset's ignore_value names."
        )


def _check_numbers(values: np.ndarray, name: str) -> None:
    """Refuse whole numbers that are no labels, of pixels that somebody annotated."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low < 0 or high > UINT32_MAX:
        raise LabelsError(
            f"{name}: holds values from {low} to {high}; labels are 0 (background) to "
            f"{UINT32_MAX}. Renumber the objects or, where {low if low < 0 else high} means that "
            "nobody annotated the pixel, set the dataset's ignore_value to it."
        )
    is_float = np.issubdtype(values.dtype, np.floating)
    if is_float and high >= (exact := 2 ** (np.finfo(values.dtype).nmant + 1)):
        raise LabelsError(
            f"{name}: holds {values.dtype} values up to {high}, but from {exact} on that type "
            "lacks some whole numbers: objects may have become one. Save it as an integer image, "
            "from the program that numbered them."
        )


def check_lossless(path: str | Path) -> None:
    """Refuse a label image whose compression has changed its numbers."""
    if how := lossy_compression(path):
        raise LabelsError(
            f"{path}: is compressed as {how}, which blurs the values of pixels; in a truth each is "
            "a number that must come back as it was. Save it again from the program that drew it, "
            "as PNG, or as TIFF without compression or with LZW or Deflate. To convert this file "
            "is of no use: it holds the blurred values."
        )


def polygon_reader(polygons: Polygons | PolygonVolume, kind: str) -> Reader:
    """Draws objects, or their classes where that is what the truth is."""
    if kind != "classes":
        return polygons.draw

    def read(*region: slice) -> tuple[np.ndarray, np.ndarray]:
        labels, ignored = polygons.draw(*region)
        return polygons.classes[labels].astype(np.uint32), ignored

    return read


def label_reader(
    slide: Slide,
    levels_px: Sequence[tuple[int, ...]],
    shape_px: tuple[int, ...],
    meaning: Meaning,
) -> Reader:
    """Reads a label image at the pixels of the prepared image.

    It has their size, or that of a level of the image's file, (Y, X) or (Z, Y, X) in `levels_px`.
    """
    check_lossless(slide.path)
    size_px = slide.levels[0].shape_px
    if size_px != shape_px and size_px not in levels_px:
        raise LabelsError(
            f"{slide.path}: the truth is {_size(size_px)} px, its image {_size(shape_px)} px. A "
            "truth has the size of its image as it is used, or "
            "of a level of the image's file: " + ", ".join(map(_size, levels_px)) + "."
        )
    at = [
        np.minimum(((np.arange(n) + 0.5) * size / n).astype(np.int64), size - 1)
        for n, size in zip(shape_px, size_px, strict=True)
    ]

    def read(*region: slice) -> tuple[np.ndarray, np.ndarray]:
        places = [along[part] for along, part in zip(at, region, strict=True)]
        parts = (slice(int(of[0]), int(of[-1]) + 1) for of in places)
        values = slide.read(0, *parts)
        picked = values[0][np.ix_(*(of - of[0] for of in places))]
        return checked_truth(picked, meaning, str(slide.path))

    if meaning.kind != "interior":
        return read
    return _interior_reader(slide, at, size_px, meaning)


def _interior_reader(
    slide: Slide, at: Sequence[np.ndarray], size_px: tuple[int, ...], meaning: Meaning
) -> Reader:
    """Reads interiors, numbered at the pixels of their file, at the places `at` along each axis.

    So thin membranes part cells too where the image is coarser and has no pixel of them.
    """
    from unetflow.components.objects_of_image import find_objects  # a second of numba, only here
    from unetflow.components.pieces_of_block import Labelling

    name = str(slide.path)
    side = side_px(SHARD_PX, len(size_px))
    block = (side,) * len(size_px)
    inside: set[int] = set()

    def interior(region: Region) -> tuple[np.ndarray, None, None]:
        values = slide.read(0, *region)[0]
        mask = checked_truth(values, meaning, name)[0] != 0
        inside.update(np.unique(values[mask]).tolist())
        return mask, None, None

    numbered = find_objects(interior, size_px, block, Labelling())
    if len(inside) > 1:  # of which each block has one
        raise _no_interior(name, [0, *sorted(inside)])

    def read(*region: slice) -> tuple[np.ndarray, np.ndarray]:
        places = [along[part] for along, part in zip(at, region, strict=True)]
        wide = tuple(slice(int(of[0]), int(of[-1]) + 1) for of in places)
        labels = np.empty([len(of) for of in places], np.uint32)
        ignored = np.empty(labels.shape, bool)
        for index in touched(wide, block):
            piece = shard_region(index, size_px, block)
            mask, unknown = checked_truth(slide.read(0, *piece)[0], meaning, name)
            pairs = [*zip(places, piece, strict=True)]
            here = tuple(slice(*np.searchsorted(of, (p.start, p.stop))) for of, p in pairs)
            there = np.ix_(*(of[p] - q.start for (of, q), p in zip(pairs, here, strict=True)))
            labels[here] = numbered.draw(index, mask != 0)[there]
            ignored[here] = unknown[there]
        return labels, ignored

    return read


def _size(shape_px: Sequence[int]) -> str:
    return "x".join(map(str, shape_px))


def ringed(
    read: Reader,
    shape_px: tuple[int, ...],
    ring_px: float | None,
    steps: Sequence[float] | None = None,
) -> Reader:
    """The reader, with what lies farther than `ring_px` from every object of it ignored too.

    Distances are Euclidean, between pixel centres; `steps` is the size of a pixel along each axis,
    in that of a pixel's width (None: 1 each). Whatever regions are asked for, an image of
    `shape_px` has the same pixels ignored: as many more are read around each. None changes nothing.
    """
    if ring_px is None:
        return read

    from scipy import ndimage  # a quarter of a second that few jobs need

    halo_px = tuple(math.ceil(ring_px / step) for step in steps or [1.0 for _ in shape_px])

    def read_with_ring(*region: slice) -> tuple[np.ndarray, np.ndarray]:
        wide, inner = with_halo(region, halo_px, shape_px)
        labels, ignored = read(*wide)
        nothing = labels == 0
        far = nothing
        if not nothing.all():
            far = ndimage.distance_transform_edt(nothing, sampling=steps) > ring_px
        return labels[inner], (ignored | far)[inner]

    return read_with_ring
