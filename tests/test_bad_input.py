"""Mistakes that people make: each ends in one sentence that names the cure, once, at the start.

What is told later, of files that only their own jobs read whole, is in the tests of those; what
`unetflow predict` says of its images, without a word of a sheet, in test_commands_predict.
"""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import HEADER, ROOT

from unetflow.commands import MENDABLE, run_command
from unetflow.commands.check_truths import problems_of_truths
from unetflow.errors import ConfigError, SlideError
from unetflow.images.slide import Slide
from unetflow.jobs.settings import read_settings
from unetflow.jobs.sources import Sources
from unetflow.jobs.suitability import check_images

Config = dict[str, Any]
Change = Callable[[Config], object]
SHEET = Path("images.tsv")
LABELS = np.zeros((64, 64), np.uint8)
for number, (top, left) in enumerate(np.ndindex(3, 3), start=1):
    LABELS[20 * top : 20 * top + 12, 20 * left : 20 * left + 12] = number
CLASSES = np.kron(np.arange(256).reshape(16, 16) % 3, [[1, 1, 1, 0], [0, 0, 0, 0]]).repeat(2, 0)
MASK = np.where(LABELS > 0, 255, 0).astype(np.uint8)
GRAY = np.random.default_rng(1).integers(0, 255, LABELS.shape, np.uint8)


@pytest.fixture
def case(config: Config) -> Config:
    """A valid config with three annotated images in a folder of its own."""
    for name in "abc":
        tifffile.imwrite(f"{name}.tif", GRAY, photometric="minisblack")
        tifffile.imwrite(f"{name}-t.tif", LABELS)
    config["experiments"]["unet"]["recipe"] = {"tile_px": 300}
    return config


def said_of(config: Config) -> str:
    """All that `unetflow check` says of a case but of machine and time."""
    try:
        settings = read_settings(config, ROOT / "workflow" / "schemas", ROOT)
        found = [*settings.notes, *check_images(settings, Sources("cache.json"))]
        return "\n".join([*found, *problems_of_truths(settings)])
    except ConfigError as error:
        return str(error)


def sheet(change: Callable[[str], str]) -> Change:
    return lambda config: SHEET.write_text(change(SHEET.read_text()))


def saved(encoding: str) -> Change:
    return lambda config: SHEET.write_bytes(SHEET.read_text().encode(encoding))


def row(text: str) -> Change:
    return sheet(lambda old: old + text + "\n")


def all_of(split: str, other: str) -> Change:
    return sheet(lambda old: re.sub(rf"\t{split}\t", f"\t{other}\t", old))


def dataset(**keys: object) -> Change:
    return lambda config: config["datasets"]["cells"].update(keys)


def truths(values: np.ndarray, **keys: object) -> Change:
    def change(config: Config) -> None:
        for name in "abc":
            tifffile.imwrite(f"{name}-t.tif", values)
        config["datasets"]["cells"].update(keys)

    return change


def rgb_of(name: str, split: str) -> Change:
    def change(config: Config) -> None:
        tifffile.imwrite(f"{name}.tif", np.dstack([GRAY] * 3), photometric="rgb")
        truth = "" if split == "predict" else "{data}/a-t.tif"
        row(f"{name}\tcells\t{{data}}/{name}.tif\t{truth}\t{split}\t")(config)

    return change


def recipe(**keys: object) -> Change:
    return lambda config: config["experiments"]["unet"]["recipe"].update(keys)


def depth_without_its_tile(config: Config) -> None:
    config["experiments"]["unet"] |= {
        "network": {"name": "unet", "depth": 4},
        "recipe": {"tile_px": 124},
    }


MISTAKES: dict[str, tuple[Change, str]] = {
    "a column of another name": (
        sheet(lambda old: old.replace("\ttruth\t", "\tlabel\t")),
        "unknown column 'label'; there are: image, dataset, path, truth",
    ),
    "commas": (sheet(lambda old: old.replace("\t", ",")), "with tabs between them (not commas"),
    "semicolons": (sheet(lambda old: old.replace("\t", ";")), "(not commas or semicolons)"),
    "UTF-16": (saved("utf-16"), "save it as text in UTF-8 with tabs"),
    "a workbook": (
        lambda config: SHEET.write_bytes(b"PK\x03\x04\x14\0\x06\0"),
        "save it as text in UTF-8 with tabs",
    ),
    "no truth to learn from": (
        row("d\tcells\t{data}/a.tif\t\ttrain\t"),
        "split train needs a truth; give one or set the split to predict",
    ),
    "a mistyped key": (recipe(learning_rat=1), "did you mean 'learning_rate'?"),
    "a file that is not there": (
        row("d\tcells\t{data}/gone.tif\t\tpredict\t"),
        "image d: there is no file ./gone.tif",
    ),
    "polygons that are not there": (
        row("d\tcells\t{data}/c.tif\t{data}/gone.geojson\ttest\tgc"),
        "image d: there is no file ./gone.geojson",
    ),
    "a mistyped dataset": (
        sheet(lambda old: old.replace("\tcells\t", "\tcell\t")),
        "dataset 'cell' is not in the config; did you mean 'cells'?",
    ),
    "a mistyped folder": (
        lambda config: config.update(data_dir="gone"),
        "there is no folder gone, which the sheet's {data} stands for; set it in the config or",
    ),
    "numbers called interiors": (
        truths(LABELS, truth="interior"),
        "Set the dataset's truth to instances if these are object numbers",
    ),
    "a mask called numbers": (truths(MASK), "set the dataset's truth to interior"),
    "a mask called classes": (truths(MASK, truth="classes"), "Write 1 in place of 255"),
    "classes called numbers": (
        truths(CLASSES),
        "If they are classes, set the dataset's truth to classes",
    ),
    "numbers of several classes": (
        dataset(classes=["one", "two"]),
        "a label image does not say which of one, two an object is. Give polygons with classes",
    ),
    "the image as its truth": (
        sheet(lambda old: old.replace("{data}/a-t.tif", "{data}/a.tif")),
        "the truth is the image itself; give the file of the annotation",
    ),
    "a copy of the image as truth": (
        lambda config: [tifffile.imwrite(f"{name}.tif", LABELS) for name in "abc"],
        "holds the very pixels of its image. Correct the sheet's truth column",
    ),
    "a truth of another size": (
        lambda config: tifffile.imwrite("a-t.tif", LABELS[:50]),
        "the truth is 50x64 px, the image 64x64 px; they must be of one size",
    ),
    "a truth as JPEG": (
        lambda config: tifffile.imwrite("a-t.tif", LABELS, compression="jpeg"),
        "is compressed as JPEG",
    ),
    "colours among gray to learn from": (
        rgb_of("d", "train"),
        "In the sheet's channels column `0` takes the first",
    ),
    "colours among gray to segment": (
        rgb_of("d", "predict"),
        "In the sheet's channels column `0` takes the first",
    ),
    "nothing to learn from": (all_of("train", "test"), "set some splits to train"),
    "nothing to choose by": (all_of("validation", "test"), "and thresholds are 0.5"),
    "nothing to test": (all_of("test", "validation"), "nothing is scored"),
    "a resolution that nobody knows": (dataset(mpp=0.5), "its resolution is not known"),
    "a decimal comma": (
        sheet(lambda old: re.sub(r"\tg[abc]\n", "\t0,5\n", old.replace("group", "mpp"))),
        "mpp: '0,5' must be um per pixel, with a point, such as 0.25",
    ),
    "a name twice": (
        row("a\tcells\t{data}/a.tif\t\tpredict\t"),
        "image 'a' is there twice; names are unique",
    ),
    "a name with spaces": (
        row("my cell\tcells\t{data}/a.tif\t\tpredict\t"),
        "'my cell' must be a name of letters A to Z, digits, _ and -",
    ),
    "a name with an umlaut": (
        row("F\u00e4rbung\tcells\t{data}/a.tif\t\tpredict\t"),
        "'F\u00e4rbung' must be a name of letters A to Z, digits, _ and -",
    ),
    "Training for train": (all_of("train", "Training"), "must be train, validation, test or pred"),
    "a patient on both sides": (
        sheet(lambda old: old.replace("gb", "ga")),
        "is on both sides of a split (train, validation); keep all its images on one",
    ),
    "folds among splits": (all_of("train", "3"), "mixes fold numbers with named splits; use one"),
    "a tile of another depth": (depth_without_its_tile, "the nearest valid sizes are 188 px"),
    "the demo's key": (
        lambda config: config.update(demo={"seed": 1}),
        "take `demo` out of the config if the images are real ones",
    ),
}


def test_a_sound_case_has_nothing_to_say(case: Config) -> None:
    assert said_of(case) == ""


def test_images_of_other_sizes_are_no_mistake(case: Config) -> None:
    tifffile.imwrite("a.tif", GRAY[:50], photometric="minisblack")
    tifffile.imwrite("a-t.tif", LABELS[:50])
    assert said_of(case) == ""


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_with_its_cure(case: Config, mistake: str) -> None:
    change, cure = MISTAKES[mistake]
    change(case)
    said = said_of(case)
    assert said.count(cure) == 1, said
    assert len(said.splitlines()) <= 4


def test_a_picture_that_is_cut_off_is_one_line(case: Config) -> None:
    content = imagecodecs.png_encode(np.kron(GRAY, np.ones((8, 8), np.uint8)))
    Path("cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(SlideError, match="convert it|check that the file is whole") as caught:
        Slide("cut.png").read(0, slice(0, 64), slice(0, 64))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (
            ["predict", "a.tif", "model.safetensors", "out.ome.zarr"],
            "the model is the first argument",
        ),
        (["predict", "a.tif", "b.tif", "out.ome.zarr"], "Name the model.safetensors of a training"),
        (["predict", "gone.safetensors", "b.tif", "out.ome.zarr"], "there is no such file"),
        (["split", "images.tsv", "out.tsv", "--shares", "60", "20", "20"], "--data-dir"),
        (["score", "a-t.tif", "gone.tif"], "there is no such file"),
        (["clean", "gone"], "Name the one that the config calls results"),
        (["verify", "."], "Name the folder that the config calls results"),
        (["init", "gone"], "give the one that your images lie in"),
        (["run", "gone.yaml"], "there is no config gone.yaml; `unetflow init FOLDER` writes one"),
        (["check", "gone.yaml"], "there is no config gone.yaml; `unetflow init FOLDER` writes one"),
    ],
)
def test_a_command_that_was_mistyped_says_what_to_type(
    case: Config, arguments: list[str], cure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("model.safetensors").write_bytes(b"any")
    SHEET.write_text(HEADER + "a\tcells\t{data}/a.tif\t{data}/a-t.tif\t\t\n")
    assert run_command(arguments[0], arguments[1:]) == MENDABLE
    said = capsys.readouterr().err
    assert said.count(cure) == 1 and len(said.splitlines()) == 1, said
    assert "elete" not in said


def test_nobody_is_told_to_delete_what_is_not_ours() -> None:
    """Who reads images, truths, sheets and models advises to delete no file but receipts."""
    advice = [
        text
        for folder in ("images", "labels", "networks", "commands", "jobs")
        for path in (ROOT / "unetflow" / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if re.search(r"\b[Dd]elete (it|this|the \w+)\b", text := _literal(node))
    ]
    assert advice and all("receipt" in text for text in advice), advice


def _literal(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return "".join(map(_literal, node.values)) if isinstance(node, ast.JoinedStr) else ""
