"""The training loop: a straight one, on one device or several, that goes on where it was stopped.

All randomness follows from the seed and the step's number, so a checkpoint needs weights,
optimizer, history and the step. Shape suffixes: B batch, C channels, K classes, J heads,
H W of a patch.
"""

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.distributed import ReduceOp
from torch.optim.swa_utils import AveragedModel

from unetflow import networks
from unetflow.engine.devices import machine_of
from unetflow.errors import ModelError
from unetflow.networks.initial_weights import centre_filters, start_from
from unetflow.networks.model_file import Best, ModelDescription
from unetflow.networks.network import Network, channels_last, heads_of, not_finite
from unetflow.progress import progress
from unetflow.train.arriving import Arriving
from unetflow.train.checkpoints import Checkpoint, StopSignal
from unetflow.train.history import Row, is_better
from unetflow.train.losses import combined_loss, head_loss
from unetflow.train.patches import Batch, Batches, Drawing, TrainingImage, generator
from unetflow.train.recipes import Recipe
from unetflow.train.steps import learning_rate, optimizer_for, update_mean
from unetflow.train.validation import validation_scores, validation_sums

log = logging.getLogger(__name__)


class TrainingRun:
    """A network on its way through a recipe, and the checkpoint that it goes on from."""

    def __init__(
        self,
        description: ModelDescription,
        recipe: Recipe,
        *,
        fabric: Fabric,
        precision: str,
        threads: int,
        checkpoint: Checkpoint,
        pretrained: str | Path | None = None,
    ) -> None:
        self.recipe, self.fabric, self.precision = recipe, fabric, precision
        self.threads, self._checkpoint = threads, checkpoint
        torch.manual_seed(generator(recipe.seed, "weights").initial_seed())
        self.network = networks.build(**description["network"])
        self.network.heads = tuple(description.get("heads", ()))
        if pretrained is None:
            if recipe.freeze_encoder:
                raise ModelError(
                    "recipe.freeze_encoder keeps the encoder of a model file as it is, but the "
                    "experiment has no pretrained. Name one, or set freeze_encoder to false."
                )
            if recipe.start == "centred":
                centre_filters(self.network)
        else:
            start_from(pretrained, self.network, description, freeze=recipe.freeze_encoder)
        layout = channels_last(len(self.network.geometry.axes))
        self.network.to(memory_format=layout)  # type: ignore[call-overload]
        self._wrapped, self.optimizer = fabric.setup(
            self.network, optimizer_for(self.network, recipe)
        )
        self._averaged = AveragedModel(self.network) if recipe.ema else None
        self.step = 0
        self.history: list[Row] = []
        self.waited_s = 0.0  # for batches, in this process
        self._asked: Arriving | None = None  # of all processes, at the step before
        self.best: Best = {"step": 0, "validation_iou": None}
        self._best_weights: dict[str, Tensor] | None = None
        self.machines: list[dict[str, str | int]] = []  # each with the first step that it did
        self._resume()
        self._note_machine()

    @property
    def ended(self) -> bool:
        """All steps are done, or early stopping: validations enough brought no better network."""
        recipe = self.recipe
        if recipe.early_stopping is None or self.best["validation_iou"] is None:
            return self.step >= recipe.steps
        last = self.step // recipe.validate_every * recipe.validate_every
        waited = (last - self.best["step"]) // recipe.validate_every
        return self.step >= recipe.steps or waited >= recipe.early_stopping

    @property
    def drawing(self) -> Drawing:
        """How its patches are drawn."""
        recipe = self.recipe
        return Drawing(
            recipe.seed,
            recipe.input_px(len(self.network.geometry.axes)),
            self.network.geometry,
            recipe.augmentation,
            heads_of(self.network),
        )

    def train(
        self, training: Sequence[TrainingImage], validation: Sequence[TrainingImage], workers: int
    ) -> None:
        """Do the steps that are left; raises ModelError where a signal or the loss stops it."""
        recipe = self.recipe
        batches = Batches(
            training,
            range(self.step, recipe.steps),
            self.drawing,
            numbers=self._own_patches(),
            workers=workers,
            pinned=self.fabric.device.type == "cuda",
        )
        before_s = self.history[-1]["elapsed_s"] if self.history else 0.0
        started_s = saved_s = time.monotonic()
        with StopSignal() as stop, progress("train", total=recipe.steps, done=self.step) as tick:
            for batch in batches:
                row = self._one_step(batch)
                self.step += 1
                self.history.append(row)
                self._settle(self.history[-2:-1])  # of the step before: a GPU has this one to do
                if self.step % recipe.validate_every == 0 or self.step in recipe.ends:
                    self._validate(validation, row)
                now_s = time.monotonic()
                row["elapsed_s"] = round(before_s + now_s - started_s, 2)
                stopped = self._any_process(stop.requested is not None)
                if self.ended or stopped or now_s - saved_s >= self._checkpoint.every_s:
                    self._save()
                    saved_s = now_s
                if self.ended:
                    break
                if stopped:
                    raise ModelError(
                        f"training was stopped by {stop.requested or 'another process'} after step "
                        f"{self.step} of {recipe.steps}. Run the same command again to go on from "
                        "there."
                    )
                tick()
        self.waited_s = batches.waited_s

    def best_network(self) -> Network:
        """The network with the weights that validated best (the last ones without validation)."""
        if self._best_weights is not None:
            self.network.load_state_dict(self._best_weights)
        elif self._averaged is not None:
            self.network.load_state_dict(self._averaged.module.state_dict())
        return self.network.eval()

    def _own_patches(self) -> range:
        """Numbers of the patches of each batch that this process takes."""
        world, batch = self.fabric.world_size, self.recipe.batch
        if batch % (world * self.recipe.accumulate):
            raise ModelError(
                f"recipe: a batch of {batch} cannot be shared by {world} processes in accumulate = "
                f"{self.recipe.accumulate} parts each. Make batch a multiple of their product."
            )
        each = batch // world
        return range(self.fabric.global_rank * each, (self.fabric.global_rank + 1) * each)

    def _one_step(self, batch: Batch) -> Row:
        recipe, fabric = self.recipe, self.fabric
        self._wrapped.train()
        if recipe.freeze_encoder:
            self.network.encoder.eval()
        number = generator(recipe.seed, "dropout", self.step, fabric.global_rank).initial_seed()
        torch.manual_seed(number)
        rate = learning_rate(recipe, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=fabric.device)
        for part, (image_BCHW, *wanted) in enumerate(self._parts(batch), start=1):
            with fabric.no_backward_sync(self._wrapped, enabled=part < recipe.accumulate):
                loss = self._loss(self._wrapped(image_BCHW).float(), *wanted)
                fabric.backward(loss / recipe.accumulate)
            total += loss.detach() / recipe.accumulate
        if recipe.clip_norm is not None:
            fabric.clip_gradients(
                self._wrapped,
                self.optimizer,
                max_norm=recipe.clip_norm,
                error_if_nonfinite=False,  # `_settle` says it in words
            )
        self.optimizer.step()
        if self._averaged is not None:
            update_mean(self._averaged, self.network, recipe.ema, first=self.step == 0)
        if fabric.world_size > 1:
            total = _over_all(total, ReduceOp.SUM) / fabric.world_size
        return {
            "step": self.step + 1,
            "loss": Arriving(total),
            "learning_rate": rate,
            "elapsed_s": 0.0,
            "validation_loss": None,
            "validation_iou": None,
        }

    def _loss(
        self,
        output_BKHW: Tensor,
        target_BHW: Tensor,
        weight_BHW: Tensor,
        heads_BJHW: Tensor | None = None,
    ) -> Tensor:
        """What a step minimises: that of the classes, and of the heads, whose outputs are last."""
        heads = heads_of(self.network)
        if heads_BJHW is None:
            return combined_loss(self.recipe.loss, output_BKHW, target_BHW, weight_BHW)
        logits_BKHW = output_BKHW[:, : -len(heads)]
        of_classes = combined_loss(self.recipe.loss, logits_BKHW, target_BHW, weight_BHW)
        outputs_BJHW = output_BKHW[:, -len(heads) :]
        return of_classes + head_loss(heads, outputs_BJHW, heads_BJHW, weight_BHW)

    def _parts(self, batch: Batch) -> list[tuple[Tensor, ...]]:
        """The patches of this process on its device, in `accumulate` parts."""
        moved = [
            each.to(self.fabric.device, non_blocking=True).chunk(self.recipe.accumulate)
            for each in (batch.image_BCHW, batch.target_BHW, batch.weight_BHW, batch.heads_BJHW)
            if each is not None
        ]
        return list(zip(*moved, strict=True))

    def _settle(self, rows: Sequence[Row]) -> None:
        """Losses as numbers, once they are known. Raises ModelError where one is not finite."""
        for row in rows:
            row["loss"] = float(row["loss"])
            if not math.isfinite(row["loss"]):
                self._diverged(f"the loss is {row['loss']}", row["step"])

    def _diverged(self, what: str, step: int) -> NoReturn:
        raise ModelError(
            f"{what} at step {step}: training has diverged. Lower the recipe's learning_rate (now "
            f"{self.recipe.learning_rate}) or its clip_norm (now {self.recipe.clip_norm}); the "
            "last checkpoint is of another recipe then, and training starts anew."
        )

    def _check_weights(self) -> None:
        """Raise ModelError where a number that a model would be made of is not finite.

        Weights, their running mean, and the buffers of batch normalisation, which no loss shows: a
        training step does not use them.
        """
        averaged = None if self._averaged is None else self._averaged.module
        for what, network in (("a weight", self.network), ("a running mean", averaged)):
            if network is not None and (name := not_finite(network)):
                self._diverged(f"{what} is not finite ({name})", self.step)

    def _validate(self, validation: Sequence[TrainingImage], row: Row) -> None:
        if not validation:
            self.best = {"step": self.step, "validation_iou": None}
            return
        self._check_weights()
        averaged = self._averaged
        network = self.network if averaged is None else cast(Network, averaged.module)
        if self.fabric.world_size > 1:
            for buffer in network.buffers():  # of batch normalisation: each process has its own
                torch.distributed.broadcast(buffer, 0)
        mine = validation[self.fabric.global_rank :: self.fabric.world_size]
        device = str(self.fabric.device)
        sums = validation_sums(network, mine, device=device, precision=self.precision)
        if self.fabric.world_size > 1:
            sums = self.fabric.all_reduce(sums, reduce_op="sum")  # type: ignore[assignment]
        loss, iou = validation_scores(sums)
        row["validation_loss"], row["validation_iou"] = loss, iou
        log.info("step %d: validation loss %.4f, IoU %.4f", self.step, loss, iou)
        if is_better(self.best, loss, iou):
            self.best = {"step": self.step, "validation_iou": iou, "validation_loss": loss}
            self._best_weights = {
                name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()
            }

    def _any_process(self, here: bool) -> bool:
        """Whether something is so in any of the processes that train together.

        Of several it is what they said at the step before, so that no GPU is waited for.
        """
        if self.fabric.world_size == 1:
            return here
        flag = torch.full((), float(here), device=self.fabric.device)
        before, self._asked = self._asked, Arriving(_over_all(flag, ReduceOp.MAX))
        return before is not None and bool(float(before))

    def _save(self) -> None:
        self._settle(self.history[-1:])
        self._check_weights()
        if not self.fabric.is_global_zero:
            return
        state = {
            "machines": self.machines,
            "step": self.step,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averaged": None if self._averaged is None else self._averaged.state_dict(),
            "history": self.history,
            "best": self.best,
            "best_weights": self._best_weights,
        }
        self._checkpoint.save(state)

    def _machine(self) -> dict[str, str | int]:
        """What the bits depend on, as far as known here, beside the recipe and its data."""
        device = self.fabric.device.type
        return {
            "device": device,
            **machine_of(device),
            "precision": self.precision,
            "processes": self.fabric.world_size,
            "threads": self.threads,
        }

    def _resume(self) -> None:
        # read by one process: what one of several could not read would mix their weights
        state = self.fabric.broadcast(
            self._checkpoint.load() if self.fabric.is_global_zero else None
        )
        if state is None:
            return
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self._averaged is not None:
            self._averaged.load_state_dict(state["averaged"])
        self.step, self.history, self.best = state["step"], state["history"], state["best"]
        self._best_weights, self.machines = state["best_weights"], state["machines"]
        log.info("going on from step %d of %d", self.step, self.recipe.steps)

    def _note_machine(self) -> None:
        """If steps are left, this machine does them; what differs from the last one is said."""
        if self.ended:
            return
        before, here = self.machines[-1] if self.machines else {}, self._machine()
        others = [name for name in here if name in before and before[name] != here[name]]
        for name in others:
            log.warning(
                "the checkpoint was written with %s %s, this run has %s: the weights will "
                "differ from those of an undisturbed run",
                name,
                before[name],
                here[name],
            )
        if others or not before:
            self.machines = [*self.machines, {"from_step": self.step + 1, **here}]


def _over_all(value: Tensor, of: ReduceOp.RedOpType) -> Tensor:
    """A sum or maximum over all processes, in its place.

    Not by `Fabric.all_reduce`: that begins with a barrier, at which the CPU waits for its GPU.
    """
    torch.distributed.all_reduce(value, of)
    return value
