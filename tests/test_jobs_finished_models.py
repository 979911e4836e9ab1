"""Experiments with a finished model in the place of a training."""

from pathlib import Path
from typing import Any

import pytest
import tifffile
from environments import ROOT
from finished import finished_model

from unetflow.errors import ConfigError
from unetflow.jobs.settings import Settings, read_settings
from unetflow.jobs.sources import Sources
from unetflow.jobs.suitability import check_images
from unetflow.networks.deployed import write_deployed

OPTIONS: dict[str, Any] = {"base_channels": 4, "depth": 1}


def read(config: dict[str, Any], **of_experiment: Any) -> Settings:
    """With an experiment of a finished model alone."""
    config["datasets"]["cells"].setdefault("classes", ["cell"])
    config["experiments"] = {"unet": {"dataset": "cells", "model": "m.safetensors"} | of_experiment}
    return read_settings(config, ROOT / "workflow" / "schemas", ROOT)


def only_predicted() -> None:
    """The sheet without any truth."""
    sheet = Path("images.tsv")
    header, *rows = sheet.read_text().splitlines()
    cells = [row.split("\t") for row in rows]
    cells = [[*row[:3], "", "predict", *row[5:]] for row in cells]
    sheet.write_text("\n".join([header, *("\t".join(row) for row in cells)]) + "\n")


def test_network_and_head_are_those_of_the_file_and_no_training_image_is_needed(
    config: dict[str, Any],
) -> None:
    finished_model(Path("m.safetensors"), **OPTIONS, head="border")
    only_predicted()
    settings = read(config)
    experiment = settings.config["experiments"]["unet"]
    assert {"name": "unet", **OPTIONS}.items() <= experiment["network"].items()
    assert experiment["head"] == "border"
    assert not settings.is_trained("unet")
    assert settings.folds("unet") == [0]
    assert settings.notes == []


def test_a_head_that_the_file_brings_stands_beside_no_refinement(config: dict[str, Any]) -> None:
    finished_model(Path("m.safetensors"), **OPTIONS, head="distance")
    labelling = {"min_area_px": 3, "separate": "distance", "split_px": 2.0}
    made = {"test_time_augmentation": 1, "smooth_px": None}
    chosen = {"thresholds": {"cell": 0.4}, "labelling": labelling}
    write_deployed(["m.safetensors"], "m.safetensors", {**chosen, **made})
    config |= {"instances": {"separate": "auto"}, "refine": {"smooth_px": 1}}
    read(config)  # an image validates, and without the head
    only_predicted()
    with pytest.raises(ConfigError, match="separate: distance looks at a head, which refine"):
        read(config)
    read(config | {"refine": {}})


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"network": {"name": "unet"}}, "model: is a finished network.*take out network, or the"),
        ({"recipe": {"steps": 3}, "pretrained": "m"}, "take out pretrained, recipe, or the model"),
        ({"segment_with": "all"}, "segment_with: all is of networks that are trained"),
        ({"model": "gone.safetensors"}, "model: gone.safetensors: there is no such file. Name the"),
        ({"model": "a.tif"}, "model: a.tif: not a model file of unetflow"),
        ({"model": None}, "network: is missing; name one, such as `name: unet`, or a finished"),
    ],
)
def test_what_cannot_be_is_a_problem(
    config: dict[str, Any], more: dict[str, Any], problem: str
) -> None:
    finished_model(Path("m.safetensors"), **OPTIONS)
    with pytest.raises(ConfigError, match=problem):
        read(config, **more)


@pytest.mark.parametrize(
    ("dataset", "problem"),
    [
        (
            {"classes": ["nucleus"]},
            r"model: finds cell, but .* has nucleus; set its classes to \[c",
        ),
        ({"truth": "interior"}, "model: is of truth of kind instances, but .* interior; set its"),
    ],
)
def test_a_dataset_of_another_kind_is_a_problem(
    config: dict[str, Any], dataset: dict[str, Any], problem: str
) -> None:
    finished_model(Path("m.safetensors"), **OPTIONS)
    config["datasets"]["cells"] |= {"classes": ["cell"]} | dataset
    with pytest.raises(ConfigError, match=problem):
        read(config)


def test_images_of_other_channels_are_refused_before_any_job(
    config: dict[str, Any], tmp_path: Path
) -> None:
    finished_model(Path("m.safetensors"), **OPTIONS)
    only_predicted()
    settings, sources = read(config), Sources(tmp_path / "sources.json")
    assert check_images(settings, sources) == []
    tifffile.imwrite("b.tif", tifffile.imread("b.tif")[..., None].repeat(3, -1), photometric="rgb")
    with pytest.raises(ConfigError, match="1 of 3 images would be refused by their network"):
        check_images(settings, Sources(tmp_path / "others.json"))
