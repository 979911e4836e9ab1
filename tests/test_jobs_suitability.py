"""What prediction would refuse is refused while the graph is built, all of it at once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import ROOT

from unetflow.errors import ConfigError
from unetflow.jobs.results import model_made_in
from unetflow.jobs.settings import read_settings
from unetflow.jobs.sheet import Image
from unetflow.jobs.sources import Sources
from unetflow.jobs.suitability import NEAR, check_images
from unetflow.predict.suitability import TOLERANCE

COLUMNS = ("image", "dataset", "path", "truth", "split", "mpp", "level", "channels")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, channels: int = 1, mpp: float | None = 0.5) -> None:
    """An image of so many channels, whose file says its resolution."""
    pixels = np.zeros((channels, 64, 64), np.uint8)
    size = {"PhysicalSizeX": mpp, "PhysicalSizeY": mpp} if mpp else {}
    tifffile.imwrite(f"{name}.ome.tif", pixels, metadata={"axes": "CYX", **size})


def check(
    *rows: dict[str, str],
    mpp: float | None = None,
    pretrained: str | None = None,
    recipe: dict[str, Any] | None = None,
) -> list[str]:
    """Check a sheet with three images of one channel and 0.5 um/px to learn from, and `rows`."""
    tifffile.imwrite("t.tif", np.zeros((64, 64), np.uint8))
    for name in "abc":
        write(name)
    learnt = [{"image": name, "truth": "t.tif", "split": "train"} for name in "abc"]
    lines = ["\t".join(COLUMNS)]
    for row in (*learnt, *rows):
        filled = {"dataset": "cells", "path": f"{row['image']}.ome.tif", "split": "predict", **row}
        lines.append("\t".join(filled.get(column, "") for column in COLUMNS))
    Path("images.tsv").write_text("\n".join(lines) + "\n")
    network = {"name": "unet", "depth": 3, "base_channels": 4}
    experiment = {
        "dataset": "cells",
        "network": network,
        "recipe": {"tile_px": 300, **(recipe or {})},
        "pretrained": pretrained,
    }
    config = {
        "results": "results",
        "images": "images.tsv",
        "data_dir": ".",
        "datasets": {"cells": {"truth": "instances", "mpp": mpp}},
        "experiments": {"one": experiment, "two": experiment},
    }
    settings = read_settings(config, ROOT / "workflow" / "schemas", ROOT)
    return check_images(settings, Sources("cache.json"))


def test_all_images_that_do_not_suit_are_listed_with_the_way_out() -> None:
    for name, channels, mpp in (("rgb", 3, 0.5), ("rgba", 4, 0.5), ("good", 1, 0.5), ("far", 1, 2)):
        write(name, channels, mpp)
    rows = [{"image": name} for name in ("rgb", "rgba", "good", "far")]
    with pytest.raises(ConfigError, match="^3 of 7 images would be refused by their") as error:
        check(*rows)
    lines = str(error.value).splitlines()
    assert lines[1].startswith(
        "  - image far: has 2 um/px, but the model was trained at 0.5 um/px."
    )
    assert lines[2].startswith("  - image rgb: has 3 channels, but the model was trained on 1.")
    assert lines[3] == "  The same: image rgba"
    assert "`0` takes the first, `0 1 2` red, green and blue" in lines[4]


def test_the_columns_of_the_sheet_count() -> None:
    write("rgb", 3)
    write("far", 1, 2.0)
    write("near", 1, 0.53)
    write("unknown", 1, None)
    chosen = {"image": "rgb", "channels": "1"}
    told = {"image": "far", "mpp": "0.5"}
    assert check(chosen, told, {"image": "near"}, {"image": "unknown"}) == []


def test_a_resolution_that_the_dataset_wants_is_made_of_any_file() -> None:
    write("fine", 1, 0.125)
    assert check({"image": "fine"}, mpp=0.5) == []
    with pytest.raises(ConfigError, match="^1 of 4 .*\n.*fine: has 0.125 um/px"):
        check({"image": "fine", "level": "0"}, mpp=0.5)


def test_where_training_images_differ_in_resolution_any_suits() -> None:
    write("d", 1, 0.25)
    write("e", 1, 2.0)
    check({"image": "d", "truth": "t.tif", "split": "validation"}, {"image": "e"})


def test_a_training_image_unlike_most_is_named() -> None:
    write("d", 3)
    with pytest.raises(ConfigError, match="^1 of 4 .*\n.* image d: has 3 channels"):
        check({"image": "d", "truth": "t.tif", "split": "train"})


def test_what_cannot_be_prepared_is_a_note_with_its_reason() -> None:
    Path("broken.ome.tif").write_bytes(b"II*\0 this is no image")
    write("unknown", 1, None)
    write("short")
    rows = [{"image": "broken"}, {"image": "unknown"}, {"image": "short", "channels": "2"}]
    broken, short, unknown = check(*rows, mpp=0.5)
    assert broken.startswith(
        "will not be prepared: image broken: broken.ome.tif: cannot be opened as an image "
        "(ValueError: it holds no image). Readable are"
    )
    assert "its resolution is not known" in unknown
    assert "has channels 0 to 0, but 2 were asked for" in short


def test_images_that_fail_alike_are_one_note_and_one_problem() -> None:
    rows = []
    for k in range(10, 40):
        write(f"far{k}", 1, 2)
        Path(f"bad{k}.ome.tif").write_bytes(b"no image")
        rows.append({"image": f"bad{k}"})
    (note,) = check(*rows)
    assert note.endswith(
        "  The same: " + ", ".join(f"image bad{k}" for k in range(11, 21)) + " and 19 more"
    )
    with pytest.raises(ConfigError, match="^30 of 33 images would be refused") as error:
        check(*({"image": f"far{k}"} for k in range(10, 40)))
    assert len(str(error.value).splitlines()) == 4


def test_a_model_that_no_training_can_start_from_is_told_at_the_start() -> None:
    pytest.importorskip("torch")
    from unetflow.networks import build
    from unetflow.networks.model_file import save_model

    for name, options in (
        ("same", {}),
        ("deep", {"depth": 2}),
        ("rgb", {"in_channels": 3}),
        ("classes", {"num_classes": 4, "dropout": 0.5}),
    ):
        every: dict[str, Any] = {"in_channels": 1, "num_classes": 2, "depth": 3}
        every |= {"base_channels": 4, "dropout": 0.0, "norm": None} | options
        channels, classes = every["in_channels"], every["num_classes"] - 1
        description: Any = {
            "network": {"name": "unet", **every},
            "channels": channels,
            "classes": [*"abc"[:classes]],
            "intensity": {"mean": [0.0] * channels, "deviation": [1.0] * channels},
        }
        save_model(f"{name}.safetensors", build("unet", **every), description)
    assert check(pretrained="same.safetensors") == check(pretrained="classes.safetensors") == []
    for results in ("results", "./results", str(Path("results").absolute())):  # made before
        assert check(pretrained=f"{results}/models/other/fold0/model.safetensors") == []
    for name, message in (
        ("gone", "there is no such file"),
        ("deep", r"another depth \(2, here 3\)\. Give the experiment's"),
        ("rgb", r"another in_channels \(3, here 1\)"),
    ):
        with pytest.raises(ConfigError, match=rf"one\.pretrained: {name}\.saf.*: .*{message}"):
            check(pretrained=f"{name}.safetensors")
    with pytest.raises(ConfigError, match=r"two\.pretrained: t.tif: .*model"):
        check(pretrained="t.tif")


def test_no_file_is_opened_again_until_it_or_its_row_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("d")
    image = Image("d", "cells", "d.ome.tif", "predict")
    sources = Sources("cache.json")
    found = sources.as_prepared(image, None)
    assert found == {"channels": 1, "mpp": 0.5, "peak_bytes": 2 * 64 * 64}
    sources.save()
    monkeypatch.setattr("unetflow.jobs.sources._as_prepared", lambda *_: "opened")
    assert Sources("cache.json").as_prepared(image, None) == found
    assert Sources("cache.json").as_prepared(replace(image, mpp=1.0), None) == "opened"
    assert Sources("cache.json").as_prepared(image, 0.25) == "opened"
    write("d", 3)
    assert Sources("cache.json").as_prepared(image, None) == "opened"


def test_what_is_not_looked_at_closely_would_suit() -> None:
    assert NEAR <= TOLERANCE


def test_colours_are_varied_of_red_green_and_blue_alone() -> None:
    with pytest.raises(
        ConfigError, match=r"experiments.one.*: stain, hue varies red, green and blue, .* have 1 ch"
    ):
        check(recipe={"augmentation": {"stain": 0.1, "hue": 0.02}})


def test_a_model_that_a_run_makes_is_known_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = "models/a/fold0/model.safetensors"
    for results in ("results", "./results"):
        for given in ("results", "./results", f"{tmp_path}/results"):
            assert model_made_in(results, f"{given}/{model}") == f"{results}/{model}"
    assert model_made_in("results", "results/calibration/a/fold0/deploy.safetensors") is None
    assert model_made_in("results", f"elsewhere/{model}") is None
