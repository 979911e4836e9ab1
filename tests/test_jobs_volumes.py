"""Config and sheet of volumes: what does not go together is told before anything runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from unetflow.errors import ConfigError
from unetflow.images.slide import Slide
from unetflow.jobs.settings import Settings, read_settings
from unetflow.jobs.sheet import Image
from unetflow.jobs.sources import Sources, sources_cache
from unetflow.jobs.suitability import check_images
from unetflow.jobs.volumes import first_px

HEADER = "image\tdataset\tpath\ttruth\tsplit\taxes\tspacing\n"


@pytest.fixture
def volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A config of three volumes in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    rows = []
    for name, split in (("a", "train"), ("b", "validation"), ("c", "test")):
        for file in (f"{name}.npy", f"{name}-t.npy"):
            np.save(file, np.zeros((24, 40, 44), np.uint8))
        rows.append(f"{name}\tcells\t{name}.npy\t{name}-t.npy\t{split}\tzyx\t2 1 1 px\n")
    Path("images.tsv").write_text(HEADER + "".join(rows))
    network = {"name": "unet3d", "base_channels": 2, "depth": 1}
    recipe = {"tile_px": [26, 42, 42]}
    experiment = {"dataset": "cells", "network": network, "recipe": recipe}
    return {
        "results": "results",
        "images": "images.tsv",
        "data_dir": ".",
        "datasets": {"cells": {"truth": "instances", "as": "volume"}},
        "experiments": {"v": experiment},
    }


def settings(config: dict[str, Any]) -> Settings:
    return read_settings(config, ROOT / "workflow" / "schemas", ROOT)


def test_a_row_is_a_volume_with_its_spacing(volumes: dict[str, Any]) -> None:
    image = settings(volumes).images["a"]
    assert image.volume and image.chosen["volume"]
    assert image.resolution == {"mpp": None, "spacing": (2.0, 1.0, 1.0), "in_um": False}


def change(config: dict[str, Any], path: str, value: Any) -> None:
    *keys, last = path.split(".")
    for key in keys:
        config = config.setdefault(key, {})
    config[last] = value


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (
            "experiments.v.network",
            {"name": "unet"},
            r"unet has the axes \(y, x\), but dataset cells is read as volume; set its as to slice",
        ),
        (
            "datasets.cells.as",
            "slices",
            r"image a: spacing is of volumes, and its dataset is of sl",
        ),
        ("datasets.cells.mpp", 0.5, "mpp: is of images; of volumes set spacing in its place"),
        ("datasets.cells.spacing", [2, 1, 3], "must be as long along y as along x"),
        ("datasets.cells.intensity", "macenko", "intensity: macenko is of slides"),
        ("experiments.v.recipe", {}, r"tile_px: is missing: of volumes give .* such as \[\d+, \d+"),
        (
            "experiments.v.recipe.tile_px",
            [26, 42],
            r"tile_px: \[26, 42\] is too short; it must have 3 entries",
        ),
        ("experiments.v.recipe.tile_px", [27, 42, 42], "an input of 27 px is not possible along z"),
        ("experiments.v.head", "border", "head: is of networks of images"),
        ("refine.smooth_px", 1, "refine: smooths images"),
        (
            "predict.test_time_augmentation",
            48,
            r"48 turns cubes onto any side, and voxels of image a of dataset cells have sides of "
            r"\[2.0, 1.0, 1.0\]; set it to 16",
        ),
        ("export.formats", ["stack", "labels"], "stack is of slices, .* geojson, labels"),
        (
            "predict.write_px",
            48,
            r"shard_px: 128 px is no multiple of write_px = 48 px; a shard holds whole tiles: set "
            r"it to 1536 \(of volumes an eighth of it along each axis, 192 px\), or write_px to 64",
        ),
        (
            "predict.write_px",
            512,
            r"set it to 4096 \(of volumes an .*, 512 px\), or write_px to 64",
        ),
    ],
)
def test_what_does_not_go_together_is_told(
    volumes: dict[str, Any], path: str, value: Any, problem: str
) -> None:
    change(volumes, path, value)
    with pytest.raises(ConfigError, match=problem):
        settings(volumes)


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ("2 1 3", r"spacing: 2 1 3 must be three lengths above 0, z y x, of which y and x"),
        ("2 20000 20000", "spacing: 20000 um/px is not from 0.0005 to 10000"),
        ("20000 2 2", "spacing: 20000 um/px is not from 0.0005 to 10000"),
        ("2 1", "'2 1' must be um between pixels along z, y and x"),
    ],
)
def test_a_spacing_that_no_voxel_has_is_told(
    volumes: dict[str, Any], cells: str, problem: str
) -> None:
    sheet = Path("images.tsv")
    sheet.write_text(sheet.read_text().replace("2 1 1 px", cells))
    with pytest.raises(ConfigError, match=problem):
        settings(volumes)


def test_thick_sections_have_a_spacing_of_millimetres(volumes: dict[str, Any]) -> None:
    sheet = Path("images.tsv")
    sheet.write_text(sheet.read_text().replace("2 1 1 px", "5000 500 500"))
    volumes["datasets"]["cells"]["spacing"] = [5000, 1000, 1000]
    checked = settings(volumes)
    found = Sources(sources_cache("results")).as_prepared(checked.images["a"], (5000, 1000, 1000))
    assert isinstance(found, dict) and found["shape_px"] == [24, 20, 22]


def test_a_spacing_in_px_is_not_asked_for_again(volumes: dict[str, Any]) -> None:
    image = settings(volumes).images["a"]
    why = Sources(sources_cache("results")).as_prepared(image, (2.0, 1.0, 1.0))
    assert "Give the sheet's spacing column in um: in px it does not say" in str(why)


def test_all_sides_of_a_cube_are_for_networks_that_see_them_alike(volumes: dict[str, Any]) -> None:
    sheet = Path("images.tsv")
    sheet.write_text(sheet.read_text().replace("2 1 1 px", "1 1 1 px"))
    volumes["predict"] = {"test_time_augmentation": 48}
    settings(volumes)
    volumes["experiments"]["v"]["network"]["flat"] = 1
    volumes["experiments"]["v"]["recipe"]["tile_px"] = [24, 42, 42]
    with pytest.raises(ConfigError, match="network of experiment v sees less along z; set it to 1"):
        settings(volumes)


@pytest.mark.parametrize("shape", [(40, 44), (2, 24, 40, 44)])
@pytest.mark.parametrize("spacing", [None, [2.0, 1.0, 1.0]])
def test_a_truth_that_is_no_volume_is_told(
    volumes: dict[str, Any], shape: tuple[int, ...], spacing: list[float] | None
) -> None:
    np.save("a-t.npy", np.zeros(shape, np.uint8))
    sheet = Path("images.tsv")
    sheet.write_text(sheet.read_text().replace("2 1 1 px", "2 1 1"))
    volumes["datasets"]["cells"]["spacing"] = spacing
    with pytest.raises(ConfigError, match=r"image a: a-t.npy: .* axes"):
        settings(volumes)


def test_a_truth_of_other_axes_is_told(volumes: dict[str, Any]) -> None:
    np.save("a-t.npy", np.zeros((23, 40, 44), np.uint8))
    with pytest.raises(ConfigError, match=r"the truth is 23x40x44 px, the image 24x40x44 px"):
        settings(volumes)


def test_a_volume_that_is_flatter_than_what_the_network_sees_is_told(
    volumes: dict[str, Any],
) -> None:
    for name in ("c.npy", "c-t.npy"):
        np.save(name, np.zeros((8, 40, 44), np.uint8))
    checked = settings(volumes)
    with pytest.raises(
        ConfigError, match=r"image c: has 8 px along z, but the network of .* v sees"
    ):
        check_images(checked, Sources(sources_cache("results")))


def test_volumes_of_one_stack_share_no_planes_across_a_split(volumes: dict[str, Any]) -> None:
    rows = [
        f"{name}\tcells\ta.npy\ta-t.npy\t{split}\tzyx\t2 1 1 px\t{planes}\n"
        for name, split, planes in (("a", "train", "0-11"), ("b", "test", "11-23"))
    ]
    header = HEADER.replace("\n", "\tplanes\n")
    Path("images.tsv").write_text(header + "".join(rows))
    with pytest.raises(ConfigError, match="images a and b share planes 11 to 11 of a.npy, and are"):
        settings(volumes)
    Path("images.tsv").write_text(header + "".join(rows).replace("11-23", "12-23"))
    assert settings(volumes).images["b"].chosen["planes"] == [12, 23]
    Path("images.tsv").write_text(header + "".join(rows).replace("11-23", "y 12-23"))
    with pytest.raises(ConfigError, match="a and b share what lies where their planes cross of a"):
        settings(volumes)
    along = "".join(rows).replace("0-11", "y 0-20").replace("11-23", "y 21-39")
    Path("images.tsv").write_text(header + along)
    assert settings(volumes).images["b"].chosen["planes"] == [21, 39, 1]
    whole = rows[0].replace("0-11", "") + rows[1].replace("a.npy", "./a.npy")
    Path("images.tsv").write_text(header + whole)
    with pytest.raises(ConfigError, match="images a and b share planes 11 to 23 of a.npy, and are"):
        settings(volumes)


def test_planes_of_two_scenes_of_a_file_are_not_shared(volumes: dict[str, Any]) -> None:
    rows = [
        f"{name}\tcells\ta.npy\ta-t.npy\t{split}\tzyx\t2 1 1 px\t0-11\t{scene}\n"
        for name, split, scene in (("a", "train", "0"), ("b", "test", "1"))
    ]
    header = HEADER.replace("\n", "\tplanes\tscene\n")
    Path("images.tsv").write_text(header + "".join(rows))
    assert settings(volumes).images["b"].scene == "1"
    Path("images.tsv").write_text(header + "".join(rows).replace("\t1\n", "\t0\n"))
    with pytest.raises(ConfigError, match="images a and b are the same image of one file"):
        settings(volumes)


def test_planes_that_lie_farther_apart_than_in_training_are_told_before_it(
    volumes: dict[str, Any],
) -> None:
    sheet = Path("images.tsv")
    sheet.write_text(
        sheet.read_text().replace("validation\tzyx\t2 1 1 px", "validation\tzyx\t9 1 1")
    )
    with pytest.raises(ConfigError, match=r"image b: its planes lie 9 px of a plane apart, but"):
        check_images(settings(volumes), Sources(sources_cache("results")))


def test_a_dataset_of_which_no_volume_can_be_prepared_is_an_error(volumes: dict[str, Any]) -> None:
    sheet = Path("images.tsv")
    without = sheet.read_text().replace("2 1 1 px", "")
    sheet.write_text(without.replace("validation\tzyx\t", "validation\tzyx\t2 1 1"))
    with pytest.raises(ConfigError, match=r"^no image .* cells .*\n.*image a: .*a volume needs it"):
        check_images(settings(volumes), Sources(sources_cache("results")))


def test_costs_are_those_of_volumes_as_they_are_resampled(volumes: dict[str, Any]) -> None:
    from unetflow.commands.check_costs import _size

    sheet = Path("images.tsv")
    sheet.write_text(sheet.read_text().replace("2 1 1 px", "2 1 1"))
    volumes["datasets"]["cells"]["spacing"] = [4, 2, 2]
    checked = settings(volumes)
    assert _size(checked, checked.images["a"]).pixels == 12 * 20 * 22


@pytest.mark.parametrize(
    ("planes", "first"),
    [
        (None, [0, 0, 0]),
        ((5, 9), [5, 0, 0]),
        ((30, 43, 2), [0, 0, 30]),
        ((30, 53), [0, 0, 0]),  # of its truth: the file has these alone
    ],
)
def test_where_a_volume_begins_is_told_of_its_own_file(
    tmp_path: Path, planes: tuple[int, ...] | None, first: list[int]
) -> None:
    np.save(tmp_path / "v.npy", np.zeros((24, 40, 44), np.uint8))
    path = str(tmp_path / "v.npy")
    image = Image("v", "cells", path, "test", axes="zyx", planes=planes, volume=True)
    sources = Sources(tmp_path / "cache")
    assert first_px(image, sources) == first
    with Slide(path, **image.chosen) as slide:
        assert [*slide.first_px] == first
