"""Where a config differs from its defaults: what a reader has to know of it."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, cast

from unetflow import networks
from unetflow.jobs.config import Config
from unetflow.jobs.schemas import Schema
from unetflow.report.handed import ChangedKey
from unetflow.train.recipes import PRESETS

WHOLE = ("loss",)  # told as one value, as its keys have no defaults of their own
Defaults = Mapping[str, Mapping[str, Any]]
"""By place in the config what no schema says: those of a preset, and of a network's options."""


def changed_keys(config: Config, schema: Schema) -> list[ChangedKey]:
    """Keys whose values are not their defaults, or that have none, in the config's order.

    `config` is complete. Of a recipe the defaults are those of its preset, of a network its own.
    """
    return list(_changed("", cast(Mapping[str, Any], config), schema, _defaults(config)))


def _changed(
    where: str, given: Mapping[str, Any], schema: Schema, defaults: Defaults
) -> Iterator[ChangedKey]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    own = defaults.get(where, {})
    for key, value in given.items():
        part = known.get(key, others if isinstance(others, dict) else Schema())
        has_default = key in own or "default" in part
        default = own.get(key, part.get("default"))
        switched_on = has_default and default is None
        if isinstance(value, Mapping) and not switched_on and key not in WHOLE:
            yield from _changed(f"{where}{key}.", value, part, defaults)
        elif not has_default or value != default:
            yield {
                "key": f"{where}{key}",
                "value": value,
                "default": default,
                "has_default": has_default,
            }


def _defaults(config: Config) -> Defaults:
    found: dict[str, Mapping[str, Any]] = {}
    for name, experiment in config["experiments"].items():
        where = f"experiments.{name}."
        preset = dataclasses.asdict(PRESETS[experiment["recipe"].get("preset", "default")])
        preset["continue"] = False
        found[f"{where}recipe."] = preset
        found[f"{where}recipe.augmentation."] = preset["augmentation"]
        found[f"{where}network."] = networks.options_of(experiment["network"]["name"])
    return found
