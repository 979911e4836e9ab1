"""Models that come with unetflow, or with another package: found by name, each with its card."""

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import ROOT
from finished import finished_model, noisy_image

from unetflow import models
from unetflow.commands import MENDABLE, run_command
from unetflow.jobs.settings import read_settings
from unetflow.networks.description import read_description
from unetflow.store.shards import read_array

HEADINGS = ("## Trained on", "## Licence", "## How good it is", "## Not for")  # of a card
CARD = "# Cells of a test\n\n## Trained on\n\nnoise\n"


@pytest.fixture
def blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model called blobs that an installed package brings."""
    package = tmp_path / "site" / "some_models"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    finished_model(package / "blobs.safetensors", base_channels=4, depth=1)
    (package / "blobs.md").write_text(CARD)
    monkeypatch.syspath_prepend(package.parent)
    entry = EntryPoint("some", "some_models", models.GROUP)
    monkeypatch.setattr(models, "entry_points", lambda group: [entry])
    monkeypatch.chdir(tmp_path)
    return package / "blobs.safetensors"


@pytest.mark.parametrize("name", models.shipped())
def test_every_model_that_ships_is_whole_and_has_a_card(name: str) -> None:
    path = models.shipped()[name]
    card = models.card_of(path)
    assert card.startswith("# ") and [each for each in HEADINGS if each not in card] == []
    assert read_description(path)["truth"] == "instances"


def test_a_name_stands_for_the_file_and_all_else_for_itself(blobs: Path) -> None:
    assert models.located("blobs") == str(blobs)
    assert models.located("./blobs") == "./blobs"
    assert models.located("models/m.safetensors") == "models/m.safetensors"


@pytest.mark.slow
def test_an_image_is_segmented_by_a_name_into_the_working_folder(
    blobs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite("slide.ome.tif", noisy_image((60, 50)))
    assert run_command("predict", ["blobs", "slide.ome.tif", "--threads", "1"]) == 0
    assert "slide.segmented.ome.zarr: foreground" in capsys.readouterr().out
    named = read_array("slide.segmented.ome.zarr", "foreground")[:]
    assert run_command("predict", [str(blobs), "slide.ome.tif", "b.zarr", "--threads", "1"]) == 0
    np.testing.assert_array_equal(read_array("b.zarr", "foreground")[:], named)


def test_a_name_that_is_none_is_told_with_those_there_are(
    blobs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite("i.tif", noisy_image((60, 50)))
    assert run_command("predict", ["blob", "i.tif"]) == MENDABLE
    said = capsys.readouterr().err
    assert "blob: there is no such file." in said
    assert "Models that come with unetflow: " in said and "blobs" in said


def test_a_config_names_a_model_to_use_or_to_start_from(
    blobs: Path, config: dict[str, Any]
) -> None:
    def read() -> Any:
        return read_settings(config, ROOT / "workflow" / "schemas", ROOT)

    config["datasets"]["cells"]["classes"] = ["cell"]
    config["experiments"]["unet"] |= {"pretrained": "blobs", "recipe": {"tile_px": 300}}
    assert (
        read().config["experiments"]["unet"]["pretrained"] == "blobs"
    )  # where it lies nobody tells
    config["experiments"]["unet"] = {"dataset": "cells", "model": "blobs"}
    found = read().config["experiments"]["unet"]
    assert found["model"] == "blobs" and found["network"]["base_channels"] == 4
    assert models.named(str(blobs)) == "blobs"
    assert models.named("m.safetensors") == str(Path("m.safetensors").absolute())


def test_models_are_listed_and_cards_read(blobs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("models", []) == 0
    assert "blobs: Cells of a test\n" in capsys.readouterr().out
    assert run_command("models", ["blobs"]) == 0
    assert capsys.readouterr().out == CARD
    assert run_command("models", ["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["blobs"]["classes"] == ["cell"]
    assert run_command("models", ["blob"]) == MENDABLE
    assert "no model is called blob; there are: " in capsys.readouterr().err
