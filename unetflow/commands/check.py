"""What can be known of a case before the first hour of training: `unetflow check CONFIG`.

Config and sheet, every image by its header, truths as a picture, this machine, and what the case
will take: disk, and hours by a trial of two steps. No result is touched.
"""

import argparse
import json
import os
import platform
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from unetflow import __version__
from unetflow.commands.check_auto import (
    autos_of,
    choose,
    lines_of,
    with_choices,
    with_placeholders,
    write_choices,
)
from unetflow.commands.check_costs import Costs, costs_of
from unetflow.commands.check_picture import write_contact_sheet
from unetflow.commands.check_truths import problems_of_truths
from unetflow.commands.parsers import add_json, command_parser
from unetflow.commands.workflow import SCHEMAS, text_of_config, without_config, workflow_folder
from unetflow.engine.memory import available_bytes
from unetflow.errors import ConfigError
from unetflow.jobs.settings import Settings, read_settings
from unetflow.jobs.sources import Sources
from unetflow.jobs.suitability import check_images
from unetflow.jobs.twice import check_keys

EXAMPLES = (
    "config/mine.yaml",
    "config/isbi2012-cpu.yaml --data-dir path/to/isbi2012",
    "config/mine.yaml --json",
)
PICTURE = "check.png"
SLURM = "sbatch"
GIB = 2**30
BUSY = 1.5  # processes that want to run, for each core


def main(arguments: Sequence[str] | None = None, *, prog: str) -> int:
    """The command. Raises ConfigError for what would stop a run, all of it at once."""
    options = parser_of(prog).parse_args(arguments)
    busy = _busy()  # before it is, by what is timed here
    settings = _chosen(options)
    notes = [*settings.notes, *_unreadable(settings), *filter(None, [busy])]
    if options.json:
        shown = write_contact_sheet(settings, Path(options.picture))
        _raise_of_truths(settings)
        print(json.dumps(_as_json(settings, notes, options.picture if shown else None)))
        return 0
    for line in (*_described(settings), *(f"note: {note}" for note in notes)):
        print(line)
    if shown := write_contact_sheet(settings, Path(options.picture)):
        print(f"picture: {options.picture}: {shown} annotated images with their objects outlined")
    _raise_of_truths(settings)
    for line in _machine_in_words():
        print(line)
    if "demo" not in settings.config:
        for line in _told(costs_of(settings), Path(settings.config["results"])):
            print(line)
    return 0


def _raise_of_truths(settings: Settings) -> None:
    """Raise ConfigError where truths are not what the config says."""
    if "demo" not in settings.config and (problems := problems_of_truths(settings)):
        raise ConfigError("truths that cannot be used:\n  - " + "\n  - ".join(problems))


def _as_json(settings: Settings, notes: Sequence[str], picture: str | None) -> dict[str, Any]:
    """The same for a program: sizes in bytes, times in seconds."""
    found: dict[str, Any] = {"notes": [*notes], "picture": picture, "machine": _machine()}
    found["datasets"] = {
        name: {"truth": dataset["truth"], "images": _splits_of(settings, name)}
        for name, dataset in settings.config["datasets"].items()
    }
    found["experiments"] = {
        name: {
            "network": experiment["network"],
            "steps": settings.recipe(name).steps if settings.is_trained(name) else 0,
            "folds": settings.folds(name),
        }
        for name, experiment in settings.config["experiments"].items()
    }
    if "demo" not in settings.config:
        costs = costs_of(settings)
        for name, of in costs.experiments.items():
            found["experiments"][name] |= asdict(of)
        found["disk_bytes"] = costs.disk_bytes
        found["free_bytes"] = _free_bytes(Path(settings.config["results"]))
    return found


def parser_of(prog: str) -> argparse.ArgumentParser:
    """What reads the arguments of the command, which is called as `prog`."""
    parser = command_parser(prog, __doc__, EXAMPLES)
    parser.add_argument("config", help="as config/config.yaml")
    parser.add_argument("--data-dir", help="in place of the config's data_dir")
    parser.add_argument("--picture", default=PICTURE, help="where truths are shown (PNG)")
    parser.add_argument(
        "--write", action="store_true", help="write what `auto` becomes into the config"
    )
    add_json(parser)
    return parser


def _chosen(options: argparse.Namespace) -> Settings:
    """The case, with what `auto` becomes, which is said, and written if that is asked for."""
    path = Path(options.config)
    config = config_of(path, options.data_dir)
    if not autos_of(config):
        return _settings(config)
    choices = choose(config, _settings(with_placeholders(config)))
    said = [
        line
        for choice in choices
        for line in (
            f"auto: experiments.{choice.experiment}.{choice.key} becomes",
            *(f"  {each}" for each in lines_of(choice)),
        )
    ]
    if options.write:
        write_choices(path, choices)
        said.append(f"{path}: they stand in it now")
    else:
        said.append(f"a run needs them in {path}: the same command with --write puts them there")
    print("\n".join(said), file=sys.stderr if options.json else sys.stdout)
    return _settings(with_choices(config, choices))


def _settings(config: dict[str, Any]) -> Settings:
    folder = workflow_folder()
    return read_settings(config, folder / SCHEMAS, folder)


def config_of(path: Path, data_dir: str | None) -> dict[str, Any]:
    """A config as it stands in its file. Raises ConfigError."""
    check_keys([path])
    try:
        config: Any = yaml.safe_load(text_of_config(path))
    except FileNotFoundError:
        raise ConfigError(without_config(path)) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is no YAML: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: holds no keys; `unetflow init FOLDER` writes a config.")
    return {**config, **({"data_dir": data_dir} if data_dir else {})}


def _unreadable(settings: Settings) -> list[str]:
    """Images that cannot be prepared. Raises ConfigError for those that a network would refuse."""
    return check_images(settings, Sources(os.devnull))


def _described(settings: Settings) -> Iterator[str]:
    """A line for each dataset and each experiment."""
    for name, dataset in settings.config["datasets"].items():
        splits = _splits_of(settings, name)
        counted = ", ".join(f"{count} {split}" for split, count in splits.items())
        yield f"dataset {name}: {splits.total()} images ({counted}); truth is {dataset['truth']}"
    for name, experiment in settings.config["experiments"].items():
        recipe, network = settings.recipe(name), experiment["network"]
        folds = len(settings.folds(name))
        times = f" in {folds} folds" if folds > 1 else ""
        yield f"experiment {name}: {network['name']}, {recipe.steps} steps{times}"


def _splits_of(settings: Settings, dataset: str) -> Counter[str]:
    """How many images of a dataset are of each split."""
    return Counter(image.split for image in settings.images.values() if image.dataset == dataset)


def _machine() -> dict[str, Any]:
    """What this machine is."""
    import torch  # seconds, after what is told at once

    from unetflow.engine.devices import cores, machine_of, resolve_precision

    device = "cpu"
    if torch.cuda.is_available():
        device = "cuda"
    elif torch.backends.mps.is_available():
        device = "mps"
    return {
        "cores": cores(),
        "free_memory_bytes": available_bytes(),
        "device": device,
        "gpus": torch.cuda.device_count(),
        "precision": resolve_precision("auto", device),
        "slurm": shutil.which(SLURM) is not None,
        "unetflow": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": machine_of(device)["processor"],
    }


def _machine_in_words() -> Iterator[str]:
    of = _machine()
    gpus = {"cuda": f"{of['gpus']} GPUs", "mps": "Apple's GPU", "cpu": "no GPU"}[of["device"]]
    yield (
        f"machine: {of['cores']} cores, {of['free_memory_bytes'] / GIB:.0f} GiB of memory free, "
        f"{gpus}; predicts in {of['precision']}; SLURM is {'' if of['slurm'] else 'not '}there"
    )
    yield (
        f"software: unetflow {of['unetflow']}, Python {of['python']}, PyTorch {of['torch']}, "
        f"{of['processor']}"
    )


def _told(costs: Costs, results: Path) -> Iterator[str]:
    """Time and disk, of which there must be enough."""
    for name, of in costs.experiments.items():
        yield (
            f"time: {name}: {of.step_s:.2f} s a step, {_hours(of.training_s)} of training, "
            f"{_hours(of.predicting_s)} of prediction, on this machine"
        )
    free = _free_bytes(results)
    most = costs.disk_bytes / GIB
    yield f"disk: at most {most:.1f} GiB in {results}; {free / GIB:.0f} GiB are free"
    if costs.disk_bytes > free:
        yield (
            "note: the disk may become full: stores are compressed, by how much hangs on the "
            "images. Set results to a larger disk."
        )


def _busy() -> str | None:
    """A note where others work on this machine: what is timed takes longer then."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        return None
    count = os.cpu_count() or 1
    if load < BUSY * count:
        return None
    return (
        f"this machine is busy (load {load:.1f}, {count} cores): times by a trial are longer than "
        "they will be when it is not"
    )


def _free_bytes(results: Path) -> int:
    """Of the disk that results are written to."""
    there = next(folder for folder in (results, *results.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def _hours(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
