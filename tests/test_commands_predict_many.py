"""Many images by a finished model: `unetflow predict MODEL INPUT... --out FOLDER`."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from finished import finished_model, noisy_image
from PIL import Image

from unetflow.commands import MENDABLE, predict_many, run_command
from unetflow.jobs.sheet import read_table
from unetflow.networks.deployed import write_deployed
from unetflow.networks.description import read_description
from unetflow.store.shards import read_array


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A folder with a model and images, and the lines of Snakemake that would be run there."""
    monkeypatch.chdir(tmp_path)
    finished_model(Path("m.safetensors"), base_channels=4, depth=1)
    for name in ("images/a.tif", "images/more/a.tif", "images/b c.tif", "alone.tif"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(name, noisy_image((60, 50)))
    tifffile.imwrite("images/a_mask.tif", noisy_image((60, 50)))
    commands: list[list[str]] = []

    def run(command: list[str], results: Path) -> tuple[int, bool]:
        commands.append(command)
        return 0, True

    monkeypatch.setattr(predict_many, "run_snakemake", run)
    return commands


def predict(*arguments: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Run the command; the config and the rows of the sheet that it wrote."""
    assert run_command("predict", [*arguments, "--out", "out"]) == 0
    config = yaml.safe_load(Path("out/predict.yaml").read_text())
    return config, [cells for _, cells in read_table(Path("out/predict.tsv"), ["image"]).rows]


def test_files_and_folders_are_rows_to_be_predicted_without_truths(
    ran: list[list[str]], tmp_path: Path
) -> None:
    config, rows = predict("m.safetensors", "images", "alone.tif", "--cpu", "--threads", "3")
    assert [row["image"] for row in rows] == ["a", "b-c", "a-n2", "alone"]
    assert {row["split"] for row in rows} == {"predict"}
    assert [Path(row["path"]).relative_to(tmp_path) for row in rows][1:3] == [
        Path("images/b c.tif"),
        Path("images/more/a.tif"),
    ]
    assert config["experiments"] == {
        "m": {"dataset": "images", "model": str(tmp_path / "m.safetensors")}
    }
    (command,) = ran
    assert command[:5] == ["snakemake", "--cores", "3", "--resources", "gpu=0"]
    assert command[-2:] == ["--configfile", str(tmp_path / "out" / "predict.yaml")]


def test_results_of_images_of_the_same_names_are_kept(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    predict("m.safetensors", "images/a.tif")
    assert run_command("predict", ["m.safetensors", "images/more", "--out", "out"]) == MENDABLE
    said = capsys.readouterr().err
    assert "images/a.tif: the results in" in said and "would be lost, as images of the" in said
    predict("m.safetensors", "images/more", "images/a.tif")  # both
    Path("images/more/a.tif").rename("moved.tif")
    predict("m.safetensors", "images/a.tif", "moved.tif")
    assert len(ran) == 3


def test_a_sheet_that_was_edited_is_kept(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    predict("m.safetensors", "alone.tif")
    predict("m.safetensors", "alone.tif", "images")
    sheet, written = Path("out/predict.tsv"), Path("out/predict.yaml").stat().st_mtime_ns
    lines = sheet.read_text().splitlines()
    sheet.write_text("\n".join([f"{lines[0]}\tscene", *(f"{line}\t0" for line in lines[1:])]))
    os.utime(sheet, ns=(written + 1, written + 1))
    again = ["m.safetensors", "alone.tif", "images", "--out", "out"]
    assert run_command("predict", again) == MENDABLE
    said = capsys.readouterr().err
    assert "predict.tsv: was edited, which would be lost" in said
    assert "unetflow predict MODEL" in said
    _, rows = predict("m.safetensors", str(sheet))
    assert [row["scene"] for row in rows] == ["0"] * 4
    assert len(ran) == 3


def test_no_name_is_given_twice(ran: list[list[str]]) -> None:
    tifffile.imwrite("a-n2.tif", noisy_image((60, 50)))
    _, rows = predict("m.safetensors", "images", "a-n2.tif")
    assert [row["image"] for row in rows] == ["a", "b-c", "a-n2", "a-n2-n2"]


def test_an_image_whose_name_is_that_of_a_truth_is_told(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite("images/GT-12.tif", noisy_image((60, 50)))
    _, rows = predict("m.safetensors", "images")
    assert len(rows) == 3
    said = capsys.readouterr().out
    assert "images: 1 files look like truths, but no image has their names: GT-12.tif" in said


def test_results_among_the_images_are_no_images(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, first = predict("m.safetensors", ".")
    for store in ("out/images/a.ome.zarr", "b.ome.zarr"):
        Path(store).mkdir(parents=True)
        Path(store, "zarr.json").write_text("{}")
    Path("b.ome.zarr/command.json").write_text("{}")  # of the command for one image
    Path("out/.sources.json").write_text("{}")
    _, again = predict("m.safetensors", ".")
    assert again == first
    assert "left out: what unetflow wrote: b.ome.zarr, out\n" in capsys.readouterr().out


def test_images_of_other_kinds_are_told(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1.BMP", "2.nd2", "notes.txt", "more/3.lsm", "._4.nd2"):
        Path("images", name).write_bytes(b"")
    _, rows = predict("m.safetensors", "images")
    assert len(rows) == 3
    said = capsys.readouterr().out
    assert "images: left out: files of other kinds (convert them to TIFF, unpack" in said
    assert said.splitlines()[0].endswith("): 1.BMP, 2.nd2, more/3.lsm")


def test_a_crf_that_the_choices_were_made_with_is_made(ran: list[list[str]]) -> None:
    crf = {"iterations": 2, "radius_px": 3}
    made = {"test_time_augmentation": 1, "smooth_px": None, "crf": crf}
    chosen = {"thresholds": {"cell": 0.4}, "labelling": {"connectivity": 1}}
    write_deployed(["m.safetensors"], "crf.safetensors", {**chosen, **made})
    config, _ = predict("crf.safetensors", "images")
    assert config["refine"] == {"smooth_px": None, "crf": crf}


def test_values_by_hand_win_and_the_others_are_the_models(ran: list[list[str]]) -> None:
    config, rows = predict("m.safetensors", "alone.tif", "--min-area-px", "9", "--mpp", "0.5")
    assert config["instances"]["min_area_px"] == 9
    assert config["instances"]["threshold"] == config["instances"]["separate"] == "auto"
    assert config["predict"]["test_time_augmentation"] == 7
    assert config["refine"] == {"smooth_px": 1.5}
    assert rows[0]["mpp"] == "0.5"


def test_pixels_are_joined_as_where_the_model_was_calibrated(ran: list[list[str]]) -> None:
    made = {"test_time_augmentation": 1, "smooth_px": None}
    chosen = {"thresholds": {"cell": 0.4}, "labelling": {"min_area_px": 7, "connectivity": 2}}
    write_deployed(["m.safetensors"], "corners.safetensors", {**chosen, **made})
    config, _ = predict("corners.safetensors", "alone.tif")
    assert config["instances"]["connectivity"] == 2
    config, _ = predict("m.safetensors", "alone.tif")
    assert config["instances"]["connectivity"] == 1


def test_of_a_model_of_volumes_images_are_volumes(ran: list[list[str]]) -> None:
    finished_model(Path("v.safetensors"), name="unet3d", base_channels=4, depth=1)
    config, _ = predict("v.safetensors", "alone.tif")
    assert config["datasets"]["images"]["as"] == "volume"
    assert "mpp" not in config["datasets"]["images"]
    assert run_command("predict", ["v.safetensors", "alone.tif", "p.ome.zarr"]) == MENDABLE


def test_of_a_model_of_volumes_a_folder_of_slices_is_one(
    ran: list[list[str]], tmp_path: Path
) -> None:
    finished_model(Path("v.safetensors"), name="unet3d", base_channels=4, depth=1)
    for name in ("s/z1.png", "s/z2.png", "s/z10.png", "of/x/1.tif", "of/x/2.tif", "of/y/1.tif"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy_image((60, 50))).save(name)
    for name in ("stacks/a1.tif", "stacks/a2.tif"):
        Path(name).parent.mkdir(exist_ok=True)
        tifffile.imwrite(name, np.zeros((20, 60, 50), np.uint8), photometric="minisblack")
    _, rows = predict("v.safetensors", "s", "of", "stacks", "s/z1.png")
    found = [str(Path(row["path"]).relative_to(tmp_path)) for row in rows]
    assert found == ["s", "of/x", "of/y", "stacks/a1.tif", "stacks/a2.tif", "s/z1.png"]
    _, rows = predict("m.safetensors", "s")  # to a model of images they are three
    assert [Path(row["path"]).name for row in rows] == ["z1.png", "z10.png", "z2.png"]


def test_of_a_model_that_brings_no_choice_nothing_is_auto(ran: list[list[str]]) -> None:
    finished_model(Path("m.safetensors"), deployed=False, base_channels=4, depth=1)
    config, _ = predict("m.safetensors", "alone.tif", "--threshold", "0.25")
    assert config["instances"] == {"threshold": 0.25}


def test_a_sheet_names_its_images_itself(ran: list[list[str]], tmp_path: Path) -> None:
    Path("s.tsv").write_text("image\tpath\tchannels\tsplit\nx\talone.tif\t0\ttrain\n")
    _, rows = predict("m.safetensors", "s.tsv")
    (row,) = rows
    assert (row["image"], row["split"], row["channels"]) == ("x", "predict", "0")
    assert row["path"] == str(tmp_path / "alone.tif")


def test_a_sheet_keeps_all_that_it_says_of_an_image(
    ran: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = Path("s.tsv")
    sheet.write_text("image\tpath\tplanes\ttissue\nx\talone.tif\t0-3\tmask.png\n")
    _, (row,) = predict("m.safetensors", "s.tsv")
    assert (row["planes"], row["tissue"]) == ("0-3", str(tmp_path / "mask.png"))
    for text, problem in (
        ("image\tpath\tchannel\nx\talone.tif\t0\n", "'channel'; did you mean 'channels'?"),
        ("image\tpath\nx\t\n", "s.tsv, line 2: the cell of column path is empty"),
    ):
        sheet.write_text(text)
        assert run_command("predict", ["m.safetensors", "s.tsv", "--out", "o"]) == MENDABLE
        assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["alone.tif", "m.safetensors", "--out", "o"], "m.safetensors comes behind alone.tif: the"),
        (["m.safetensors", "gone", "--out", "o"], "there is no file or folder gone"),
        (["m.safetensors", "s.tsv", "alone.tif", "--out", "o"], "one is a sheet: give it alone"),
        (["m.safetensors", "alone.tif", "--out", "images"], "images: is no place for the results"),
        (["m.safetensors", "alone.tif", "--out", "alone.tif"], "is a file. Name a folder"),
        (["m.safetensors", "images"], "1 paths after the model: without --out these are one"),
        (["alone.tif", "alone.tif", "--out", "o"], "alone.tif: not a model file of unetflow"),
        (
            ["m.safetensors", "alone.tif", "--test-time-augmentation", "16"],
            "16 is of volumes, and without --out",
        ),
    ],
)
def test_mistakes_end_in_one_line(
    ran: list[list[str]],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    problem: str,
) -> None:
    assert run_command("predict", arguments) == MENDABLE
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line
    assert ran == []


def test_images_of_other_channels_are_told_before_anything_runs(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite("rgb.tif", np.zeros((60, 50, 3), np.uint8), photometric="rgb")
    images = ["alone.tif", "rgb.tif", "--out", "o"]
    assert run_command("predict", ["m.safetensors", *images]) == MENDABLE
    said = capsys.readouterr().err
    assert "rgb.tif: of other channels than the 1 that the model was trained on" in said
    assert "such as `--channels 0`" in said and "alone.tif" not in said
    assert ran == []
    assert run_command("predict", ["m.safetensors", *images, "--channels", "0"]) == 0
    assert len(ran) == 1


def test_images_without_a_resolution_are_told_before_anything_runs(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    description = read_description("m.safetensors")
    description["mpp"] = 0.5
    monkeypatch.setattr(predict_many, "read_description", lambda path: description)
    assert run_command("predict", ["m.safetensors", "alone.tif", "--out", "o"]) == MENDABLE
    assert "trained at 0.5 um/px. Give theirs by --mpp" in capsys.readouterr().err
    assert ran == []
    predict("m.safetensors", "alone.tif", "--mpp", "1")
    assert len(ran) == 1


@pytest.mark.more
def test_many_images_are_segmented_as_each_of_them_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    finished_model(Path("m.safetensors"), base_channels=4, depth=2)
    Path("images").mkdir()
    for seed in range(2):
        tifffile.imwrite(f"images/{seed}.tif", noisy_image((200, 260), seed))
    many = ["m.safetensors", "images", "--out", "out", "--cpu", "--threads", "2"]
    assert run_command("predict", many) == 0
    assert "take_model: 1 job" in capfd.readouterr().out
    assert Path("out/outcome.tsv").read_text().count("\tdone\t") == 2
    assert run_command("predict", ["m.safetensors", "images/1.tif", "one.ome.zarr", "--cpu"]) == 0
    store = Path("out/predictions/m/fold0/1.ome.zarr")
    for array in ("refined", "labels/instances/0"):
        one, of_many = (read_array(of, array)[:] for of in ("one.ome.zarr", store))
        np.testing.assert_array_equal(one, of_many)
    capfd.readouterr()
    assert run_command("predict", many) == 0
    assert "nothing to be done" in capfd.readouterr().out
