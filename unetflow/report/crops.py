"""Parts of images that the report shows; nothing else of an image is read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from unetflow.labels.annotation import Annotation, read_class_lazily
from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.schemas import StatisticsReceipt
from unetflow.provenance.shard_lists import Stored, unchanged
from unetflow.report.figures.views import shown
from unetflow.report.pictures import ImagePictures, crop_middle, crop_region
from unetflow.report.run_results import Run, stored_instances
from unetflow.report.seam_audit import Seams, audit_seams
from unetflow.store.arrays import read_array, read_lazily
from unetflow.store.foreground import read_foreground
from unetflow.store.instances import instances_of_class
from unetflow.store.names import FOREGROUND, IGNORE, INSTANCES, of_labels
from unetflow.store.ome import pixel_size, steps_of
from unetflow.tiles.regions import Region

SEARCH_PX = 2048  # side of the part of a weight map that a figure is looked for in
VOLUME_PX = 256  # the same of a volume


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of an image with all that is known of it; shapes (C, Y, X) and (Y, X).

    Of a volume three views of it: `unetflow.report.figures.views`.
    """

    size_px: tuple[int, ...]  # of the whole image
    start_px: tuple[int, ...]  # (row, column) of the crop; of a volume from the plane on
    at_px: tuple[int, ...]  # the pixel in the middle, through which planes of a volume are shown
    um_per_px: float | None
    threshold: float  # of the stored instances
    image_CYX: np.ndarray
    truth_YX: np.ndarray
    interior_YX: np.ndarray  # what the network is asked for, bool: touching objects separated
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
    shape_px = pixels.shape[1:]
    steps = steps_of(store, len(shape_px))
    wrong = found["worst"] if found else (), found and found["worst_px"], name
    middle, crop = crop_middle(shape_px, *wrong), crop_region(shape_px, *wrong, steps)

    def view(read: Callable[[Region], np.ndarray]) -> np.ndarray:
        return shown(read, crop, middle, steps)

    size_um = pixel_size(store).um
    number = run.classes.index(name) + 1
    truth, interior = read_class_lazily(store, run.model["truth"], len(run.classes), number)
    made = stored_instances(run.files, image, name)
    labels = read_lazily(prediction, of_labels(INSTANCES))
    ids = {"first_id": made["first_id"], "instances": made["instances"]}
    instances = instances_of_class(labels, ids)
    ignore = read_array(store, of_labels(IGNORE))
    scored = run.files["scored"]
    return Crop(
        size_px=shape_px,
        start_px=tuple(part.start for part in crop),
        at_px=tuple(middle),
        um_per_px=size_um[-1] if size_um else None,
        threshold=float(made["threshold"]),
        image_CYX=view(lambda part: np.asarray(pixels[(slice(None), *part)])),
        truth_YX=view(lambda part: np.asarray(truth[part].compute())),
        interior_YX=view(lambda part: np.asarray(interior[part].compute())),
        ignore_YX=view(lambda part: np.asarray(ignore[part])),
        foreground_YX=view(
            lambda part: read_foreground(prediction, (number - 1, *part), array=scored)
        ),
        instances_YX=view(lambda part: np.asarray(instances[part].compute())),
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
    steps = steps_of(files["store"], term.ndim)
    search = VOLUME_PX if steps else SEARCH_PX
    part = np.asarray(term[tuple(slice(0, search) for _ in term.shape)])
    peak = np.unravel_index(int(part.argmax()), part.shape)
    starts = (
        max(0, min(int(at) - most_px // 2, size - most_px))
        for at, size in zip(peak, term.shape, strict=True)
    )
    crop = tuple(
        slice(start, min(start + most_px, size))
        for start, size in zip(starts, term.shape, strict=True)
    )
    at = [int(along) for along in peak]
    truth = Annotation(files["store"], run.model["truth"], len(run.classes))
    statistics = cast(StatisticsReceipt, read_receipt(run.files["statistics"]))
    of_class = np.asarray(statistics["class_weights"])
    if not run.model["recipe"]["class_balance"]:
        of_class = np.ones_like(of_class)
    pixels = read_array(files["store"], "0")

    def weight(part: Region) -> np.ndarray:
        found = of_class[truth.target(part)] + np.asarray(term[part])
        found[np.asarray(truth.ignore[part]) != 0] = 0
        return np.asarray(found)

    return WeightCrop(
        files["image"],
        shown(lambda part: np.asarray(pixels[(slice(None), *part)]), crop, at, steps),
        shown(lambda part: np.asarray(truth.labels[part]), crop, at, steps),
        shown(weight, crop, at, steps),
    )
