"""Rule train: from prepared images to a model file. The loop itself is `unetflow.train.loop`."""

import csv
import dataclasses
import io
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment

from unetflow.engine.devices import exact_fp32, resolve_device, resolve_precision, use_threads
from unetflow.engine.memory import keep_freed_memory
from unetflow.networks.model_file import save_model
from unetflow.provenance.receipts import distinct, read_receipt, write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.store.files import digest_of, digest_of_file, write_whole
from unetflow.train.loop import COLUMNS, TrainingRun
from unetflow.train.patches import Batches, TrainingImage, hold, open_image
from unetflow.train.recipes import Recipe, recipe_from

PATCHES_SHOWN = 8
PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}  # as Fabric calls them


def train_network(
    *,
    images: Sequence[str | Path],
    weights: Sequence[str | Path],
    validation_images: Sequence[str | Path],
    receipts: Sequence[str | Path],
    statistics: str | Path,
    model: str | Path,
    history: str | Path,
    patches: str | Path,
    receipt: str | Path,
    network: dict[str, Any],
    recipe: dict[str, Any],
    kind: str,
    classes: Sequence[str],
    mpp: float | None,
    pretrained: str | Path | None,
    checkpoint_s: float,
    threads: int,
    gpu: bool,
    require_gpu: bool,
    code: str,
) -> None:
    """Rule train: a model file, its history, first patches and receipt, from a fold's images.

    `receipts` are those of all images, truths and weight maps: their content decides, with the
    parameters, whether a checkpoint is continued. `weights` may be empty (no weight map);
    `pretrained` is a model file to start from. A checkpoint is written every `checkpoint_s`
    seconds. Under torchrun its processes train together.
    """
    record = RunRecord(receipt)
    plan = recipe_from(**recipe)
    measured = read_receipt(statistics)
    inputs = [read_receipt(path) for path in receipts]
    description: Any = {
        "network": {**network}
        | {"in_channels": measured["channels"], "num_classes": len(classes) + 1},
        **{"truth": kind, "classes": list(classes), "channels": measured["channels"]},
        **{"intensity": measured["intensity"], "mpp": mpp or _common_mpp(inputs)},
        **{"recipe": dataclasses.asdict(plan), "code": code},
    }
    start = None if pretrained is None else digest_of_file(pretrained)
    keep_freed_memory()
    threads = use_threads(threads // processes_here())
    device = resolve_device(gpu=gpu, require_gpu=require_gpu)
    precision = resolve_precision(plan.precision, device)
    fabric = _fabric(device, precision)
    decided_by = [description, inputs, measured["class_weights"], start]
    _determine(plan, device)
    run = TrainingRun(
        description,
        plan,
        fabric=fabric,
        precision=precision,
        threads=threads,
        path=Path(model).parent / "checkpoints" / "last.pt",
        digest=digest_of(decided_by),
        pretrained=pretrained,
        checkpoint_s=checkpoint_s,
    )
    training, validation = _open(images, weights, validation_images, measured, kind, plan)
    if not run.ended:
        held = hold([*training, *validation], processes_here())
        workers = threads // 4 if device == "cpu" else threads - 1  # the step needs the others
        run.train(held[: len(images)], held[len(images) :], workers=max(1, workers))
    if not fabric.is_global_zero:
        return
    trained = run.best_network()
    _write_patches(patches, training, plan, trained.geometry.output_px(plan.tile_px))
    used = {key: distinct(of[key] for of in run.machines) for key in ("device", "precision")}
    summary = {
        **{"best": run.best, "steps": run.step, "precision": used["precision"]},
        **{"training_images": len(images), "validation_images": len(validation_images)},
    }
    described: Any = {**description, "training": summary}
    save_model(model, trained, described)
    write_whole(history, _as_csv(run.history))
    parameters = sum(tensor.numel() for tensor in trained.parameters())
    facts = {"digest": digest_of_file(model), "parameters": parameters}
    write_receipt(receipt, {**description, **summary, **facts})
    elapsed_s = run.history[-1]["elapsed_s"]
    record.write(
        **used,
        **{name: run.machines[-1][name] for name in ("threads", "processes")},
        **{"machines": run.machines, "training_s": elapsed_s, "waited_s": run.waited_s},
    )


def _fabric(device: str, precision: str) -> Fabric:
    """One process, or as many as torchrun started."""
    world, here = int(os.environ.get("WORLD_SIZE", 1)), processes_here()
    alone = world == 1
    fabric = Fabric(
        accelerator=device,
        devices=[torch.cuda.current_device()] if alone and device == "cuda" else here,
        num_nodes=world // here,
        strategy="auto" if alone else "ddp",
        precision=PRECISIONS[precision],  # type: ignore[arg-type]
        # else a job of SLURM is taken for one of several that train together
        plugins=[LightningEnvironment()] if alone else None,
    )
    fabric.launch()
    return fabric


def processes_here() -> int:
    """How many processes train together on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def _determine(recipe: Recipe, device: str) -> None:
    """The same bits each time on a GPU, or its fastest kernels."""
    exact_fp32()
    torch.use_deterministic_algorithms(recipe.deterministic)
    torch.backends.cudnn.benchmark = not recipe.deterministic
    if recipe.deterministic and device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def _common_mpp(receipts: Sequence[dict[str, Any]]) -> float | None:
    """The resolution [um/px] that all images share, as far as it is known."""
    known = {receipt["levels"][0].get("mpp") for receipt in receipts if "levels" in receipt}
    return known.pop() if len(known) == 1 else None


def _open(
    images: Sequence[str | Path],
    weights: Sequence[str | Path],
    validation_images: Sequence[str | Path],
    statistics: dict[str, Any],
    kind: str,
    recipe: Recipe,
) -> tuple[list[TrainingImage], list[TrainingImage]]:
    maps: Sequence[str | Path | None] = weights or [None] * len(images)
    opened = [
        open_image(image, map_, statistics, kind=kind, balance=recipe.class_balance)
        for image, map_ in [
            *zip(images, maps, strict=True),
            *((image, None) for image in validation_images),
        ]
    ]
    return opened[: len(images)], opened[len(images) :]


def _write_patches(
    path: str | Path, images: Sequence[TrainingImage], recipe: Recipe, output_px: int
) -> None:
    """The first `PATCHES_SHOWN` patches of the training, for the report.

    An archive of NumPy with image (N, C, H, W) float16, target uint8 and weight float16 (N, H, W).
    """
    batches = Batches(
        images,
        range(-(-PATCHES_SHOWN // recipe.batch)),
        seed=recipe.seed,
        numbers=range(recipe.batch),
        input_px=recipe.tile_px,
        output_px=output_px,
        augmentation=recipe.augmentation,
    )
    image, target, weight = (
        torch.cat(parts)[:PATCHES_SHOWN].numpy()
        for parts in zip(
            *((b.image_BCHW, b.target_BHW, b.weight_BHW) for b in batches), strict=True
        )
    )
    content = io.BytesIO()
    np.savez_compressed(
        content,
        image=image.astype(np.float16),
        target=target.astype(np.uint8),
        weight=weight.astype(np.float16),
    )
    write_whole(path, content.getvalue())


def _as_csv(history: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue().encode()


if __name__ == "__main__":  # under torchrun: `unetflow.train.torchrun`
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train_network(**json.loads(Path(sys.argv[1]).read_text()))
