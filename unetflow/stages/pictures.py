"""Rule pictures: of one image what the report shows of it."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from scipy import ndimage

from unetflow.labels.annotation import read_class_lazily
from unetflow.labels.dataset import Dataset
from unetflow.metrics.contingency import Contingency, contingency
from unetflow.metrics.instances import DSB2018_IOUS, matching_sums_at_ious
from unetflow.metrics.object_errors import kinds_of_objects
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.schemas import ForegroundReceipt, InstancesOfClass, InstancesReceipt
from unetflow.provenance.shard_lists import Stored, unchanged
from unetflow.report.figures.planes import PLANE_PX, Outlines, draw_planes
from unetflow.report.figures.thumbnails import THUMBNAIL_PX, thumbnail
from unetflow.report.figures.views import shown, shown_px
from unetflow.report.object_pictures import pictures_of
from unetflow.report.pictures import (
    CROP_PX,
    ImagePictures,
    KindsInCrop,
    Matched,
    VolumePlanes,
    crop_region,
)
from unetflow.report.worst_objects import Wrong, kind_of_ids, worst_first
from unetflow.store.arrays import read_array, read_lazily
from unetflow.store.instances import instances_of_class
from unetflow.store.levels import level_factors, level_shapes
from unetflow.store.names import IGNORE, INSTANCES, TRUTH, of_labels
from unetflow.store.ome import first_level, pixel_size, steps_of
from unetflow.tiles.regions import PLANE, Region, side_px

log = logging.getLogger(__name__)
WORST = 12  # objects of an image that are drawn


class _Judged(NamedTuple):
    """What became of the objects of all classes."""

    truth: dict[int, str]  # kind by id
    predicted: dict[int, str]  # "ignored" where all of it is
    counts: dict[str, int]
    worst: list[tuple[str, Wrong]]  # with the name of the class
    matched: list[Matched]
    sizes: Counter[tuple[str, int]]  # kind and size


def draw_pictures(
    *,
    image: str | Path,
    prediction: str | Path,
    foreground: str | Path,
    instances: str | Path,
    annotated: bool,
    stored: Sequence[Stored],
    dataset: Dataset,
    receipt: str | Path,
) -> None:
    """Rule pictures: `unetflow.report.pictures.ImagePictures` of one image as JSON.

    `foreground` and `instances` are receipts, `stored` all stores that are read. With a truth of
    instances (`annotated`) outlines have the colours of what became of the objects, and the worst
    are shown; without, all are drawn as found.
    """
    record = RunRecord(receipt)
    made = read_receipt(instances, InstancesReceipt)["classes"]
    with unchanged(*(Stored(*of) for of in stored)):
        of_instances = annotated and dataset.kind == "instances"
        judged = _judged(image, prediction, made, dataset) if of_instances else None
        uri, size_px = _thumbnail(image, prediction, judged)
        worst = (
            list(pictures_of(image, prediction, judged.worst, judged.truth, judged.predicted))
            if judged
            else []
        )
        worst_px = _most_wrong(image, prediction) if annotated else None
        shape = list(read_array(prediction, of_labels(INSTANCES)).shape)
        steps = steps_of(image, len(shape))
        crops: list[KindsInCrop] = []
        if judged:
            for name in dataset.classes:
                region = crop_region(shape, worst, worst_px, name, steps)
                crops.append(_kinds_in_crop(image, prediction, judged, region, name))
        size_um = pixel_size(prediction).um
        of_volume = _of_volume(shape, size_um, steps)
        if steps is not None:
            of_volume["planes"] = _planes(image, prediction, judged, annotated)
    content: ImagePictures = {
        "size_px": shape,
        "um_per_px": size_um[-1] if size_um else None,
        "thumbnail": uri,
        "thumbnail_px": list(size_px),
        "objects": sum(of["instances"] for of in made.values()),
        "area_px": sum(of["area_px"] for of in made.values()),
        "kinds": judged.counts if judged else {},
        "matched": judged.matched if judged else [],
        "sizes": [
            {"kind": kind, "least_px": least, "objects": count}
            for (kind, least), count in sorted(judged.sizes.items())
        ]
        if judged
        else [],
        "warnings": read_receipt(foreground, ForegroundReceipt)["warnings"],
        "worst": worst,
        "worst_px": worst_px,
        "crops": crops,
    }
    content |= of_volume
    write_receipt(receipt, {**content, "shape": shape})
    log.info("%s: %d of the wrong objects are drawn", receipt, len(worst))
    record.write()


def _judged(
    image: str | Path, prediction: str | Path, made: dict[str, InstancesOfClass], dataset: Dataset
) -> _Judged:
    ignore = read_lazily(image, of_labels(IGNORE)) != 0
    found = _Judged({}, {}, {}, [], [], Counter())
    worst: list[tuple[str, Wrong]] = []
    for number, name in enumerate(dataset.classes, start=1):
        truth, _ = read_class_lazily(image, dataset.kind, len(dataset.classes), number)
        ids = {"first_id": made[name]["first_id"], "instances": made[name]["instances"]}
        labels = instances_of_class(read_lazily(prediction, of_labels(INSTANCES)), ids)
        table = contingency(truth, labels, ignore=ignore)
        kinds = kinds_of_objects(table)
        found.truth.update(kind_of_ids(kinds.truth_ids, kinds.truth_kinds))
        last = ids["first_id"] + ids["instances"]
        found.predicted.update(dict.fromkeys(range(ids["first_id"], last), "ignored"))
        found.predicted.update(kind_of_ids(kinds.predicted_ids, kinds.predicted_kinds))
        worst += [(name, wrong) for wrong in worst_first(table, kinds)[:WORST]]
        spurious = kinds.predicted_kinds[kinds.predicted_kinds == "spurious"]
        found.matched.extend(_matched(name, table))
        areas = table.truth_areas[table.truth_ids != 0]
        sizes = 2 ** np.log2(areas).astype(int)
        found.sizes.update(zip(kinds.truth_kinds.tolist(), sizes.tolist(), strict=True))
        for kind in (*kinds.truth_kinds, *spurious):
            found.counts[str(kind)] = found.counts.get(str(kind), 0) + 1
    found.worst.extend(sorted(worst, key=lambda of: -of[1].wrong_px)[:WORST])
    return found


def _matched(name: str, table: Contingency) -> Iterator[Matched]:
    for iou, sums in zip(
        DSB2018_IOUS, matching_sums_at_ious(table, ious=DSB2018_IOUS), strict=True
    ):
        yield {
            "of_class": name,
            "iou": iou,
            "found": sums.true_positives,
            "annotated": sums.truth_objects,
            "predicted": sums.predicted_objects,
        }


def _thumbnail(
    image: str | Path, prediction: str | Path, judged: _Judged | None
) -> tuple[str, tuple[int, int]]:
    """Of the finest level that is not much larger than the picture."""
    level = _level_at_a_glance(image, prediction)
    steps = _steps_at_a_glance(prediction, level)

    def view(store: str | Path, name: str) -> np.ndarray:
        array = read_array(store, name)
        sizes = array.shape[-len(steps) :] if steps else array.shape[-PLANE:]
        middle, whole = [size // 2 for size in sizes], tuple(slice(0, size) for size in sizes)
        return shown(lambda region: np.asarray(array[(..., *region)]), whole, middle, steps)

    pixels = view(image, str(level))
    predicted = view(prediction, of_labels(INSTANCES, level))
    if judged is None:
        return thumbnail(pixels, [(predicted, {})])
    truth = view(image, of_labels(TRUTH, level))
    missed = {number for number, kind in judged.truth.items() if kind == "missed"}
    only_missed = np.where(np.isin(truth, list(missed)), truth, 0)
    return thumbnail(pixels, [(predicted, judged.predicted), (only_missed, judged.truth)])


def _planes(
    image: str | Path, prediction: str | Path, judged: _Judged | None, annotated: bool
) -> VolumePlanes:
    """Of the coarsest level that has as many pixels as the picture of a plane, else the finest."""
    shape = read_array(prediction, of_labels(INSTANCES)).shape
    shapes = level_shapes(shape, steps_of(prediction, len(shape)))
    there = [*range(first_level(image), len(shapes))]
    level = max((k for k in there if max(shapes[k][-PLANE:]) >= PLANE_PX), default=there[0])

    def reader(store: str | Path, name: str) -> Callable[[Region], np.ndarray]:
        array = read_array(store, name)
        return lambda region: np.asarray(array[(..., *region)])

    layers = [Outlines("picture")]
    if annotated:
        of_truth = judged.truth if judged else {}
        layers.append(Outlines("truth", reader(image, of_labels(TRUTH, level)), of_truth))
    of_result = judged.predicted if judged else {}
    layers.append(Outlines("result", reader(prediction, of_labels(INSTANCES, level)), of_result))
    steps = cast(list[float], _steps_at_a_glance(prediction, level))
    drawn = draw_planes(reader(image, str(level)), layers, shapes[level], steps)
    factor = _factors_at(prediction, level)[0]
    return {**drawn, "at_px": [at * factor for at in drawn["at_px"]]}


def _level_at_a_glance(image: str | Path, prediction: str | Path) -> int:
    """The finest level that is there and not much larger than a thumbnail.

    Of a volume the coarsest.
    """
    shape = read_array(prediction, of_labels(INSTANCES)).shape
    shapes = level_shapes(shape, steps_of(prediction, len(shape)))
    there = range(first_level(image), len(shapes))
    fits = [k for k in there if max(shapes[k]) <= 4 * THUMBNAIL_PX]
    return fits[0] if fits and len(shape) == PLANE else len(shapes) - 1


def _factors_at(prediction: str | Path, level: int) -> tuple[int, ...]:
    """By how much a level is coarser than the finest."""
    shape = read_array(prediction, of_labels(INSTANCES)).shape
    return level_factors(shape, steps_of(prediction, len(shape)))[level]


def _steps_at_a_glance(prediction: str | Path, level: int) -> list[float] | None:
    """Of a volume the sides of its pixels, in their width."""
    factors = _factors_at(prediction, level)
    steps = steps_of(prediction, len(factors))
    if steps is None:
        return None
    return [step * by / factors[-1] for step, by in zip(steps, factors, strict=True)]


def _of_volume(
    shape: Sequence[int], size_um: Sequence[float] | None, steps: Sequence[float] | None
) -> ImagePictures:
    """What is said of a volume beside what is said of images."""
    if steps is None:
        return cast(ImagePictures, {})
    um3 = float(np.prod(size_um)) if size_um else None
    return cast(ImagePictures, {"um3_per_px": um3, "shown_px": shown_px(shape, steps)})


def _most_wrong(image: str | Path, prediction: str | Path) -> list[int] | None:
    """The middle [px] of the square of `CROP_PX` with the most wrong pixels, at a glance.

    Wrong is ground where an object is annotated, and an object where ground is; None where nothing
    is wrong.
    """
    level = _level_at_a_glance(image, prediction)
    truth, ignore = (
        np.asarray(read_array(image, of_labels(name, level))[...]) for name in (TRUTH, IGNORE)
    )
    predicted = np.asarray(read_array(prediction, of_labels(INSTANCES, level))[...])
    wrong = ((truth != 0) != (predicted != 0)) & (ignore == 0)
    if not wrong.any():
        return None
    factors, side = _factors_at(prediction, level), side_px(CROP_PX, wrong.ndim)
    window = [max(1, side // factor) for factor in factors]
    around = ndimage.uniform_filter(wrong.astype(np.float32), window, mode="constant")
    place = np.unravel_index(int(around.argmax()), around.shape)
    return [int(at) * factor for at, factor in zip(place, factors, strict=True)]


def _kinds_in_crop(
    image: str | Path, prediction: str | Path, judged: _Judged, region: Region, name: str
) -> KindsInCrop:
    truth, predicted = (
        {
            str(number): of[number]
            for number in np.unique(labels).tolist()
            if of.get(number, "found") != "found"
        }
        for labels, of in (
            (_labels(image, TRUTH, region), judged.truth),
            (_labels(prediction, INSTANCES, region), judged.predicted),
        )
    )
    return {"of_class": name, "truth": truth, "predicted": predicted}


def _labels(store: str | Path, name: str, region: Region) -> np.ndarray:
    return np.asarray(read_array(store, of_labels(name))[tuple(region)])
