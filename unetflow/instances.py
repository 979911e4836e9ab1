"""From foreground to instances: threshold, label, clean."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    threshold: float | None,
    labelling: Mapping[str, Any],
    code: str,
) -> None:
    """Rule instances: `labels/instances` beside the foreground, at the calibrated threshold.

    `threshold` None takes the one that the validation images chose; `labelling` are the other
    options of `label_instances`.
    """
    record = RunRecord(receipt)
    if threshold is None:
        threshold = read_receipt(calibration)["instances"]["threshold"]
    content = read_receipt(foreground_receipt)
    write_labels(store, "instances", *spatial_scale(store))
    array = open_array(
        store,
        "labels/instances/0",
        Layout(tuple(content["shape"][1:]), "uint32", ("y", "x")),
        decided_by={
            "foreground": content["digest"],
            "parameters": {"threshold": threshold, **labelling},
            "code": code,
        },
    )
    if missing := array.missing():
        labels = label_instances(read_foreground(store)[0], threshold=threshold, **labelling)
        for index in missing:
            array.write(index, labels[array.region(index)])
    count = int(np.max([array.array[array.region(index)].max() for index in array.shards()]))
    log.info("%s: %d instances at threshold %s", store, count, threshold)
    write_receipt(
        receipt,
        {
            "shape": array.array.shape,
            "digest": array.content_digest(),
            "instances": count,
            "threshold": threshold,
        },
    )
    record.write()
