"""What is wrong with config and sheet, as far as it can be told before anything runs."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from unetflow import networks
from unetflow.errors import ConfigError
from unetflow.images.sources import split_dataset
from unetflow.jobs.config import Config
from unetflow.jobs.sheet import Image
from unetflow.jobs.sources import Sources, sources_cache

if TYPE_CHECKING:
    from unetflow.jobs.settings import Settings

AREA_CLASSES = ("ignore*", "region*")  # of polygons: `unetflow.images.polygons`


def problems_of(settings: "Settings", sheet: Path, of_rows: list[str]) -> list[str]:
    """All problems, those that were found in the rows of the sheet first."""
    problems = [*of_rows, *_sheet_problems(settings, sheet)]
    for name in settings.config["experiments"]:
        problems += _experiment_problems(settings, name)
    problems += _dataset_problems(settings.config)
    if not problems:  # of which it might be a consequence
        problems += _export_problems(settings)
    return problems + _file_problems(settings)


def _sheet_problems(settings: "Settings", sheet: Path) -> list[str]:
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
        if image.truth and _same_file(image.truth, image.path):
            problems.append(
                f"{sheet}: image {image.name}: its truth is the image itself; give the file of the "
                "annotation, or leave the cell empty and set the split to predict"
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


def _dataset_problems(config: Config) -> list[str]:
    problems = []
    for name, dataset in config["datasets"].items():
        where = f"config: datasets.{name}.classes"
        if dataset["truth"] == "interior" and len(dataset["classes"]) > 1:
            problems.append(f"{where}: truth of kind interior has one class; name one")
        reserved = [each for each in dataset["classes"] if each.lower() in AREA_CLASSES]
        if reserved:
            problems.append(f"{where}: {', '.join(reserved)} are QuPath's areas, not classes")
    return problems


def _experiment_problems(settings: "Settings", name: str) -> list[str]:
    config = settings.config
    experiment = config["experiments"][name]
    where = f"config: experiments.{name}"
    problems = []
    for key, named, known in (
        ("dataset", experiment["dataset"], list(config["datasets"])),
        ("weighting", experiment["weighting"], list(config["weighting"])),
    ):
        if named is not None and named not in known:
            problems.append(
                f"{where}.{key}: {named!r} is not defined; there are: {', '.join(known)}"
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


def _export_problems(settings: "Settings") -> list[str]:
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


def _file_problems(settings: "Settings") -> list[str]:
    """Missing files, and truths of another size than their image; what cannot be opened waits."""
    if "demo" in settings.config:  # the workflow draws them
        return _demo_problems(settings)
    data_dir = settings.config["data_dir"]
    every = [path for image in settings.images.values() for path in _files_of(image)]
    no_data = set() if Path(data_dir).is_dir() else _inside(data_dir, every)
    problems = []
    if no_data:
        problems.append(
            f"data_dir: there is no folder {data_dir}, which the sheet's {{data}} stands for; set "
            "it in the config or with --config data_dir=..."
        )
    sources = Sources(sources_cache(settings.config["results"]))
    for image in settings.images.values():
        missing = [path for path in _files_of(image) if not split_dataset(path)[0].exists()]
        problems += [
            f"image {image.name}: there is no file {path}"
            for path in missing
            if path not in no_data
        ]
        dataset = settings.config["datasets"].get(image.dataset)
        if dataset and not dataset["mpp"] and not missing:
            problems += _size_problems(image, sources)
    sources.save()
    return problems


def _demo_problems(settings: "Settings") -> list[str]:
    slides = {i.path for i in settings.images.values() if i.truth and _is_slide(i.path)}
    if len(slides) == 1:
        return []
    return [
        f"demo: the sheet has {len(slides)} slides with truth (*.ome.tif), the demo draws one; "
        "take `demo` out of the config if the images are real ones"
    ]


def _size_problems(image: Image, sources: Sources) -> list[str]:
    """A truth of another size than its image, where both can be opened."""
    if not image.truth:
        return []
    levels = {image.level or 0, 0}  # a truth may be drawn at the finest level
    shapes = [sources.shape_px(image.path, level=level, **image.chosen) for level in levels]
    truth_shape = sources.shape_px(image.truth, level=0, **image.chosen)
    if not all(shapes) or not truth_shape or truth_shape in shapes:
        return []
    of_image = " or ".join(f"{shape[0]}x{shape[1]}" for shape in shapes if shape)
    return [
        f"image {image.name}: the truth {image.truth} is {truth_shape[0]}x{truth_shape[1]} "
        f"px, the image {of_image} px; they must be of one size"
    ]


def _same_file(one: str, other: str) -> bool:
    (file, dataset), (other_file, other_dataset) = split_dataset(one), split_dataset(other)
    return file.resolve() == other_file.resolve() and dataset == other_dataset


def _inside(folder: str, paths: list[str]) -> set[str]:
    return {path for path in paths if Path(path).is_relative_to(folder)}


def _files_of(image: Image) -> list[str]:
    return [path for path in (image.path, image.truth, image.tissue) if path]


def _is_slide(path: str) -> bool:
    return path.endswith(".ome.tif")
