"""Rule calibrate: the object step and operating thresholds, chosen on validation images."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import dask
import pandas as pd

from unetflow.evaluate.choosing import (
    ChosenThreshold,
    InstanceThreshold,
    MadeInstances,
    best_thresholds,
    far_more_than_annotated,
    instance_threshold,
)
from unetflow.evaluate.image_scores import Truth, score_foreground
from unetflow.evaluate.judged_images import read_judged
from unetflow.evaluate.object_stages import warnings_of
from unetflow.evaluate.object_step import ObjectStep, Wanted, choose_object_step, object_stages
from unetflow.evaluate.scoring import Labelling, Row, Scoring
from unetflow.evaluate.search_space import AUTO, with_defaults
from unetflow.evaluate.searching import Judged
from unetflow.evaluate.tables import as_csv
from unetflow.instances.separation import HEADS as HEADED
from unetflow.instances.separation import labelling_of, needs_head
from unetflow.instances.whole_image import label_instances
from unetflow.labels.dataset import Dataset
from unetflow.networks.deployed import Deployed, read_deployed, write_deployed
from unetflow.progress import progress
from unetflow.provenance.receipts import write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.schemas import OF_MODEL, Calibration
from unetflow.provenance.shard_lists import Stored, unchanged
from unetflow.store.files import digest_of_file, write_whole
from unetflow.store.names import HEADS

log = logging.getLogger(__name__)
MADE_WITH = (
    "test_time_augmentation",
    "smooth_px",
    "crf",
)  # what thresholds of a foreground hang on


def calibrate(
    *,
    images: Sequence[str | Path],
    predictions: Sequence[str | Path],
    stored: Sequence[Stored],
    receipt: str | Path,
    dataset: Dataset,
    scoring: Scoring,
    wanted: Wanted | None = None,
    tried: str | Path | None = None,
    models: Sequence[str | Path] = (),
    deployed: str | Path | None = None,
    made_with: Mapping[str, object] | None = None,
) -> None:
    """Rule calibrate: how instances are made, and of each score the best threshold.

    What `wanted` leaves open of the object step is searched (`unetflow.evaluate.object_step`), and
    what was tried is written as the table `tried`; without it all is as `scoring.labelling` says.

    For each class, metric and variant the threshold with the best mean is taken: over images,
    without those where the metric is undefined, and of equal thresholds the one nearest to 0.5.
    Where the search chose none, instances are made at one of these, or at 0.5 without validation
    images: `unetflow.evaluate.choosing.instance_threshold` says which, and warns. The receipt warns
    of images in which far more objects are found than annotated, and where the object step alone
    loses objects of the truth.
    A file of the `models` is written to `deployed`, with what was chosen and what foregrounds were
    `made_with`: `MADE_WITH`. A finished model that brought its own choice keeps it where there is
    no validation image: threshold, and what the config leaves `auto`.
    `stored` are all stores that are read, with the receipts that tell of them, as in other rules.
    """
    record = RunRecord(receipt)
    asked = wanted or Wanted({"threshold": None, **scoring.labelling})
    given = read_deployed(models[0]) if len(models) == 1 and not images else None
    if given is not None:
        asked = replace(asked, instances=_as_given(asked.instances, given))
    with unchanged(*stored), dask.config.set(num_workers=scoring.threads):
        judged, step = _object_step(asked, images, predictions, dataset, scoring)
        for note in step.notes:
            log.warning(note)
        scoring = replace(scoring, labelling=cast(Labelling, step.labelling))
        scores = pd.DataFrame(_scores(images, predictions, dataset, scoring))
        chosen = best_thresholds(scores) if len(scores) else []
        if not chosen and given is None:
            log.warning("no validation images with defined scores: instances are made at 0.5")
        instances = {
            name: _given(name, step, given)
            or _made(name, step, chosen, asked, dataset.kind, len(images))
            for name in dataset.classes
        }
        at = {name: _threshold_of(asked, of) for name, of in instances.items()}
        stages = object_stages(judged, at, step.labelling, label_instances)
    warnings = [
        *step.notes,
        *_of_other_foregrounds(given, made_with or {}),
        *_of_classes_not_shown(instances, asked, len(images)),
        *far_more_than_annotated(scores, instances),
        *(each for name, of_class in stages.items() for each in warnings_of(name, of_class)),
    ]
    for warning in warnings[len(step.notes) :]:
        log.warning(warning)
    digest = None
    if tried is not None:
        write_whole(tried, as_csv(step.tried))
    if deployed is not None and models:
        Path(deployed).unlink(missing_ok=True)  # a damaged one is no reason to keep it
        chosen_here = {"thresholds": at, "labelling": step.labelling}
        write_deployed(models, deployed, {**chosen_here, **(made_with or {})})
        digest = digest_of_file(deployed)
    content: Calibration = {
        "thresholds": chosen,
        "instances": instances,
        "images": len(images),
        "search": step.search,
        "stages": stages,
        "warnings": warnings,
        "deployed": digest,
    }
    write_receipt(receipt, content)
    record.write()


def _object_step(
    asked: Wanted,
    images: Sequence[str | Path],
    predictions: Sequence[str | Path],
    dataset: Dataset,
    scoring: Scoring,
) -> tuple[dict[str, list[Judged]], ObjectStep]:
    """The images that it is judged by, of each class, none of interiors; and what was chosen."""
    judged = {}
    if dataset.kind != "interior" and images:
        headed = needs_head(scoring.labelling) or not {*asked.methods}.isdisjoint(HEADED)
        judged = read_judged(
            images,
            predictions,
            dataset,
            foreground=scoring.foreground,
            heads=HEADS if headed else None,
        )
    step = choose_object_step(
        asked,
        judged,
        len(images),
        kind=dataset.kind,
        thresholds=scoring.thresholds,
        label=label_instances,
        labelling_of=labelling_of,
    )
    return judged, step


def _as_given(instances: Mapping[str, Any], given: Deployed) -> dict[str, Any]:
    """Section `instances` with the model file's own choice of what is `auto`."""
    of_file = {key: of for key, of in given["labelling"].items() if instances.get(key) == AUTO}
    return with_defaults({**instances, **of_file})


def _given(name: str, step: ObjectStep, given: Deployed | None) -> MadeInstances | None:
    """How the instances of a class are made by a model that brought its threshold."""
    if given is None or name not in given["thresholds"]:
        return None
    return {
        "threshold": given["thresholds"][name],
        "by": OF_MODEL,
        "labelling": step.labelling,
    }


def _of_other_foregrounds(given: Deployed | None, made_with: Mapping[str, object]) -> Iterator[str]:
    """Warnings where a choice is put to use on foregrounds that are made in another way."""
    made_of: Mapping[str, object] = given or {}
    others = [
        f"{key} is {made_with.get(key)} here and was {made_of.get(key)} there"
        for key in MADE_WITH
        if given is not None and made_with.get(key) != made_of.get(key)
    ]
    if others:
        yield (
            "thresholds and object step are those of the model file, which chose them on "
            f"foregrounds that were made in another way: {', '.join(others)}"
        )


def _of_classes_not_shown(
    instances: Mapping[str, MadeInstances], asked: Wanted, images: int
) -> Iterator[str]:
    """Warnings of classes of which the validation images say nothing."""
    if not images or isinstance(asked.instances["threshold"], int | float):
        return
    for name, made in instances.items():
        if made["by"] == "default":
            yield (
                f"class {name}: no threshold could be chosen, as no validation image shows an "
                f"object of it: instances are made at {made['threshold']:g}. Put an image with "
                "some into split validation, or set instances: threshold"
            )


def _made(
    name: str,
    step: ObjectStep,
    chosen: Sequence[ChosenThreshold],
    asked: Wanted,
    kind: str,
    images: int,
) -> MadeInstances:
    """How the instances of a class are made."""
    if name in step.thresholds:
        made: InstanceThreshold = {"threshold": step.thresholds[name], "by": asked.by}
    else:
        made = instance_threshold(chosen, kind, name, images)
    return {"threshold": made["threshold"], "by": made["by"], "labelling": step.labelling}


def _threshold_of(asked: Wanted, made: InstanceThreshold) -> float:
    """The config's threshold, else the one that was chosen."""
    given = asked.instances["threshold"]
    return float(given) if isinstance(given, int | float) else made["threshold"]


def _scores(
    images: Sequence[str | Path],
    predictions: Sequence[str | Path],
    dataset: Dataset,
    scoring: Scoring,
) -> list[dict[str, str | float | None]]:
    """A row per image, class, score and threshold."""
    rows = []
    with progress("calibrate", total=len(images)) as tick:
        for image, prediction in zip(images, predictions, strict=True):
            for name, row in _scored(image, prediction, dataset, scoring):
                rows.append({"class": name, "image": str(image), **row.cells()})
            tick()
    return rows


def _scored(
    image: str | Path, prediction: str | Path, dataset: Dataset, scoring: Scoring
) -> Iterator[tuple[str, Row]]:
    """The scores of an image at each threshold, with the name of their class."""
    headed = needs_head(scoring.labelling)
    for number, name in enumerate(dataset.classes, start=1):
        truth = Truth(image, dataset, number)
        foreground_YX = truth.foreground_of(prediction, scoring.foreground)
        head_YX = truth.head_of(prediction) if headed else None
        label = partial(label_instances, **scoring.labelling, head=head_YX, spacing=truth.steps)
        for row in score_foreground(
            truth, foreground_YX, scoring.thresholds, label, regions_px=scoring.regions_px
        ):
            yield name, row
