"""What `unetflow predict` is not told by hand: the model file's own choice, else a default."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unetflow.errors import ConfigError
from unetflow.instances.separation import NUMBER
from unetflow.networks.deployed import Deployed


@dataclass(frozen=True, slots=True)
class InstanceOptions:
    """How instances are made of the foreground."""

    threshold: float | Mapping[str, float] = 0.5  # of all classes, or by class
    min_area_px: int = 0
    fill_holes: bool = False
    split_px: float | None = None  # None: clumps are not taken apart
    max_hole_px: int | None = None  # None: any hole is filled
    separate: str = "necks"  # how they are: `unetflow.instances.separation`
    split_logits: float | None = None
    seed_threshold: float | None = None
    border_threshold: float | None = None
    connectivity: int = 1

    def thresholds(self, classes: list[str]) -> dict[str, float]:
        """By class; 0.5 of one that has none."""
        if isinstance(self.threshold, Mapping):
            return {name: self.threshold.get(name, 0.5) for name in classes}
        return dict.fromkeys(classes, self.threshold)


AS_USUAL = InstanceOptions()


@dataclass(frozen=True, slots=True)
class Chosen:
    """What of the foreground and of the instances is done, and who said so."""

    instances: InstanceOptions
    test_time_augmentation: int
    smooth_px: float | None
    said: list[str]  # a line each


OF_INSTANCES = tuple(InstanceOptions.__dataclass_fields__)
DEFAULTS: dict[str, Any] = {
    **{name: InstanceOptions.__dataclass_fields__[name].default for name in OF_INSTANCES},
    "test_time_augmentation": 1,
    "smooth_px": None,
}


def chosen_options(options: argparse.Namespace, deployed: Deployed | None) -> Chosen:
    """Values by hand win (those that are not None), then the model file's, then defaults.

    Raises ConfigError for one by hand that the others leave without effect.
    """
    given = {name: getattr(options, name, None) for name in DEFAULTS}
    given = {name: value for name, value in given.items() if value is not None}
    of_file: dict[str, Any] = {}
    if deployed is not None:
        of_file = {name: value for name, value in deployed["labelling"].items() if name in DEFAULTS}
        of_file["threshold"] = deployed["thresholds"]
        of_file["test_time_augmentation"] = deployed["test_time_augmentation"]
        of_file["smooth_px"] = deployed["smooth_px"]
    every = DEFAULTS | of_file | given
    _check_effects(every, given)
    return Chosen(
        InstanceOptions(**{name: every[name] for name in OF_INSTANCES}),
        every["test_time_augmentation"],
        every["smooth_px"],
        list(_said(every, given, of_file)),
    )


def _check_effects(every: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse numbers by hand of a way to take apart, or to fill holes, that is not asked for."""
    method = every["separate"]
    how = "not taken apart" if method == "none" else f"taken apart by {method}"
    for name in [] if "separate" in given else given:
        if name in NUMBER.values() and NUMBER.get(method) != name:
            fitting = " or ".join(way for way, own in NUMBER.items() if own == name)
            raise ConfigError(
                f"--{name.replace('_', '-')} {given[name]:g} would have no effect: clumps are "
                f"{how}. Give --separate {fitting} too, or leave it out."
            )
    if "max_hole_px" in given and "fill_holes" not in given and not every["fill_holes"]:
        raise ConfigError(
            f"--max-hole-px {given['max_hole_px']} would have no effect: holes are not filled. "
            "Give --fill-holes too, or leave it out."
        )


def _said(
    every: Mapping[str, Any], given: Mapping[str, Any], of_file: Mapping[str, Any]
) -> Iterator[str]:
    """Which values are whose; numbers that are None have no effect."""
    whose = {
        "by hand": list(given),
        "chosen on the validation images": [name for name in of_file if name not in given],
        "defaults": [name for name in every if name not in given and name not in of_file],
    }
    for who, names in whose.items():
        if values := [_text(name, every[name]) for name in names if every[name] is not None]:
            yield f"{who}: {', '.join(values)}"


def _text(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} of {each} {number:g}" for each, number in value.items())
    if isinstance(value, bool):
        return f"{name} {'on' if value else 'off'}"
    return f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}"
