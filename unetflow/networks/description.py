"""What a model file says of its weights, and whether that can be so."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import safetensors

from unetflow.errors import ModelError
from unetflow.networks.deployed import CHECKSUM, ENSEMBLE, FAULTS, KEY, Deployed

CHECKSUMS = (CHECKSUM, "weights")  # the second is of older versions
HEADS = ("border", "distance")  # as `unetflow.store.heads` has them


class Best(TypedDict):
    """The validation whose weights were kept; of a training without one its last step."""

    step: int
    validation_iou: float | None
    validation_loss: NotRequired[float]


class FeatureMap(TypedDict):
    """A map between two layers of a network, of one image."""

    made_by: str  # such as "convolution 3x3"
    channels: int
    size_px: list[int]  # height and width
    step_px: float  # of the image, between two of its pixels
    of: list[int]  # the maps that it is made of, by their places
    count: int  # of such maps in a row


class TrainingSummary(TypedDict):
    """How a training went."""

    best: Best
    steps: int
    precision: str  # each that was used
    training_images: int
    validation_images: int


class ModelDescription(TypedDict):
    """All that is needed to use a model, and where it is from, if it is from a training."""

    network: dict[str, Any]  # its name and options: of each network others
    channels: int
    classes: list[str]  # without background
    intensity: dict[str, Any]  # as `unetflow.store.pixels.Intensity`
    heads: NotRequired[list[str]]  # beside the classes: the last of the network's outputs
    truth: NotRequired[str]  # the kind of the dataset
    mpp: NotRequired[float | None]
    spacing: NotRequired[list[float]]  # of volumes: of a pixel along z, y, x, in um where mpp is
    recipe: NotRequired[dict[str, Any]]
    code: NotRequired[str]
    training: NotRequired[TrainingSummary]
    deployed: NotRequired[Deployed]


def read_description(path: str | Path) -> ModelDescription:
    """What a model file says of itself, without PyTorch; its weights are not looked at.

    Raises ModelError where it is no model of unetflow.
    """
    if not Path(path).is_file():
        raise ModelError(
            f"{path}: there is no such file. Name the deploy.safetensors of a calibration, or the "
            "model.safetensors of a training."
        )
    try:
        with safetensors.safe_open(path, framework="np") as file:
            content = json.loads(file.metadata()[KEY])
        if ENSEMBLE in content:
            raise ValueError("it holds several networks, which are for one image at a time")
        return checked_description(
            {key: value for key, value in content.items() if key not in CHECKSUMS}
        )
    except (*FAULTS, AttributeError) as error:
        raise ModelError(
            f"{path}: not a model file of unetflow ({error}). Name the deploy.safetensors of a "
            "calibration, or the model.safetensors of a training."
        ) from error


def checked_description(content: Mapping[str, Any]) -> ModelDescription:
    """The same, if it may be of a model. Raises ValueError that names what may not."""
    missing = sorted(ModelDescription.__required_keys__ - content.keys())
    if missing:
        raise ValueError(f"its description has no {missing[0]}")
    for key, value in content.items():
        if key not in _RULES:
            raise ValueError(
                f"its description has the unknown key {key!r}: it is of a newer version"
            )
        rule, holds = _RULES[key]
        if not holds(value):
            raise ValueError(f"its {key} must be {rule}, not {value!r}")
    for name in ("mean", "deviation"):
        values = content["intensity"][name]
        if len(values) != content["channels"]:
            raise ValueError(
                f"its intensity has {len(values)} values of {name}, but there are "
                f"{content['channels']} channels"
            )
    return cast(ModelDescription, dict(content))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and all(map(_is_number, values))


def _is_intensity(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    scale = {key: value[key] for key in value if key not in ("mean", "deviation")}
    px = scale.get("px")
    is_local = scale == {"scale": "local", "px": px} and type(px) is int and px > 0
    return (
        all(_are_numbers(value.get(name)) for name in ("mean", "deviation"))
        and all(deviation > 0 for deviation in value["deviation"])
        and (is_local or _are_stains(scale) or scale in ({}, {"scale": "log"}))
    )


def _are_stains(scale: dict[str, Any]) -> bool:
    """As `unetflow.store.stains` has them: two vectors and amounts, or the three of each colour."""
    match scale:
        case {"scale": "macenko", "target": {"vectors": [first, second], "most": most, **more}}:
            rows, sizes = [first, second, most], [3, 3, 2]
        case {"scale": "reinhard", "target": {"mean": mean, "deviation": deviation, **more}}:
            rows, sizes = [mean, deviation], [3, 3]
        case _:
            return False
    fit = all(_are_numbers(row) and len(row) == n for row, n in zip(rows, sizes, strict=True))
    return fit and not more and scale.keys() == {"scale", "target"}


def _are_names(value: object) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(name, str) for name in value)
        and len(set(value)) == len(value) > 0
    )


# Of each key what its value must be, in words and as a test.
_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "network": (
        "a name with options",
        lambda value: isinstance(value, dict) and isinstance(value.get("name"), str),
    ),
    "channels": ("a whole number above 0", lambda value: type(value) is int and value > 0),
    "classes": ("a list of different names", _are_names),
    "intensity": ("a finite mean and a deviation above 0 of each channel", _is_intensity),
    "heads": (
        f"a list of {' and '.join(HEADS)}",
        lambda value: _are_names(value) and set(value) <= {*HEADS},
    ),
    "truth": ("a kind of truth", lambda value: isinstance(value, str)),
    "mpp": (
        "null or a number of um/px above 0",
        lambda value: value is None or (_is_number(value) and value > 0),
    ),
    "spacing": (
        "three numbers above 0",
        lambda value: _are_numbers(value) and len(value) == 3 and min(value) > 0,
    ),
    "recipe": ("a mapping", lambda value: isinstance(value, dict)),
    "code": ("a digest", lambda value: isinstance(value, str)),
    "training": ("a mapping", lambda value: isinstance(value, dict)),
    "deployed": (
        "thresholds, labelling and the digest of a model file",
        lambda value: isinstance(value, dict) and Deployed.__required_keys__ <= value.keys(),
    ),
}
