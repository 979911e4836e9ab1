"""The config and the sheet: read, checked as a whole, completed with defaults.

All problems are collected and raised as one ConfigError while the graph is built, so that nobody
waits in a queue for a typing error.
"""

import copy
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from unetflow.errors import ConfigError
from unetflow.jobs.bundles import bundles_of
from unetflow.jobs.config import Config
from unetflow.jobs.finished_models import complete_models
from unetflow.jobs.old_keys import rename_old_keys
from unetflow.jobs.problems import complete_networks, notes_of, problems_of
from unetflow.jobs.schemas import in_words, no_numbers, read_schema, schema_errors, with_defaults
from unetflow.jobs.seeds import expand_seeds
from unetflow.jobs.sheet import Image, read_sheet, with_home
from unetflow.jobs.twice import LOADER
from unetflow.train.changed_recipes import recipe_from
from unetflow.train.recipes import Recipe

PATHS: tuple[Literal["results", "images", "data_dir"], ...] = ("results", "images", "data_dir")
ALL, ENSEMBLE = "all", "ensemble"  # folds of networks that see every image, or average the others


@dataclass(frozen=True, slots=True)
class Settings:
    """The config with its defaults, the sheet's images and the bundles that share jobs, by name."""

    config: Config
    images: dict[str, Image]
    bundles: dict[str, list[str]]
    notes: list[str] = field(default_factory=list, compare=False)  # a line each

    def folds(self, experiment: str) -> list[int]:
        """Folds of an experiment: the numbers in its sheet, or 0 alone for named splits."""
        splits = {image.split for image in self.of_experiment(experiment)}
        return sorted(int(split) for split in splits if split.isdigit()) or [0]

    def images_of(self, experiment: str, fold: int | str, *roles: str) -> list[str]:
        """Names of an experiment's images that have one of the roles in a fold.

        In `ALL` every annotated image is for training, in `ENSEMBLE` none is.
        """
        folds = self.folds(experiment)
        return [
            image.name
            for image in self.of_experiment(experiment)
            if role(image.split, fold, folds) in roles
        ]

    def judged(self, experiment: str, fold: int | str) -> list[tuple[str, int]]:
        """Images that thresholds are chosen on, each with a fold whose network never saw it.

        The fold's validation images; for a network of all images or of all folds the test images
        of each fold, and with named splits the validation images.
        """
        if fold not in (ALL, ENSEMBLE):
            return [(name, int(fold)) for name in self.images_of(experiment, fold, "validation")]
        folds = self.folds(experiment)
        kind = "test" if len(folds) > 1 else "validation"
        return [(name, each) for each in folds for name in self.images_of(experiment, each, kind)]

    def segmenting(self, experiment: str) -> list[int | str]:
        """The folds whose networks segment the images of split predict."""
        chosen = self.config["experiments"][experiment]["segment_with"]
        return [*self.folds(experiment)] if chosen == "folds" else [chosen]

    def stacks_of(self, experiment: str, fold: int | str, *roles: str) -> dict[str, list[str]]:
        """Images of a fold whose truth is interiors, by group: slices, in the order of planes.

        Else of the numbers in their names: s2 before s10.
        """
        dataset = self.config["experiments"][experiment]["dataset"]
        of = self.config["datasets"][dataset]
        if of["truth"] != "interior" or of["as"] == "volume":
            return {}
        stacks: dict[str, list[str]] = {}
        for name in self.images_of(experiment, fold, *roles):
            if group := self.images[name].group:
                stacks.setdefault(group, []).append(name)
        return {group: sorted(names, key=self._place) for group, names in stacks.items()}

    def _place(self, name: str) -> tuple[int, int, list[int | str]]:
        """Where a slice lies in its stack, to be sorted by."""
        image = self.images[name]
        parts = re.split(r"(\d+)", name)  # every second one is a number
        return image.plane or 0, image.time or 0, [int(p) if p.isdigit() else p for p in parts]

    def is_trained(self, experiment: str) -> bool:
        """Whether its network is trained here; else it is a finished model."""
        return self.config["experiments"][experiment]["model"] is None

    def recipe(self, experiment: str) -> Recipe:
        """The recipe of an experiment, its preset and changes resolved."""
        return recipe_from(**self.config["experiments"][experiment]["recipe"])

    def of_experiment(self, experiment: str) -> list[Image]:
        """The images of an experiment's dataset."""
        dataset = self.config["experiments"][experiment]["dataset"]
        return [image for image in self.images.values() if image.dataset == dataset]


def role(split: str, fold: int | str, folds: list[int]) -> str:
    """What an image is for in a fold: of fold k are test, those of the next one validation."""
    if fold in (ALL, ENSEMBLE):
        return split if split == "predict" else "train" if fold == ALL else "unused"
    if not split.isdigit():
        return split
    fold = int(fold)
    position = folds.index(fold)
    following = folds[(position + 1) % len(folds)]
    return {fold: "test", following: "validation"}.get(int(split), "train")


def read_settings(
    config: Mapping[str, object], schemas: str | Path, base: str | Path, *, in_job: bool = False
) -> Settings:
    """Check a config and its sheet as a whole. Raises ConfigError that lists all problems.

    A job, which reads both again, looks at no raw file: all were looked at as the graph was built,
    and for each job to do so is too much for the file server of a large cohort.

    `schemas` is the folder of the schemas; a sheet that is not found from the working directory
    is looked for beside the workflow, in `base`.
    """
    checked, notes = _checked(config, Path(schemas))
    sheet = Path(checked["images"])
    if not sheet.exists() and (Path(base) / sheet).exists():
        sheet = Path(base) / sheet
    row_schema = read_schema(Path(schemas) / "images.schema.yaml")
    images, problems = read_sheet(sheet, row_schema, checked["data_dir"])
    images = {name: _as_its_dataset(image, checked) for name, image in images.items()}
    if not images:  # what would follow from that is no problem of its own
        _raise_if(problems)
    sizes = {name: dataset["images_per_job"] for name, dataset in checked["datasets"].items()}
    settings = Settings(checked, images, bundles_of(images, sizes), notes)
    _raise_if(problems if in_job else problems_of(settings, sheet, problems))
    notes += [] if in_job else notes_of(settings, sheet)
    return settings


def type_arguments(config: dict[str, Any], arguments: Iterable[str]) -> None:
    """Give what --config says the types that a file would give it, in place.

    Snakemake reads numbers and True; all else it hands on as texts, also within brackets.
    `arguments` are those of --config, such as "engine={scheduler: slurm, workers: 8}".
    """
    for argument in arguments:
        key, _, text = argument.partition("=")
        with suppress(yaml.YAMLError):  # a text, as Snakemake took it
            _type(config, {key: yaml.load(text, LOADER)})


def _type(config: dict[str, Any], typed: Mapping[str, Any]) -> None:
    for key, value in typed.items():
        if isinstance(given := config.get(key), dict) and isinstance(value, dict):
            _type(given, value)
        elif isinstance(given, str | list):
            config[key] = value


def autos_in(config: Config) -> list[str]:
    """Networks and recipes that have still to be chosen."""
    return [
        f"config: experiments.{name}.{key}: auto has to be chosen before the graph is built: run "
        "`unetflow check CONFIG --write`, which writes its values into the config, or write them "
        "yourself"
        for name, experiment in config["experiments"].items()
        for key in ("network", "recipe")
        if experiment.get(key) == "auto"
    ]


def _as_its_dataset(image: Image, config: Config) -> Image:
    """An image as its dataset has it: as a volume, or with the planes beside it."""
    dataset = config["datasets"].get(image.dataset)
    if dataset is None:
        return image
    if dataset["as"] == "volume":
        return replace(image, volume=True)
    return replace(image, adjacent=dataset["adjacent_planes"])


def _checked(config: Mapping[str, object], schemas: Path) -> tuple[Config, list[str]]:
    """A config with all its defaults that the schema has nothing against, and notes of old keys."""
    schema = read_schema(schemas / "config.schema.yaml")
    given = copy.deepcopy(dict(config))
    notes, problems = rename_old_keys(given)
    _raise_if(problems)
    complete = with_defaults(given, schema)
    _raise_if([*no_numbers("config", complete)])  # which the schema's limits let pass
    _raise_if([in_words("config", error) for error in schema_errors(complete, schema)])
    checked = cast(Config, complete)
    _raise_if(autos_in(checked))
    _raise_if(expand_seeds(checked))
    for experiment in checked["experiments"].values():
        if experiment["model"]:
            experiment["model"] = with_home(experiment["model"])
    _raise_if(complete_models(checked))
    _raise_if(complete_networks(checked))
    for key in PATHS:
        checked[key] = with_home(checked[key])
    checked["results"] = str(Path(checked["results"]))  # Snakemake knows no target below ./results
    for experiment in checked["experiments"].values():
        if experiment["pretrained"]:
            experiment["pretrained"] = with_home(experiment["pretrained"])
    if Path(checked["results"]).is_file():
        _raise_if([f"config: results: {checked['results']} is a file; name a folder"])
    return checked, notes


def _raise_if(problems: list[str]) -> None:
    if problems:
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(f"{count} in config or sheet:\n  - " + "\n  - ".join(problems))
