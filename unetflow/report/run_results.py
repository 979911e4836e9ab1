"""What a results folder holds, read for the report."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from unetflow.errors import StoreError
from unetflow.labels.annotation import Annotation, read_class_lazily
from unetflow.networks import geometry_of
from unetflow.provenance.receipts import read_receipt, receipts_of_images
from unetflow.provenance.records import record_of
from unetflow.report.run_history import Record, read_record
from unetflow.report.seam_audit import Seams, audit_seams
from unetflow.store.foreground import read_foreground
from unetflow.store.instances import instances_of_class
from unetflow.store.ome import pixel_size
from unetflow.store.shards import read_array, read_lazily

SCORES = "evaluation/metrics.csv"
STACKS = "evaluation/stacks.csv"
INTEGRITY = "integrity.csv"
WEIGHTS = "weights/{weighting}"
STATISTICS = "statistics/{experiment}/fold{fold}.json"
MODEL = "models/{experiment}/fold{fold}/model.json"
PATCHES = "models/{experiment}/fold{fold}/patches.npz"
HISTORY = "models/{experiment}/fold{fold}/training.csv"
CALIBRATION = "calibration/{experiment}/fold{fold}.json"
IMAGE = "images/{image}.ome.zarr"
PREDICTION = "predictions/{experiment}/fold{fold}/{image}.ome.zarr"
FOREGROUNDS = "predictions/{experiment}/fold{fold}/foreground"  # folders of receipts
INSTANCES = "predictions/{experiment}/fold{fold}/instances"
TRUTHS = "truth"
SEARCH_PX = 2048  # side of the part of a weight map that a figure is looked for in
PARTS = 20  # of a training curve without validation


@dataclass(frozen=True, slots=True)
class Run:
    """One experiment and fold, and what its stages left behind."""

    results: Path
    experiment: str
    fold: str
    scores: pd.DataFrame  # its rows of the table of scores
    model: Record
    calibration: Record
    history: pd.DataFrame  # a row per training step
    training: Record  # run record; empty where none was kept, as the next
    prediction: Record

    @property
    def name(self) -> str:
        return f"{self.experiment}, fold {self.fold}"

    def path(self, pattern: str, **names: str) -> Path:
        """A path of this run."""
        return self.results / pattern.format(experiment=self.experiment, fold=self.fold, **names)

    @property
    def classes(self) -> list[str]:
        return list(self.model["classes"])

    def instances(self, image: str, name: str) -> Record:
        """What the receipt of an image says of its stored instances of a class."""
        folder = self.path(INSTANCES)
        found = receipts_of_images(folder, f"{image}.json")
        made: Record = read_receipt(found[0] if found else folder / f"{image}.json")
        return made["classes"][name]

    def instance_threshold(self, image: str, name: str) -> float:
        """The threshold at which the stored instances of a class in an image were made."""
        return float(self.instances(image, name)["threshold"])

    def instance_thresholds(self) -> dict[str, dict[float, str]]:
        """By class those of all images with scores of stored instances, and who chose each."""
        stored = self.scores[self.scores["chosen"] == "instances"]
        found: dict[str, dict[float, str]] = {}
        for name in self.classes:
            calibrated = self.calibration["instances"][name]
            by_validation = "no validation images"
            if calibrated["by"] != "default":
                by_validation = f"validation, by {calibrated['by'].upper().replace('_', ' ')}"
            images = stored["image"].unique()
            found[name] = {
                threshold: by_validation if threshold == calibrated["threshold"] else "config"
                for threshold in sorted({self.instance_threshold(image, name) for image in images})
            }
        return found


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of an image with all that is known of it; shapes (C, Y, X) and (Y, X)."""

    size_px: tuple[int, int]  # of the whole image
    start_px: tuple[int, int]  # (row, column) of the crop
    um_per_px: float | None
    image_CYX: np.ndarray
    truth_YX: np.ndarray
    ignore_YX: np.ndarray
    foreground_YX: np.ndarray
    instances_YX: np.ndarray


def read_crop(run: Run, image: str, name: str, *, most_px: int) -> Crop:
    """The central crop of at most `most_px` along each axis, of one class; nothing else is read."""
    store, prediction = run.path(IMAGE, image=image), run.path(PREDICTION, image=image)
    pixels = read_array(store, "0")
    height_px, width_px = pixels.shape[1:]
    top, left = max(0, (height_px - most_px) // 2), max(0, (width_px - most_px) // 2)
    crop = (slice(top, top + most_px), slice(left, left + most_px))
    size_um = pixel_size(store).um
    number = run.classes.index(name) + 1
    truth, _ = read_class_lazily(store, run.model["truth"], len(run.classes), number)
    labels = read_lazily(prediction, "labels/instances/0")
    instances = instances_of_class(labels, run.instances(image, name))
    return Crop(
        size_px=(height_px, width_px),
        start_px=(top, left),
        um_per_px=size_um[-1] if size_um else None,
        image_CYX=np.asarray(pixels[(slice(None), *crop)]),
        truth_YX=truth[crop].compute(),
        ignore_YX=np.asarray(read_array(store, "labels/ignore/0")[crop]),
        foreground_YX=read_foreground(prediction, (number - 1, *crop)),
        instances_YX=instances[crop].compute(),
    )


def read_seams(run: Run, image: str) -> Seams | None:
    """The audit of the borders of tiles in an image's foreground; None where it is one tile."""
    foreground = read_array(run.path(PREDICTION, image=image), "foreground")
    step_px = foreground.attrs["unetflow"]["chosen"]["write_px"]
    return audit_seams(foreground, step_px, max(geometry_of(**run.model["network"]).step_px))


@dataclass(frozen=True, slots=True)
class WeightCrop:
    """A part of a training image with its weight map; shapes (C, Y, X) and (Y, X)."""

    image: str
    image_CYX: np.ndarray
    truth_YX: np.ndarray
    weight_YX: np.ndarray  # class balance and separation term, 0 on ignored pixels


def read_weight_crop(run: Run, weighting: str, *, most_px: int) -> WeightCrop | None:
    """The surroundings of the largest separation term in the first weight map of this weighting.

    Looked for in the first `SEARCH_PX` of the image; None where no map was kept.
    """
    stores = sorted((run.results / WEIGHTS.format(weighting=weighting)).glob("*.zarr"))
    if not stores:
        return None
    term = read_array(stores[0], "")
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
    image = run.path(IMAGE, image=stores[0].stem)
    truth = Annotation(image, run.model["truth"], len(run.classes))
    class_weights = np.asarray(read_receipt(run.path(STATISTICS))["class_weights"])
    weight_YX = class_weights[truth.target(crop)] + np.asarray(term[crop])
    weight_YX[np.asarray(truth.ignore[crop]) != 0] = 0
    pixels = np.asarray(read_array(image, "0")[(slice(None), *crop)])
    return WeightCrop(stores[0].stem, pixels, np.asarray(truth.labels[crop]), weight_YX)


def read_patches(run: Run) -> dict[str, np.ndarray]:
    """The first patches of the training: image (N, C, H, W), target and weight (N, H, W)."""
    try:
        with np.load(run.path(PATCHES)) as archive:
            return {name: archive[name] for name in ("image", "target", "weight")}
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(
            f"{run.path(PATCHES)}: not readable ({error}). Delete it and run the same command "
            "again: training goes on from its checkpoint."
        ) from error


def open_run(results: Path, experiment: str, fold: str, scores: pd.DataFrame) -> Run:
    """Read the receipts of one experiment and fold. Raises StoreError for one that is missing."""
    names = {"experiment": experiment, "fold": fold}
    model = results / MODEL.format(**names)
    mine = scores[(scores["experiment"] == experiment) & (scores["fold"] == fold)]
    image = mine["image"].iloc[0] if len(mine) else ""
    predicted = receipts_of_images(results / FOREGROUNDS.format(**names), f"{image}.json")
    return Run(
        results=results,
        experiment=experiment,
        fold=fold,
        scores=mine,
        model=read_receipt(model),
        calibration=read_receipt(results / CALIBRATION.format(**names)),
        history=_read_history(results / HISTORY.format(**names)),
        training=read_record(record_of(model)),
        prediction=read_record(record_of(predicted[0])) if predicted else {},
    )


def training_curve(history: pd.DataFrame) -> pd.DataFrame:
    """A row per validation: the mean of the loss since the last one, and what was measured.

    Without validation `PARTS` rows of equal numbers of steps.
    """
    measured = history["validation_loss"].notna()
    last = len(history) - 1
    if measured.any():
        ends = np.flatnonzero(measured)
    else:
        ends = np.unique(np.linspace(0, last, min(PARTS, len(history)) + 1)[1:].round().astype(int))
    ends = np.union1d(ends, last)
    part = np.searchsorted(ends, np.arange(len(history)))
    curve = history.iloc[ends][["step", "elapsed_s"]].reset_index(drop=True)
    curve["loss"] = history["loss"].groupby(part).mean().to_numpy()
    if measured.any():
        for column in ("validation_loss", "validation_iou"):
            curve[column] = history[column].to_numpy()[ends]
    return curve


def truth_warnings(results: Path, images: Iterable[str]) -> list[str]:
    """What the truths of these images warned of."""
    wanted = set(images)
    return [
        f"Truth of {path.stem}: {warning}."
        for path in receipts_of_images(results / TRUTHS, "*.json")
        if path.stem in wanted
        for warning in read_receipt(path).get("warnings", [])
    ]


def _read_history(path: Path) -> pd.DataFrame:
    try:
        history = pd.read_csv(path)
        history[["step", "loss", "elapsed_s", "validation_loss", "validation_iou"]]  # must be there
        return history
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(
            f"{path}: not a readable history of training ({error}). Delete it and run the same "
            "command again: training goes on from its checkpoint."
        ) from error
