"""The command of the metrics: files in, scores out, and what is refused in words."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from golden import arrays, equal, needs_golden, numbers
from numpy.typing import NDArray
from PIL import Image

from unetflow import metrics
from unetflow.commands.score import main
from unetflow.commands.score_kind import kind_of
from unetflow.commands.score_table import ALONE
from unetflow.evaluate.catalogue import OF_TABLES, SCORES, catalogue_of
from unetflow.store.ome import ome_image, write_group

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.random((2, 24, 30)) > 0.3
PROPOSAL = np.clip(0.6 * TRUTH + 0.4 * RANDOM.random(TRUTH.shape), 0, 1).astype(np.float32)
LABELS = metrics.label_interior(TRUTH[0])
PREDICTED = metrics.label_interior(PROPOSAL[0] > 0.75)


def saved(path: Path, image: NDArray[Any]) -> str:
    """An image in the format of the path's suffix; without one as Zarr."""
    if path.suffix == ".tif":
        tifffile.imwrite(path, image, photometric="minisblack")
    elif path.suffix == ".png":
        Image.fromarray(image).save(path)
    elif path.suffix == ".npy":
        np.save(path, image)
    else:
        zarr.create_array(path, data=image, chunks=(7, 8)[: image.ndim] + (image.ndim - 2) * (9,))
    return str(path)


@pytest.fixture
def membranes(tmp_path: Path) -> list[str]:
    truth = (TRUTH * 255).astype(np.uint8)
    return [saved(tmp_path / "t.tif", truth), saved(tmp_path / "p.tif", PROPOSAL)]


@pytest.fixture
def instances(tmp_path: Path) -> list[str]:
    return [saved(tmp_path / "t.tif", LABELS), saved(tmp_path / "p.tif", PREDICTED)]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[tuple[str, str], Any]:
    """Scores of the command by metric and variant, as its JSON has them."""
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"truth", "prediction", "kind", "shape", "warnings", "scores"}
    scores = {(each["metric"], each["variant"]): each for each in found["scores"]}
    assert len(scores) == len(found["scores"])
    return {**scores, ("", "kind"): found["kind"], ("", "warnings"): found["warnings"]}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    return printed.err


@pytest.mark.slow
def test_a_stack_has_the_challenges_numbers(
    capsys: pytest.CaptureFixture[str], membranes: list[str]
) -> None:
    found = run(capsys, *membranes, "--threshold", "0.6")
    wanted = metrics.isbi2012_scores(TRUTH, PROPOSAL)
    best = {metric: each for (metric, variant), each in found.items() if "best of 11" in variant}
    assert len(best) == 10
    for name, each in best.items():
        assert each["value"] == wanted[name]
        assert each["threshold"] == wanted[f"{name}_threshold"]
    rand = metrics.rand_score(TRUTH, PROPOSAL, 0.6, thinned=True, reduce="pooled")
    assert found["v_rand_split", "thinned, pooled"]["value"] == rand.split
    assert found["warping_error", ""]["value"] == metrics.warping_error(TRUTH, PROPOSAL, 0.6)
    (left,) = metrics.mismatches_by_threshold(TRUTH, PROPOSAL, 0.6)
    assert found["merger", "clusters"]["value"] == left.clusters[metrics.Mismatch.MERGER]


@needs_golden
def test_a_golden_case_has_fijis_numbers(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data, fiji = arrays("membrane", "34_stack3"), numbers()["membrane"]["34_stack3"]["fiji"]
    files = saved(tmp_path / "t.tif", data["gt"]), saved(tmp_path / "p.npy", data["proposal"])
    best = {metric: each["value"] for (metric, v), each in run(capsys, *files).items() if "11" in v}
    assert equal(best["v_rand_thinned_macro_max"], fiji["vrand_thinned_max_macro"])
    assert equal(best["rand_error_2012"], 1 - fiji["rand_fg_fscore_max"])
    assert equal(best["splits_mergers_min"], fiji["min_splits_mergers_pixels_r20_0_1"])


@pytest.mark.parametrize("names", [("t.tif", "p.png"), ("t.npy", "p.tif"), ("t", "p")])
def test_labels_of_every_format_have_the_same_scores(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, names: tuple[str, str]
) -> None:
    pair: tuple[NDArray[Any], NDArray[Any]] = LABELS, PREDICTED.astype(np.uint8)
    files = [saved(tmp_path / name, image) for name, image in zip(names, pair, strict=True)]
    found = run(capsys, *files)
    assert found["", "kind"] == "instances"
    assert found["seg", ""]["value"] == metrics.seg_score(*pair)
    assert found["ap", "iou 0.75"]["value"] == metrics.average_precision(*pair, iou=0.75)
    assert found["dsb2018", ""]["value"] == pytest.approx(metrics.dsb2018_score(*pair))
    assert found["pq", ""]["value"] == metrics.panoptic_quality(*pair).pq
    assert found["aji+", ""]["value"] == metrics.aggregated_jaccard_plus(*pair)
    error = found["adapted_rand_error", "of the labels"]
    assert (error["value"], error["better"]) == (metrics.adapted_rand_error(*pair), "lower")
    in_memory = names[0] != "t"  # outlines are measured in memory only
    assert (("hausdorff_px", "percentile 95") in found) == in_memory


def test_an_ome_zarr_is_scored_at_its_finest_level(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = tmp_path / "t.ome.zarr"
    write_group(store, "", ome_image("t", ("y", "x"), {"full": [1, 1], "half": [2, 2]}, unit=None))
    saved(store / "full", LABELS)
    saved(store / "half", LABELS[::2, ::2])
    found = run(capsys, str(store), saved(tmp_path / "p.npy", PREDICTED))
    assert found["seg", ""]["value"] == metrics.seg_score(LABELS, PREDICTED)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["float.npy", "float"])
def test_whole_numbers_saved_as_floats_are_labels(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, dtype: type
) -> None:
    labels = saved(tmp_path / "t.tif", LABELS), saved(tmp_path / name, PREDICTED.astype(dtype))
    for options in ([], ["--kind", "instances"]):
        for pair, images in ((labels, (LABELS, PREDICTED)), (labels[::-1], (PREDICTED, LABELS))):
            found = run(capsys, *pair, *options)
            assert found["", "kind"] == "instances"
            assert found["seg", ""]["value"] == metrics.seg_score(*images)
            assert found["", "warnings"] == []
    assert "--kind instances" in refused(capsys, *labels, "--kind", "membranes")


def test_floats_of_0_and_1_and_fractions_are_membranes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    truth = saved(tmp_path / "t.npy", TRUTH[0].astype(np.float32))
    for proposal in (PROPOSAL[0], TRUTH[0].astype(np.float32)):
        found = run(capsys, truth, saved(tmp_path / "p", proposal))
        assert found["", "kind"] == "membranes"
        assert found["pixel_error", ""]["value"] == metrics.pixel_error(TRUTH[0], proposal)
        shutil.rmtree(tmp_path / "p")


def test_what_floats_of_zarr_are_is_settled_block_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unetflow.metrics.blocks.BLOCK_PX", 1)
    read: list[tuple[int, ...]] = []
    floor = np.floor

    def counted(block: NDArray[Any]) -> NDArray[Any]:
        read.append(block.shape)
        return np.asarray(floor(block))

    monkeypatch.setattr("unetflow.commands.score_kind.np.floor", counted)
    for image, kind, blocks in ((LABELS * 1.0, "instances", 16), (LABELS * 0.5, "membranes", 1)):
        read.clear()
        array = zarr.create_array(tmp_path / kind, data=image, chunks=(7, 8))
        assert kind_of(LABELS, array) == kind
        assert len(read) == blocks  # the first has fractions, and is enough


def squares(*values: int) -> NDArray[np.uint8]:
    """Squares of 2 px, eight in a row, a row for each value."""
    image = np.zeros((4 * len(values), 32), np.uint8)
    for row, value in enumerate(values):
        image[4 * row : 4 * row + 2] = value * (np.arange(32) % 4 < 2)
    return image


@pytest.mark.parametrize("name", ["p.npy", "p"])
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.float32])
def test_a_mask_given_as_instances_is_warned_of(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, dtype: type
) -> None:
    mask: NDArray[Any] = squares(255, 255).astype(dtype)
    numbered = metrics.label_interior(mask)
    truth = saved(tmp_path / "t.npy", numbered)
    found = run(capsys, truth, saved(tmp_path / name, mask), "--kind", "instances")
    (warning,) = found["", "warnings"]
    assert f"{name}: the one number of objects lies in 16 pieces" in warning
    assert "label_instances" in warning
    assert found["objects", "prediction"]["value"] == 1


def test_classes_given_as_instances_are_warned_of(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    classes = saved(tmp_path / "p.npy", np.hstack([squares(1, 2, 3)] * 2))
    numbered = saved(tmp_path / "t.npy", metrics.label_interior(np.hstack([squares(1, 2, 3)] * 2)))
    (warning,) = run(capsys, numbered, classes)["", "warnings"]
    assert "3 numbers of objects lie in 48 pieces" in warning
    assert run(capsys, numbered, numbered)["", "warnings"] == []


def test_gray_values_as_labels_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.kron(np.arange(36).reshape(6, 6), np.ones((9, 9), int)).astype(np.uint8)
    gray = np.random.default_rng(0).integers(0, 50, labels.shape, np.uint8)
    truth, image = saved(tmp_path / "t.tif", labels), saved(tmp_path / "p.tif", gray)
    assert main([truth, image]) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"warning: {image}: most of its numbers lie in many pieces")
    assert len(said.splitlines()) == 1
    assert main([truth, truth]) == 0
    assert capsys.readouterr().err == ""


def test_one_object_in_each_frame_is_no_mask_unless_in_pieces(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    moving = np.zeros((3, 8, 8), np.uint8)
    for frame in range(3):
        moving[frame, 2 * frame : 2 * frame + 2] = 7
    whole = saved(tmp_path / "t.npy", moving)
    options = ("--frames", "--kind", "instances")
    assert run(capsys, whole, whole, *options)["", "warnings"] == []
    moving[1, :, 3:5] = 0
    (warning,) = run(capsys, whole, saved(tmp_path / "p.npy", moving), *options)["", "warnings"]
    assert "p.npy: 3 numbers of objects lie in 4 pieces" in warning


def test_frames_are_pooled_and_a_volume_is_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    truth = np.stack([LABELS, PREDICTED]).astype(np.uint16)
    predicted = np.stack([PREDICTED, PREDICTED]).astype(np.uint16)
    files = saved(tmp_path / "t.tif", truth), saved(tmp_path / "p.tif", predicted)
    frames = run(capsys, *files, "--frames")
    assert frames["seg", "pooled over 2 frames"]["value"] == metrics.seg_score(
        [*truth], [*predicted]
    )
    assert run(capsys, *files)["seg", ""]["value"] == metrics.seg_score(truth, predicted)


@pytest.mark.parametrize("array, label", [("foreground", "instances"), ("0", "truth")])
def test_a_store_is_not_scored_by_its_pixels_but_by_its_labels(
    array: str, label: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, store = saved(tmp_path / "t.npy", LABELS), tmp_path / "slide.ome.zarr"
    write_group(store, "", ome_image("slide", ("c", "y", "x"), {array: [1, 1, 1]}, unit=None))
    saved(store / array, LABELS[None].astype(np.uint8))
    labels = store / "labels" / label
    saved(labels / "0", PREDICTED)
    for pair in ([other, str(store)], [str(store), other]):
        assert main(pair) == 2
        assert f"Give {labels}." in capsys.readouterr().err
    found = run(capsys, other, str(labels / "0"))
    assert found["seg", ""]["value"] == metrics.seg_score(LABELS, PREDICTED)


def test_ignored_pixels_are_in_no_score(
    capsys: pytest.CaptureFixture[str], instances: list[str], tmp_path: Path
) -> None:
    ignore = RANDOM.random(LABELS.shape) > 0.7
    flags = saved(tmp_path / "i.png", (ignore * 255).astype(np.uint8))
    found = run(capsys, *instances, "--ignore", flags)
    assert found["seg", ""]["value"] == metrics.seg_score(LABELS, PREDICTED, ignore=ignore)


def test_ignored_pixels_of_another_shape_than_the_frames_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stack = saved(tmp_path / "t.tif", np.stack([LABELS] * 3))
    flags = saved(tmp_path / "i.png", np.zeros((20, 30), np.uint8))
    message = refused(capsys, stack, stack, "--frames", "--ignore", flags)
    assert "ignore has shape (20, 30) and the frames (3, 24, 30): must be the same" in message


def test_a_prediction_that_is_inverted_by_the_option_alone_is_to_go_without(
    capsys: pytest.CaptureFixture[str], membranes: list[str]
) -> None:
    assert "or without it where it is given" in refused(capsys, *membranes, "--invert")


def test_eight_bits_are_divided_and_membranes_inverted_on_request(
    capsys: pytest.CaptureFixture[str], membranes: list[str], tmp_path: Path
) -> None:
    eight_bit = np.rint(255 * (1 - PROPOSAL)).astype(np.uint8)
    files = [membranes[0], saved(tmp_path / "p8.tif", eight_bit), "--kind", "membranes"]
    assert "goes up to" in refused(capsys, *files)
    assert "--divide-by 255" in refused(capsys, *files)
    message = refused(capsys, *files, "--divide-by", "255")
    assert "looks inverted" in message
    assert "--invert" in message
    found = run(capsys, *files, "--divide-by", "255", "--invert")
    wanted = metrics.pixel_error(TRUTH, 1 - eight_bit / 255)
    assert found["pixel_error", ""]["value"] == wanted


def test_a_vanished_interior_is_warned_of(
    capsys: pytest.CaptureFixture[str], membranes: list[str], tmp_path: Path
) -> None:
    weak = saved(tmp_path / "weak.npy", PROPOSAL / 2)
    assert main([membranes[0], weak]) == 0
    printed = capsys.readouterr()
    assert "warning: at 6 of the 11 thresholds the prediction has no interior" in printed.err
    assert run(capsys, membranes[0], weak)["", "warnings"]


def test_a_truth_of_membranes_whose_numbers_touch_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """1 and 2 have no membrane between them: a prediction of both as one had V_Rand 1."""
    apart = np.kron([[1, 0, 2], [0, 0, 0], [3, 3, 3]], np.ones((8, 8))).astype(np.uint16)
    found = np.float32(0.9) * np.stack([apart > 0] * 2)
    prediction = saved(tmp_path / "p.tif", found)
    for name, middle, warned in (("apart", 0, False), ("touching", 1, True)):
        truth = apart.copy()
        truth[:8, 8:16] = middle
        path = saved(tmp_path / f"{name}.tif", np.stack([truth] * 2))
        assert main([path, prediction]) == 0
        said = capsys.readouterr().err
        assert ("objects of different numbers touch, and count as one region" in said) is warned


def test_the_table_names_variant_and_direction(
    capsys: pytest.CaptureFixture[str], instances: list[str], tmp_path: Path
) -> None:
    assert main(instances) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "instances, 24 x 30 px"
    seg, ap, error = (
        next(line.split() for line in lines if line.startswith(name))
        for name in ("seg", "ap  ", "adapted_rand_error")
    )
    assert seg == ["seg", f"{metrics.seg_score(LABELS, PREDICTED):.6g}", "↑", "SEG"]
    assert ap[:3] == ["ap", "iou", "0.5"]
    assert "↓" in error
    nothing = saved(tmp_path / "0.npy", 0 * LABELS)
    assert main([nothing, nothing, "--kind", "instances"]) == 0
    assert "undefined" in capsys.readouterr().out
    assert run(capsys, nothing, nothing, "--kind", "instances")["seg", ""]["value"] is None


@pytest.mark.parametrize(
    ("truth", "predicted", "options", "message"),
    [
        (LABELS, PREDICTED[1:], [], r"shape (24, 30) and"),
        (LABELS * 0.5, PREDICTED, ["--kind", "instances"], "holds 0.5: must be whole numbers"),
        (LABELS, np.where(PREDICTED, PREDICTED, np.nan), [], "holds NaN: must be whole numbers"),
        (np.where(LABELS, LABELS, np.nan), PREDICTED, [], "holds NaN: must be whole numbers"),
        (TRUTH[0], TRUTH[0] * 255.0, [], "Say which: --kind membranes or --kind instances"),
        (TRUTH[0], PROPOSAL[0] * 255, [], "Here: --divide-by 255, or --kind instances"),
        (PROPOSAL[0], TRUTH[0], ["--kind", "membranes"], "give the truth first"),
        (LABELS.astype(np.int64) - 1, PREDICTED, [], "holds -1: ids must be 0 or above"),
        (LABELS.astype(np.int64) << 40, PREDICTED, [], "ids must fit uint32"),
        (TRUTH[0] * 1, TRUTH[0] * 1, [], "Say which: --kind membranes or --kind instances"),
        (TRUTH[0] * 1, PROPOSAL[0] * np.nan, [], "proposal holds NaN"),
        (TRUTH[0] * 1, PROPOSAL[0] * 2, [], "must lie in [0, 1]"),
        (LABELS, PREDICTED, ["--frames"], "--frames needs a stack"),
        (TRUTH[0] * 1, PROPOSAL[0], ["--divide-by", "0"], "must be above 0"),
    ],
)
def test_bad_images_are_refused(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    truth: NDArray[Any],
    predicted: NDArray[Any],
    options: list[str],
    message: str,
) -> None:
    files = saved(tmp_path / "t.npy", truth), saved(tmp_path / "p.npy", predicted)
    assert message in refused(capsys, *files, *options)


def test_bad_files_are_refused(
    capsys: pytest.CaptureFixture[str], instances: list[str], tmp_path: Path
) -> None:
    colours = saved(tmp_path / "rgb.png", RANDOM.integers(0, 255, (24, 30, 3)).astype(np.uint8))
    text = tmp_path / "text.tif"
    text.write_text("no image")
    (tmp_path / "empty").mkdir()
    for path, message in (
        (colours, "rgb.png: it holds 3 channels that differ, colours perhaps: save labels"),
        (str(text), "text.tif: cannot be read (not a TIFF file"),
        (str(tmp_path / "nowhere.png"), "there is no such file"),
        (__file__, "cannot be read (not a TIFF file"),
        (str(tmp_path / "empty"), "a folder with neither Zarr in it nor numbered TIFFs"),
    ):
        assert message in refused(capsys, instances[0], path)


def test_gray_saved_as_colour_is_taken(
    capsys: pytest.CaptureFixture[str], instances: list[str], tmp_path: Path
) -> None:
    gray = np.stack([PREDICTED.astype(np.uint8)] * 3, axis=-1)
    found = run(capsys, instances[0], saved(tmp_path / "gray.png", gray))
    assert found["seg", ""]["value"] == metrics.seg_score(LABELS, PREDICTED)


def test_a_dataset_of_hdf5_is_scored_and_asked_for(
    capsys: pytest.CaptureFixture[str], instances: list[str], tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["exported"], file["other"] = PREDICTED[None], PREDICTED
    found = run(capsys, instances[0], f"{tmp_path / 'p.h5'}:/exported")
    assert found["seg", ""]["value"] == metrics.seg_score(LABELS, PREDICTED)
    assert "holds the datasets exported, other: say which, as p.h5:/exported" in refused(
        capsys, instances[0], str(tmp_path / "p.h5")
    )


def test_numbers_from_a_jpeg_are_warned_of(
    capsys: pytest.CaptureFixture[str], membranes: list[str], tmp_path: Path
) -> None:
    truth = saved(tmp_path / "t.png", (TRUTH[0] * 255).astype(np.uint8))
    jpeg = tmp_path / "p.jpg"
    Image.fromarray((PROPOSAL[0] * 255).astype(np.uint8)).save(jpeg)
    found = run(capsys, truth, str(jpeg), "--kind", "membranes", "--divide-by", "255")
    assert any("p.jpg: JPEG does not keep values" in each for each in found["", "warnings"])


def test_what_is_not_read_and_what_is_blurred_is_warned_of_by_content(
    capsys: pytest.CaptureFixture[str], instances: list[str], tmp_path: Path
) -> None:
    with tifffile.TiffWriter(tmp_path / "two.tif") as tiff:
        tiff.write(LABELS[::4, ::4], metadata=None)
        tiff.write(PREDICTED, metadata=None)
    found = run(capsys, instances[0], str(tmp_path / "two.tif"))
    assert found["seg", ""]["value"] == metrics.seg_score(LABELS, PREDICTED)
    said = " ".join(found["", "warnings"])
    assert said.count("two.tif: image 1 (24x30 px) is read") == 1
    tifffile.imwrite(tmp_path / "j.tif", PREDICTED.astype(np.uint8) * 9, compression="jpeg")
    found = run(capsys, instances[0], str(tmp_path / "j.tif"))
    assert any("j.tif: JPEG does not keep values" in each for each in found["", "warnings"])


def test_scores_of_the_tables_are_spelled_as_there(
    capsys: pytest.CaptureFixture[str], membranes: list[str], tmp_path: Path
) -> None:
    labels = saved(tmp_path / "t.npy", LABELS), saved(tmp_path / "p.npy", PREDICTED)
    of_command = {*run(capsys, *membranes), *run(capsys, *labels)}
    of_tables = {(score.metric, score.variant) for score in SCORES}
    per_slice = {("v_rand", "thinned"), ("v_rand", "unthinned")}
    per_slice |= {("v_info", "thinned"), ("v_info", "unthinned")}  # macro or pooled, as it says
    assert of_tables - per_slice <= of_command
    assert {(metric, f"{variant}, macro") for metric, variant in per_slice} <= of_command
    assert not OF_TABLES.keys() & catalogue_of(ALONE).keys()
    assert len(catalogue_of(ALONE)) == len(ALONE)


@pytest.mark.slow
def test_it_runs_as_a_module_and_needs_no_torch(instances: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "unetflow.metrics", *instances],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("instances, 24 x 30 px\n")
    for heavy in ("torch", "pandas", "lightning_fabric", "pyarrow", "tensorstore"):
        assert f" {heavy}\n" not in done.stderr
