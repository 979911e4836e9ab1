"""One experiment and fold: its scores, and what its stages left behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from unetflow.errors import StoreError
from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.schemas import (
    OF_MODEL,
    Calibration,
    InstancesOfClass,
    InstancesReceipt,
    ModelReceipt,
    RunRecordContent,
    TruthReceipt,
)
from unetflow.report.handed import RunFiles
from unetflow.report.run_history import read_record
from unetflow.report.score_lines import UNCHOSEN, Line, called, summarise

Thresholds = dict[str, dict[float, str]]
"""By class the thresholds of stored instances, and who chose each."""


@dataclass(frozen=True, slots=True)
class Run:
    """One experiment and fold, judged by its test images."""

    files: RunFiles
    scores: pd.DataFrame  # its rows of the table of scores
    model: ModelReceipt
    thresholds: Thresholds  # of the images with scores of stored instances
    lines: list[Line]
    history: pd.DataFrame  # a row per training step
    training: RunRecordContent  # empty where none was kept, as the next
    prediction: RunRecordContent  # of one test image

    @property
    def experiment(self) -> str:
        return self.files["experiment"]

    @property
    def name(self) -> str:
        return f"{self.experiment}, fold {self.files['fold']}"

    @property
    def is_trained(self) -> bool:
        """Whether its network was trained here; else it is a finished model."""
        return not self.history.empty

    @property
    def classes(self) -> list[str]:
        return self.model["classes"]

    @property
    def of_network(self) -> pd.DataFrame:
        """Its scores without those of the baseline."""
        return self.scores[self.scores["method"] == "network"]


def open_run(files: RunFiles, scores: pd.DataFrame) -> Run:
    """Read what one run left. `scores` is the table of all runs.

    Raises StoreError for what is missing or broken.
    """
    mine = scores["experiment"].eq(files["experiment"]) & scores["fold"].eq(files["fold"])
    model = cast(ModelReceipt, read_receipt(files["model"]))
    thresholds = _thresholds(files, scores[mine], model["classes"])
    foreground = files["foreground"]
    return Run(
        files=files,
        scores=scores[mine],
        model=model,
        thresholds=thresholds,
        lines=summarise(scores[mine], thresholds),
        history=_read_history(Path(files["history"])),
        training=read_record(files["model"]),
        prediction=read_record(foreground) if foreground else {},
    )


def lines_by_experiment(runs: Sequence[Run]) -> dict[str, list[Line]]:
    """Scores over the test images of all folds of each experiment."""
    of_experiment: dict[str, list[Run]] = {}
    for run in runs:
        of_experiment.setdefault(run.experiment, []).append(run)
    return {name: _lines_of_folds(folds) for name, folds in of_experiment.items()}


def _lines_of_folds(folds: Sequence[Run]) -> list[Line]:
    thresholds: Thresholds = {}
    for run in folds:
        for name, of_class in run.thresholds.items():
            thresholds.setdefault(name, {}).update(of_class)
    return summarise(pd.concat([run.scores for run in folds]), thresholds)


def stored_instances(files: RunFiles, image: str, name: str) -> InstancesOfClass:
    """What the receipt of an image says of its stored instances of a class."""
    made = cast(InstancesReceipt, read_receipt(files["images"][image]["instances"]))
    return made["classes"][name]


def _thresholds(files: RunFiles, scores: pd.DataFrame, classes: Sequence[str]) -> Thresholds:
    calibration = cast(Calibration, read_receipt(files["calibration"]))
    images = scores["image"][scores["chosen"] == "instances"].unique()
    found: Thresholds = {}
    for name in classes:
        calibrated = calibration["instances"][name]
        by_validation = UNCHOSEN
        if calibrated["by"] == OF_MODEL:
            by_validation = "the model file"
        elif calibrated["by"] != "default":
            by_validation = f"validation, by {called(calibrated['by'])}"
        made_at = {float(stored_instances(files, image, name)["threshold"]) for image in images}
        found[name] = {
            threshold: by_validation if threshold == calibrated["threshold"] else "config"
            for threshold in sorted(made_at)
        }
    return found


def truth_warnings(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Who and what: warnings of the truths of images with scores, then of validation images."""
    images: dict[Path, str] = {}  # by their truth's receipt, which several runs may share
    for run in runs:
        scored = set(run.scores["image"])
        images |= {
            Path(of["truth"]): name for name, of in run.files["images"].items() if name in scored
        }
    of_scored = [
        (f"Truth of {images[receipt]}", warning)
        for receipt in sorted(images)
        for warning in cast(TruthReceipt, read_receipt(receipt))["warnings"]
    ]
    calibrations = [cast(Calibration, read_receipt(run.files["calibration"])) for run in runs]
    of_validation = [
        (f"{run.name}, validation", warning)
        for run, calibration in zip(runs, calibrations, strict=True)
        for warning in calibration["warnings"]
    ]
    return of_scored + of_validation


def read_patches(run: Run) -> dict[str, np.ndarray]:
    """The first patches of the training: image (N, C, H, W), target and weight (N, H, W)."""
    path = run.files["patches"]
    try:
        with np.load(path) as archive:
            return {name: archive[name] for name in ("image", "target", "weight")}
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(
            f"{path}: not readable ({error}). Delete it and run the same command again: training "
            "goes on from its checkpoint."
        ) from error


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
