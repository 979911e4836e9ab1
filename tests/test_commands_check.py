"""What is known of a case before hours of training."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from unetflow.commands import MENDABLE, run_command
from unetflow.commands.check_costs import Costs, costs_of
from unetflow.commands.check_picture import write_contact_sheet
from unetflow.jobs.settings import read_settings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def case(config: dict[str, Any]) -> Path:
    """A config file, and three images that have an object each."""
    for name in "abc":
        truth = np.zeros((80, 70), np.uint8)
        truth[20:40, 30:50] = 7
        tifffile.imwrite(f"{name}.tif", np.full((80, 70), 100, np.uint8))
        tifffile.imwrite(f"{name}-t.tif", truth)
    experiment = config["experiments"]["unet"]
    experiment["network"] |= {"base_channels": 2, "depth": 1}
    experiment["recipe"] = {"tile_px": 60, "steps": 10}
    return written(config)


def written(config: dict[str, Any]) -> Path:
    path = Path("case.yaml")
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nobody else works."""
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))


def test_a_busy_machine_is_told(
    case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (99.0, 0.0, 0.0))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("unetflow.commands.check.costs_of", lambda settings: Costs({}, 0.0))
    assert run_command("check", [str(case)]) == 0
    assert "note: this machine is busy (load 99.0, 2 cores): times" in capsys.readouterr().out


def test_a_sound_case_is_described(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("check", [str(case)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == (
        "dataset cells: 3 images (1 train, 1 validation, 1 test); truth is instances"
    )
    assert said[1] == "experiment unet: unet, 10 steps"
    assert said[2] == "picture: check.png: 3 annotated images with their objects outlined"
    for start in ("machine: ", "software: ", "time: unet: ", "disk: at most 0.0 GiB in results"):
        assert any(line.startswith(start) for line in said)
    assert [path.name for path in Path("results").rglob("*")] == [".sources.json"]


def test_the_picture_shows_datasets_of_hdf5(case: Path) -> None:
    with h5py.File("a.h5", "w") as file:
        file["raw"] = tifffile.imread("a.tif")
    folder = ROOT / "workflow" / "schemas"
    settings = read_settings(yaml.safe_load(case.read_text()), folder, ROOT)
    name = next(iter(settings.images))
    settings.images[name] = replace(settings.images[name], path="a.h5:/raw")
    assert write_contact_sheet(settings, Path("truths.png")) == 3


def test_the_picture_outlines_objects(case: Path) -> None:
    assert run_command("check", [str(case), "--picture", "truths.png"]) == 0
    pixels = np.asarray(Image.open("truths.png").convert("RGB")).astype(int)
    assert pixels.shape == (256 + 14, 3 * 256, 3)
    panel = pixels[14:94, :70]
    outline = np.abs(panel - (0xF0, 0xE4, 0x42)).sum(axis=-1) < 4
    rows, columns = np.nonzero(outline)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 39, 30, 49)


def test_costs_follow_steps_folds_and_sizes(case: Path, config: dict[str, Any]) -> None:
    settings = read_settings(config, ROOT / "workflow/schemas", Path())
    costs = costs_of(settings)
    of = costs.experiments["unet"]
    assert of.training_s == pytest.approx(10 * of.step_s)
    assert 0 < of.step_s < 60 and of.predicting_s > 0
    pixels = 80 * 70 * 4 / 3  # three images with a byte, labels, ignored pixels and weights each
    assert costs.disk_bytes == pytest.approx(pixels * (3 * (1 + 9) + 2 * (1 + 4)))


def test_an_image_that_cannot_be_read_is_a_note_and_a_dark_panel(
    case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("b.tif").write_bytes(b"no image")
    assert run_command("check", [str(case)]) == 0
    assert "note: will not be prepared: image b: b.tif: cannot be opened" in capsys.readouterr().out
    pixels = np.asarray(Image.open("check.png").convert("RGB"))
    assert (pixels[14:, 256:512] == 40).all()


def test_all_problems_of_config_and_sheet_end_it_at_once(
    case: Path, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config["experiments"]["unet"]["recipe"]["learning_rat"] = 1
    config["instances"] = {"min_area": 3}
    assert run_command("check", [str(written(config))]) == MENDABLE
    said = capsys.readouterr().err
    assert "'learning_rate'" in said and "'min_area_px'" in said


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("- a\n", "holds no keys"),
        ("a: [", "is no YAML"),
        ("a: Zellk\udcf6rper", "is no text in UTF-8 (invalid start byte at byte 8)"),
        (None, "there is no config case.yaml; `unetflow init FOLDER`"),
    ],
)
def test_a_file_that_is_no_config_is_told(
    case: Path, content: str | None, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is None:
        case.unlink()
    else:
        case.write_text(content, errors="surrogateescape")
    assert run_command("check", [str(case)]) == MENDABLE
    assert told in capsys.readouterr().err


def test_a_program_is_told_the_same_as_json(
    case: Path, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("check", [str(case), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["datasets"]["cells"]["images"] == {"train": 1, "validation": 1, "test": 1}
    assert told["experiments"]["unet"]["training_s"] > 0
    assert told["machine"]["cores"] >= 1 and told["disk_bytes"] < told["free_bytes"]
    assert told["picture"] == "check.png" and told["notes"] == []
