"""Where a config differs from its defaults."""

import copy
from pathlib import Path
from typing import Any

import yaml
from conftest import ROOT

from unetflow.jobs.changed import changed_keys
from unetflow.jobs.schemas import read_schema
from unetflow.jobs.settings import read_settings

SCHEMAS = ROOT / "workflow/schemas"


def changed(folder: Path, **changes: Any) -> dict[str, tuple[object, object]]:
    """Value and default by key, of the demo's config with changes; "-" where there is none."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    network = {"name": "unet", "depth": 3}
    config["experiments"] = {"unet": {"dataset": "cells", "network": network}}
    for key, value in copy.deepcopy(changes).items():
        config[key] = value
    settings = read_settings(config, SCHEMAS, ROOT)
    schema = read_schema(SCHEMAS / "config.schema.yaml")
    return {
        of["key"]: (of["value"], of["default"] if of["has_default"] else "-")
        for of in changed_keys(settings.config, schema)
    }


def test_what_is_as_by_default_is_left_out(tmp_path: Path) -> None:
    found = changed(tmp_path)
    assert found["datasets.cells.truth"] == ("instances", "-")
    assert found["datasets.cells.classes"] == (["cell"], ["object"])
    assert found["experiments.unet.network.depth"] == (3, 4)
    assert found["experiments.unet.network.name"] == ("unet", "-")
    assert not [key for key in found if ".recipe." in key or key.startswith("predict")]
    assert "experiments.unet.network.dropout" not in found  # a default that the config completes


def test_a_recipe_is_compared_with_its_preset(tmp_path: Path) -> None:
    recipe = {"preset": "paper", "steps": 7, "augmentation": {"zoom": 0.5, "flip": True}}
    network = {"name": "unet"}
    of = {"dataset": "cells", "network": network, "recipe": recipe}
    found = changed(tmp_path, experiments={"unet": of})
    assert {key.rpartition(".")[2]: value for key, value in found.items() if "recipe" in key} == {
        "preset": ("paper", "default"),
        "steps": (7, 40_000),
        "zoom": (0.5, 0.0),
    }


def test_what_is_switched_on_is_one_value(tmp_path: Path) -> None:
    found = changed(tmp_path, refine={"crf": {"radius_px": 2}})
    (key,) = (key for key in found if key.startswith("refine"))
    value, default = found[key]
    assert (key, default) == ("refine.crf", None)
    assert value["iterations"] == 5  # type: ignore[index]
