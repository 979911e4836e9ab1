"""What each choice of the default recipe is worth: python benchmarks/recipes.py --help.

Each variant changes one thing of an experiment's recipe and is trained with several seeds, for the
same number of steps, on what the pipeline has prepared already:

    snakemake --cores 2 --until weights statistics
    python benchmarks/recipes.py config/config.yaml --experiment unet --seeds 1 2 3

Prints validation IoU of the most probable class on the way and at the end, of each seed, the IoU of
object pixels at the threshold that is best for them, as class balance and losses move it, and the
seconds of a step.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from unetflow.engine.memory import keep_freed_memory
from unetflow.jobs.settings import Settings, read_settings
from unetflow.predict.whole_image import predict_array
from unetflow.provenance.receipts import read_receipt
from unetflow.train.changed_recipes import recipe_from
from unetflow.train.checkpoints import Checkpoint
from unetflow.train.loop import TrainingRun
from unetflow.train.patches import Statistics, TrainingImage, hold, open_image
from unetflow.train.process import launch

BASE = Path(__file__).parents[1]
POINTS = 6  # validations on the way
THRESHOLDS = np.linspace(0.05, 0.95, 19)

VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "start: he, clip_norm: null": {"start": "he", "clip_norm": None},
    "start: he": {"start": "he"},
    "clip_norm: null": {"clip_norm": None},
    "clip_norm: 0.3": {"clip_norm": 0.3},
    "half the learning rate": {"learning_rate": 0.5},
    "twice the learning rate": {"learning_rate": 2.0},
    "schedule: constant": {"schedule": "constant"},
    "ema: 0.98": {"ema": 0.98},
    "class_balance: false": {"class_balance": False},
    "loss: cross_entropy + dice": {"loss": {"cross_entropy": 1, "dice": 1}},
    "4 patches of half the size": {"batch": 4, "tile_px": 0.5},
    "optimizer: sgd, momentum 0.9": {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 5.0},
    "augmentation of the preset": {
        "augmentation": {
            **{"elastic_px": 10, "zoom": 0.1, "contrast": 0.2, "brightness": 0.2, "noise": 0.05}
        }
    },
    "no elastic deformation": {"augmentation": {"elastic_px": 0}},
}
RELATIVE = ("learning_rate", "tile_px")  # numbers that are factors of the experiment's own


def changed(recipe: dict[str, Any], changes: dict[str, Any], depth: int) -> dict[str, Any]:
    """A recipe with a variant's changes; sizes of patches are rounded to what is possible."""
    made = {**recipe, **changes}
    if "augmentation" in changes:
        made["augmentation"] = {**recipe.get("augmentation", {}), **changes["augmentation"]}
    for key in RELATIVE:
        if key in changes:
            made[key] = recipe[key] * changes[key]
    if "tile_px" in changes:
        period = 2**depth
        made["tile_px"] = (
            recipe["tile_px"]
            - round((1 - changes["tile_px"]) * recipe["tile_px"] / period) * period
        )
    return made


def train_one(settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    """One variant with one seed; what came of it."""
    config, name = settings.config, options.experiment
    experiment = config["experiments"][name]
    dataset = config["datasets"][experiment["dataset"]]
    results = Path(config["results"])
    measured = read_receipt(results / f"statistics/{name}/fold0.json", Statistics)
    training, validation = (settings.images_of(name, 0, part) for part in ("train", "validation"))
    maps = results / "weights" / str(experiment["weighting"])
    depth = experiment["network"]["depth"]
    plan = recipe_from(
        **changed(experiment["recipe"], VARIANTS[options.variant], depth)
        | {"steps": options.steps, "seed": options.seeds[0]}
        | {"validate_every": options.steps // POINTS}
    )
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    images = [
        [
            open_image(
                results / f"images/{image}.ome.zarr",
                maps / f"{image}.zarr" if weighted else None,
                measured,
                kind=dataset["truth"],
                balance=plan.class_balance,
            )
            for image in part
        ]
        for part, weighted in ((training, experiment["weighting"]), (validation, None))
    ]
    shape = {"in_channels": measured["channels"], "num_classes": len(dataset["classes"]) + 1}
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(
            {"network": {**experiment["network"], **shape}},
            plan,
            fabric=launch("cpu", "fp32"),
            precision="fp32",
            threads=options.threads,
            checkpoint=Checkpoint(Path(folder) / "last.pt", digest=""),
        )
        run.train(*(hold(part) for part in images), workers=1)
    scores = [row["validation_iou"] for row in run.history if row["validation_iou"] is not None]
    best = best_iou(run.network, images[1])
    return {"iou": scores, "best": best, "step_s": run.history[-1]["elapsed_s"] / run.step}


def best_iou(network: nn.Module, images: Sequence[TrainingImage]) -> float:
    """IoU of object pixels, pooled over whole images, at the best of `THRESHOLDS`."""
    both, either = np.zeros((2, len(THRESHOLDS)))
    for one in images:
        target, weight = one.labels(tuple(slice(0, size) for size in one.shape_YX))
        counted = weight > 0
        inside, found = (target > 0)[counted], 1 - predict_array(network, one.image_CYX)[0][counted]
        for k, threshold in enumerate(THRESHOLDS):
            above = found > threshold
            both[k] += (above & inside).sum()
            either[k] += (above | inside).sum()
    return float((both / either).max())


def in_process(options: argparse.Namespace, variant: str, seed: int) -> dict[str, Any]:
    done = subprocess.run(
        [
            *(sys.executable, __file__, options.config, "--experiment", options.experiment),
            *("--variant", variant, "--seeds", str(seed), "--steps", str(options.steps)),
            *("--threads", str(options.threads)),
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def described(variant: str, runs: Sequence[dict[str, Any]]) -> str:
    """A line of the table."""
    whole = [run for run in runs if "iou" in run]
    cells = [
        ", ".join(f"{run['iou'][point]:.3f}" if "iou" in run else "failed" for run in runs)
        for point in (POINTS // 3 - 1, 2 * POINTS // 3 - 1, POINTS - 1)
    ]
    cells.append(", ".join(f"{run['best']:.3f}" if "iou" in run else "failed" for run in runs))
    step_s = f"{sum(run['step_s'] for run in whole) / len(whole):.3f}" if whole else ""
    return f"| {variant} | {' | '.join(cells)} | {step_s} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("config")
    parser.add_argument("--experiment", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--threads", type=int, default=1, help="of each training")
    parser.add_argument("--at-once", type=int, default=2, help="trainings")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        config = yaml.safe_load(Path(options.config).read_text())
        settings = read_settings(config, BASE / "workflow/schemas", BASE)
        print(json.dumps(train_one(settings, options)))
        return
    third = options.steps // 3
    heads = [f"IoU at step {step}" for step in (third, 2 * third, options.steps)]
    heads += ["at the best threshold", "s per step"]
    print(f"| variant | {' | '.join(heads)} |\n{'| --- ' * (len(heads) + 1)}|")
    with ThreadPoolExecutor(options.at_once) as pool:
        waiting = [
            (name, [pool.submit(in_process, options, name, seed) for seed in options.seeds])
            for name in options.only
        ]
        for name, runs in waiting:
            found = [run.result() for run in runs]
            print(described(name, found), flush=True)
            for run in found:
                if "error" in run:
                    print(f"  {run['error']}", file=sys.stderr)


if __name__ == "__main__":
    main()
