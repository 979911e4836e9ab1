"""`network: auto` and `recipe: auto`: what they become for these images, on this machine.

The graph is built before any image is prepared, so that the values have to stand in the config:
`unetflow check --write` puts them there, each with its reason.
"""

import contextlib
import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import ndimage

from unetflow import networks
from unetflow.commands.auto_rules import Chosen, Facts, choose_network, choose_recipe
from unetflow.commands.check_picture import reader_of
from unetflow.engine.memory import available_bytes
from unetflow.errors import ConfigError, UnetflowError
from unetflow.images.resampling import picked_channels, source_at
from unetflow.images.slide import Slide
from unetflow.jobs.settings import Settings
from unetflow.jobs.sheet import Image
from unetflow.store.files import write_whole
from unetflow.train.changed_recipes import recipe_from

AUTO = "auto"
QUOTED = rf"""['"]?{AUTO}['"]?\s*(#.*)?"""  # and what stands behind it in its line
KEYS = ("network", "recipe")
LOOKED_AT = 12  # truths, evenly over all
MOST_PX = 2048  # side of the part that is looked at
BUDGET_MIN = 20.0  # as in the schema
PLACEHOLDER = {"name": "unet", "depth": 3, "base_channels": 4}


@dataclass(frozen=True, slots=True)
class Choice:
    """What a key of an experiment becomes."""

    experiment: str
    key: str
    chosen: Chosen

    @property
    def values(self) -> dict[str, Any]:
        return {key: value for key, (value, _) in self.chosen.items()}


def autos_of(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Experiments and keys that are to be chosen."""
    experiments = config.get("experiments")
    if not isinstance(experiments, dict):
        return []
    return [
        (name, key)
        for name, experiment in experiments.items()
        if isinstance(experiment, dict)
        for key in KEYS
        if experiment.get(key) == AUTO
    ]


def with_choices(config: Mapping[str, Any], choices: list[Choice]) -> dict[str, Any]:
    """A config with what was chosen in the place of `auto`."""
    found = copy.deepcopy(dict(config))
    for choice in choices:
        found["experiments"][choice.experiment][choice.key] = choice.values
    return found


def with_placeholders(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config that can be read: any network and recipe in the place of `auto`."""
    found = copy.deepcopy(dict(config))
    for name, key in autos_of(config):
        experiment = found["experiments"][name]
        if key == "network":
            experiment["network"] = dict(PLACEHOLDER)
        else:
            try:
                geometry = networks.geometry_of(**experiment.get("network", PLACEHOLDER))
                tile_px = geometry.input_px(geometry.step_px[0])
            except (ValueError, TypeError):  # told when the config is read
                tile_px = 572
            experiment["recipe"] = {"tile_px": tile_px}
    return found


def choose(config: Mapping[str, Any], settings: Settings) -> list[Choice]:
    """What each `auto` of a config becomes; `settings` are read with placeholders.

    Raises ConfigError where there is nothing to choose by.
    """
    choices: list[Choice] = []
    for name, key in autos_of(config):
        where = f"config: experiments.{name}.{key}"
        facts = _facts_of(settings, name, where)
        experiment = config["experiments"][name]
        if key == "network":
            choices.append(Choice(name, key, choose_network(facts)))
            continue
        own = [each.values for each in choices if (each.experiment, each.key) == (name, "network")]
        network = own[0] if own else experiment["network"]
        budget_min = float(experiment.get("budget_min", BUDGET_MIN))
        try:
            step_s = _trial(settings, name, network)
            choices.append(Choice(name, key, choose_recipe(facts, network, budget_min, step_s)))
        except ValueError as error:
            raise ConfigError(f"{where}: {error}; write one yourself") from error
    return choices


def write_choices(path: Path, choices: list[Choice]) -> None:
    """Put them into the file in the place of each `auto`, with reasons; all else stays as it is.

    Raises ConfigError where an `auto` does not stand in a line of its own, or is another's (*, <<).
    """
    text = path.read_text()
    lines = text.splitlines()
    places = _places(text)
    for choice in choices:
        place = places.get((choice.experiment, choice.key))
        if place is None or not re.fullmatch(f" *{choice.key}: *{QUOTED}", lines[place.line]):
            where = path if place is None else f"{path} line {place.line + 1}"
            raise ConfigError(
                f"{where}: write `{choice.key}: {AUTO}` of experiment {choice.experiment} into a "
                "line of its own, so that its values can stand below it"
            )
    for choice in sorted(choices, key=lambda each: -places[each.experiment, each.key].line):
        place = places[choice.experiment, choice.key]
        line = lines[place.line]
        indent = line[: len(line) - len(line.lstrip())]
        lines[place.line : place.line + 1] = [
            f"{indent}{choice.key}: # chosen by unetflow check",
            *(f"{indent}  {each}" for each in lines_of(choice)),
        ]
    write_whole(path.resolve(), ("\n".join(lines) + "\n").encode())  # of a link the file


def lines_of(choice: Choice) -> Iterator[str]:
    """A line of YAML for each key, with its reason."""
    for key, (value, why) in choice.chosen.items():
        text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
        yield f"{key}: {text}" + (f" # {why}" if why else "")


def _places(text: str) -> dict[tuple[str, str], Any]:
    """Where each `auto` of an experiment stands."""
    root: Any = yaml.compose(text)
    found = {}
    for key, experiments in root.value:
        if key.value == "experiments":
            for name, experiment in experiments.value:
                for inner, value in experiment.value:
                    if inner.value in KEYS and value.value == AUTO:
                        found[name.value, inner.value] = value.start_mark
    return found


def _facts_of(settings: Settings, experiment: str, where: str) -> Facts:
    """Raises ConfigError where no image can be looked at."""
    import torch  # seconds, which a config without `auto` does without

    dataset = settings.config["datasets"][settings.config["experiments"][experiment]["dataset"]]
    if dataset["as"] == "volume":
        raise ConfigError(f"{where}: of volumes none is chosen by a rule; write one yourself")
    images = [image for image in settings.of_experiment(experiment) if image.truth]
    chosen = [
        images[k] for k in np.linspace(0, len(images) - 1, min(LOOKED_AT, len(images))).astype(int)
    ]
    diameters: list[float] = []
    sides: list[int] = []
    pixels: list[int] = []
    why = "there is none"
    for image in chosen:
        try:
            shape_px, found = _look(image, settings)
        except (UnetflowError, OSError) as error:
            why = str(error)
            continue
        diameters += found
        sides.append(min(shape_px))
        pixels.append(shape_px[0] * shape_px[1])
    if not sides:
        raise ConfigError(f"{where}: is chosen by annotated images, but none can be read: {why}")
    fold = settings.folds(experiment)[0]
    training = len(settings.images_of(experiment, fold, "train"))
    return Facts(
        float(np.median(diameters)) if diameters else 0.0,
        float(np.median(sides)),
        float(np.mean(pixels)) * training,
        torch.cuda.is_available(),
        available_bytes(),
    )


def _look(image: Image, settings: Settings) -> tuple[tuple[int, ...], list[float]]:
    """Size of an image as it is prepared, and the diameters of its objects there."""
    dataset = settings.config["datasets"][image.dataset]
    with Slide(image.path, **image.chosen, **image.resolution) as slide:
        size_px = slide.levels[0].shape_px
        shape_px = source_at(slide, image.level, dataset["mpp"]).shape_px
        read = reader_of(image, dataset, slide)
    region = tuple(
        slice(max(0, (size - MOST_PX) // 2), min(size, (size + MOST_PX) // 2)) for size in size_px
    )
    labels, _ = read(*region)
    if dataset["truth"] != "instances":  # of which what hangs together is an object
        labels = ndimage.label(labels)[0]
    areas = np.unique(labels[labels != 0], return_counts=True)[1]  # ids may be any
    factor = shape_px[0] / size_px[0]
    return shape_px, [*(2 * np.sqrt(areas / np.pi) * factor)]


def _trial(settings: Settings, experiment: str, network: Mapping[str, Any]) -> Any:
    """Tells the seconds of a step of a recipe, by two of them."""
    from unetflow.commands.check_costs import step_s
    from unetflow.engine.devices import cores, resolve_device, use_threads

    use_threads(cores())
    dataset = settings.config["datasets"][settings.config["experiments"][experiment]["dataset"]]
    channels = _channels_of(settings, experiment)
    made = networks.build(**network, in_channels=channels, num_classes=len(dataset["classes"]) + 1)
    device = resolve_device(gpu=True)
    return lambda recipe: step_s(made, recipe_from(**recipe), channels, device)


def _channels_of(settings: Settings, experiment: str) -> int:
    """Of the first annotated image that can be opened. Raises UnetflowError where none can."""
    *others, last = (image for image in settings.of_experiment(experiment) if image.truth)
    for image in others:
        with contextlib.suppress(UnetflowError):
            return _channels(image)
    return _channels(last)


def _channels(image: Image) -> int:
    with Slide(image.path, **image.chosen, **image.resolution) as slide:
        return len(picked_channels(slide, image.channels))
