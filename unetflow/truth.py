"""Truth: annotations of any kind become `labels/truth` and `labels/ignore` beside the image."""

import itertools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.errors import LabelsError
from unetflow.geojson import is_geojson, read_polygons
from unetflow.labels import read_truth, separate_touching
from unetflow.ome import spatial_scale, write_labels
from unetflow.paths import has_changed, replaced
from unetflow.progress import progress
from unetflow.receipts import RunRecord, read_receipt, write_receipt
from unetflow.slides import Slide
from unetflow.stores import Layout, ShardedArray, clear, open_array
from unetflow.tiles import shard_grid, shard_region, with_halo
from unetflow.tissue import Tissue, read_tissue

log = logging.getLogger(__name__)

Reader = Callable[[slice, slice], tuple[np.ndarray, np.ndarray]]
"""Labels (uint32) and ignored pixels (bool) of a region (Y, X) of the image."""


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
    object_class: str,
    ignore_value: int | None,
    code: str,
) -> None:
    """Rule prepare_truth: the annotation of one image as labels (uint32) and ignored pixels.

    A label image of the size of the prepared image or of any level of its file (then taken at the
    nearest pixels, ids are never mixed), or polygons in GeoJSON. Unreadable places of the image are
    ignored. Instances are read shard by shard; interiors are numbered in memory. Raises LabelsError
    where the annotation does not fit or holds values without a meaning.
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
        | {"object_class": object_class, "ignore_value": ignore_value},
        "code": code,
    }
    arrays = _open_labels(store, levels, decided_by)
    warnings: list[str] = []
    if is_geojson(path):
        size_px = tuple(image["levels_of_file"][0]["shape"])
        polygons = read_polygons(
            path, object_class=object_class, size_px=size_px, shape_px=shape_px
        )
        warnings += polygons.warnings
        _write(polygons.draw, arrays, image["unreadable"])
    else:
        with Slide(path, plane=plane, time=time, axes=axes) as slide:
            read = _label_reader(slide, image, shape_px, kind, ignore_value)
            _write(read, arrays, image["unreadable"])
    if has_changed(path, fingerprint):
        for array in itertools.chain(*arrays.values()):
            clear(array.path)
        raise LabelsError(replaced(path))
    for finer, coarser in itertools.chain(*(itertools.pairwise(a) for a in arrays.values())):
        _take_every_second(finer, coarser)
    tissue = read_tissue(store, image["tissue"])
    counts = _count(arrays["truth"][0], arrays["ignore"][0], tissue, warnings)
    digest = "".join(arrays[name][0].content_digest() for name in ("truth", "ignore"))
    write_receipt(receipt, {"shape": shape_px, "digest": digest, **counts, "warnings": warnings})
    record.write(path=str(path))


def _open_labels(
    store: str | Path, levels: Sequence[dict[str, Any]], decided_by: dict[str, Any]
) -> dict[str, list[ShardedArray]]:
    """The arrays of all levels of truth and ignore, finest first, and their metadata."""
    scale, unit = spatial_scale(store)
    arrays: dict[str, list[ShardedArray]] = {}
    for name, dtype in (("truth", "uint32"), ("ignore", "uint8")):
        write_labels(store, name, scale, unit, levels=len(levels))
        arrays[name] = [
            open_array(
                store,
                f"labels/{name}/{k}",
                Layout(tuple(level["shape"][1:]), dtype, ("y", "x")),
                decided_by=decided_by,
            )
            for k, level in enumerate(levels)
        ]
    return arrays


def _label_reader(
    slide: Slide,
    image: dict[str, Any],
    shape_px: tuple[int, int],
    kind: str,
    ignore_value: int | None,
) -> Reader:
    """Reads a label image at the pixels of the prepared image."""
    size_px = slide.levels[0].shape_px
    allowed = [tuple(level["shape"]) for level in image["levels_of_file"]]
    if slide.channels != 1 or (size_px != shape_px and size_px not in allowed):
        raise LabelsError(
            f"{slide.path}: the truth is {size_px[0]}x{size_px[1]} px with {slide.channels} "
            f"channel(s), its image {shape_px[0]}x{shape_px[1]} px. A truth has one channel and "
            "the size of its image as it is used, or of a level of the image's file: "
            + ", ".join(f"{height}x{width}" for height, width in allowed)
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
        return read_truth(picked, kind, ignore_value, str(slide.path))

    if kind == "instances":
        return read
    labels, ignored = read(slice(0, shape_px[0]), slice(0, shape_px[1]))  # numbered as a whole
    return lambda rows, columns: (labels[rows, columns], ignored[rows, columns])


def _write(
    read: Reader, arrays: dict[str, list[ShardedArray]], unreadable: Sequence[dict[str, Any]]
) -> None:
    truth, ignore = arrays["truth"][0], arrays["ignore"][0]
    missing = sorted({*truth.missing(), *ignore.missing()})
    with progress("truth", total=len(missing)) as tick:
        for index in missing:
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
            ignore.write(index, ignored.astype(np.uint8))
            tick()


def _take_every_second(finer: ShardedArray, coarser: ShardedArray) -> None:
    """The next level: one pixel of each block, so that ids are never mixed."""
    for index in coarser.missing():
        region = coarser.region(index)
        block = np.asarray(finer.array[tuple(slice(2 * p.start, 2 * p.stop) for p in region)])
        coarser.write(index, block[::2, ::2])


def _count(
    truth: ShardedArray, ignore: ShardedArray, tissue: Tissue | None, warnings: list[str]
) -> dict[str, int]:
    """Instances, object and ignored pixels; what is odd goes to `warnings`."""
    ids: set[int] = set()
    left: set[int] = set()
    outside: set[int] = set()
    object_px = ignored_px = touching_px = 0
    shape = truth.array.shape
    for index in shard_grid(shape, truth.array.shards):
        region = shard_region(index, shape, truth.array.shards)
        wide, inner = with_halo(region, (1, 1), shape)
        labels = np.asarray(truth.array[wide])
        separated = separate_touching(labels)[inner]
        ids.update(np.unique(labels[inner]).tolist())
        left.update(np.unique(separated).tolist())
        if tissue is not None:
            unseen = labels[inner][~tissue.inside(*region)]
            outside.update(np.unique(unseen[unseen != 0]).tolist())
        object_px += int(np.count_nonzero(separated))
        touching_px += int(np.count_nonzero(labels[inner])) - int(np.count_nonzero(separated))
        ignored_px += int(np.count_nonzero(ignore.array[region]))
    if lost := len(ids - left - {0}):
        warnings.append(f"{lost} instances are so thin that separating touching ones leaves none")
    if outside:
        warnings.append(f"{len(outside)} instances lie outside the tissue mask, at least in part")
    if not ids - {0}:
        warnings.append("no object in this image")
    for warning in warnings:
        log.warning(warning)
    counts = {"object_px": object_px, "ignored_px": ignored_px, "touching_px": touching_px}
    return {"instances": len(ids - {0}), **counts}
