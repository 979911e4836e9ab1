"""Parts of images that the report shows; nothing else of an image is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from unetflow.labels.annotation import Annotation, read_class_lazily
from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.schemas import StatisticsReceipt
from unetflow.provenance.shard_lists import Stored, unchanged
from unetflow.report.pictures import ImagePictures, crop_region
from unetflow.report.run_results import Run, stored_instances
from unetflow.report.seam_audit import Seams, audit_seams
from unetflow.store.arrays import read_array, read_lazily
from unetflow.store.foreground import read_foreground
from unetflow.store.instances import instances_of_class
from unetflow.store.names import FOREGROUND, IGNORE, INSTANCES, of_labels
from unetflow.store.ome import pixel_size

SEARCH_PX = 2048  # side of the part of a weight map that a figure is looked for in


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of an image with all that is known of it; shapes (C, Y, X) and (Y, X)."""

    size_px: tuple[int, int]  # of the whole image
    start_px: tuple[int, int]  # (row, column) of the crop
    um_per_px: float | None
    threshold: float  # of the stored instances
    image_CYX: np.ndarray
    truth_YX: np.ndarray
    ignore_YX: np.ndarray
    foreground_YX: np.ndarray
    instances_YX: np.ndarray


def read_crop(run: Run, image: str, name: str, found: ImagePictures | None = None) -> Crop:
    """The `crop_region` of an image, of one class.

    Raises StoreError where a store is not what its receipts tell of.
    """
    files = run.files["images"][image]
    of_image = (Stored(files["store"], receipt) for receipt in (files["pixels"], files["truth"]))
    receipts = files["scored"], files["instances"]
    of_prediction = (Stored(files["prediction"], receipt) for receipt in receipts)
    with unchanged(*of_image, *of_prediction):
        return _crop(run, image, name, found)


def _crop(run: Run, image: str, name: str, found: ImagePictures | None) -> Crop:
    files = run.files["images"][image]
    store, prediction = files["store"], files["prediction"]
    pixels = read_array(store, "0")
    crop = crop_region(
        pixels.shape[1:], found["worst"] if found else (), found and found["worst_px"], name
    )
    size_um = pixel_size(store).um
    number = run.classes.index(name) + 1
    truth, _ = read_class_lazily(store, run.model["truth"], len(run.classes), number)
    made = stored_instances(run.files, image, name)
    labels = read_lazily(prediction, of_labels(INSTANCES))
    ids = {"first_id": made["first_id"], "instances": made["instances"]}
    instances = instances_of_class(labels, ids)
    return Crop(
        size_px=(pixels.shape[1], pixels.shape[2]),
        start_px=(crop[0].start, crop[1].start),
        um_per_px=size_um[-1] if size_um else None,
        threshold=float(made["threshold"]),
        image_CYX=np.asarray(pixels[(slice(None), *crop)]),
        truth_YX=truth[crop].compute(),
        ignore_YX=np.asarray(read_array(store, of_labels(IGNORE))[crop]),
        foreground_YX=read_foreground(prediction, (number - 1, *crop), array=run.files["scored"]),
        instances_YX=instances[crop].compute(),
    )


def read_seams(run: Run, image: str) -> Seams | None:
    """The audit of the borders of tiles in an image's foreground; None where it is one tile."""
    files = run.files["images"][image]
    with unchanged(Stored(files["prediction"], files["foreground"], [FOREGROUND])):
        foreground = read_array(files["prediction"], FOREGROUND)
        write_px = foreground.attrs["unetflow"]["chosen"]["write_px"]
        return audit_seams(foreground, write_px, run.files["step_px"])


@dataclass(frozen=True, slots=True)
class WeightCrop:
    """A part of a training image with its weight map; shapes (C, Y, X) and (Y, X)."""

    image: str
    image_CYX: np.ndarray
    truth_YX: np.ndarray
    weight_YX: np.ndarray  # class balance and separation term, 0 on ignored pixels


def read_weight_crop(run: Run, *, most_px: int) -> WeightCrop | None:
    """The surroundings of the largest separation term in the weight map that was handed in.

    Looked for in the first `SEARCH_PX` of the image; None without a weighting, and where the map
    was not kept.
    """
    files = run.files["weights"]
    if files is None or not Path(files["map"]).exists():
        return None
    term = read_array(files["map"], "")
    part = np.asarray(term[:SEARCH_PX, :SEARCH_PX])
    peak = np.unravel_index(int(part.argmax()), part.shape)
    starts = (
        max(0, min(int(at) - most_px // 2, size - most_px))
        for at, size in zip(peak, term.shape, strict=True)
    )
    crop = tuple(
        slice(start, min(start + most_px, size))
        for start, size in zip(starts, term.shape, strict=True)
    )
    truth = Annotation(files["store"], run.model["truth"], len(run.classes))
    statistics = cast(StatisticsReceipt, read_receipt(run.files["statistics"]))
    weight_YX = np.asarray(statistics["class_weights"])[truth.target(crop)] + np.asarray(term[crop])
    weight_YX[np.asarray(truth.ignore[crop]) != 0] = 0
    pixels = np.asarray(read_array(files["store"], "0")[(slice(None), *crop)])
    return WeightCrop(files["image"], pixels, np.asarray(truth.labels[crop]), weight_YX)
