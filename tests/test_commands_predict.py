"""One image segmented by the command, as the pipeline would."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from prepared import prepare
from test_predict_heads import headed_job

from unetflow.commands import MENDABLE, run_command
from unetflow.commands.predict import ImageOptions, segment_file
from unetflow.commands.predict_chosen import InstanceOptions, chosen_options
from unetflow.commands.predict_options import parser_of
from unetflow.engine.machine import Machine
from unetflow.errors import ConfigError, ModelError
from unetflow.instances import label_instances
from unetflow.networks import build
from unetflow.networks.deployed import Deployed, write_deployed
from unetflow.networks.model_file import load_model, save_model
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.plan import PredictOptions
from unetflow.predict.stored_foreground import write_foreground
from unetflow.predict.whole_image import predict_array
from unetflow.provenance.receipts import read_receipt
from unetflow.refine import smoothed
from unetflow.store.foreground import read_foreground
from unetflow.store.ome import write_group
from unetflow.store.pixels import Normalised
from unetflow.store.shards import ShardedArray, read_array

PIXELS = np.random.default_rng(0).integers(0, 255, (700, 900), dtype=np.uint8)
INTENSITY = {"mean": [120.0], "deviation": [60.0]}


@pytest.fixture
def case(tmp_path: Path) -> tuple[Path, Any]:
    """A folder with a model and an image, and the network."""
    torch.manual_seed(3)
    options = {"base_channels": 4, "depth": 2}
    network = build("unet", **options)
    description: Any = {
        "network": {"name": "unet", **options},
        "channels": 1,
        "classes": ["cell"],
        "intensity": INTENSITY,
        "mpp": None,
    }
    save_model(tmp_path / "m.safetensors", network, description)
    tifffile.imwrite(tmp_path / "i.tif", PIXELS, tile=(128, 128), photometric="minisblack")
    return tmp_path, network


def test_a_crf_that_the_choices_were_made_with_is_missed(
    case: tuple[Path, Any], caplog: pytest.LogCaptureFixture
) -> None:
    folder, _ = case
    made = {"test_time_augmentation": 1, "smooth_px": None, "crf": {"iterations": 2}}
    chosen = {"thresholds": {"cell": 0.4}, "labelling": {"connectivity": 1}}
    write_deployed([folder / "m.safetensors"], folder / "crf.safetensors", {**chosen, **made})
    tifffile.imwrite(folder / "small.tif", PIXELS[:60, :60], photometric="minisblack")
    run_command(
        "predict", [str(folder / "crf.safetensors"), str(folder / "small.tif"), str(folder)]
    )
    assert "which is made with --out FOLDER alone" in caplog.text


@pytest.mark.slow
def test_the_command_writes_what_the_network_says(
    case: tuple[Path, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, network = case
    files = [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    assert (
        run_command(
            "predict", [*files, "--threads", "2", "--write-px", "256", "--precision", "fp32"]
        )
        == 0
    )
    wanted = predict_array(network, Normalised(PIXELS[None], INTENSITY), write_px=256)
    found = read_foreground(folder / "o.ome.zarr")
    assert np.abs(found - wanted[1:]).max() < 0.5 / 255 + 1e-5
    instances = np.asarray(read_array(folder / "o.ome.zarr", "labels/instances/0")[:])
    table = pd.read_parquet(folder / "o.ome.zarr" / "objects.parquet")
    assert instances.max() == len(table) > 0
    coarse = np.asarray(read_array(folder / "o.ome.zarr", "labels/instances/1")[:])
    np.testing.assert_array_equal(coarse, instances[::2, ::2])
    assert f"cell: {len(table)} instances at threshold 0.5" in capsys.readouterr().out


@pytest.mark.slow
def test_an_image_of_another_kind_is_warned_of(
    case: tuple[Path, Any], caplog: pytest.LogCaptureFixture
) -> None:
    folder, _ = case
    files = [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    assert run_command("predict", files) == 0
    assert "another kind" not in caplog.text
    tifffile.imwrite(folder / "i.tif", PIXELS.astype(np.uint16) * 257, photometric="minisblack")
    assert run_command("predict", files) == 0
    assert "channel 0 has a mean of 3.258e+04, but the model was trained on pixels of 120" in (
        caplog.text
    )


@pytest.mark.slow
def test_the_same_call_goes_on_and_keeps_what_is_there(case: tuple[Path, Any]) -> None:
    folder, _ = case
    how: dict[str, Any] = {
        "options": PredictOptions(write_px=256, shard_px=512, precision="fp32"),
        "machine": Machine(threads=2),
    }
    files = [folder / name for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    first = segment_file(*files, **how)
    shards = sorted((folder / "o.ome.zarr/foreground/c/0").glob("*/*"))
    times = [path.stat().st_mtime_ns for path in shards[1:]]
    before = shards[0].read_bytes()
    shards[0].unlink()
    assert segment_file(*files, **how) == first
    assert shards[0].read_bytes() == before
    assert [path.stat().st_mtime_ns for path in shards[1:]] == times


def test_a_run_that_goes_on_knows_what_the_one_before_could_not_read(
    case: tuple[Path, Any], caplog: pytest.LogCaptureFixture
) -> None:
    folder, _ = case
    files = [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    tifffile.imwrite(
        files[1], PIXELS, tile=(128, 128), photometric="minisblack", compression="zlib"
    )
    with tifffile.TiffFile(files[1]) as tiff:
        offset, size = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    with Path(files[1]).open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * size)
    for _ in range(2):
        caplog.clear()
        assert run_command("predict", files) == 0
        assert caplog.text.count("rows [0, 256], columns [0, 256] could not be read") == 1
        shards = (folder / "o.ome.zarr/foreground/c/0").glob("*/*")
        next(shards).unlink()  # its place is read again


def test_places_of_an_image_that_was_mended_are_forgotten(case: tuple[Path, Any]) -> None:
    folder, _ = case
    files = [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    pixels = PIXELS[:60, :60].astype(np.float32)
    notes = folder / "o.ome.zarr/unreadable.json"
    for value, noted in ((np.nan, True), (1.0, False)):
        pixels[5, 5] = value
        tifffile.imwrite(files[1], pixels, photometric="minisblack")
        assert run_command("predict", files) == 0
        assert notes.exists() == noted


def test_a_file_that_is_replaced_meanwhile_has_no_result(
    case: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = case
    files = [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    tifffile.imwrite(files[1], PIXELS[:60, :60], photometric="minisblack")
    write = write_foreground

    def replace_it_too(*arguments: Any, **options: Any) -> ShardedArray:
        tifffile.imwrite(files[1], PIXELS[60:120, :60], photometric="minisblack")
        return write(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("unetflow.commands.predict.write_foreground", replace_it_too)
        assert run_command("predict", files) == MENDABLE
    assert "i.tif: was replaced while the run went on" in capsys.readouterr().err
    assert not (folder / "o.ome.zarr/foreground").exists()
    assert run_command("predict", files) == 0


def test_a_network_that_sees_to_one_side_is_not_turned(
    case: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, network = case
    aside = replace(network.geometry, after_px=(4, 4))
    monkeypatch.setattr(Ensemble, "geometry", aside)
    files = [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    assert run_command("predict", [*files, "--test-time-augmentation", "8"]) == MENDABLE
    assert "which flips and turns the image, would move what it says" in capsys.readouterr().err
    assert not (folder / "o.ome.zarr").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_a_pixel_that_is_no_number_blanks_nothing(
    case: tuple[Path, Any], caplog: pytest.LogCaptureFixture, value: float
) -> None:
    folder, network = case
    files = [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    pixels = PIXELS[:200, :300].astype(np.float32)
    pixels[90, 120] = value
    tifffile.imwrite(files[1], pixels, photometric="minisblack")
    assert run_command("predict", [*files, "--write-px", "256", "--precision", "fp32"]) == 0
    pixels[90, 120] = 0
    wanted = predict_array(network, Normalised(pixels[None], INTENSITY), write_px=256)
    assert np.abs(read_foreground(folder / "o.ome.zarr") - wanted[1:]).max() < 0.5 / 255 + 1e-5
    assert (
        "rows [90, 91], columns [120, 121] could not be read (NaN, infinite or beyond 1e+18) and "
        "count as 0" in caplog.text
    )


def test_many_places_are_counted_and_listed_in_the_output(
    case: tuple[Path, Any], caplog: pytest.LogCaptureFixture
) -> None:
    folder, _ = case
    files = [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    pixels = PIXELS[:200, :300].astype(np.float32)
    pixels[::10, ::10] = np.nan
    pixels[1, 1] = 120 + 2000 * 60  # deviations of the training
    tifffile.imwrite(files[1], pixels, photometric="minisblack")
    assert run_command("predict", files) == 0
    assert caplog.text.count("could not be read") == 20
    assert "so do 580 other places, listed in" in caplog.text
    assert len(read_receipt(folder / "o.ome.zarr/unreadable.json")["lost"]) == 600
    assert "channel 0 has a pixel of 1.201e+05, but the model was trained" in caplog.text


def test_it_writes_over_nothing_but_its_own(
    case: tuple[Path, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = case
    model, image = str(folder / "m.safetensors"), str(folder / "i.tif")
    other = folder / "other.ome.zarr"
    write_group(other, "", {"ome": {"version": "0.5"}})
    (folder / "file").write_text("a file")
    store = prepare(folder, PIXELS)
    before = (store / "zarr.json").read_bytes(), (other / "zarr.json").read_bytes()
    for given, output, why in (
        (image, other, "there is something else already"),
        (image, folder / "file", "there is a file of this name"),
        (image, image, "it lies in the image"),
        (store, store, "it lies in the image"),
        (store, store / "labels", "it lies in the image"),
    ):
        assert run_command("predict", [model, str(given), str(output)]) == MENDABLE
        assert f"is no place for the result, because {why}" in capsys.readouterr().err
    assert before == ((store / "zarr.json").read_bytes(), (other / "zarr.json").read_bytes())
    (folder / "o.ome.zarr").mkdir()
    for _ in range(2):
        assert run_command("predict", [model, image, str(folder / "o.ome.zarr")]) == 0


def test_it_writes_over_no_other_image(
    case: tuple[Path, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = case
    monkeypatch.chdir(folder)
    for name, plane in (("a", 0), ("b", 1)):
        Path(name).mkdir()
        tifffile.imwrite(f"{name}/i.tif", np.stack([PIXELS[plane:80, :70]] * 2))
    for given, why in (
        (["a/i.tif", "--plane", "0"], ""),
        (["a/i.tif", "--plane", "0", "--threshold", "0.4"], ""),
        (["a/i.tif", "--plane", "1"], "holds what was made of a/i.tif, plane 0, which would be"),
        (["b/i.tif", "--plane", "0"], "holds what was made of a/i.tif, plane 0, which would be"),
        ([f"{folder}/a/i.tif", "--plane", "0"], ""),  # the same
    ):
        assert run_command("predict", ["m.safetensors", *given]) == (MENDABLE if why else 0)
        assert why in capsys.readouterr().err


def test_instances_are_made_of_what_is_smoothed(
    case: tuple[Path, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = case
    files = [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    assert run_command("predict", [*files, "--threshold", "0.45", "--smooth-px", "1.5"]) == 0
    assert "foreground, refined, labels/instances" in capsys.readouterr().out
    wanted = smoothed(read_foreground(files[2]), 1.5)
    found = read_foreground(files[2], array="refined")
    assert np.abs(found - wanted).max() < 0.5 / 255 + 1e-6
    labels = np.asarray(read_array(files[2], "labels/instances/0")[:])
    np.testing.assert_array_equal(labels, label_instances(found[0], threshold=0.45))
    assert (Path(files[2]) / "refined_1").exists()
    assert run_command("predict", [*files, "--threshold", "0.45"]) == 0
    assert not list(Path(files[2]).glob("refined*"))
    again = np.asarray(read_array(files[2], "labels/instances/0")[:])
    plain = label_instances(read_foreground(files[2])[0], threshold=0.45)
    np.testing.assert_array_equal(again, plain)


def test_nothing_is_left_of_a_larger_image(case: tuple[Path, Any]) -> None:
    folder, _ = case
    files = [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    coarser = "foreground_1", "labels/instances/1"
    assert run_command("predict", files) == 0
    assert all((Path(files[2]) / name).exists() for name in coarser)
    store = prepare(folder, PIXELS)
    assert (store / "1").exists()
    tifffile.imwrite(files[1], PIXELS[:300, :400], photometric="minisblack")
    assert run_command("predict", files) == 0
    assert not any((Path(files[2]) / name).exists() for name in coarser)
    prepare(folder)
    assert not (store / "1").exists()


def test_other_code_begins_anew(
    case: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder, _ = case
    caplog.set_level("INFO")
    files = [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    assert run_command("predict", files) == 0
    monkeypatch.setattr("unetflow.commands.predict.code_digest", lambda *files: "other")
    assert run_command("predict", files) == 0
    for array in ("foreground", "labels/instances/0"):
        assert f"{array}: starting anew, because of another code" in caplog.text


def test_an_image_of_another_resolution_is_refused_or_warned_of(
    case: tuple[Path, Any],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, network = case
    _, description = load_model(folder / "m.safetensors")
    save_model(folder / "m.safetensors", network, description | {"mpp": 0.5})
    files = [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    assert run_command("predict", files) == 0
    assert "as if it had the 0.5 um/px that the model was trained at" in caplog.text
    assert run_command("predict", [*files, "--mpp", "2", "--level", "0"]) == MENDABLE
    assert "has 2 um/px, but the model was trained at 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong, said",
    [
        (["--threads", "0"], "0 is not in the range 1 to"),
        (["--threshold", "7"], "7 is not in the range 0 to 1"),
        (["--split-px", "-1"], "-1 is not in the range"),
        (["--mpp", "0"], "0 um/px is not from 0.0005 to 50"),
        (["--min-area-px", "x"], "'x' must be a whole number"),
        (["--mpp", "0,5"], "'0,5' must be a number with a point, such as 0.25"),
        (["--channels", "0,1"], "'0,1' must be a whole number; several have spaces between them"),
        (["--channels", "5"], "has channels 0 to 0, but 5 were asked for"),
        (["--level", "3"], "has no level 3"),
    ],
)
def test_what_was_mistyped_is_named(
    case: tuple[Path, Any], wrong: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = case
    files = [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
    try:
        status = run_command("predict", [*files, *wrong])
    except SystemExit as end:
        status = int(str(end.code))
    assert status == MENDABLE
    assert said in capsys.readouterr().err
    assert not Path(files[2]).exists()


STACK = np.stack([PIXELS[:100, :120] // (k + 1) for k in range(6)]).reshape(2, 3, 100, 120)


def write_stack(folder: Path, name: str) -> list[str]:
    """The files of a call for an image of several planes."""
    if name.endswith(".npy"):
        np.save(folder / name, STACK)
    else:
        tifffile.imwrite(folder / name, STACK, metadata={"axes": "TZYX"})
    return [str(folder / each) for each in ("m.safetensors", name, f"{name}.ome.zarr")]


def test_one_plane_at_one_time_is_what_it_is_alone(case: tuple[Path, Any]) -> None:
    folder, _ = case
    tifffile.imwrite(folder / "alone.tif", STACK[1, 2])
    alone = [str(folder / each) for each in ("m.safetensors", "alone.tif", "alone.ome.zarr")]
    assert run_command("predict", alone) == 0
    foreground = read_array(alone[2], "foreground")[:]
    for name, axes in (("s.ome.tif", []), ("s.npy", ["--axes", "tzyx"])):
        files = write_stack(folder, name)
        assert run_command("predict", [*files, "--time", "1", "--plane", "2", *axes]) == 0
        np.testing.assert_array_equal(read_array(files[2], "foreground")[:], foreground)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("s.ome.tif", ["--plane", "1"], "Set --time to 0 to 1."),
        ("s.ome.tif", ["--plane", "9", "--time", "0"], "Set --plane to 0 to 2."),
        ("s.npy", [], "Say what they are in --axes, such as czyx"),
        (
            "i.tif",
            ["--plane", "1"],
            "--plane does not apply to it: there is nothing to choose. Leave that out.",
        ),
        (
            "i.tif",
            ["--scene", "3"],
            "--scene does not apply to it: there is nothing to choose. Leave that out.",
        ),
        (
            "i.tif",
            ["--axes", "zyx"],
            "--axes does not apply to it: its axes are yx. Leave that out.",
        ),
        ("i.tif", ["--channels", "0", "1"], "Correct --channels."),
        ("c.png", [], "Choose that many by --channels, such as 0."),
        ("none.tif", [], "there is no such file. Correct the path."),
        ("t.tif", [], "check that the file is whole."),
    ],
)
def test_messages_name_the_options_and_no_sheet(
    case: tuple[Path, Any],
    name: str,
    given: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, _ = case
    imagecodecs.imwrite(folder / "c.png", np.dstack([PIXELS[:50, :50]] * 3))
    (folder / "t.tif").write_text("no image")
    if name.startswith("s."):
        write_stack(folder, name)
    files = [str(folder / each) for each in ("m.safetensors", name, "o.ome.zarr")]
    assert run_command("predict", [*files, *given]) == MENDABLE
    error = capsys.readouterr().err
    assert said in error and "sheet" not in error and "Delete" not in error
    assert not Path(files[2]).exists()


def test_a_model_that_is_not_there_is_said(
    case: tuple[Path, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = case
    assert (
        run_command(
            "predict", [str(folder / "none"), str(folder / "i.tif"), str(folder / "o.ome.zarr")]
        )
        == MENDABLE
    )
    assert "none: there is no such file" in capsys.readouterr().err


def test_an_error_that_no_user_can_mend_keeps_its_traceback(
    case: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = case
    monkeypatch.setattr("unetflow.commands.predict.write_foreground", None)
    with pytest.raises(TypeError, match="not callable"):
        run_command(
            "predict", [str(folder / name) for name in ("m.safetensors", "i.tif", "o.ome.zarr")]
        )


def asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[ImageOptions, InstanceOptions, PredictOptions, Machine]:
    """What the command would do."""
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        "unetflow.commands.predict.segment_file", lambda *files, **how: asked.update(how) or {}
    )
    (folder / "m").touch()
    assert run_command("predict", [str(folder / "m"), "i", "o", *arguments]) == 0
    return asked["read"], asked["instances"], asked["options"], asked["machine"]


def test_a_method_without_its_head_is_refused_before_anything_is_predicted(
    tmp_path: Path,
) -> None:
    job = headed_job(tmp_path, "border")
    arguments = [str(job["models"][0]), str(job["image"]), str(tmp_path / "o.ome.zarr")]
    with pytest.raises(ModelError, match=r"has a border head, but --separate distance needs"):
        segment_file(
            *arguments,
            instances=InstanceOptions(separate="distance"),
            options=PredictOptions(),
            machine=Machine(threads=1, gpu=False, require_gpu=False),
        )
    assert not (tmp_path / "o.ome.zarr").exists()


def test_every_option_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_image = "--level 1 --mpp 0.004 --scene b --time 3 --plane 2 --axes tzyx --channels 2 0"
    of_instances = "--threshold 0.25 --min-area-px 9 --fill-holes --max-hole-px 7 --split-px 1.5 "
    of_instances += "--separate seeds --split-logits 2 --seed-threshold 0.8 --border-threshold 0.3"
    of_foreground = (
        "--write-px 2048 --test-time-augmentation 8 --precision bf16 --threads 3 --cpu "
        "--require-gpu"
    )
    read, instances, options, machine = asked_for(
        tmp_path, monkeypatch, *f"{of_image} {of_instances} {of_foreground}".split()
    )
    assert read == ImageOptions(
        level=1, mpp=0.004, scene="b", time=3, plane=2, axes="tzyx", channels=[2, 0]
    )
    assert instances == InstanceOptions(
        0.25,
        min_area_px=9,
        fill_holes=True,
        split_px=1.5,
        separate="seeds",
        split_logits=2,
        seed_threshold=0.8,
        border_threshold=0.3,
        max_hole_px=7,
    )
    assert options == PredictOptions(
        write_px=2048, shard_px=2048, test_time_augmentation=8, precision="bf16"
    )
    assert machine == Machine(threads=3, gpu=False, require_gpu=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--seed-threshold 0.8", "--seed-threshold 0.8 would .* by necks. Give --separate seeds"),
        ("--split-px 3", None),
        ("--max-hole-px 7", "--max-hole-px 7 would have no effect: holes are not filled. Give"),
        ("--max-hole-px 7 --fill-holes", None),
        ("--split-logits 1 --separate valleys", None),
    ],
)
def test_what_would_have_no_effect_is_refused(given: str, said: str | None) -> None:
    options = parser_of("p").parse_args(["m", "i", *given.split()])
    if said is None:
        chosen_options(options, None)
    else:
        with pytest.raises(ConfigError, match=said):
            chosen_options(options, None)


def test_a_number_of_another_way_than_the_model_brings_is_refused() -> None:
    deployed: Deployed = {
        "of": "d",
        "thresholds": {"cell": 0.5},
        "labelling": {"separate": "seeds", "seed_threshold": 0.9},
        "test_time_augmentation": 1,
        "smooth_px": None,
    }
    options = parser_of("p").parse_args(["m", "i", "--split-px", "3"])
    with pytest.raises(ConfigError, match="by seeds. Give --separate necks or distance too"):
        chosen_options(options, deployed)
    options = parser_of("p").parse_args(["m", "i", "--seed-threshold", "0.7"])
    assert chosen_options(options, deployed).instances.seed_threshold == 0.7


def test_the_old_name_of_an_option_works_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new = asked_for(tmp_path, monkeypatch, "--test-time-augmentation", "7")
    assert capsys.readouterr().err == ""
    assert asked_for(tmp_path, monkeypatch, "--average", "7") == new
    assert capsys.readouterr().err == (
        "--average is --test-time-augmentation now; unetflow 0.3 will not know the old name\n"
    )
    with pytest.raises(SystemExit, match="2"):
        run_command("predict", ["m", "i", "o", "--average", "7", "--test-time-augmentation", "8"])
    assert "not allowed with argument" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        run_command("predict", ["--help"])
    assert "--average" not in capsys.readouterr().out


@pytest.mark.slow
def test_what_cannot_be_is_one_line(case: tuple[Path, Any]) -> None:
    folder, _ = case
    tifffile.imwrite(folder / "rgb.tif", np.zeros((50, 50, 3), np.uint8), photometric="rgb")
    command = [sys.executable, "-m", "unetflow.predict", str(folder / "m.safetensors")]
    done = subprocess.run(
        [*command, folder / "rgb.tif", folder / "o.zarr"], capture_output=True, text=True
    )
    assert done.returncode == MENDABLE
    assert "has 3 channels, but the model was trained on 1" in done.stderr
    assert "Traceback" not in done.stderr
