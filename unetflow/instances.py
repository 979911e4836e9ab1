"""From foreground to instances: threshold, label, clean."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from scipy import ndimage

from unetflow.errors import StoreError
from unetflow.labels import UINT32_MAX
from unetflow.ome import spatial_scale, write_labels
from unetflow.receipts import RunRecord, read_receipt, write_receipt
from unetflow.stores import Layout, open_array, read_foreground

log = logging.getLogger(__name__)


def label_instances(
    foreground: np.ndarray,
    *,
    threshold: float = 0.5,
    min_area_px: int = 0,
    fill_holes: bool = False,
    connectivity: int = 1,
) -> np.ndarray:
    """Number the connected pieces of foreground > threshold: uint32 (Y, X), 0 background.

        0.9 0.8 0.1 0.7        1 1 0 2
        0.9 0.2 0.1 0.6   ->   1 0 0 2        at threshold 0.5

    Any number of axes. `connectivity` 1 joins pixels by their edges, as many axes as there are
    also by their corners. Holes (background that does not reach the border, by edges) are filled
    before, pieces under `min_area_px` removed after. Numbers are consecutive in scanning order.
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
    if count > UINT32_MAX:
        raise StoreError(f"{count} instances do not fit uint32: raise min_area_px")
    return labels.astype(np.uint32)


def write_instances(
    *,
    store: str | Path,
    foreground_receipt: str | Path,
    calibration: str | Path,
    receipt: str | Path,
    classes: Sequence[str],
    threshold: float | None,
    labelling: Mapping[str, Any],
    code: str,
) -> None:
    """Rule instances: `labels/instances` beside the foreground, at the calibrated thresholds.

    `threshold` None takes those that the validation images chose, one per class; `labelling` are
    the other options of `label_instances`. Of several classes a pixel belongs to the one with the
    highest foreground; the ids of each class are consecutive, class after class.
    """
    record = RunRecord(receipt)
    calibrated = read_receipt(calibration)["instances"]
    thresholds = [
        calibrated[name]["threshold"] if threshold is None else threshold for name in classes
    ]
    content = read_receipt(foreground_receipt)
    write_labels(store, "instances", *spatial_scale(store))
    array = open_array(
        store,
        "labels/instances/0",
        Layout(tuple(content["shape"][1:]), "uint32", ("y", "x")),
        decided_by={
            "foreground": content["digest"],
            "parameters": {"thresholds": thresholds, **labelling},
            "code": code,
        },
    )
    if missing := array.missing():
        labels, counts = _label_classes(read_foreground(store), thresholds, labelling)
        array.array.attrs["counts"] = counts
        for index in missing:
            array.write(index, labels[array.region(index)])
    counts = list(array.array.attrs["counts"])
    firsts = [1 + sum(counts[:k]) for k in range(len(counts))]
    made = {
        name: {"threshold": at, "instances": count, "first_id": first}
        for name, at, count, first in zip(classes, thresholds, counts, firsts, strict=True)
    }
    log.info("%s: %s", store, made)
    write_receipt(
        receipt,
        {
            "shape": array.array.shape,
            "digest": array.content_digest(),
            "instances": sum(counts),
            "classes": made,
        },
    )
    record.write()


def instances_of_class(labels: da.Array, made: Mapping[str, int]) -> da.Array:
    """Stored instances of one class, by what the receipt says of it: its ids are consecutive."""
    first = made["first_id"]
    return da.where((labels >= first) & (labels < first + made["instances"]), labels, 0)


def _label_classes(
    foreground_KYX: np.ndarray, thresholds: Sequence[float], labelling: Mapping[str, Any]
) -> tuple[np.ndarray, list[int]]:
    """Instances of all classes (Y, X), and the number of each class."""
    labels_YX = np.zeros(foreground_KYX.shape[1:], np.uint32)
    highest_YX = foreground_KYX.argmax(axis=0)
    at_YX = np.asarray(thresholds)[highest_YX]
    any_YX = foreground_KYX.max(axis=0).astype(np.float64) > at_YX
    counts: list[int] = []
    for number, (plane_YX, threshold) in enumerate(zip(foreground_KYX, thresholds, strict=True)):
        mine_YX = highest_YX == number
        found_YX = label_instances(np.where(mine_YX, plane_YX, 0), threshold=threshold, **labelling)
        kept_YX = (found_YX != 0) & (
            mine_YX | ~any_YX
        )  # a hole may hold an object of another class
        labels_YX[kept_YX] = found_YX[kept_YX] + np.uint32(sum(counts))
        counts.append(int(found_YX.max(initial=0)))
    return labels_YX, counts
