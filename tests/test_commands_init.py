"""From a folder of images to a sheet and a config that the pipeline takes."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from numpy.typing import NDArray

from unetflow.commands import MENDABLE, run_command
from unetflow.commands.init_case import shipped_cases
from unetflow.commands.init_pairs import find_pairs, key_of
from unetflow.jobs.settings import Settings, read_settings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, NDArray[np.uint8]], None]:
    """Writes a TIFF under the folder `images` of a project; runs are in the project."""
    monkeypatch.chdir(tmp_path)

    def write_file(path: str, values: NDArray[np.uint8]) -> None:
        file = tmp_path / "cells" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(file, values)

    return write_file


def discs(count: int, side_px: int = 160, radius_px: int = 8) -> NDArray[np.uint8]:
    """Objects with a number each, in rows."""
    labels = np.zeros((side_px, side_px), np.uint8)
    y, x = np.ogrid[:side_px, :side_px]
    per_row = side_px // (3 * radius_px)
    for k in range(count):
        row, column = divmod(k, per_row)
        centre = ((3 * row + 1.5) * radius_px, (3 * column + 1.5) * radius_px)
        labels[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius_px**2] = k + 1
    return labels


def initialised(*arguments: str) -> Settings:
    """What the pipeline makes of the config that is written for the folder `cells`."""
    assert run_command("init", ["cells", *arguments]) == 0
    config = yaml.safe_load(Path("config/cells.yaml").read_text())
    return read_settings(config, ROOT / "workflow/schemas", Path())


@pytest.mark.parametrize(
    ("image", "truth"),
    [
        ("images/t01.tif", "labels/t01.png"),
        ("images/t01.tif", "ground_truth/t01.png"),
        ("a.tif", "a_Ground-Truth.tif"),
        ("train/a 7.png", "train/a 7_mask.png"),
        ("train/images/7.png", "train/masks/7.png"),
        ("x.ome.tif", "x.geojson"),
        ("x.svs", "x_annotations.xml"),
        ("img_003.tif", "img_003_cp_masks.tif"),
        ("raw/img-003.tif", "gt/lbl-003.tif"),
        ("train-volume.tif", "train-labels.tif"),
        ("01/t000.tif", "01_ST/SEG/man_seg000.tif"),
        ("imagesTr/case_003_0000.tif", "labelsTr/case_003.tif"),
    ],
)
def test_an_image_and_its_truth_have_the_same_words(image: str, truth: str) -> None:
    assert key_of(Path(image)) == key_of(Path(truth))


@pytest.mark.parametrize(
    ("image", "truth"),
    [
        ("a1.tif", "a11_mask.tif"),
        ("b/a1.tif", "c/a1_mask.tif"),
        ("imagesTs/a_0000.tif", "labelsTr/a.tif"),
    ],
)
def test_others_have_not(image: str, truth: str) -> None:
    assert key_of(Path(image)) != key_of(Path(truth))


def test_a_folder_of_objects_becomes_a_case(
    write: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(20):
        write(f"images/t{k}.tif", np.full((160, 160), k, np.uint8))
        write(f"labels/t{k}.tif", discs(12 + k))
    write("images/later.tif", np.zeros((160, 160), np.uint8))
    settings = initialised()
    assert Counter(image.split for image in settings.images.values()) == {
        "train": 14,
        "validation": 3,
        "test": 3,
        "predict": 1,
    }
    assert settings.images["t3"].truth == "cells/labels/t3.tif"
    assert settings.config["datasets"]["images"]["images_per_job"] == 8
    assert settings.config["datasets"]["images"]["truth"] == "instances"
    assert settings.config["experiments"]["unet"]["network"]["depth"] == 3
    searched = ("threshold", "min_area_px", "fill_holes", "max_hole_px", "separate")
    instances: Any = settings.config["instances"]
    assert {instances[key] for key in searched} == {"auto"}
    said = capsys.readouterr().out
    assert "objects are 16 px across" in said
    assert "next: unetflow check config/cells.yaml" in said


def test_masks_are_interiors_and_a_stack_is_cut_in_pieces(write: Callable[..., None]) -> None:
    mask = np.where(discs(20) > 0, 255, 0).astype(np.uint8)
    write("em-volume.tif", np.zeros((10, 160, 160), np.uint8))
    write("em-labels.tif", np.stack([mask] * 10))
    settings = initialised()
    assert settings.config["datasets"]["images"]["truth"] == "interior"
    assert settings.config["datasets"]["images"]["images_per_job"] == 1  # they are ten
    instances: Any = settings.config["instances"]
    assert instances["fill_holes"] is False
    by_plane = sorted(settings.images.values(), key=lambda image: image.plane or 0)
    assert [image.split for image in by_plane] == 7 * ["train"] + ["validation"] + 2 * ["test"]
    assert [image.plane for image in by_plane] == list(range(10))


def test_what_is_assumed_of_stacks_is_said(
    write: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(3):
        write(f"{k}.tif", np.zeros((5, 160, 160), np.uint8))
        write(f"{k}_mask.tif", np.stack([discs(20)] * 5) if k else discs(20))
    initialised()
    said = capsys.readouterr().out
    assert "3 files are stacks, such as cells/2.tif of 5, and each image of one has a row" in said
    assert "1 truths of stacks are of one image, such as cells/0_mask.tif, and taken" in said


def test_numbers_in_many_pieces_are_classes(write: Callable[..., None]) -> None:
    for k in range(4):
        write(f"{k}.tif", np.zeros((160, 160), np.uint8))
        write(f"{k}_mask.tif", (discs(20) % 3).astype(np.uint8))
    config: Any = initialised().config
    dataset = config["datasets"]["images"]
    assert (dataset["truth"], dataset["classes"]) == ("classes", ["class1", "class2"])
    assert config["instances"]["min_area_px"] > 0


def test_folders_whose_long_names_begin_alike_are_groups_of_their_own(
    write: Callable[[str, NDArray[np.uint8]], None],
) -> None:
    for folder in "abc":
        for name in ("i.tif", "i_mask.tif"):
            write(f"{'long ' * 15}/{folder}/{name}", discs(4))
    assert len({image.group for image in initialised().images.values()}) == 3


def test_polygons_name_the_classes_and_folders_are_groups(
    write: Callable[..., None], tmp_path: Path
) -> None:
    square = {"type": "Polygon", "coordinates": [[[9, 9], [30, 9], [30, 30], [9, 30], [9, 9]]]}
    feature = {
        "type": "Feature",
        "geometry": square,
        "properties": {"classification": {"name": "Tumor: Positive"}},
    }
    for patient in "abc":
        for k in range(2):
            write(f"{patient}/{k}.tif", np.zeros((64, 64), np.uint8))
            (tmp_path / f"cells/{patient}/{k}.geojson").write_text(
                json.dumps({"type": "FeatureCollection", "features": [feature]})
            )
    settings = initialised()
    assert settings.config["datasets"]["images"]["classes"] == ["tumor"]
    splits = {(image.group, image.split) for image in settings.images.values()}
    assert {group for group, _ in splits} == {"a", "b", "c"} and len(splits) == 3


def test_folders_say_who_trains(write: Callable[..., None]) -> None:
    for part in ("train", "Val", "test"):
        write(f"{part}/images/a.tif", np.zeros((160, 160), np.uint8))
        write(f"{part}/masks/a.tif", discs(20))
    images = initialised().images
    assert {name: image.split for name, image in images.items()} == {
        "train_images_a": "train",
        "val_images_a": "validation",
        "test_images_a": "test",
    }


def test_what_lies_in_a_folder_called_test_never_trains(write: Callable[..., None]) -> None:
    for k in range(20):
        place = "test" if k < 2 else "more"
        write(f"{place}/{k}.tif", np.zeros((160, 160), np.uint8))
        write(f"{place}/{k}_mask.tif", discs(20))
    images = initialised().images.values()
    assert {image.name for image in images if image.split == "test"} == {"0", "1"}
    assert Counter(image.split for image in images) == {"train": 15, "validation": 3, "test": 2}


def test_large_objects_of_known_resolution_are_made_smaller(write: Callable[..., None]) -> None:
    for k in range(3):
        folder = Path("cells")
        folder.mkdir(exist_ok=True)
        tifffile.imwrite(
            folder / f"{k}.tif",
            np.zeros((400, 400), np.uint8),
            resolution=(20000, 20000),
            resolutionunit="CENTIMETER",
        )
        write(f"{k}_mask.tif", discs(4, 400, 45))
    settings = initialised()
    assert settings.config["datasets"]["images"]["mpp"] == 1.0  # 90 px of 0.5 um to 45 px
    assert settings.config["experiments"]["unet"]["network"]["depth"] == 3


def test_a_case_gives_network_and_recipe_and_the_folder_its_images(
    write: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(5):
        write(f"{k}.tif", np.zeros((160, 160), np.uint8))
        write(f"{k}_mask.tif", discs(20))
    settings = initialised("--from", "dic-hela-cpu")
    case = yaml.safe_load((ROOT / "config" / "dic-hela-cpu.yaml").read_text())
    experiment = settings.config["experiments"]["small"]
    assert settings.recipe("small").steps == 1600 and experiment["network"]["base_channels"] == 24
    dataset = settings.config["datasets"]["cells"]
    assert (dataset["truth"], dataset["classes"], dataset["mpp"]) == ("instances", ["object"], None)
    assert settings.config["report"]["title"] == settings.config["data_dir"] == "cells"
    assert settings.config["report"]["published"] == [] and case["report"]["published"]
    assert {image.dataset for image in settings.images.values()} == {"cells"}
    said = capsys.readouterr().out
    assert "dic-hela-cpu works at 0.38 um per pixel, but not all images say" in said


@pytest.mark.slow
def test_every_case_can_be_started_from(write: Callable[..., None]) -> None:
    for k in range(5):
        write(f"{k}.tif", np.zeros((160, 160, 3), np.uint8))
        write(f"{k}_mask.tif", discs(20))
    for name in shipped_cases():
        assert run_command("init", ["cells", "--name", name, "--from", name]) == 0
        config = yaml.safe_load(Path(f"config/{name}.yaml").read_text())
        assert read_settings(config, ROOT / "workflow/schemas", Path()).config["results"]
    assert {"dsb2018-cpu", "monuseg-cpu"} <= {*shipped_cases()}
    assert not {"config", "volumes", "sweep"} & {*shipped_cases()}


def test_a_case_that_there_is_not_is_told_with_those_that_there_are(
    write: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    write("a.tif", discs(3))
    assert run_command("init", ["cells", "--from", "dsb"]) == MENDABLE
    assert "there is no such case; there are: dic-hela, dic-hela-cpu" in capsys.readouterr().err
    assert not Path("config").exists()


@pytest.mark.parametrize(("largest_px", "together"), [(1388, 8), (2500, 1)])
def test_a_few_larger_images_share_jobs_and_a_slide_does_not(
    write: Callable[..., None], largest_px: int, together: int
) -> None:
    for k in range(14):
        write(f"{k}.tif", np.zeros((largest_px if k == 3 else 160, 160), np.uint8))
        write(f"{k}_mask.tif", np.pad(discs(20), ((0, largest_px - 160 if k == 3 else 0), (0, 0))))
    assert initialised().config["datasets"]["images"]["images_per_job"] == together


def test_what_is_there_is_never_overwritten(
    write: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(3):
        write(f"{k}.tif", np.zeros((160, 160), np.uint8))
        write(f"{k}_mask.tif", discs(20))
    initialised()
    before = Path("config/cells.yaml").read_bytes()
    assert run_command("init", ["cells"]) == MENDABLE
    assert "is there already, and nothing is overwritten" in capsys.readouterr().err
    assert Path("config/cells.yaml").read_bytes() == before
    assert run_command("init", ["cells", "--name", "other"]) == 0


def test_what_is_left_out_is_said(
    write: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(3):
        write(f"{k}.tif", np.zeros((160, 160), np.uint8))
        write(f"{k}_mask.tif", discs(20))
    write("colour.tif", np.zeros((160, 160, 3), np.uint8))
    write("gone_mask.tif", discs(3))
    (tmp_path / "cells/broken.tif").write_bytes(b"II*\0 no more")
    assert set(initialised().images) == {"0", "1", "2"}
    said = capsys.readouterr().out
    assert "left out: cells/broken.tif: cannot be opened" in said
    assert (
        "left out: 1 images with other channels than most, which have 1, such as cells/colour.tif"
        in said
    )
    assert "1 files look like truths, but no image has their names: gone_mask.tif" in said


def test_folders_behind_links_are_looked_into_once(
    write: Callable[..., None], tmp_path: Path
) -> None:
    for k in range(3):
        write(f"images/{k}.tif", np.zeros((160, 160), np.uint8))
        write(f"../elsewhere/{k}.tif", discs(20))
    (tmp_path / "cells/labels").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "cells/images/all").symlink_to(tmp_path / "cells")  # in a circle
    truths = {image.path: image.truth for image in initialised().images.values()}
    assert truths == {f"cells/images/{k}.tif": f"cells/labels/{k}.tif" for k in range(3)}


def test_what_a_model_made_is_no_truth(write: Callable[..., None], tmp_path: Path) -> None:
    for k in range(3):
        write(f"{k}.tif", np.zeros((160, 160), np.uint8))
        write(f"{k}_mask.tif", discs(20))
    made = tmp_path / "cells/0.segmented.ome.zarr"
    made.mkdir()
    for name in ("zarr.json", "command.json"):
        (made / name).write_text("{}")
    truths = {str(image.truth) for image in initialised().images.values()}
    assert truths == {f"cells/{k}_mask.tif" for k in range(3)}


def one_object_each(count: int) -> list[NDArray[np.uint8]]:
    labels = discs(count)
    return [np.where(labels == number + 1, 255, 0).astype(np.uint8) for number in range(count)]


@pytest.mark.parametrize(
    ("image", "masks"), [("{}/images/{}.tif", "{}/masks"), ("images/{}.tif", "masks/{}")]
)
def test_a_folder_of_masks_is_the_truth_of_an_image(
    write: Callable[..., None], image: str, masks: str
) -> None:
    for name in ("1f", "2e", "3d"):
        write(image.format(name, name), np.zeros((160, 160), np.uint8))
        for number, mask in enumerate(one_object_each(12)):
            write(f"{masks.format(name)}/{number}a{number}.tif", mask)
    settings = initialised()
    truths = {str(image.truth) for image in settings.images.values()}
    assert truths == {f"cells/{masks.format(name)}" for name in ("1f", "2e", "3d")}
    assert settings.config["datasets"]["images"]["truth"] == "instances"


def test_the_folders_of_nnunet_are_understood(write: Callable[..., None]) -> None:
    for number in range(3):
        write(f"imagesTr/c_{number:03d}_0000.tif", np.zeros((160, 160), np.uint8))
        write(f"labelsTr/c_{number:03d}.tif", discs(20))
    write("imagesTs/c_009_0000.tif", np.zeros((160, 160), np.uint8))
    found = find_pairs(Path("cells"))
    assert [pair.truth and pair.truth.name for pair in found.pairs] == [
        *(f"c_{number:03d}.tif" for number in range(3)),
        None,
    ]
    assert found.notes == []


def test_a_name_without_a_letter_or_digit_is_a_name(write: Callable[..., None]) -> None:
    write("_.tif", discs(3))
    assert [pair.image for pair in find_pairs(Path("cells")).pairs] == [Path("_.tif")]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([], "there is no folder cells"),
        (["a.tif"], "1 images, but none with a truth"),
        (["a.tif"], "A finished model needs none: `unetflow predict MODEL FOLDER"),
        (["a_mask.tif"], "all 1 files look like truths"),
        (["a.tif", "raw_a.tif", "a_mask.tif"], "may be the truth of a.tif, raw_a.tif"),
        (["imagesTr/a_0000.tif", "imagesTr/a_0001.tif"], "a_0001.tif: is a further channel"),
    ],
)
def test_a_folder_that_says_too_little_is_told(
    write: Callable[..., None], files: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in files:
        write(file, discs(3))
    assert run_command("init", ["cells"]) == MENDABLE
    assert told in capsys.readouterr().err
    assert not Path("config").exists()


def test_one_or_two_images_are_taken_as_far_as_they_go(
    write: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    write("a.tif", np.zeros((160, 160), np.uint8))
    write("a_mask.tif", discs(20))
    assert initialised().images["a"].split == "train"
    assert "no image is for test: nothing is scored" in capsys.readouterr().out


def test_real_folders_are_understood(real_data: Path) -> None:
    for name, count in (("dsb2018", 162), ("dic-hela", 84), ("monuseg", 13), ("volumes", 4)):
        found = find_pairs(real_data / name)
        assert sum(pair.truth is not None for pair in found.pairs) == count
    frame = find_pairs(real_data / "dic-hela").pairs[2]
    assert frame.truth == Path("01_ST/SEG/man_seg002.tif")  # the silver truth has every frame
