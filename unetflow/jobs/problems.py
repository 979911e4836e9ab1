"""What is wrong with config and sheet, as far as it can be told before anything runs."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unetflow import networks
from unetflow.errors import ConfigError
from unetflow.evaluate.catalogue import SCORES, row_of
from unetflow.evaluate.search_space import AUTO
from unetflow.images.sources import split_dataset
from unetflow.jobs.config import Config, DatasetConfig
from unetflow.jobs.files import problems_of_files
from unetflow.jobs.schemas import meant
from unetflow.jobs.sides import notes_of_sides, problems_of_sides
from unetflow.jobs.volumes import problems_of_volumes
from unetflow.models import located
from unetflow.networks.deployed import read_deployed
from unetflow.store.heads import HEADS
from unetflow.store.stains import WAYS
from unetflow.tiles.regions import side_px

if TYPE_CHECKING:
    from unetflow.jobs.settings import Settings
    from unetflow.tiles.geometry import Geometry

OF_IMAGES = ("in_channels", "num_classes")  # options of a network that follow from the dataset
AREA_CLASSES = ("ignore*", "region*")  # of polygons: `unetflow.images.polygons`


def complete_networks(config: Config) -> list[str]:
    """Give each experiment's network all its options; a line for each that is not possible."""
    problems = []
    for name, experiment in config["experiments"].items():
        where, given = f"config: experiments.{name}.network", experiment["network"]
        problems += [
            f"{where}: {option} follows from the dataset; take it out"
            for option in OF_IMAGES
            if option in given
        ]
        try:
            complete = networks.options_of(**given)
            networks.geometry_of(**given)
        except (ValueError, TypeError) as error:  # of a user's own: one that it needs, or a key 3
            problems.append(f"{where}: {error}")
            continue
        for option in OF_IMAGES:
            complete.pop(option, None)
        experiment["network"] = {"name": given["name"], **complete}
    return problems


def problems_of(settings: "Settings", sheet: Path, of_rows: list[str]) -> list[str]:
    """All problems, those that were found in the rows of the sheet first."""
    problems = [*of_rows, *_sheet_problems(settings, sheet)]
    for name in settings.config["experiments"]:
        problems += _experiment_problems(settings, name, whole=not of_rows)
    problems += _dataset_problems(settings.config)
    problems += problems_of_volumes(settings, sheet)
    problems += _report_problems(settings.config)
    problems += _kept_problems(settings.config)
    if not problems:  # of which it might be a consequence
        problems += _export_problems(settings)
    return problems + problems_of_files(settings)


def _kept_problems(config: Config) -> Iterator[str]:
    """What needs the pixels of images that are not kept."""
    if config["prepare"]["keep_images"]:
        return
    where = "config: prepare.keep_images: false keeps no pixels of images without a truth, but"
    if config["refine"]["crf"] is not None:
        yield f"{where} refine.crf reads them; take one of both out"
    export = config["export"]
    if "overlay" in export["formats"] and "predict" in export["splits"]:
        yield f"{where} export.formats: overlay shows those of split predict; take one of both out"


def _sheet_problems(settings: "Settings", sheet: Path) -> list[str]:
    splits_of_group: dict[tuple[str, str], set[str]] = {}
    kinds: dict[str, set[bool]] = {}
    strangers: dict[str, list[str]] = {}  # by dataset
    without_truth: dict[str, list[str]] = {}  # by split
    its_own_truth: list[str] = []
    datasets = list(settings.config["datasets"])
    for image in settings.images.values():
        if image.dataset not in datasets:
            strangers.setdefault(image.dataset, []).append(image.name)
        if image.truth is None and image.split != "predict":
            without_truth.setdefault(image.split, []).append(image.name)
        if image.truth and _same_file(image.truth, image.path):
            its_own_truth.append(image.name)
        if image.group and image.split != "predict":
            splits_of_group.setdefault((image.dataset, image.group), set()).add(image.split)
        if image.split != "predict":
            kinds.setdefault(image.dataset, set()).add(image.split.isdigit())
    problems = [
        f"{sheet}: {_some(names)}: dataset {dataset!r} is not in the config; "
        + meant(dataset, datasets)
        for dataset, names in strangers.items()
    ]
    problems += [
        f"{sheet}: {_some(names)}: split {split} needs a truth; give one or set the split to "
        "predict"
        for split, names in without_truth.items()
    ]
    if its_own_truth:
        problems.append(
            f"{sheet}: {_some(its_own_truth)}: the truth is the image itself; give the file of the "
            "annotation, or leave the cell empty and set the split to predict"
        )
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
    problems += (f"{sheet}: {each}" for each in problems_of_sides([*settings.images.values()]))
    return problems


def _dataset_problems(config: Config) -> list[str]:
    problems = []
    for name, dataset in config["datasets"].items():
        where = f"config: datasets.{name}.classes"
        if dataset["truth"] == "interior" and len(dataset["classes"]) > 1:
            problems.append(f"{where}: truth of kind interior has one class; name one")
        problems += _classes_alike(where, dataset["classes"])
        reserved = [each for each in dataset["classes"] if each.lower() in AREA_CLASSES]
        if reserved:
            problems.append(f"{where}: {', '.join(reserved)} are QuPath's areas, not classes")
        if dataset["ignore_value"] == 0 and dataset["truth"] != "classes":
            problems.append(
                f"config: datasets.{name}.ignore_value: 0 is the background of a truth of kind "
                f"{dataset['truth']}, without which a network finds objects everywhere; give the "
                "value of what nobody annotated, or null"
            )
        problems += _annotation_problems(f"config: datasets.{name}", dataset)
        if (dataset["intensity"] == "local") != (dataset["intensity_px"] is not None):
            problems.append(
                f"config: datasets.{name}.intensity_px: is the side of the surroundings that "
                "intensity: local compares a pixel with, two to four objects wide; set both or "
                "neither"
            )
        if dataset["percentiles"] and dataset["intensity"] in WAYS:
            problems.append(
                f"config: datasets.{name}.percentiles: are of pixels as they are, not of those "
                f"that intensity: {dataset['intensity']} makes; take one of them out"
            )
        low, high = dataset["percentiles"] or (0, 100)
        if not low < high or high <= 1:
            problems.append(
                f"config: datasets.{name}.percentiles: [{low:g}, {high:g}] must be the lower and "
                "the higher one, in percent, such as [1, 99]"
            )
    return problems


def _annotation_problems(where: str, dataset: DatasetConfig) -> Iterator[str]:
    """Keys that say how a truth is meant, and do not go together."""
    kind, inside, ring_px = dataset["truth"], dataset["label_value"], dataset["ring_px"]
    if inside is not None and kind != "interior":
        yield (
            f"{where}.label_value: says which value is inside cells, of truth of kind interior; "
            f"this one is of kind {kind}: take the key out, or set truth to interior"
        )
    if inside is not None and inside == dataset["ignore_value"]:
        yield (
            f"{where}.label_value: {inside} is the ignore_value too; a pixel is inside a cell or "
            "not annotated"
        )
    if dataset["unannotated"] != "ignore":
        if ring_px is not None:
            yield f"{where}.ring_px: is of use with unannotated: ignore alone; set both or neither"
        return
    if ring_px is None:
        yield (
            f"{where}.ring_px: is missing: unannotated: ignore needs the width [px] of the ring "
            "around annotated objects in which background counts; a fourth of an object's diameter "
            "is a start, less where others that nobody annotated lie close by"
        )
    if kind == "interior":
        yield (
            f"{where}.unannotated: ignore is for objects, truths of kind instances or classes; in "
            "one of kind interior give what nobody annotated a value, and set ignore_value to it"
        )


def _classes_alike(where: str, classes: Sequence[str]) -> Iterator[str]:
    """Classes that polygons do not tell apart, and such without a name."""
    if not all(map(str.strip, classes)):
        yield f"{where}: {classes} has one without a name"
    if len(classes) > 1:
        from unetflow.images.areas import class_name  # shapely, which planning does without

        spelled: dict[str, list[str]] = {}
        for each in classes:
            spelled.setdefault(class_name(each), []).append(each)
        yield from (
            f"{where}: {' and '.join(map(repr, same))} are one class, as polygons have it: large "
            "and small letters and spaces do not count; name it once"
            for same in spelled.values()
            if len(same) > 1
        )


def _experiment_problems(settings: "Settings", name: str, *, whole: bool) -> list[str]:
    """Problems of an experiment; of a `whole` sheet also whether it has images to learn from."""
    config = settings.config
    experiment = config["experiments"][name]
    where = f"config: experiments.{name}"
    problems = []
    for key, named, known in (
        ("dataset", experiment["dataset"], list(config["datasets"])),
        ("weighting", experiment["weighting"], list(config["weighting"])),
    ):
        if named is not None and named not in known:
            problems.append(f"{where}.{key}: {named!r} is not defined; {meant(named, known)}")
    whole = whole and all(i.dataset in config["datasets"] for i in settings.images.values())
    if settings.is_trained(name):
        if not problems and whole:
            problems += _training_problems(settings, name, where)
        problems += _recipe_problems(settings, name, where)
    geometry = networks.geometry_of(**experiment["network"])
    problems += _head_problems(settings, name, where)
    problems += _tile_problems(config, name, geometry)
    return problems


def _tile_problems(config: Config, name: str, geometry: "Geometry") -> Iterator[str]:
    """Write regions that a network cannot have, or that do not fill shards."""
    write_px, axes = config["predict"]["write_px"], len(geometry.axes)
    if write_px is None:
        return
    shard_px, usual_px = side_px(config["predict"]["shard_px"], axes), side_px(512, axes)
    step_px = math.lcm(*geometry.step_px)
    if write_px % step_px:
        yield (
            f"config: predict.write_px: {write_px} px is no multiple of {step_px} px, the step of "
            f"the network of experiment {name}; use {usual_px} or {2 * usual_px}"
        )
    if shard_px % write_px:
        # of volumes an eighth of what the config says, along each axis
        whole_px = math.lcm(usual_px, write_px) * (512 // usual_px)
        yield (
            f"config: predict.shard_px: {shard_px} px is no multiple of write_px = {write_px} px; "
            f"a shard holds whole tiles: set it to {whole_px}"
            + (
                f" (of volumes an eighth of it along each axis, {whole_px * usual_px // 512} px)"
                if usual_px < 512
                else ""
            )
            + f", or write_px to {usual_px}"
        )


def _recipe_problems(settings: "Settings", name: str, where: str) -> list[str]:
    """Colours that cannot be varied, a tile that the network does not take, steps never done."""
    problems = _colour_problems(settings, name, where)
    experiment = settings.config["experiments"][name]
    given = experiment["recipe"]
    if given.get("freeze_encoder") and not experiment["pretrained"]:
        problems.append(
            f"{where}.recipe.freeze_encoder: keeps the encoder of a model file as it is, but the "
            "experiment has no pretrained; name one, or set freeze_encoder to false"
        )
    if given.get("continue") and given.get("early_stopping"):
        problems.append(
            f"{where}.recipe.continue: adds steps to a training that early_stopping may have ended "
            "before; take one of them out"
        )
    geometry = networks.geometry_of(**experiment["network"])
    try:
        sides = settings.recipe(name).input_px(len(geometry.axes))
        for axis, side in enumerate(sides):
            geometry.output_px(side, axis)
    except ConfigError as error:  # which names its key of the recipe
        problems.append(f"{where}.{error}")
    except ValueError as error:
        problems.append(f"{where}.recipe.tile_px: {error}")
    return problems


def _colour_problems(settings: "Settings", name: str, where: str) -> list[str]:
    """Colours that are to be varied where a network sees no linear red, green and blue."""
    try:
        varied = settings.recipe(name).augmentation.of_colour
    except ConfigError:  # which is told of the tile
        return []
    dataset = settings.config["datasets"].get(settings.config["experiments"][name]["dataset"])
    if not varied or dataset is None or dataset["intensity"] in ("linear", *WAYS):
        return []
    return [
        f"{where}.recipe.augmentation: {', '.join(varied)} is of colours, which intensity: "
        f"{dataset['intensity']} of the dataset takes away; take one of them out"
    ]


def _head_problems(settings: "Settings", name: str, where: str) -> Iterator[str]:
    """A head that nothing can be learnt for, and objects that need one which is not there."""
    config = settings.config
    experiment, separate = config["experiments"][name], _separation(settings, name)
    dataset = config["datasets"].get(experiment["dataset"])
    if experiment["head"] and dataset and dataset["truth"] == "classes":
        yield (
            f"{where}.head: {experiment['head']} is learnt of objects, but truth of kind classes "
            "has none; leave it out, or give a truth of kind instances"
        )
    if separate not in HEADS:
        return
    if experiment["head"] != separate:
        yield (
            f"config: instances.separate: {separate} needs what a network with such a head says; "
            f"set experiments.{name}.head to {separate} (its network is trained anew), or choose "
            "necks, valleys or seeds"
        )
    if any(part is not None for part in config["refine"].values()):
        yield (
            f"config: instances.separate: {separate} looks at a head, which refine leaves as it "
            "is; leave refine out, or choose necks, valleys or seeds"
        )


def _separation(settings: "Settings", name: str) -> str:
    """How clumps are taken apart; `auto` is what a model file brings, where no image validates."""
    separate: str = settings.config["instances"]["separate"]
    model = settings.config["experiments"][name]["model"]
    folds = settings.folds(name)
    if separate != AUTO or model is None:
        return separate
    if any(settings.images_of(name, fold, "validation") for fold in folds):
        return separate
    deployed = read_deployed(located(model))
    return str(deployed["labelling"].get("separate", separate)) if deployed else separate


def _training_problems(settings: "Settings", name: str, where: str) -> list[str]:
    """Folds without an image to learn from."""
    folds = settings.folds(name)
    lacking = [fold for fold in folds if not settings.images_of(name, fold, "train")]
    if not lacking:
        return []
    if any(image.split.isdigit() for image in settings.of_experiment(name)):
        return [
            f"{where}: its images have {len(folds)} folds ({', '.join(map(str, folds))}), three "
            "are the fewest: one is for test, the next for validation, and the others for "
            "training. Number more folds, or set the splits to train, validation and test"
        ]
    return [f"{where}: no image of its dataset is for training; set some splits to train"]


def notes_of(settings: "Settings", sheet: Path) -> list[str]:
    """What may be meant and has consequences: an empty split, an image on two sides."""
    of_sides = [f"{sheet}: {each}" for each in notes_of_sides([*settings.images.values()])]
    consequences = {
        "validation": "the last weights of each training are taken, and thresholds are 0.5",
        "test": "nothing is scored, and the report has no scores",
    }
    return of_sides + [
        f"config: experiments.{name}: no image of its dataset is of split {split}: {what}"
        for name in settings.config["experiments"]
        if settings.is_trained(name)
        for split, what in consequences.items()
        if not any(settings.images_of(name, fold, split) for fold in settings.folds(name))
    ]


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


def _report_problems(config: Config) -> Iterator[str]:
    """Published figures that would stand beside nothing."""
    for number, published in enumerate(config["report"]["published"]):
        where = f"config: report.published[{number}]"
        try:
            row_of(published["metric"], published.get("variant", ""))
        except KeyError as error:
            names = sorted({score.metric for score in SCORES})
            yield f"{where}: {error.args[0]}; metrics are {', '.join(names)}"
        if published.get("experiment", None) not in {None, *config["experiments"]}:
            yield f"{where}: there is no experiment {published['experiment']}"


def _some(names: Sequence[str]) -> str:
    """An image, or the first of several."""
    return f"image {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _same_file(one: str, other: str) -> bool:
    (file, dataset), (other_file, other_dataset) = split_dataset(one), split_dataset(other)
    return file.resolve() == other_file.resolve() and dataset == other_dataset
