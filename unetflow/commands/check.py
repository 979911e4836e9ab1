"""What can be known of a case before the first hour of training: `unetflow check CONFIG`.

Config and sheet, every image by its header, truths as a picture, this machine, and what the case
will take: disk, and hours by a trial of two steps. No result is touched.
"""

import argparse
import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from unetflow import __version__
from unetflow.commands.check_costs import Costs, costs_of
from unetflow.commands.check_picture import write_contact_sheet
from unetflow.commands.check_truths import problems_of_truths
from unetflow.engine.memory import available_bytes
from unetflow.errors import ConfigError
from unetflow.jobs.settings import Settings, read_settings
from unetflow.jobs.sources import Sources
from unetflow.jobs.suitability import check_images

SCHEMAS = Path("workflow", "schemas")
PICTURE = "check.png"
SLURM = "sbatch"
GIB = 2**30


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """The command. Raises ConfigError for what would stop a run, all of it at once."""
    options = _parser(prog).parse_args(arguments)
    settings = _settings(Path(options.config), options.data_dir)
    for note in settings.notes:
        print(f"note: {note}")
    for line in _described(settings):
        print(line)
    unreadable = _unreadable(settings)
    for line in unreadable:
        print(f"note: {line}")
    picture = Path(options.picture)
    if shown := write_contact_sheet(settings, picture):
        print(f"picture: {picture}: {shown} annotated images with their objects outlined")
    if "demo" not in settings.config and (problems := problems_of_truths(settings)):
        raise ConfigError("truths that cannot be used:\n  - " + "\n  - ".join(problems))
    for line in _machine():
        print(line)
    if "demo" not in settings.config:
        costs = costs_of(settings)
        for line in _told(costs, Path(settings.config["results"])):
            print(line)
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("config", help="as for --configfile; run in the project's folder")
    parser.add_argument("--data-dir", help="in place of the config's data_dir")
    parser.add_argument("--picture", default=PICTURE, help="where truths are shown (PNG)")
    return parser


def _settings(path: Path, data_dir: str | None) -> Settings:
    """The case as the pipeline reads it. Raises ConfigError with all its problems."""
    if not SCHEMAS.is_dir():
        raise ConfigError(
            "there is no Snakefile with its workflow here; run the command in the project's folder."
        )
    try:
        config: Any = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is no YAML: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: holds no keys; copy config/config.yaml, which names them all.")
    given = {"data_dir": data_dir} if data_dir else {}
    return read_settings({**config, **given}, SCHEMAS, Path())


def _unreadable(settings: Settings) -> list[str]:
    """Images that cannot be prepared. Raises ConfigError for those that a network would refuse."""
    return check_images(settings, Sources(os.devnull))


def _described(settings: Settings) -> Iterator[str]:
    """A line for each dataset and each experiment."""
    for name, dataset in settings.config["datasets"].items():
        images = [image for image in settings.images.values() if image.dataset == name]
        splits = Counter(image.split for image in images)
        counted = ", ".join(f"{count} {split}" for split, count in splits.items())
        yield f"dataset {name}: {len(images)} images ({counted}); truth is {dataset['truth']}"
    for name, experiment in settings.config["experiments"].items():
        recipe, network = settings.recipe(name), experiment["network"]
        folds = len(settings.folds(name))
        times = f" in {folds} folds" if folds > 1 else ""
        yield f"experiment {name}: {network['name']}, {recipe.steps} steps{times}"


def _machine() -> Iterator[str]:
    """What this machine is."""
    import torch  # seconds, after what is told at once

    from unetflow.engine.devices import cores, machine_of, resolve_precision

    if torch.cuda.is_available():
        device, gpus = "cuda", f"{torch.cuda.device_count()} GPUs"
    elif torch.backends.mps.is_available():
        device, gpus = "mps", "Apple's GPU"
    else:
        device, gpus = "cpu", "no GPU"
    yield (
        f"machine: {cores()} cores, {available_bytes() / GIB:.0f} GiB of memory free, {gpus}; "
        f"predicts in {resolve_precision('auto', device)}; "
        f"SLURM is {'there' if shutil.which(SLURM) else 'not there'}"
    )
    yield (
        f"software: unetflow {__version__}, Python {platform.python_version()}, PyTorch "
        f"{torch.__version__}, {machine_of(device)['processor']}"
    )


def _told(costs: Costs, results: Path) -> Iterator[str]:
    """Time and disk, of which there must be enough."""
    for name, of in costs.experiments.items():
        yield (
            f"time: {name}: {of.step_s:.2f} s a step, {_hours(of.training_s)} of training, "
            f"{_hours(of.predicting_s)} of prediction, on this machine"
        )
    there = next(folder for folder in (results, *results.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    most = costs.disk_bytes / GIB
    yield f"disk: at most {most:.1f} GiB in {results}; {free / GIB:.0f} GiB are free"
    if costs.disk_bytes > free:
        yield (
            "note: the disk may become full: stores are compressed, by how much hangs on the "
            "images. Set results to a larger disk."
        )


def _hours(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
