"""The config and the sheet: read, checked as a whole, completed with defaults.

All problems are collected and raised as one ConfigError while the graph is built, so that nobody
waits in a queue for a typing error.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from unetflow import networks
from unetflow.errors import ConfigError
from unetflow.images.sources import split_dataset
from unetflow.jobs.bundles import bundles_of
from unetflow.jobs.sheet import Image, in_words, read_sheet, schema_errors
from unetflow.jobs.sources import Sources
from unetflow.train.recipes import Recipe, recipe_from

ALL, ENSEMBLE = "all", "ensemble"  # folds of networks that see every image, or average the others
NAMED_SPLITS = ("train", "validation", "test", "predict")
AREA_CLASSES = ("ignore*", "region*")  # of polygons: `unetflow.images.polygons`


@dataclass(frozen=True, slots=True)
class Settings:
    """The config with its defaults, the sheet's images and the bundles that share jobs, by name."""

    config: dict[str, Any]
    images: dict[str, Image]
    bundles: dict[str, list[str]]

    def folds(self, experiment: str) -> list[int]:
        """Folds of an experiment: the numbers in its sheet, or 0 alone for named splits."""
        splits = {image.split for image in self._of(experiment)}
        return sorted(int(split) for split in splits if split.isdigit()) or [0]

    def images_of(self, experiment: str, fold: int | str, *roles: str) -> list[str]:
        """Names of an experiment's images that have one of the roles in a fold.

        In `ALL` every annotated image is for training, in `ENSEMBLE` none is.
        """
        folds = self.folds(experiment)
        return [
            image.name for image in self._of(experiment) if role(image.split, fold, folds) in roles
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
        """Images of a fold whose truth is interiors, by group: slices, in the order of planes."""
        dataset = self.config["experiments"][experiment]["dataset"]
        if self.config["datasets"][dataset]["truth"] != "interior":
            return {}
        stacks: dict[str, list[str]] = {}
        for name in self.images_of(experiment, fold, *roles):
            if group := self.images[name].group:
                stacks.setdefault(group, []).append(name)
        return {group: sorted(names, key=self._plane) for group, names in stacks.items()}

    def _plane(self, name: str) -> int:
        return self.images[name].plane or 0

    def recipe(self, experiment: str) -> Recipe:
        """The recipe of an experiment, its preset and changes resolved."""
        return recipe_from(**self.config["experiments"][experiment]["recipe"])

    def _of(self, experiment: str) -> list[Image]:
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


def read_settings(config: Mapping[str, Any], schemas: str | Path, base: str | Path) -> Settings:
    """Check a config and its sheet as a whole. Raises ConfigError that lists all problems.

    `schemas` is the folder of the schemas; a sheet that is not found from the working directory
    is looked for beside the workflow, in `base`.
    """
    schema = yaml.safe_load((Path(schemas) / "config.schema.yaml").read_text())
    complete = _with_defaults(copy.deepcopy(dict(config)), schema)
    problems = [in_words("config", error) for error in schema_errors(complete, schema)]
    _raise_if(problems)
    sheet = Path(complete["images"])
    if not sheet.exists():
        sheet = Path(base) / sheet
    row_schema = yaml.safe_load((Path(schemas) / "images.schema.yaml").read_text())
    images, problems = read_sheet(sheet, row_schema, complete["data_dir"])
    if not images:  # what would follow from that is no problem of its own
        _raise_if(problems)
    sizes = {name: dataset["images_per_job"] for name, dataset in complete["datasets"].items()}
    settings = Settings(complete, images, bundles_of(images, sizes))
    problems += _sheet_problems(settings, sheet)
    problems += [
        p for name in complete["experiments"] for p in _experiment_problems(settings, name)
    ]
    problems += _dataset_problems(complete)
    if not problems:  # of which it might be a consequence
        problems += _export_problems(settings)
    problems += _file_problems(settings)
    _raise_if(problems)
    return settings


def _raise_if(problems: list[str]) -> None:
    if problems:
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(f"{count} in config or sheet:\n  - " + "\n  - ".join(problems))


def _with_defaults(value: Any, schema: Mapping[str, Any]) -> Any:
    """Fill in the schema's defaults, in what is there and in what they make."""
    if not isinstance(value, dict):
        return value
    known = schema.get("properties", {})
    for key, part in known.items():
        if key not in value and "default" in part:
            value[key] = copy.deepcopy(part["default"])
    others = schema.get("additionalProperties")
    for key, inner in value.items():
        part = known.get(key, others if isinstance(others, dict) else {})
        value[key] = _with_defaults(inner, part)
    return value


def _sheet_problems(settings: Settings, sheet: Path) -> list[str]:
    problems = []
    splits_of_group: dict[tuple[str, str], set[str]] = {}
    kinds: dict[str, set[bool]] = {}
    for image in settings.images.values():
        if image.dataset not in settings.config["datasets"]:
            problems.append(
                f"{sheet}: image {image.name}: dataset {image.dataset!r} is not in the config; "
                f"there are: {', '.join(settings.config['datasets'])}"
            )
        if image.truth is None and image.split != "predict":
            problems.append(
                f"{sheet}: image {image.name}: split {image.split} needs a truth; give one or set "
                "the split to predict"
            )
        if image.group and image.split != "predict":
            splits_of_group.setdefault((image.dataset, image.group), set()).add(image.split)
        if image.split != "predict":
            kinds.setdefault(image.dataset, set()).add(image.split.isdigit())
    for (dataset, group), splits in splits_of_group.items():
        if len(splits) > 1:
            problems.append(
                f"{sheet}: group {group!r} of dataset {dataset} is on both sides of a split "
                f"({', '.join(sorted(splits))}); keep all its images on one"
            )
    problems += [
        f"{sheet}: dataset {dataset} mixes fold numbers with named splits; use one of them"
        for dataset, both in kinds.items()
        if len(both) > 1
    ]
    return problems


def _dataset_problems(config: Mapping[str, Any]) -> list[str]:
    problems = []
    for name, dataset in config["datasets"].items():
        where = f"config: datasets.{name}.classes"
        if dataset["truth"] == "interior" and len(dataset["classes"]) > 1:
            problems.append(f"{where}: truth of kind interior has one class; name one")
        reserved = [each for each in dataset["classes"] if each.lower() in AREA_CLASSES]
        if reserved:
            problems.append(f"{where}: {', '.join(reserved)} are QuPath's areas, not classes")
    return problems


def _experiment_problems(settings: Settings, name: str) -> list[str]:
    config = settings.config
    experiment = config["experiments"][name]
    where = f"config: experiments.{name}"
    problems = []
    for key, known in (("dataset", config["datasets"]), ("weighting", config["weighting"])):
        if experiment[key] is not None and experiment[key] not in known:
            problems.append(
                f"{where}.{key}: {experiment[key]!r} is not defined; there are: {', '.join(known)}"
            )
    if not problems:
        for fold in settings.folds(name):
            if not settings.images_of(name, fold, "train"):
                problems.append(f"{where}: no image of its dataset is for training in fold {fold}")
    geometry = networks.geometry_of(**experiment["network"])
    try:
        tile_px = settings.recipe(name).tile_px
        for axis in range(len(geometry.axes)):
            geometry.output_px(tile_px, axis)
    except (ConfigError, ValueError) as error:
        problems.append(f"{where}.recipe.tile_px: {error}")
    write_px, shard_px = config["predict"]["write_px"], config["predict"]["shard_px"]
    step_px = math.lcm(*geometry.step_px)
    if write_px is not None and write_px % step_px:
        problems.append(
            f"config: predict.write_px: {write_px} px is no multiple of {step_px} px, the step of "
            f"the network of experiment {name}; use 512 or 1024"
        )
    if write_px is not None and shard_px % write_px:
        problems.append(
            f"config: predict.shard_px: {shard_px} px is no multiple of write_px = {write_px} px"
        )
    return problems


def _export_problems(settings: Settings) -> list[str]:
    """A stack that is asked for and would be of no images."""
    config = settings.config
    wanted = config["export"]
    stacks = [
        settings.stacks_of(name, fold, *wanted["splits"])
        for name in config["experiments"]
        for fold in {*settings.folds(name), *settings.segmenting(name)}
    ]
    if "stack" not in wanted["formats"] or any(stacks):
        return []
    return [
        f"config: export.formats: no image of the splits {', '.join(wanted['splits'])} is of a "
        "stack; a stack is of images with a `group` in the sheet, in a dataset whose truth is "
        "interior"
    ]


def _file_problems(settings: Settings) -> list[str]:
    """Missing files, and truths of another size than their image; what cannot be opened waits."""
    if "demo" in settings.config:  # the workflow draws them
        slides = {i.path for i in settings.images.values() if i.truth and _is_slide(i.path)}
        if len(slides) == 1:
            return []
        return [
            f"demo: the sheet has {len(slides)} slides with truth (*.ome.tif), the demo draws one; "
            "take `demo` out of the config if the images are real ones"
        ]
    data_dir = settings.config["data_dir"]
    sources = Sources(sources_cache(settings.config["results"]))
    problems = []
    every = [path for image in settings.images.values() for path in _files_of(image)]
    no_data = set() if Path(data_dir).is_dir() else _inside(data_dir, every)
    if no_data:
        problems.append(
            f"data_dir: there is no folder {data_dir}, which the sheet's {{data}} stands for; set "
            "it in the config or with --config data_dir=..."
        )
    for image in settings.images.values():
        missing = [path for path in _files_of(image) if not split_dataset(path)[0].exists()]
        problems += [
            f"image {image.name}: there is no file {path}"
            for path in missing
            if path not in no_data
        ]
        if missing or not image.truth or settings.config["datasets"][image.dataset]["mpp"]:
            continue
        chosen = {"plane": image.plane, "time": image.time, "axes": image.axes}
        levels = {image.level or 0, 0}  # a truth may be drawn at the finest level
        shapes = [sources.shape_px(image.path, level=level, **chosen) for level in levels]
        truth_shape = sources.shape_px(image.truth, level=0, **chosen)
        if all(shapes) and truth_shape and truth_shape not in shapes:
            of_image = " or ".join(f"{shape[0]}x{shape[1]}" for shape in shapes if shape)
            problems.append(
                f"image {image.name}: the truth {image.truth} is {truth_shape[0]}x{truth_shape[1]} "
                f"px, the image {of_image} px; they must be of one size"
            )
    sources.save()
    return problems


def _inside(folder: str, paths: list[str]) -> set[str]:
    return {path for path in paths if Path(path).is_relative_to(folder)}


def _files_of(image: Image) -> list[str]:
    return [path for path in (image.path, image.truth, image.tissue) if path]


def _is_slide(path: str) -> bool:
    return path.endswith(".ome.tif")


def sources_cache(results: str) -> Path:
    """Where the fingerprints of raw files are remembered."""
    return Path(results) / ".sources.json"
