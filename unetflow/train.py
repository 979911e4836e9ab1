"""Training: a straight loop that ends with the same weights however often it was stopped.

All randomness follows from the seed and the step's number, so a checkpoint needs weights,
optimizer, history and the step. Shape suffixes: B batch, C channels, K classes, H W of a patch.
"""

import csv
import dataclasses
import io
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unetflow import networks
from unetflow.checkpoints import StopSignal, load_checkpoint, save_checkpoint
from unetflow.errors import ModelError
from unetflow.forward import resolve_device, resolve_precision, use_threads
from unetflow.losses import weighted_cross_entropy
from unetflow.models import save_model
from unetflow.patches import Batch, TrainingImage, draw_batches, generator, load_image
from unetflow.progress import progress
from unetflow.receipts import (
    RunRecord,
    digest_of,
    digest_of_file,
    read_receipt,
    write_receipt,
    write_whole,
)
from unetflow.recipes import Recipe, recipe_from
from unetflow.validation import validate

log = logging.getLogger(__name__)

CHECKPOINT_EVERY_S = 60.0
COLUMNS = ("step", "loss", "learning_rate", "elapsed_s", "validation_loss", "validation_iou")


def train_network(
    *,
    images: Sequence[str | Path],
    weights: Sequence[str | Path],
    validation_images: Sequence[str | Path],
    receipts: Sequence[str | Path],
    statistics: str | Path,
    model: str | Path,
    history: str | Path,
    receipt: str | Path,
    network: dict[str, Any],
    recipe: dict[str, Any],
    kind: str,
    classes: Sequence[str],
    mpp: float | None,
    threads: int,
    gpu: bool,
    require_gpu: bool,
    code: str,
) -> None:
    """Rule train: a model file, its history and its receipt, from a fold's training images.

    `receipts` are those of all images, truths and weight maps: their content decides, with the
    parameters, whether a checkpoint is continued. `weights` may be empty (no weight map).
    """
    record = RunRecord(receipt)
    plan = recipe_from(**recipe)
    measured = read_receipt(statistics)
    description = {
        "network": {
            **network,
            "in_channels": measured["channels"],
            "num_classes": len(classes) + 1,
        },
        "truth": kind,
        "classes": list(classes),
        "channels": measured["channels"],
        "intensity": measured["intensity"],
        "mpp": mpp,
        "recipe": dataclasses.asdict(plan),
    }
    threads = use_threads(threads)
    device = resolve_device(gpu=gpu, require_gpu=require_gpu)
    precision = resolve_precision(plan.precision, device)
    inputs = [read_receipt(path) for path in receipts]
    run = TrainingRun(
        description,
        plan,
        device=device,
        precision=precision,
        threads=threads,
        path=Path(model).parent / "checkpoints" / "last.pt",
        digest=digest_of([description, inputs, measured["class_weights"], device, precision, code]),
    )
    if run.step < plan.steps:
        training, validation = _load(images, weights, validation_images, measured, kind, plan)
        run.train(training, validation)
    trained = run.best_network()
    save_model(model, trained, description)
    write_whole(history, _as_csv(run.history))
    write_receipt(
        receipt,
        {
            **description,
            "digest": digest_of_file(model),
            "parameters": sum(tensor.numel() for tensor in trained.parameters()),
            "best": run.best,
            "training_images": len(images),
            "validation_images": len(validation_images),
        },
    )
    record.write(
        device=device, precision=precision, threads=threads, training_s=run.history[-1]["elapsed_s"]
    )


class TrainingRun:
    """A network on its way through a recipe, and the checkpoint that it goes on from."""

    def __init__(
        self,
        description: dict[str, Any],
        recipe: Recipe,
        *,
        device: str,
        precision: str,
        threads: int,
        path: Path,
        digest: str,
    ) -> None:
        self.recipe, self.device, self.precision = recipe, device, precision
        self.threads, self._path, self._digest = threads, path, digest
        torch.manual_seed(generator(recipe.seed, "weights").initial_seed())
        self.network: nn.Module = networks.build(**description["network"])
        self.network.to(device=device, memory_format=torch.channels_last)
        self.optimizer = _optimizer(self.network, recipe)
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {"step": 0, "validation_iou": None}
        self._best_weights: dict[str, Any] | None = None
        self._resume()

    def train(
        self,
        training: Sequence[TrainingImage],
        validation: Sequence[TrainingImage],
    ) -> None:
        """Do the steps that are left; raises ModelError where a signal or the loss stops it."""
        recipe = self.recipe
        batches = draw_batches(
            training,
            range(self.step, recipe.steps),
            seed=recipe.seed,
            batch=recipe.batch,
            input_px=recipe.tile_px,
            output_px=self.network.check_input_px(recipe.tile_px),  # type: ignore[operator]
            augmentation=recipe.augmentation,
        )
        before_s = self.history[-1]["elapsed_s"] if self.history else 0.0
        started_s = saved_s = time.monotonic()
        with StopSignal() as stop, progress("train", total=recipe.steps, done=self.step) as tick:
            for batch in batches:
                row = dict.fromkeys(COLUMNS) | {"step": self.step + 1, **self._one_step(batch)}
                self.step += 1
                self.history.append(row)
                if self.step % recipe.validate_every == 0 or self.step == recipe.steps:
                    self._validate(validation, row)
                now_s = time.monotonic()
                row["elapsed_s"] = round(before_s + now_s - started_s, 2)
                last = self.step == recipe.steps
                if last or stop.requested or now_s - saved_s >= CHECKPOINT_EVERY_S:
                    self._save()
                    saved_s = now_s
                if stop.requested and not last:
                    raise ModelError(
                        f"training was stopped by {stop.requested} after step {self.step} of "
                        f"{recipe.steps}. Run the same command again to go on from there."
                    )
                tick()

    def _one_step(self, batch: Batch) -> dict[str, float]:
        recipe = self.recipe
        self.network.train()
        torch.manual_seed(generator(recipe.seed, "dropout", self.step).initial_seed())
        rate = learning_rate(recipe, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        image_BCHW = batch.image_BCHW.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            logits_BKHW = self.network(image_BCHW)
        loss = weighted_cross_entropy(
            logits_BKHW.float(), batch.target_BHW.to(self.device), batch.weight_BHW.to(self.device)
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"the loss is {value} at step {self.step + 1}: training has diverged. Lower the "
                f"recipe's learning_rate (now {recipe.learning_rate}); the last checkpoint is of "
                "another recipe then, and training starts anew."
            )
        return {"loss": value, "learning_rate": rate}

    def _validate(self, validation: Sequence[TrainingImage], row: dict[str, Any]) -> None:
        if not validation:
            self.best = {"step": self.step, "validation_iou": None}
            return
        loss, iou = validate(self.network, validation, device=self.device, precision=self.precision)
        row["validation_loss"], row["validation_iou"] = loss, iou
        log.info("step %d: validation loss %.4f, IoU %.4f", self.step, loss, iou)
        before = self.best["validation_iou"]
        if before is None or math.isnan(before) or iou > before:
            self.best = {"step": self.step, "validation_iou": iou, "validation_loss": loss}
            self._best_weights = {
                name: tensor.detach().cpu().clone()
                for name, tensor in self.network.state_dict().items()
            }

    def best_network(self) -> nn.Module:
        """The network with the weights that validated best (the last ones without validation)."""
        if self._best_weights is not None:
            self.network.load_state_dict(self._best_weights)
        return self.network.eval()

    def _save(self) -> None:
        state = {
            "digest": self._digest,
            "threads": self.threads,
            "step": self.step,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
            "best": self.best,
            "best_weights": self._best_weights,
        }
        save_checkpoint(self._path, state)

    def _resume(self) -> None:
        state = load_checkpoint(self._path, self._digest)
        if state is None:
            return
        if state["threads"] != self.threads:
            log.warning(
                "the checkpoint was written with %d threads, this run has %d: the weights will "
                "differ in their last bits from those of an undisturbed run",
                state["threads"],
                self.threads,
            )
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.history, self.best = state["step"], state["history"], state["best"]
        self._best_weights = state["best_weights"]
        log.info("going on from step %d of %d", self.step, self.recipe.steps)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Learning rate of a step (0 is the first)."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    start = max(1, recipe.steps // 20)
    if step < start:
        return recipe.learning_rate * (step + 1) / start
    share = (step - start) / max(1, recipe.steps - start)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            network.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum
        )
    return torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )


def _load(
    images: Sequence[str | Path],
    weights: Sequence[str | Path],
    validation_images: Sequence[str | Path],
    statistics: dict[str, Any],
    kind: str,
    recipe: Recipe,
) -> tuple[list[TrainingImage], list[TrainingImage]]:
    maps: Sequence[str | Path | None] = weights or [None] * len(images)
    training = [
        load_image(image, map_, statistics, kind=kind, balance=recipe.class_balance)
        for image, map_ in zip(images, maps, strict=True)
    ]
    validation = [
        load_image(image, None, statistics, kind=kind, balance=recipe.class_balance)
        for image in validation_images
    ]
    return training, validation


def _as_csv(history: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue().encode()
