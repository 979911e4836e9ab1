"""From foreground to instances: threshold, label, clean, take clumps apart."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from unetflow.arrays import StoredArray
from unetflow.clumps import find_parts, split_labels
from unetflow.errors import StoreError
from unetflow.labelling import Objects, find_objects
from unetflow.labels import UINT32_MAX
from unetflow.objects import write_objects
from unetflow.ome import spatial_scale, write_labels
from unetflow.pieces import Labelling, Sums
from unetflow.pyramid import every_second, level_shapes, write_coarser
from unetflow.receipts import RunRecord, read_receipt, write_receipt
from unetflow.stores import (
    Index,
    Layout,
    ShardedArray,
    as_probability,
    clear,
    open_array,
    read_array,
)
from unetflow.tiles import Region

if TYPE_CHECKING:
    import dask.array as da

log = logging.getLogger(__name__)

UNSPLIT = "unsplit"  # array of a store, there until the clumps are taken apart


def label_instances(
    foreground: np.ndarray,
    *,
    threshold: float = 0.5,
    min_area_px: int = 0,
    fill_holes: bool = False,
    connectivity: int = 1,
    split_px: float | None = None,
) -> np.ndarray:
    """Number the connected pieces of foreground > threshold: uint32 (Y, X), 0 background.

        0.9 0.8 0.1 0.7        1 1 0 2
        0.9 0.2 0.1 0.6   ->   1 0 0 2        at threshold 0.5

    Any number of axes. `connectivity` 1 joins pixels by their edges, as many axes as there are
    also by their corners. Holes (background that does not reach the border, by edges) are filled
    before, pieces under `min_area_px` removed after. Then clumps are taken apart where they are
    `split_px` thinner than on both sides (`unetflow.clumps`). Numbers are consecutive in scanning
    order.
    """
    mask = foreground.astype(np.float64) > threshold  # as the metrics binarise
    if fill_holes:
        mask = ndimage.binary_fill_holes(mask)
    structure = ndimage.generate_binary_structure(mask.ndim, connectivity)
    labels, count = ndimage.label(mask, structure, output=np.int64)
    if min_area_px > 1:
        areas_px = np.bincount(labels.ravel(), minlength=count + 1)
        keep = areas_px >= min_area_px
        keep[0] = False
        labels = np.where(keep, np.cumsum(keep), 0)[labels]
        count = int(keep.sum())
    if split_px is not None:
        labels = split_labels(labels, split_px, connectivity)
        count = int(labels.max(initial=0))
    if count > UINT32_MAX:
        raise StoreError(f"{count} instances do not fit uint32: raise min_area_px")
    return labels.astype(np.uint32)


def write_instances(
    *,
    store: str | Path,
    foreground_receipt: str | Path,
    calibration: str | Path,
    receipt: str | Path,
    table: str | Path,
    classes: Sequence[str],
    threshold: float | None,
    labelling: Mapping[str, Any],
    threads: int,
    code: str,
) -> None:
    """Rule instances: `labels/instances` beside the foreground, and a table of the objects.

    `threshold` None takes those that the validation images chose, one per class; `labelling` are
    the other options of `label_instances`. As `label_store`.
    """
    record = RunRecord(receipt)
    for written in (Path(table), Path(table).with_suffix(".csv")):
        written.unlink(missing_ok=True)
    calibrated = read_receipt(calibration)["instances"]
    thresholds = [
        calibrated[name]["threshold"] if threshold is None else threshold for name in classes
    ]
    content = read_receipt(foreground_receipt)
    array, made = label_store(
        store,
        dict(zip(classes, thresholds, strict=True)),
        labelling,
        table=table,
        threads=threads,
        decided_by={"foreground": content["digest"], "code": code},
    )
    write_receipt(
        receipt,
        {
            "shape": array.array.shape,
            "digest": array.content_digest(),
            "instances": sum(of["instances"] for of in made.values()),
            "classes": made,
        },
    )
    record.write(threads=threads)


def label_store(
    store: str | Path,
    thresholds: Mapping[str, float],
    labelling: Mapping[str, Any],
    *,
    table: str | Path,
    threads: int,
    decided_by: Mapping[str, Any],
) -> tuple[ShardedArray, dict[str, dict[str, Any]]]:
    """Array `labels/instances` of a store with a foreground, and what is said of each class.

    `thresholds` are by class. Of several classes a pixel belongs to the one with the highest
    foreground; the ids of each class are consecutive, class after class. Images of any size are
    labelled block by block, to the same numbers. The table is written as Parquet, to the path
    `table`, and as CSV beside it; its columns are `unetflow.objects.COLUMNS`.
    """
    foreground = read_array(store, "foreground")
    scale, unit = spatial_scale(store)
    layout = Layout(foreground.shape[1:], "uint32", ("y", "x"))
    levels = len(level_shapes(layout.shape))
    write_labels(store, "instances", scale, unit, levels=levels)
    decided_by = {**decided_by, "parameters": {"thresholds": dict(thresholds), **labelling}}
    array = open_array(store, "labels/instances/0", layout, decided_by=decided_by)
    masks = _Masks(foreground, list(thresholds.values()))
    simply = {name: value for name, value in labelling.items() if name != "split_px"}
    found = [
        find_objects(
            partial(masks.read, number), layout.shape, layout.shards, Labelling(**simply), threads
        )
        for number in range(len(thresholds))
    ]
    sums = [objects.sums for objects in found]
    made = _described(thresholds, sums)
    draw = partial(_draw, masks, found, made)
    split_px = labelling.get("split_px")
    if split_px is not None:
        whole = open_array(store, UNSPLIT, layout, decided_by=decided_by)
        _write(whole, lambda index: draw(index, whole.region(index)), threads)
        parts = find_parts(
            *(whole.array, foreground, sums, layout.shards),
            *(split_px, labelling["connectivity"], threads),
        )
        sums = parts.sums
        made = _described(thresholds, sums)
        _write(array, parts.draw, threads)
    else:
        _write(array, lambda index: draw(index, array.region(index)), threads)
    clear(Path(store) / UNSPLIT)
    write_coarser(
        store,
        array,
        [f"labels/instances/{k}" for k in range(1, levels)],
        every_second,
        axes=layout.axes,
        decided_by=decided_by,
        threads=threads,
    )
    highest = 255 if foreground.dtype == np.uint8 else 1
    rows = [(name, of["first_id"], own) for (name, of), own in zip(made.items(), sums, strict=True)]
    write_objects(table, rows, scale, unit, highest=highest)
    log.info("%s: %s", store, made)
    return array, made


def instances_of_class(labels: "da.Array", made: Mapping[str, int]) -> "da.Array":
    """Stored instances of one class, by what the receipt says of it: its ids are consecutive."""
    first = made["first_id"]
    return labels * ((labels >= first) & (labels < first + made["instances"]))


class _Masks:
    """Which pixels of a stored foreground (K, Y, X) are above the thresholds, region by region."""

    def __init__(self, foreground: StoredArray, thresholds: Sequence[float]) -> None:
        self._foreground, self._thresholds = foreground, thresholds
        # of each stored byte, whether it is above; other types are compared one by one
        bytes_ = as_probability(np.arange(256, dtype=np.uint8)).astype(np.float64)
        self._above = [bytes_ > threshold for threshold in thresholds]

    def read(self, number: int, region: Region) -> tuple[np.ndarray, np.ndarray]:
        """Mask (Y, X) of a class, and its foreground as it is stored."""
        masks, stored_KYX = self.of_all(region)
        return masks[number], stored_KYX[number]

    def of_all(self, region: Region) -> tuple[list[np.ndarray], np.ndarray]:
        """Masks of all classes, which exclude one another, and the foreground as it is stored."""
        stored_KYX = np.asarray(self._foreground[(slice(None), *region)])
        if stored_KYX.dtype == np.uint8:
            above = [table[plane] for table, plane in zip(self._above, stored_KYX, strict=True)]
        else:
            above = [
                plane.astype(np.float64) > threshold  # as the metrics binarise
                for plane, threshold in zip(stored_KYX, self._thresholds, strict=True)
            ]
        if len(above) > 1:
            highest_YX = stored_KYX.argmax(axis=0)
            above = [mask_YX & (highest_YX == k) for k, mask_YX in enumerate(above)]
        return above, stored_KYX


def _described(thresholds: Mapping[str, float], sums: Sequence[Sums]) -> dict[str, dict[str, Any]]:
    """Of each class: its threshold, how many instances, and the first id."""
    made, first = {}, 1
    for (name, threshold), own in zip(thresholds.items(), sums, strict=True):
        count = len(own.first)
        made[name] = {"threshold": threshold, "instances": count, "first_id": first}
        first += count
    if first - 1 > UINT32_MAX:
        raise StoreError(f"{first - 1} instances do not fit uint32: raise min_area_px")
    return made


def _write(array: ShardedArray, draw: Callable[[Index], np.ndarray], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda index: array.write(index, draw(index)), array.missing()))


def _draw(
    masks: _Masks,
    found: Sequence[Objects],
    made: Mapping[str, Mapping[str, Any]],
    index: Index,
    region: Region,
) -> np.ndarray:
    """Ids of the objects of all classes in a block."""
    above, _ = masks.of_all(region)
    labels_YX = np.zeros(above[0].shape, np.uint32)
    for mask_YX, objects, of in zip(above, found, made.values(), strict=True):
        drawn_YX = objects.draw(index, mask_YX)
        # a hole that was filled may hold an object of another class
        kept_YX = (drawn_YX != 0) & (mask_YX | ~np.any(above, axis=0))
        labels_YX[kept_YX] = drawn_YX[kept_YX] + np.uint32(of["first_id"] - 1)
    return labels_YX
