"""Truth: annotations of any kind become `labels/truth` and `labels/ignore` beside the image.

Objects of several classes have `labels/class` too: the class of each pixel.
"""

import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from unetflow.engine.each import for_each
from unetflow.errors import LabelsError, ReplacedError
from unetflow.images.polygon_volume import read_annotation
from unetflow.images.resampling import all_ends, marked
from unetflow.images.slide import Slide
from unetflow.images.sources import (
    RawFile,
    chosen_of,
    content_of,
    has_changed,
    holds_polygons,
    replaced,
)
from unetflow.labels.counts import Counts, count_truth
from unetflow.labels.dataset import Dataset
from unetflow.labels.pieces import ground_as_object, odd_numbers
from unetflow.labels.reading import Meaning, Reader, label_reader, polygon_reader, ringed
from unetflow.labels.unannotated import warn_of_unannotated
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.schemas import ImageReceipt, LevelOfImage, Unreadable
from unetflow.provenance.shard_lists import Stored, unchanged, write_shard_list
from unetflow.store.layout import spatial_axes
from unetflow.store.levels import level_factors
from unetflow.store.names import CLASS, IGNORE, TISSUE, TRUTH, of_labels
from unetflow.store.ome import pixel_size, steps_of, write_labels
from unetflow.store.pyramid import clear_levels, every_second, halve
from unetflow.store.shards import Index, Layout, ShardedArray, clear, open_array, read_array
from unetflow.store.tissue_mask import read_tissue

log = logging.getLogger(__name__)


DTYPES = {TRUTH: "uint32", IGNORE: "uint8", CLASS: "uint8"}


def prepare_truth(
    *,
    raw: RawFile,
    store: str | Path,
    image_receipt: str | Path,
    receipt: str | Path,
    dataset: Dataset,
    ignore_value: int | None,
    code: str,
    label_value: int | None = None,
    ring_px: float | None = None,
) -> None:
    """Rule prepare_truth: the annotation of one image as labels (uint32) and ignored pixels.

    A label image of the size of the prepared image or of any level of its file (then taken at the
    nearest pixels, ids are never mixed), or polygons (GeoJSON, XML of ImageScope). Pixels with
    `ignore_value` and unreadable places of the image are ignored. Read shard by shard; interiors
    are numbered over all shards. Of kind "interior" the inside is `label_value`, where given; with
    `ring_px` what lies farther [px] from every object is ignored too. Raises LabelsError where the
    annotation does not fit or holds values without a meaning.
    """
    record = RunRecord(receipt)
    _check_kind(raw, dataset)
    image = read_receipt(image_receipt, ImageReceipt)
    shape_px = tuple(image["levels"][0]["shape"][1:])
    if not holds_polygons(raw["path"]):
        Slide(raw["path"], **chosen_of(raw), as_labels=True).close()  # tells what cannot be opened
    source = content_of(raw)
    steps = steps_of(store, len(shape_px))
    decided_by = {
        "input": source.digest,
        "shape": shape_px,
        "unreadable": image["unreadable"],
        "parameters": _parameters(raw, dataset, ignore_value)
        | {"label_value": label_value, "ring_px": ring_px}
        | ({"steps": steps} if ring_px is not None and steps is not None else {})
        | ({"of_px": image["levels_of_file"][0]["shape"]} if holds_polygons(raw["path"]) else {}),
        "code": code,
    }
    names = [TRUTH, IGNORE, CLASS] if dataset.has_class_array else [TRUTH, IGNORE]
    arrays = _open_labels(store, names, image["levels"], decided_by)
    meaning = Meaning(dataset.kind, ignore_value, len(dataset.classes), label_value)
    warnings = _write_finest(raw, arrays, image, dataset, meaning, ring_px, steps)
    if has_changed(raw, source):
        for array in itertools.chain(*arrays.values()):
            clear(array.path)
        raise ReplacedError(replaced(raw["path"]))
    for finer, coarser in itertools.chain(*(itertools.pairwise(a) for a in arrays.values())):
        halve(finer, coarser, every_second)
    pixels = Stored(store, image_receipt, ["0", *([TISSUE] if image["tissue"] else [])])
    with unchanged(pixels):
        counted = _counted(store, image, arrays, dataset)
        if dataset.kind == "instances" and ring_px is None:
            warnings += warn_of_unannotated(store, len(image["levels"]))
    warnings += _odd(counted, raw["path"], dataset)
    for warning in warnings:
        log.warning(warning)
    levels = [of_labels(name, k) for name in names for k in range(len(image["levels"]))]
    content = {
        "sources": {"truth": source.digest},
        "shape": shape_px,
        "digest": "".join(of[0].content_digest() for of in arrays.values()),
        "warnings": warnings,
        "shards": write_shard_list(receipt, store, levels),
    }
    write_receipt(receipt, {**content, **counted.described(dataset)})
    record.write(path=raw["path"])


def _parameters(raw: RawFile, dataset: Dataset, ignore_value: int | None) -> dict[str, object]:
    """What decides how a truth is read."""
    return {
        **chosen_of(raw),
        **({"first_px": raw["first_px"]} if "first_px" in raw else {}),
        "kind": dataset.kind,
        "classes": dataset.classes,
        "ignore_value": ignore_value,
    }


def _check_kind(raw: RawFile, dataset: Dataset) -> None:
    """Raises LabelsError where the file cannot tell of which class an object is."""
    path = raw["path"]
    if dataset.has_class_array and not holds_polygons(path):
        raise LabelsError(
            f"{path}: a label image does not say which of {', '.join(dataset.classes)} an "
            "object is. Give polygons with classes (GeoJSON, or layers of ImageScope), or set the "
            "dataset's truth to classes if the numbers are classes."
        )


def _counted(
    store: str | Path,
    image: ImageReceipt,
    arrays: Mapping[str, Sequence[ShardedArray]],
    dataset: Dataset,
) -> Counts:
    """What is in the finest level of a written truth, beside the image's pixels and tissue."""
    finest = {name: of[0] for name, of in arrays.items()}
    tissue = read_tissue(store, image["tissue"])
    return count_truth(finest, read_array(store, "0"), dataset, tissue)


def _odd(counted: Counts, path: str, dataset: Dataset) -> list[str]:
    """What is odd in a truth. Raises LabelsError where it can be none."""
    if counted.is_image:
        raise LabelsError(
            f"{path}: is given as a truth and holds the very pixels of its image. Correct "
            "the sheet's truth column."
        )
    found = counted.warnings(dataset)
    if counted.pieces:
        found += odd_numbers(counted.pieces, path, are_polygons=holds_polygons(path))
    if counted.pieces and not holds_polygons(path):
        found += ground_as_object(counted.pieces, sum(counted.class_px) - counted.ignored_px)
    return found


def _write_finest(
    raw: RawFile,
    arrays: dict[str, list[ShardedArray]],
    image: ImageReceipt,
    dataset: Dataset,
    meaning: Meaning,
    ring_px: float | None,
    steps: Sequence[float] | None,
) -> list[str]:
    """Level 0 of all arrays from the raw file; what is odd in the file."""
    shape_px = arrays[TRUTH][0].array.shape
    if holds_polygons(raw["path"]):
        size_px = image["levels_of_file"][0]["shape"]
        polygons = read_annotation(
            raw["path"],
            plane=raw["plane"],
            time=raw["time"],
            first_px=raw.get("first_px", (0, 0, 0)),
            classes=dataset.classes,
            size_px=tuple(size_px),
            shape_px=shape_px,
            instances=dataset.kind != "classes",
        )
        reader = ringed(polygon_reader(polygons, dataset.kind), shape_px, ring_px, steps)
        written = _write(reader, arrays, image["unreadable"], polygons.classes)
        for index in set(arrays[TRUTH][0].shards()).difference(written):
            polygons.draw(*arrays[TRUTH][0].region(index))  # stored by a run that broke off
        return [*polygons.warnings, *polygons.lost()]
    with Slide(raw["path"], **chosen_of(raw), as_labels=True) as slide:
        levels = [tuple(level["shape"]) for level in image["levels_of_file"]]
        read = label_reader(slide, levels, shape_px, meaning)
        if not _write(ringed(read, shape_px, ring_px, steps), arrays, image["unreadable"]):
            slide.read(0, *(slice(0, 1) for _ in shape_px))  # masks are odd once they are read
        return list(slide.notes)


def _open_labels(
    store: str | Path,
    names: Sequence[str],
    levels: Sequence[LevelOfImage],
    decided_by: Mapping[str, object],
) -> dict[str, list[ShardedArray]]:
    """The arrays of all levels of each name, finest first, and their metadata."""
    size = pixel_size(store)
    factors = level_factors(levels[0]["shape"][1:], size.scale)
    arrays: dict[str, list[ShardedArray]] = {}
    for name in names:
        write_labels(store, name, size, levels=factors)
        arrays[name] = [
            open_array(
                store,
                of_labels(name, k),
                Layout(tuple(level["shape"][1:]), DTYPES[name], spatial_axes(len(factors[0]))),
                decided_by=decided_by,
            )
            for k, level in enumerate(levels)
        ]
        clear_levels(store, of_labels(name, "{}"), len(levels))
    return arrays


def _write(
    read: Reader,
    arrays: dict[str, list[ShardedArray]],
    unreadable: Sequence[Unreadable],
    class_of: np.ndarray | None = None,
) -> list[Index]:
    """Level 0 of all arrays; `class_of` gives the class of each label. The shards it wrote."""
    truth = arrays[TRUTH][0]
    lost = all_ends(unreadable, truth.array.ndim)

    def make(index: Index) -> None:
        region = truth.region(index)
        labels, ignored = read(*region)
        labels, ignored = labels.copy(), ignored | marked(lost, region)
        labels[ignored] = 0
        truth.write(index, labels)
        arrays[IGNORE][0].write(index, ignored.astype(np.uint8))
        if CLASS in arrays and class_of is not None:
            arrays[CLASS][0].write(index, class_of[labels])

    missing = sorted({index for of in arrays.values() for index in of[0].missing()})
    for_each(make, missing, threads=1, what="truth")  # a file is read by one thread at a time
    return missing
