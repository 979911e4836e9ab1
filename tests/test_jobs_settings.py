"""Config and sheet: all problems at once, before anything runs."""

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import yaml
from conftest import HEADER, ROOT
from test_networks_contract import OF_IMAGES

from unetflow.errors import ConfigError
from unetflow.jobs.settings import Settings, read_settings, role, type_arguments
from unetflow.networks import geometry_of, options_of
from unetflow.refine import Crf
from unetflow.refine.refinement import Refinement


def read(config: dict[str, Any]) -> Settings:
    config["experiments"]["unet"].setdefault("recipe", {"tile_px": 300})
    return read_settings(config, ROOT / "workflow" / "schemas", ROOT)


def add(row: str) -> None:
    with Path("images.tsv").open("a") as sheet:
        sheet.write(row + "\n")


def test_an_image_as_its_own_truth_is_a_problem(config: dict[str, Any]) -> None:
    Path("again.tif").symlink_to("a.tif")
    add("d\tcells\t{data}/a.tif\t{data}/again.tif\ttrain\t")
    with h5py.File("e.h5", "w") as file:
        file["raw"] = file["labels"] = np.zeros((9, 7), np.uint8)
    add("e\tcells\te.h5:/raw\te.h5:/labels\ttrain\t")
    with pytest.raises(ConfigError, match="^one problem .*\n.* image d: the truth is the image"):
        read(config)


@pytest.mark.parametrize("value", [0, 255, -1, -(2**63), 2**64 - 1])
def test_the_ignore_value_may_be_any_integer_of_a_file(config: dict[str, Any], value: int) -> None:
    config["datasets"]["cells"] = {"truth": "classes", "ignore_value": value}
    assert read(config).config["datasets"]["cells"]["ignore_value"] == value


@pytest.mark.parametrize("value", [-(2**63) - 1, 2**64, 0.5, "255"])
def test_what_no_file_holds_is_no_ignore_value(config: dict[str, Any], value: object) -> None:
    config["datasets"]["cells"]["ignore_value"] = value
    with pytest.raises(ConfigError, match="ignore_value"):
        read(config)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"truth": "instances", "label_value": 0}, "label_value: .* of kind instances"),
        ({"truth": "interior", "label_value": 1, "ignore_value": 1}, "label_value: 1 is the ig"),
        ({"truth": "instances", "ring_px": 9}, "ring_px: is of use with unannotated: ignore alone"),
        ({"truth": "instances", "unannotated": "ignore"}, "ring_px: is missing"),
        ({"truth": "instances", "intensity": "local"}, "intensity_px: is the side of the surr"),
        (
            {"truth": "instances", "intensity": "macenko", "percentiles": [1, 99]},
            "percentiles: are of pixels as they are, not of those that intensity: macenko makes",
        ),
        ({"truth": "instances", "intensity_px": 64}, "intensity_px: is the side of the surround"),
        (
            {"truth": "interior", "unannotated": "ignore", "ring_px": 9},
            "unannotated: ignore is for",
        ),
    ],
)
def test_keys_of_a_truth_go_together(
    config: dict[str, Any], keys: dict[str, Any], problem: str
) -> None:
    config["datasets"]["cells"] = keys
    with pytest.raises(ConfigError, match=rf"^one problem .*\n.*datasets\.cells\.{problem}"):
        read(config)


def test_each_seed_is_an_experiment_of_its_own(config: dict[str, Any]) -> None:
    once = read(copy.deepcopy(config))
    config["experiments"]["unet"]["seeds"] = [3, 1]
    settings = read(config)
    assert list(settings.config["experiments"]) == ["unet-3", "unet-1"]
    assert [settings.recipe(name).seed for name in settings.config["experiments"]] == [3, 1]
    for name, seed in (("unet-3", 3), ("unet-1", 1)):
        of, alone = settings.config["experiments"][name], once.config["experiments"]["unet"]
        assert of == alone | {"recipe": alone["recipe"] | {"seed": seed}}
        assert settings.images_of(name, 0, "train", "test") == ["a", "c"]


@pytest.mark.parametrize(
    ("recipe", "more", "problem"),
    [
        ({"seed": 5}, {}, "unet.seeds: the recipe has a seed of its own"),
        ({}, {"unet-1": {}}, "there would be two named unet-1, one of them of seeds"),
    ],
)
def test_seeds_that_name_nothing_new_are_a_problem(
    config: dict[str, Any], recipe: dict[str, Any], more: dict[str, Any], problem: str
) -> None:
    unet = config["experiments"]["unet"]
    unet |= {"seeds": [1, 2], "recipe": {"tile_px": 300, **recipe}}
    for name in more:
        config["experiments"][name] = {key: unet[key] for key in ("dataset", "network", "recipe")}
    with pytest.raises(ConfigError, match=problem):
        read(config)


def test_colours_are_varied_of_linear_intensities_alone(config: dict[str, Any]) -> None:
    config["datasets"]["cells"]["intensity"] = "log"
    config["experiments"]["unet"]["recipe"] = {"tile_px": 300, "augmentation": {"hue": 0.1}}
    with pytest.raises(ConfigError, match=r"augmentation: hue is of colours, which intensity: log"):
        read(config)


def test_defaults_are_filled_in_and_paths_resolved(config: dict[str, Any]) -> None:
    settings = read(config)
    assert settings.config["predict"]["write_px"] is None
    assert settings.config["experiments"]["unet"]["network"]["base_channels"] == 64
    assert settings.images["a"].path == "./a.tif"
    assert settings.images_of("unet", 0, "train", "test") == ["a", "c"]
    assert settings.folds("unet") == [0]


def test_a_mistyped_key_is_named_with_what_was_meant(config: dict[str, Any]) -> None:
    config["predict"] = {"writepx": 512}
    with pytest.raises(
        ConfigError, match="config: predict: unknown key 'writepx'; did you mean 'write_px'"
    ):
        read(config)


def with_keys(config: dict[str, Any], predict: str, recipe: str) -> dict[str, Any]:
    """A config with keys of these names between others."""
    changed = copy.deepcopy(config)
    changed["predict"] = {"dtype": "float32", predict: 8, "write_px": 512}
    changed["experiments"]["unet"]["recipe"] = {"tile_px": 300, recipe: 3, "seed": 2}
    return changed


def test_old_keys_give_the_same_settings_and_a_line_each(config: dict[str, Any]) -> None:
    new = read(with_keys(config, "test_time_augmentation", "early_stopping"))
    given = with_keys(config, "average", "patience")
    before = copy.deepcopy(given)
    old = read(given)
    assert given == before
    assert old == new
    assert json.dumps(old.config) == json.dumps(new.config)  # in the same order: Snakemake sees it
    assert old.recipe("unet") == new.recipe("unet")
    assert new.recipe("unet").early_stopping == 3
    assert new.notes == []
    assert old.notes == [
        "config: predict.average is predict.test_time_augmentation now; unetflow 0.3 will not know "
        "the old name",
        "config: experiments.unet.recipe.patience is experiments.unet.recipe.early_stopping now; "
        "unetflow 0.3 will not know the old name",
    ]


def test_an_old_key_beside_the_new_one_is_an_error(config: dict[str, Any]) -> None:
    config["predict"] = {"average": 8, "test_time_augmentation": 1}
    config["experiments"]["unet"]["recipe"] = {"patience": None, "early_stopping": 3}
    with pytest.raises(ConfigError, match="2 problems") as caught:
        read(config)
    for part in (
        "config: predict.average is test_time_augmentation now, and both are given; take average",
        "config: experiments.unet.recipe.patience is early_stopping now, and both are given",
    ):
        assert part in str(caught.value)


def test_a_recipe_that_experiments_share_is_renamed_once(config: dict[str, Any]) -> None:
    recipe = {"tile_px": 300, "patience": 3}
    experiments = config["experiments"]
    experiments["unet"]["recipe"] = recipe
    experiments["other"] = {**experiments["unet"], "recipe": recipe}  # as anchors of YAML do
    settings = read(config)
    assert len(settings.notes) == 1
    assert {settings.recipe(name).early_stopping for name in experiments} == {3}


@pytest.mark.parametrize("section", [None, [], "8"])
def test_what_is_no_section_is_left_to_the_schema(config: dict[str, Any], section: object) -> None:
    config["predict"] = section
    config["experiments"]["unet"]["recipe"] = section
    with pytest.raises(ConfigError, match=r"2 problems [^$]*predict: .* is not of type 'object'"):
        read(config)


def test_all_problems_come_in_one_error(config: dict[str, Any]) -> None:
    add("a\tcells\t{data}/a.tif\t{data}/a-t.tif\ttrain\t")
    add("d/e\tcells\t{data}/a.tif\t{data}/a-t.tif\ttrain\t")
    add("f\tcells\t{data}/gone.tif\t\tpredict\t")
    add("g\tmice\t{data}/a.tif\t\ttrain\t")
    tifffile.imwrite("c-t.tif", np.zeros((9, 8), np.uint8))
    add("h\tcells\t{data}/a.tif\t{data}/a-t.tif\ttest\tga")
    with pytest.raises(ConfigError, match="8 problems") as caught:
        read(config)
    for part in (
        "images.tsv line 5: image 'a' is there twice",
        "line 6: image: 'd/e' must be a name of letters A to Z",
        "image f: there is no file ./gone.tif",
        "image g: dataset 'mice' is not in the config; there are: cells",
        "image g: split train needs a truth",
        "group 'ga' of dataset cells is on both sides of a split (test, train)",
        "images a and h are the same image of one file, and of the splits train and test: scores",
        "image c: ./c-t.tif: the truth is 9x8 px, the image 9x7 px",
    ):
        assert part in str(caught.value)


def test_results_are_a_folder(config: dict[str, Any]) -> None:
    config["results"] = "a.tif"
    with pytest.raises(
        ConfigError, match="one problem .*\n.*results: a.tif is a file; name a fold"
    ):
        read(config)


def test_an_empty_sheet_and_a_missing_one(config: dict[str, Any]) -> None:
    Path("images.tsv").write_text(HEADER)
    with pytest.raises(ConfigError, match=r"images\.tsv: holds no image"):
        read(config)
    config["images"] = "folder"
    Path("folder").mkdir()
    with pytest.raises(ConfigError, match=r"there is no sheet folder \(Is a directory\)"):
        read(config)
    config["images"] = "none.tsv"
    with pytest.raises(ConfigError, match=r"there is no sheet none\.tsv \(No such file"):
        read(config)


def saved(text: str, encoding: str = "utf-8") -> None:
    Path("images.tsv").write_bytes(text.encode(encoding))


def test_what_spreadsheets_save_is_read_or_explained(config: dict[str, Any]) -> None:
    good = Path("images.tsv").read_text()
    saved(good.replace("\n", "\r\n") + "\t\t\t\t\t\r\n", "utf-8-sig")  # and an empty row
    assert len(read(config).images) == 3
    for wrong in (good.replace("\t", ";"), good.replace("\t", ",")):
        saved(wrong, "utf-8-sig")
        with pytest.raises(ConfigError, match="one problem .*\n.*with tabs between them"):
            read(config)
    saved(good.replace("split", "part"))
    with pytest.raises(ConfigError, match="one problem .*\n.*has no column split; its first line"):
        read(config)
    saved(good + "ü\n", "latin-1")
    with pytest.raises(ConfigError, match=r"images\.tsv: is no text in UTF-8 \(byte \d+ is 0xfc\)"):
        read(config)
    saved(good.replace("cells\t{data}/a.tif", '"cells\t{data}/a.tif'))
    with pytest.raises(ConfigError, match="one problem .*\n.*goes over several lines; is a quota"):
        read(config)
    saved(good, "utf-16-le")
    with pytest.raises(ConfigError, match=r"is no text in UTF-8 \(byte 1 is 0x0\)"):
        read(config)
    saved(good, "utf-16")
    with pytest.raises(ConfigError, match=r"is no text in UTF-8 \(byte 0 is 0xff\)"):
        read(config)


def test_messages_say_what_a_cell_must_be(config: dict[str, Any]) -> None:
    add("my slide\tcells\t{data}/a.tif\t\tPredict\t")
    with pytest.raises(ConfigError, match="2 problems") as caught:
        read(config)
    assert "must be a name of letters A to Z, digits, _ and -" in str(caught.value)
    assert "must be train, validation, test or predict, or the number" in str(caught.value)
    saved(Path("images.tsv").read_text().replace("my slide", "").replace("Predict", "predict"))
    saved(Path("images.tsv").read_text().replace("\ttrain", "\tTrain"))
    with pytest.raises(ConfigError, match="2 problems") as caught:  # of images to learn from none
        read(config)
    assert "line 2: split: 'Train' must be train" in str(caught.value)
    assert "line 5: 'image' is missing; give it" in str(caught.value)
    config["export"] = {"formats": "geojson"}
    config["experiments"]["unet"]["recipe"] = {"learning_rate": "4e-3"}
    with pytest.raises(ConfigError, match="2 problems") as caught:
        read(config)
    assert "formats: 'geojson' is not of type 'array'; write a list: [geojson]" in str(caught.value)
    assert "write a number as 0.004 or 4.0e-3, without quotes" in str(caught.value)


def test_a_folder_that_is_not_there_hides_nothing_else(config: dict[str, Any]) -> None:
    header, *rows = Path("images.tsv").read_text().splitlines(keepends=True)
    saved(header + "".join(rows).replace("{data}/", ""))
    config["data_dir"] = "a"  # which paths begin with, but none lies in it
    assert len(read(config).images) == 3
    saved(header + "".join(rows) + "new\tcells\tgone.tif\t\tpredict\t\n")
    with pytest.raises(ConfigError, match="2 problems") as caught:
        read(config)
    assert "there is no folder a, which" in str(caught.value)
    assert "image new: there is no file gone.tif" in str(caught.value)


def test_columns_of_one_name_and_empty_cells(config: dict[str, Any]) -> None:
    add("new\tcells\t{data}/a.tif\t  \tpredict\t")
    assert read(config).images["new"].truth is None
    saved(Path("images.tsv").read_text().replace("group", "split"))
    with pytest.raises(ConfigError, match="names a column twice: split"):
        read(config)


def test_a_folder_of_data_that_is_not_there_is_one_problem(config: dict[str, Any]) -> None:
    config["data_dir"] = "elsewhere"
    with pytest.raises(ConfigError, match="one problem .*\n.*data_dir: there is no folder elsewh"):
        read(config)


def test_slices_of_a_stack_lie_in_the_order_of_their_planes(config: dict[str, Any]) -> None:
    config["export"] = {"formats": ["stack"], "splits": ["test"]}
    with pytest.raises(ConfigError, match="no image of the splits test is of a stack"):
        read(config)
    config["datasets"]["cells"]["truth"] = "interior"
    for name in ("s.tif", "s-t.tif"):
        tifffile.imwrite(name, np.zeros((12, 9, 7), np.uint8))
    header = HEADER.replace("\n", "\tplane\n")
    rows = [f"s{k}\tcells\ts.tif\ts-t.tif\ttest\tstack\t{k}\n" for k in (10, 2, 7)]
    before = Path("images.tsv").read_text().splitlines(keepends=True)[1:]
    saved(header + "".join(before + rows))
    stacks = read(config).stacks_of("unet", 0, "test")
    assert stacks["stack"] == ["s2", "s7", "s10"]
    rows = [f"s{k}\tcells\ts.tif\ts-t.tif\ttest\tstack\t0\n" for k in (10, 2, 7)]  # files alone
    saved(header + "".join(before + rows))
    assert read(config).stacks_of("unet", 0, "test") == stacks


def test_a_tile_that_is_not_possible_names_the_nearest(config: dict[str, Any]) -> None:
    config["experiments"]["unet"]["recipe"] = {"tile_px": 301}
    with pytest.raises(ConfigError, match=r"recipe\.tile_px: .*301 px.* 300 px and 308 px"):
        read(config)


def test_write_regions_must_fit_poolings_and_shards(config: dict[str, Any]) -> None:
    config["predict"] = {"write_px": 388}
    with pytest.raises(ConfigError, match="388 px is no multiple of 8 px") as caught:
        read(config)
    assert "shard_px: 1024 px is no multiple of write_px = 388 px" in str(caught.value)


def test_steps_are_added_to_a_training_that_had_all_of_its_own(config: dict[str, Any]) -> None:
    recipe = {"tile_px": 300, "steps": 50, "continue": [20]}
    config["experiments"]["unet"]["recipe"] = recipe
    assert read(config).recipe("unet").parts == (50, 20)
    recipe["early_stopping"] = 3
    with pytest.raises(
        ConfigError, match="^one problem .*\n.*recipe.continue: .* take one of them"
    ):
        read(config)


def test_unknown_datasets_and_weightings(config: dict[str, Any]) -> None:
    config["experiments"]["unet"] |= {"dataset": "cell", "weighting": "w"}
    with pytest.raises(ConfigError, match=r"dataset: 'cell' is not defined; did you mean 'cells'"):
        read(config)


@pytest.mark.parametrize("of_all", [False, True])
def test_a_mistyped_dataset_is_one_problem_with_what_was_meant(
    config: dict[str, Any], of_all: bool
) -> None:
    add("d\tcell\t{data}/a.tif\t{data}/a-t.tif\ttrain\t")
    if of_all:
        saved(Path("images.tsv").read_text().replace("\tcells\t", "\tcell\t"))
    with pytest.raises(ConfigError, match="one problem") as caught:
        read(config)
    who = "image a and 3 more" if of_all else "image d"
    assert str(caught.value).endswith(
        f"images.tsv: {who}: dataset 'cell' is not in the config; did you mean 'cells'? "
        "there are: cells"
    )


def test_an_unknown_column_is_one_line_with_those_there_are(config: dict[str, Any]) -> None:
    good = Path("images.tsv").read_text()
    saved(good.replace("truth", "label").replace("group", "grup"))
    with pytest.raises(ConfigError, match="2 problems") as caught:
        read(config)
    columns = (
        "there are: image, dataset, path, truth, split, group, mpp, spacing, level, time, axes, "
        "scene, plane, planes, tissue"
    )
    _, of_label, of_grup = str(caught.value).split("\n")
    assert of_label.startswith(f"  - images.tsv: unknown column 'label'; {columns}")
    assert of_grup.startswith(
        f"  - images.tsv: unknown column 'grup'; did you mean 'group'? {columns}"
    )
    saved(good.replace("\n", "\t\n").replace("group\t", "group\tnotes"))
    assert len(read(config).images) == 3  # nothing is lost with an empty one
    saved(good.replace("\n", "\t0\n").replace("group\t0", "group\t"))
    with pytest.raises(ConfigError, match="lines 2, 3, 4: more cells than the header has columns"):
        read(config)


def test_what_is_wrong_in_many_rows_is_said_once_and_without_patterns(
    config: dict[str, Any],
) -> None:
    header, *rows = Path("images.tsv").read_text().splitlines()
    few = [f"{row}\t0,5" for row in rows]
    many = [f"n{k}\tcells\ta.tif\t\tpredict\t\t0,5" for k in range(6)]
    saved("\n".join([f"{header}\tmpp", *few, *many]))
    with pytest.raises(ConfigError, match="one problem") as caught:
        read(config)
    assert str(caught.value).endswith(
        "images.tsv lines 2, 3, 4, 5, 6 and 4 more: mpp: '0,5' must be um per pixel, with a "
        "point, such as 0.25"
    )


def patterns(part: object) -> Iterator[dict[str, Any]]:
    """All parts of a schema that have a pattern."""
    for inner in (
        part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    ):
        yield from patterns(inner)
    if isinstance(part, dict) and isinstance(part.get("pattern"), str):
        yield part


@pytest.mark.parametrize("name", ["config", "images"])
def test_every_pattern_of_the_schemas_has_words(name: str) -> None:
    schema = yaml.safe_load((ROOT / "workflow/schemas" / f"{name}.schema.yaml").read_text())
    found = list(patterns(schema))
    assert len(found) >= 5
    assert all(part["must_be"] for part in found)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"datasets": {"my cells": {"truth": "instances"}}},
            "'my cells' must be a name of letters",
        ),
        ({"datasets": {2018: {"truth": "instances"}}}, "2018 is not .*put it in quotes: '2018'"),
        ({"results": "out/{1}"}, r"results: 'out/\{1\}' must be a path without \{ and \}"),
        ({"require_gpu": "yes please"}, "require_gpu: .*write true or false, without quotes"),
        (
            {"datasets": {"cells": {"truth": "instances", "percentiles": [1, 2, 3]}}},
            "percentiles: .*is too long; it must have 2 entries at most",
        ),
        (
            {"datasets": {"cells": {"truth": "instances", "percentiles": [0.01, 0.99]}}},
            r"one problem .*\n.*percentiles: \[0.01, 0.99\] must be .*, in percent, such as \[1",
        ),
        (
            {"datasets": {"cells": {"truth": "instances", "percentiles": [99, 1]}}},
            r"percentiles: \[99, 1\] must be the lower and the higher one",
        ),
        (
            {"datasets": {"cells": {"truth": "instances", "ignore_value": 0}}},
            "ignore_value: 0 is the background of a truth of kind instances",
        ),
        (
            {"refine": {"crf": {"radius": 3}}},
            "crf: unknown key 'radius'; did you mean 'radius_px",
        ),
        ({"refine": {"smooth_px": 0}}, "refine.smooth_px: 0 is less than the minimum of 0.25"),
        ({"refine": {"crf": True}}, "refine.crf: True is not .*; write its keys in lines below it"),
        ({"evaluate": {"thresholds": 0.5}}, r"thresholds: .*; write a list: \[0.5\]"),
        ({"datasets": "cells"}, "datasets: 'cells' is not .*; write its keys in lines below it"),
        ({"predict": {"write_px": 96}}, "a shard holds whole tiles: set it to 1536, or write_px"),
    ],
)
def test_what_the_schema_refuses_is_said_in_words(
    config: dict[str, Any], keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(config | keys)
    assert "^" not in str(caught.value)


def test_a_crf_without_keys_is_the_one_of_the_package(config: dict[str, Any]) -> None:
    assert Refinement.of(read(config).config["refine"]) == Refinement()
    refine = read(config | {"refine": {"crf": {}}}).config["refine"]
    assert Refinement.of(refine) == Refinement(crf=Crf())


@pytest.mark.parametrize("folds", ["00", "01"])
def test_three_folds_are_the_fewest(config: dict[str, Any], folds: str) -> None:
    for k in range(6):
        tifffile.imwrite(f"{k}.tif", np.zeros((9, 7), np.uint8))
    rows = [f"i{k}\tcells\t{k}.tif\ta-t.tif\t{fold}\t\n" for k, fold in enumerate(folds * 2)]
    saved(HEADER + "".join(rows))
    with pytest.raises(ConfigError, match=r"one problem .*\n.*experiments\.unet: its images have"):
        read(config)
    saved(HEADER + "".join(rows) + "x\tcells\t4.tif\ta-t.tif\t2\t\ny\tcells\t5.tif\ta-t.tif\t3\t\n")
    assert read(config).notes == []


def test_what_the_lack_of_a_split_means_is_said_at_the_start(config: dict[str, Any]) -> None:
    assert read(config).notes == []
    saved(Path("images.tsv").read_text().replace("validation", "train").replace("test", "train"))
    of_validation, of_test = read(config).notes
    assert of_validation.startswith(
        "config: experiments.unet: no image of its dataset is of split "
    )
    assert "split validation: the last weights of each training are taken" in of_validation
    assert "split test: nothing is scored" in of_test


def test_files_that_are_not_there_are_ten_lines_at_most(config: dict[str, Any]) -> None:
    for k in range(200):
        add(f"n{k}\tcells\tgone{k}.tif\t\tpredict\t")
    config["predict"] = {"write_px": 388}  # is not lost among them
    with pytest.raises(ConfigError, match="388 px is no multiple") as caught:
        read(config)
    assert str(caught.value).count("there is no file") == 10
    assert str(caught.value).endswith("and 190 more files of images are not there")


def test_the_home_folder_may_be_a_tilde(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = str(Path.cwd())
    monkeypatch.setenv("HOME", home)
    config |= {"data_dir": "~", "results": "~/out"}
    add("d\tcells\t~/a.tif\t\tpredict\t")
    settings = read(config)
    assert settings.images["d"].path == settings.images["a"].path == f"{home}/a.tif"
    assert settings.config["results"] == f"{home}/out"


def test_an_image_that_cannot_be_opened_waits_for_its_own_job(config: dict[str, Any]) -> None:
    Path("b.tif").write_text("no image")
    assert "b" in read(config).images


def test_folds_turn_test_and_validation_around() -> None:
    splits = ["0", "1", "2", "predict"]
    assert [role(s, 0, [0, 1, 2]) for s in splits] == ["test", "validation", "train", "predict"]
    assert [role(s, 2, [0, 1, 2]) for s in splits] == ["validation", "train", "test", "predict"]


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_config_is_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config = yaml.safe_load(path.read_text())
    try:
        settings = read_settings(config, ROOT / "workflow" / "schemas", ROOT)
    except ConfigError as error:
        lines = str(error).splitlines()[1:]
        assert lines, error
        assert all("data_dir: there is no folder data/" in line for line in lines), error
    else:
        assert settings.images


def test_a_path_that_leaves_data_dir_is_named(config: dict[str, Any]) -> None:
    add("d\tcells\t{data}/../secret.tif\t\tpredict\t")
    with pytest.raises(ConfigError, match=r"path: \{data\}/../secret.tif leaves data_dir"):
        read(config)


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a b"])
def test_names_that_would_be_paths_are_refused(config: dict[str, Any], name: str) -> None:
    add(f"{name}\tcells\t{{data}}/a.tif\t\tpredict\t")
    with pytest.raises(ConfigError, match="must be a name of letters A to Z"):
        read(config)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_every_network_is_named_by_one_word_and_completed(
    config: dict[str, Any], name: str
) -> None:
    given = {} if name == "fpn" else {"base_channels": 8}
    config["experiments"]["unet"]["network"] = {"name": name, **given}
    config["experiments"]["unet"]["recipe"] = {"tile_px": geometry_of(name).input_px(32)}
    network = read(config).config["experiments"]["unet"]["network"]
    assert network == {
        "name": name,
        **{
            option: value
            for option, value in options_of(name, **given).items()
            if option not in ("in_channels", "num_classes")
        },
    }


@pytest.mark.parametrize(
    ("network", "problem"),
    [
        ({"name": "unot"}, "network: no network is called 'unot'; there are: attention_unet, ba"),
        ({"name": "residual_unet", "kernel_size": 5}, "residual_unet has no option 'kernel_size'"),
        ({"name": "unet", "depth": "3"}, "network: depth is '3' .*: must be a whole number"),
        ({"name": "unet", "num_classes": 3}, "network: num_classes follows from the dataset"),
        ({"name": "gone.net"}, "network: network gone.net: there is no module 'gone'; install it"),
        ({"name": "unet3d"}, r"network: unet3d has the axes \(z, y, x\), but dataset cells is"),
        ({"name": "unet", 3: 3}, "network: .*keywords must be strings"),
        ({"name": "unet_padded"}, "tile_px: an input of 300 px .* valid sizes are 288 px and 304"),
    ],
)
def test_a_network_that_cannot_be_is_a_problem(
    config: dict[str, Any], network: dict[Any, Any], problem: str
) -> None:
    config["experiments"]["unet"]["network"] = network
    with pytest.raises(ConfigError, match=f"experiments.unet.*{problem}"):
        read(config)


@pytest.mark.parametrize(
    ("recipe", "problem"),
    [
        ({"freeze_encoder": True}, r"recipe.freeze_encoder: keeps .* no pretrained; name one"),
        ({"accumulate": 2}, r"recipe: a batch of 1 cannot be taken in accumulate = 2"),
        ({"tile_px": [300, 300, 300]}, r"recipe.tile_px: \[300, 300, 300\] has 3 sides"),
    ],
)
def test_what_a_training_would_refuse_is_a_problem_before(
    config: dict[str, Any], recipe: dict[str, Any], problem: str
) -> None:
    config["experiments"]["unet"]["recipe"] = {"tile_px": 300, **recipe}
    with pytest.raises(ConfigError, match=f"experiments.unet.{problem}"):
        read(config)


def test_a_published_figure_needs_a_score_and_an_experiment(config: dict[str, Any]) -> None:
    config["report"] = {"published": [{"metric": "seg", "value": 0.9, "source": "who"}]}
    assert read(copy.deepcopy(config)).config["report"]["title"] is None
    wrong = {"metric": "sge", "value": 0.9, "source": "who", "experiment": "net"}
    config["report"]["published"].append(wrong)
    with pytest.raises(ConfigError, match="report.published") as raised:
        read(config)
    assert "config: report.published[1]: no row of the catalogue is metric 'sge'" in str(
        raised.value
    )
    assert "config: report.published[1]: there is no experiment net" in str(raised.value)


def test_a_job_looks_at_no_raw_file_again(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    stat = os.stat

    def noted(path: Any, *args: Any, **how: Any) -> Any:
        looked.append(str(path))
        return stat(path, *args, **how)

    monkeypatch.setattr(os, "stat", noted)
    in_job = read_settings(config, ROOT / "workflow" / "schemas", ROOT, in_job=True)
    assert [path for path in looked if path.endswith(".tif")] == []
    assert in_job == read_settings(config, ROOT / "workflow" / "schemas", ROOT)
    assert len([path for path in looked if path.endswith(".tif")]) >= 6


@pytest.mark.parametrize(
    ("argument", "handed_on", "typed"),
    [
        ("retry=true", "true", True),
        ("retry=False", False, False),
        ("results=2024", 2024, 2024),
        (
            "engine={workers: 8}",
            {"scheduler": "s", "workers": "8"},
            {"scheduler": "s", "workers": 8},
        ),
        ("engine={scheduler: null}", {"scheduler": "null"}, {"scheduler": None}),
        ("calibrate={thresholds: [0.5]}", {"thresholds": ["0.5"]}, {"thresholds": [0.5]}),
        ("data_dir=a: b: c", "a: b: c", "a: b: c"),  # no YAML
    ],
)
def test_what_the_command_line_says_has_the_types_of_a_file(
    argument: str, handed_on: object, typed: object
) -> None:
    key = argument.partition("=")[0]
    config = {key: handed_on, "more": "8"}
    type_arguments(config, [argument])
    assert config == {key: typed, "more": "8"}


@pytest.mark.parametrize("given", ["true", "yes"])
def test_a_text_is_no_truth_value(config: dict[str, Any], given: str) -> None:
    with pytest.raises(ConfigError, match=f"config: retry: '{given}' is not of type 'boolean'"):
        read(config | {"retry": given})


@pytest.mark.parametrize("results", ["./of/a", "of//a/", "of/./a"])
def test_results_are_named_as_snakemake_names_them(config: dict[str, Any], results: str) -> None:
    assert read(config | {"results": results}).config["results"] == "of/a"


def test_the_order_of_the_rows_changes_nothing(config: dict[str, Any]) -> None:
    before = read(config)
    header, *rows = Path("images.tsv").read_text().splitlines(True)
    Path("images.tsv").write_text(header + "".join(reversed(rows)))
    assert list(read(config).images) == list(before.images) == ["a", "b", "c"]


def test_a_method_needs_the_head_of_its_name_in_every_experiment(config: dict[str, Any]) -> None:
    config["instances"] = {"separate": "distance"}
    wanted = r"separate: distance needs .* set experiments.unet.head to distance"
    for head in (None, "border"):
        config["experiments"]["unet"]["head"] = head
        with pytest.raises(ConfigError, match=wanted):
            read(config)
    config["experiments"]["unet"]["head"] = "distance"
    assert read(config).config["experiments"]["unet"]["head"] == "distance"
    config["refine"] = {"smooth_px": 1}
    with pytest.raises(ConfigError, match="separate: distance looks at a head, which refine"):
        read(config)


def test_a_head_is_learnt_of_objects(config: dict[str, Any]) -> None:
    config["datasets"]["cells"] = {"truth": "classes"}
    config["experiments"]["unet"]["head"] = "border"
    with pytest.raises(ConfigError, match=r"experiments.unet.head: border is learnt of objects"):
        read(config)
