"""Truth: annotations of any kind become `labels/truth` and `labels/ignore` beside the image.

Objects of several classes have `labels/class` too: the class of each pixel.
"""

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.engine.each import for_each
from unetflow.errors import LabelsError
from unetflow.images.polygons import is_geojson, read_polygons
from unetflow.images.slide import Slide
from unetflow.images.sources import has_changed, replaced
from unetflow.labels.encoding import class_target
from unetflow.labels.reading import Reader, label_reader, polygon_reader
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.store.ome import pixel_size, write_labels
from unetflow.store.pyramid import clear_levels, every_second, halve
from unetflow.store.shards import Index, Layout, ShardedArray, clear, open_array
from unetflow.store.tissue_mask import Tissue, read_tissue
from unetflow.tiles.regions import shard_grid, shard_region, with_halo

log = logging.getLogger(__name__)


DTYPES = {"truth": "uint32", "ignore": "uint8", "class": "uint8"}


def prepare_truth(
    *,
    path: str | Path,
    fingerprint: str,
    store: str | Path,
    image_receipt: str | Path,
    receipt: str | Path,
    plane: int | None,
    time: int | None,
    axes: str | None,
    kind: str,
    classes: Sequence[str],
    ignore_value: int | None,
    code: str,
) -> None:
    """Rule prepare_truth: the annotation of one image as labels (uint32) and ignored pixels.

    A label image of the size of the prepared image or of any level of its file (then taken at the
    nearest pixels, ids are never mixed), or polygons in GeoJSON. Unreadable places of the image are
    ignored. Read shard by shard; interiors are numbered over all shards. Raises LabelsError where
    the annotation does not fit or holds values without a meaning.
    """
    record = RunRecord(receipt)
    image = read_receipt(image_receipt)
    levels = image["levels"]
    shape_px = (levels[0]["shape"][1], levels[0]["shape"][2])
    decided_by = {
        "input": fingerprint,
        "shape": shape_px,
        "unreadable": image["unreadable"],
        "parameters": {"plane": plane, "time": time, "axes": axes, "kind": kind}
        | {"classes": classes, "ignore_value": ignore_value},
        "code": code,
    }
    if kind == "instances" and len(classes) > 1 and not is_geojson(path):
        raise LabelsError(
            f"{path}: a label image does not say which of {', '.join(classes)} an object is. Give "
            "polygons with classes (GeoJSON), or set the dataset's truth to classes if the numbers "
            "are classes."
        )
    names = ["truth", "ignore", *(["class"] if kind == "instances" and len(classes) > 1 else [])]
    arrays = _open_labels(store, names, levels, decided_by)
    warnings: list[str] = []
    if is_geojson(path):
        size_px = tuple(image["levels_of_file"][0]["shape"])
        polygons = read_polygons(path, classes=classes, size_px=size_px, shape_px=shape_px)
        warnings += polygons.warnings
        _write(polygon_reader(polygons, kind), arrays, image["unreadable"], polygons.classes)
    else:
        with Slide(path, plane=plane, time=time, axes=axes) as slide:
            read = label_reader(slide, image, shape_px, kind, ignore_value, len(classes))
            _write(read, arrays, image["unreadable"])
    if has_changed(path, fingerprint):
        for array in itertools.chain(*arrays.values()):
            clear(array.path)
        raise LabelsError(replaced(path))
    for finer, coarser in itertools.chain(*(itertools.pairwise(a) for a in arrays.values())):
        halve(finer, coarser, every_second)
    tissue = read_tissue(store, image["tissue"])
    counts = _count({name: of[0] for name, of in arrays.items()}, kind, classes, tissue, warnings)
    digest = "".join(of[0].content_digest() for of in arrays.values())
    write_receipt(receipt, {"shape": shape_px, "digest": digest, **counts, "warnings": warnings})
    record.write(path=str(path))


def _open_labels(
    store: str | Path,
    names: Sequence[str],
    levels: Sequence[dict[str, Any]],
    decided_by: dict[str, Any],
) -> dict[str, list[ShardedArray]]:
    """The arrays of all levels of each name, finest first, and their metadata."""
    size = pixel_size(store)
    arrays: dict[str, list[ShardedArray]] = {}
    for name in names:
        write_labels(store, name, size, levels=len(levels))
        arrays[name] = [
            open_array(
                store,
                f"labels/{name}/{k}",
                Layout(tuple(level["shape"][1:]), DTYPES[name], ("y", "x")),
                decided_by=decided_by,
            )
            for k, level in enumerate(levels)
        ]
        clear_levels(store, f"labels/{name}/{{}}", len(levels))
    return arrays


def _write(
    read: Reader,
    arrays: dict[str, list[ShardedArray]],
    unreadable: Sequence[dict[str, Any]],
    class_of: np.ndarray | None = None,
) -> None:
    """Level 0 of all arrays; `class_of` gives the class of each label."""
    truth = arrays["truth"][0]

    def make(index: Index) -> None:
        rows, columns = truth.region(index)
        labels, ignored = read(rows, columns)
        labels, ignored = labels.copy(), ignored.copy()
        for place in unreadable:
            lost = tuple(
                slice(max(0, place[name][0] - part.start), max(0, place[name][1] - part.start))
                for name, part in (("rows", rows), ("columns", columns))
            )
            ignored[lost] = True
        labels[ignored] = 0
        truth.write(index, labels)
        arrays["ignore"][0].write(index, ignored.astype(np.uint8))
        if "class" in arrays and class_of is not None:
            arrays["class"][0].write(index, class_of[labels])

    missing = sorted({index for of in arrays.values() for index in of[0].missing()})
    for_each(make, missing, threads=1, what="truth")  # a file is read by one thread at a time


def _count(
    arrays: dict[str, ShardedArray],
    kind: str,
    classes: Sequence[str],
    tissue: Tissue | None,
    warnings: list[str],
) -> dict[str, Any]:
    """Instances, pixels of objects, of each class and ignored; what is odd goes to `warnings`."""
    ids: set[int] = set()
    left: set[int] = set()
    outside: set[int] = set()
    touching_px = 0
    ignored_px = 0
    class_px = np.zeros(len(classes) + 1, np.int64)
    truth = arrays["truth"]
    shape = truth.array.shape
    for index in shard_grid(shape, truth.array.shards):
        region = shard_region(index, shape, truth.array.shards)
        wide, inner = with_halo(region, (1, 1), shape)
        labels = np.asarray(truth.array[wide])
        of_class = np.asarray(arrays["class"].array[wide]) if "class" in arrays else None
        target = class_target(labels, kind, of_class)[inner]
        labels = labels[inner]
        ids.update(np.unique(labels).tolist())
        left.update(np.unique(labels[target != 0]).tolist())
        if tissue is not None:
            outside.update(np.unique(labels[(labels != 0) & ~tissue.inside(*region)]).tolist())
        class_px += np.bincount(target.ravel(), minlength=len(class_px))
        touching_px += int(np.count_nonzero(labels)) - int(np.count_nonzero(target))
        ignored_px += int(np.count_nonzero(arrays["ignore"].array[region]))
    what = "classes" if kind == "classes" else "instances"
    if lost := len(ids - left - {0}):
        warnings.append(f"{lost} instances are so thin that separating touching ones leaves none")
    if outside:
        warnings.append(f"{len(outside)} {what} lie outside the tissue mask, at least in part")
    if not ids - {0}:
        warnings.append("no object in this image")
    for warning in warnings:
        log.warning(warning)
    return {
        "instances": None if kind == "classes" else len(ids - {0}),
        **{"object_px": int(class_px[1:].sum()), "ignored_px": ignored_px},
        **{"touching_px": touching_px},
        "class_px": dict(zip(classes, class_px[1:].tolist(), strict=True)),
    }
