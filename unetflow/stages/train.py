"""Rule train: from prepared images to a model file. The loop itself is `unetflow.train.loop`."""

import dataclasses
import io
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from unetflow.engine.devices import exact_fp32, resolve_device, resolve_precision, use_threads
from unetflow.engine.gpu_busy import gpu_busy
from unetflow.engine.gpus import own_gpu
from unetflow.engine.machine import Machine
from unetflow.engine.memory import keep_freed_memory
from unetflow.errors import ModelError
from unetflow.labels.dataset import Dataset
from unetflow.networks.model_file import ModelDescription, TrainingSummary, save_model
from unetflow.provenance.receipts import distinct, read_receipt, write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.shard_lists import Stored, unchanged
from unetflow.stages.model_facts import facts_of
from unetflow.store.files import digest_of, digest_of_file, write_whole
from unetflow.store.locks import locked
from unetflow.store.shards import read_array
from unetflow.tiles.regions import PLANE
from unetflow.train.changed_recipes import recipe_from
from unetflow.train.checkpoints import Checkpoint
from unetflow.train.history import LATE, as_csv, rising_by
from unetflow.train.loop import TrainingRun
from unetflow.train.patches import Batches, Drawing, Statistics, TrainingImage, hold, open_image
from unetflow.train.process import launch, processes_here
from unetflow.train.recipes import Recipe
from unetflow.train.torchrun import train_together

log = logging.getLogger(__name__)


PATCHES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class TrainingInputs:
    """The files that a training reads."""

    images: Sequence[str | Path]  # stores with truth
    weights: Sequence[str | Path]  # their weight maps; empty: none
    validation_images: Sequence[str | Path]
    receipts: Sequence[str | Path]  # of all images, truths and weight maps
    stored: Sequence[Stored]  # all these stores with the receipts that tell of them
    statistics: str | Path  # receipt
    pretrained: str | Path | None = None  # model file to start from


@dataclass(frozen=True, slots=True)
class TrainingOutputs:
    """The files that a training makes; its checkpoint lies beside the model."""

    model: str | Path
    history: str | Path
    patches: str | Path
    receipt: str | Path


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One training: what from, what to, how, and where."""

    inputs: TrainingInputs
    outputs: TrainingOutputs
    network: dict[str, Any]  # name and options, as in the config
    recipe: dict[str, Any]  # preset and changes, as in the config
    dataset: Dataset
    machine: Machine
    checkpoint_s: float
    code: str
    head: str | None = None  # beside the classes: of `unetflow.store.heads`

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """From a JSON file of `dataclasses.asdict`."""
        of = json.loads(Path(path).read_text())
        dataset = of.pop("dataset")
        return cls(
            inputs=TrainingInputs(**of.pop("inputs")),
            outputs=TrainingOutputs(**of.pop("outputs")),
            dataset=Dataset(**dataset | {"classes": tuple(dataset["classes"])}),
            machine=Machine(**of.pop("machine")),
            **of,
        )


def train_network(job: TrainingJob) -> None:
    """Rule train: a model file, its history, first patches and receipt, from a fold's images.

    The content of the receipts decides, with the parameters, whether a checkpoint is continued.
    Where the machine is to have several processes, they train together.
    """
    if job.machine.processes > 1:
        train_together(job.machine, __name__, dataclasses.asdict(job))
    else:
        train_in_process(job)


def train_in_process(job: TrainingJob) -> None:
    """The same in this process, alone or as one of those that torchrun has started."""
    record = RunRecord(job.outputs.receipt)
    recipe = recipe_from(**job.recipe)
    statistics = read_receipt(job.inputs.statistics, Statistics)
    _check_alike(job.inputs)
    receipts = [read_receipt(path) for path in job.inputs.receipts]
    description = _description(job, recipe, statistics, receipts)
    pretrained = job.inputs.pretrained
    start = None if pretrained is None else digest_of_file(pretrained)
    keep_freed_memory()
    threads = use_threads(job.machine.threads // processes_here())
    device = resolve_device(gpu=job.machine.gpu, require_gpu=job.machine.require_gpu)
    precision = resolve_precision(recipe.precision, device)
    fabric = launch(device, precision)
    _determine(recipe, device)

    def digest_with(recipe: Recipe) -> str:
        described = {**description, "recipe": dataclasses.asdict(recipe)}
        return digest_of([described, receipts, statistics["class_weights"], start])

    checkpoint = Checkpoint(
        Path(job.outputs.model).parent / "checkpoints" / "last.pt",
        digest_with(recipe),
        job.checkpoint_s,
        [digest_with(each) for each in recipe.shorter()],
    )
    with locked(checkpoint.path.parent, checkpoint.digest):
        run = TrainingRun(
            description,
            recipe,
            fabric=fabric,
            precision=precision,
            threads=threads,
            checkpoint=checkpoint,
            pretrained=pretrained,
        )
        training, validation = _open(job, recipe, statistics)
        busy: dict[str, float] = {}
        if not run.ended:
            with unchanged(*job.inputs.stored):
                held = hold([*training, *validation], processes_here())
            workers = threads // 4 if device == "cpu" else threads - 1  # the step needs the others
            try:
                with gpu_busy(device == "cuda") as busy:
                    run.train(held[: len(training)], held[len(training) :], workers=max(1, workers))
            except torch.OutOfMemoryError as error:
                raise _too_large(recipe, run.drawing.input_px, fabric.world_size) from error
        if fabric.is_global_zero:
            _write_patches(job.outputs.patches, training, run.drawing, recipe.batch)
            _write_model(job, run, description)
            _write_record(record, run, busy)


def _too_large(recipe: Recipe, sides_px: Sequence[int], processes: int) -> ModelError:
    """What to change where a GPU's memory is not enough for a step."""
    patches = recipe.batch // (recipe.accumulate * processes)
    side = " x ".join(map(str, sides_px)) if len({*sides_px}) > 1 else sides_px[0]
    return ModelError(
        f"a GPU's memory is not enough to train on {patches} patch{'es' * (patches > 1)} of "
        f"{side} px at once, or other programs took it. "
        + ("Make recipe.accumulate larger; or else " if patches > 1 else "")
        + "make recipe.tile_px smaller, use precision bf16, or a narrower network (of a U-Net: a "
        "smaller base_channels)."
    )


def _check_alike(inputs: TrainingInputs) -> None:
    """Refuse validation images that the network could not be judged by.

    They have the channels of the training images, and their type of pixels or that of one of them.
    Raises ModelError.
    """

    def kind_of(image: str | Path) -> tuple[int, str]:
        array = read_array(image, "0")
        return array.shape[0], str(array.dtype)

    trained = [kind_of(image) for image in inputs.images]
    channels, types = {of for of, _ in trained}, {of for _, of in trained}
    others = [
        f"{Path(image).name} ({count} channels, {dtype})"
        for image in inputs.validation_images
        for count, dtype in [kind_of(image)]
        if count not in channels or dtype not in types
    ]
    if others:
        raise ModelError(
            f"the training images have {_listed(channels)} channels of {_listed(types)}, but these "
            f"validation images have others: {', '.join(others)}. Choose the same channels in the "
            "sheet's channels column, or bring the files to one type; an image of another kind "
            "belongs into the split predict."
        )


def _listed(values: set[int] | set[str]) -> str:
    return " or ".join(map(str, sorted(values, key=str)))


def _description(
    job: TrainingJob,
    recipe: Recipe,
    statistics: Statistics,
    receipts: Sequence[dict[str, Any]],
) -> ModelDescription:
    channels, classes = statistics["channels"], job.dataset.classes
    outputs = len(classes) + 1 + (job.head is not None)
    wanted = job.dataset.mpp or (job.dataset.spacing and job.dataset.spacing[-1])
    description: ModelDescription = {
        "network": job.network | {"in_channels": channels, "num_classes": outputs},
        "truth": job.dataset.kind,
        "classes": list(classes),
        "channels": channels,
        "intensity": statistics["intensity"],
        "mpp": wanted or _common(receipts, "mpp"),
        "recipe": dataclasses.asdict(recipe),
        "code": job.code,
    }
    if spacing := job.dataset.spacing or _common(receipts, "spacing"):
        description["spacing"] = list(spacing)
    if job.head is not None:
        description["heads"] = [job.head]
    return description


def _common(receipts: Sequence[dict[str, Any]], key: str) -> Any:
    """The resolution that all images share, as far as it is known."""
    known = [receipt["levels"][0].get(key) for receipt in receipts if "levels" in receipt]
    return known[0] if known and all(each == known[0] for each in known) else None


def _determine(recipe: Recipe, device: str) -> None:
    """The same bits each time on a GPU, or its fastest kernels."""
    exact_fp32()
    torch.use_deterministic_algorithms(recipe.deterministic)
    torch.backends.cudnn.benchmark = not recipe.deterministic
    if recipe.deterministic and device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def _open(
    job: TrainingJob, recipe: Recipe, statistics: Statistics
) -> tuple[list[TrainingImage], list[TrainingImage]]:
    """The images of the training, with their weight maps, and those of the validation."""
    inputs = job.inputs

    def opened(image: str | Path, weights: str | Path | None) -> TrainingImage:
        kind, balance = job.dataset.kind, recipe.class_balance
        return open_image(image, weights, statistics, kind=kind, balance=balance, heads=heads)

    heads = [] if job.head is None else [job.head]
    maps: Sequence[str | Path | None] = inputs.weights or [None] * len(inputs.images)
    training = [opened(image, map_) for image, map_ in zip(inputs.images, maps, strict=True)]
    heads = []  # nothing is validated of them
    return training, [opened(image, None) for image in inputs.validation_images]


def _write_patches(
    path: str | Path, images: Sequence[TrainingImage], drawing: Drawing, batch: int
) -> None:
    """The first `PATCHES_SHOWN` patches of the training, for the report.

    An archive of NumPy with image (N, C, H, W) float16, target uint8 and weight float16 (N, H, W).
    Of volumes it is the plane in the middle of each.
    """
    batches = list(
        Batches(images, range(-(-PATCHES_SHOWN // batch)), drawing, numbers=range(batch))
    )
    content = io.BytesIO()
    np.savez_compressed(
        content,
        image=_first([each.image_BCHW for each in batches], 2).astype(np.float16),
        target=_first([each.target_BHW for each in batches], 1).astype(np.uint8),
        weight=_first([each.weight_BHW for each in batches], 1).astype(np.float16),
    )
    write_whole(path, content.getvalue())


def _first(parts: Sequence[torch.Tensor], before: int) -> np.ndarray:
    """The first patches; `before` are the axes that are not spatial."""
    first: np.ndarray = torch.cat(list(parts))[:PATCHES_SHOWN].numpy()
    if first.ndim - before > PLANE:
        first = np.take(first, first.shape[before] // 2, axis=before)
    return first


def _write_model(job: TrainingJob, run: TrainingRun, description: ModelDescription) -> None:
    """The model file, its history and its receipt."""
    summary: TrainingSummary = {
        "best": run.best,
        "steps": run.step,
        "precision": distinct(of["precision"] for of in run.machines),
        "training_images": len(job.inputs.images),
        "validation_images": len(job.inputs.validation_images),
    }
    trained, model = run.best_network(), job.outputs.model
    save_model(model, trained, {**description, "training": summary})
    write_whole(job.outputs.history, as_csv(run.history))
    facts = facts_of(trained, description, model)
    rising = {"rising_by": _rising_by(run)}
    write_receipt(job.outputs.receipt, {**description, **summary, **facts, **rising})


def _rising_by(run: TrainingRun) -> float | None:
    """By how much the validation's score still rose at the end, which is said in the log."""
    rising = rising_by(run.history)
    if rising is not None:
        log.warning(
            "still rising at the end: in the last %.0f %% of the steps the validation's IoU rose "
            "by %.3f. More steps than %d may help.",
            100 * LATE,
            rising,
            run.step,
        )
    return None if rising is None else round(rising, 6)


def _write_record(record: RunRecord, run: TrainingRun, busy: Mapping[str, float]) -> None:
    record.write(
        device=distinct(of["device"] for of in run.machines),
        precision=distinct(of["precision"] for of in run.machines),
        threads=run.machines[-1]["threads"],
        processes=run.machines[-1]["processes"],
        machines=run.machines,
        training_s=run.history[-1]["elapsed_s"],
        waited_s=run.waited_s,
        gpu_busy=busy.get(own_gpu()),
    )


if __name__ == "__main__":  # under torchrun: `unetflow.train.torchrun`
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train_in_process(TrainingJob.read(sys.argv[1]))
