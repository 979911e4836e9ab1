"""How many steps each experiment of a config does in the same seconds of training.

    python benchmarks/steps.py config/networks.yaml --seconds 60 --threads 2

Trains each experiment for some steps on images that are drawn, as large as `--image-px`, and
validates once, on two; prints a row each: median seconds of a step, those of a validation, and the
steps for the wanted seconds with as many validations as the config has now, rounded to two digits.
Steps are then written into the config: a training that a clock stops would not be the same twice.
On a machine that does other work, too, CPU seconds over threads are nearer to what a quiet one
takes than the clock is: `--cpu` reckons with them.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import yaml
from training import drawn_image

from unetflow.engine.devices import resolve_device, resolve_precision
from unetflow.engine.memory import keep_freed_memory
from unetflow.jobs.settings import Settings, read_settings
from unetflow.train.checkpoints import Checkpoint
from unetflow.train.loop import TrainingRun
from unetflow.train.process import launch
from unetflow.train.recipes import Recipe

ROOT = Path(__file__).parents[1]
WARM = 2  # steps that are not counted


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of an experiment."""

    step_s: float
    validation_s: float

    def steps(self, seconds: float, recipe: Recipe) -> int:
        """That fit into so many seconds with the validations of the recipe, to two digits."""
        validations = -(-recipe.steps // recipe.validate_every)
        exactly = max(1.0, (seconds - validations * self.validation_s) / self.step_s)
        return int(float(f"{exactly:.2g}"))


def measured(settings: Settings, name: str, options: argparse.Namespace) -> Measured:
    """One short training of an experiment."""
    recipe = settings.recipe(name)
    short = replace(recipe, steps=options.steps, validate_every=options.steps, early_stopping=None)
    experiment = settings.config["experiments"][name]
    classes = len(settings.config["datasets"][experiment["dataset"]]["classes"])
    description: Any = {"network": {**experiment["network"], "num_classes": classes + 1}}
    device = resolve_device(gpu=options.gpu, require_gpu=options.gpu)
    precision = resolve_precision(recipe.precision, device)
    images = [drawn_image(seed, options.image_px) for seed in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(
            description,
            short,
            fabric=launch(device, precision),
            precision=precision,
            threads=options.threads,
            checkpoint=Checkpoint(Path(folder) / "last.pt", digest="", every_s=1e9),
        )
        at_step: list[float] = []
        clock = time.process_time if options.cpu else time.perf_counter
        one_step, validate = run._one_step, run._validate

        def timed_step(batch: Any) -> Any:
            row = one_step(batch)
            if device == "cuda":
                torch.cuda.synchronize()
            at_step.append(clock())
            return row

        def timed_validation(*arguments: Any) -> None:
            validate(*arguments)
            at_step.append(clock())

        run._one_step, run._validate = timed_step, timed_validation
        run.train(images[:2], images[2:], workers=max(1, options.threads // 4))
    seconds = [after - before for before, after in pairwise(at_step)]
    share = options.threads if options.cpu else 1
    return Measured(statistics.median(seconds[WARM:-1]) / share, seconds[-1] / share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("config", type=Path)
    parser.add_argument("--seconds", type=float, default=60, help="of each training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=12, help="that are done of each experiment")
    parser.add_argument("--image-px", type=int, default=512)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--cpu", action="store_true", help="CPU seconds, not the clock")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    settings = read_settings(
        yaml.safe_load(options.config.read_text()), ROOT / "workflow/schemas", ROOT
    )
    print("| experiment | step [s] | validation [s] | steps |\n" + "| --- " * 4 + "|")
    for name in settings.config["experiments"]:
        found = measured(settings, name, options)
        steps = found.steps(options.seconds, settings.recipe(name))
        print(f"| {name} | {found.step_s:.3f} | {found.validation_s:.2f} | {steps} |", flush=True)
    print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
