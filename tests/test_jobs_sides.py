"""The same image on two sides of a split, numbers that are none, names that are one."""

from pathlib import Path
from typing import Any

import pytest
from test_jobs_settings import add, read, saved

from unetflow.errors import ConfigError
from unetflow.jobs.settings import Settings
from unetflow.jobs.sheet import Image
from unetflow.jobs.sides import notes_of_sides, problems_of_sides

COLUMNS = "image\tdataset\tpath\ttruth\tsplit\tplane\ttime\tscene\tlevel\n"


def two(split: str = "train", other: str = "test", **changes: Any) -> list[Image]:
    """An image and another of the same file."""
    return [
        Image("a", "cells", "data/a.h5:/raw", split),
        Image(
            **({"name": "b", "dataset": "cells", "path": "data/a.h5:/raw"} | changes), split=other
        ),
    ]


@pytest.mark.parametrize(
    ("split", "other"), [("train", "test"), ("validation", "test"), ("0", "1"), ("0", "001")]
)
def test_the_same_image_on_two_sides_is_refused(split: str, other: str) -> None:
    (problem,) = problems_of_sides(two(split, other))
    assert problem.startswith(
        f"images a and b are the same image of one file, and of the splits {split} and {other}: "
    )
    assert "Keep it in one of them" in problem


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "data/b.h5:/raw"},
        {"path": "data/a.h5:/other"},
        {"plane": 1},  # planes of a stack may be alike: `group` is for that
        {"time": 1},
        {"scene": "1"},
        {"dataset": "mice"},
        {"other": "predict"},
        {"other": "train"},
    ],
)
def test_another_image_may_be_on_the_other_side(changes: dict[str, Any]) -> None:
    images = two(**changes)
    assert [*problems_of_sides(images), *notes_of_sides(images)] == []


def test_the_same_file_by_another_path_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.h5").touch()
    (tmp_path / "link.h5").symlink_to("a.h5")
    images = [
        Image("a", "cells", f"{tmp_path}/a.h5:/raw", "train"),
        Image("b", "cells", f"{tmp_path}/../{tmp_path.name}/link.h5:raw/", "test", level=0),
    ]
    assert len([*problems_of_sides(images)]) == 1


def test_levels_of_an_image_on_two_sides_are_warned_of() -> None:
    images = two(level=2)
    assert [*problems_of_sides(images)] == []
    (note,) = notes_of_sides(images)
    assert note.startswith("images a and b are levels of one image, and of the splits train and t")


def test_a_sheet_with_an_image_on_two_sides(config: dict[str, Any]) -> None:
    add("d\tcells\t./a.tif\t{data}/a-t.tif\ttest\t")
    with pytest.raises(ConfigError, match=r"one problem .*\n.*images\.tsv: images a and d are the"):
        read(config)
    rows = (
        f"{name}\tcells\ta.tif\ta-t.tif\t{split}" for name, split in (("a", "train"), ("b", "test"))
    )
    saved(COLUMNS + "\n".join(f"{row}\t\t\t\t{level}" for level, row in enumerate(rows)))
    assert any("are levels of one image" in note for note in read(config).notes)


def test_a_fold_that_is_written_in_two_ways_is_refused(config: dict[str, Any]) -> None:
    rows = [f"{name}\tcells\t{name}.tif\t{name}-t.tif\t" for name in "abc"]
    saved(COLUMNS + "\n".join(row + fold for row, fold in zip(rows, "012", strict=True)))
    usual = read(config)
    saved(COLUMNS + "\n".join(row + f"0{fold}" for row, fold in zip(rows, "012", strict=True)))
    assert folds_of(read(config)) == folds_of(usual) == [["c", "a"], ["a", "b"], ["b", "c"]]
    add("\nd\tcells\td.tif\ta-t.tif\t1")
    with pytest.raises(ConfigError, match="dataset cells writes fold 1 as 01 and 1; write 1 every"):
        read(config)


def folds_of(settings: Settings) -> list[list[str]]:
    """Of each fold the images of training and of test."""
    return [
        settings.images_of("unet", fold, "train") + settings.images_of("unet", fold, "test")
        for fold in settings.folds("unet")
    ]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("datasets.cells.mpp", float("nan")),
        ("experiments.unet.recipe.learning_rate", float("inf")),
        ("weighting.touching.w0", float("nan")),
        ("predict.shard_px", float("inf")),
        ("calibrate.thresholds.0", -float("inf")),
    ],
)
def test_what_is_no_number_is_named_with_its_place(
    config: dict[str, Any], place: str, value: float
) -> None:
    *above, last = place.split(".")
    inner: Any = config
    for key in above:
        inner = inner.setdefault(key, [1] if key == "thresholds" else {})
    inner[int(last) if last.isdigit() else last] = value
    with pytest.raises(
        ConfigError, match=rf"one problem .*\n.*config\.{place}: {value} is no number"
    ):
        read(config)


@pytest.mark.parametrize("ends", [[99, 1], [50, 50], [0, 0]])
def test_percentiles_are_the_lower_and_the_higher_one(
    config: dict[str, Any],
    ends: list[int],
) -> None:
    config["datasets"]["cells"]["percentiles"] = [1, 99]
    read(config)
    config["datasets"]["cells"]["percentiles"] = ends
    with pytest.raises(ConfigError, match=r"percentiles: \[.*\] must be the lower and the high"):
        read(config)


@pytest.mark.parametrize("mpp", [0, 0.0, -0.5, 1000])
def test_a_resolution_that_nothing_has_is_refused(config: dict[str, Any], mpp: float) -> None:
    config["datasets"]["cells"]["mpp"] = mpp
    with pytest.raises(ConfigError, match=r"config: datasets\.cells\.mpp: .* than the m"):
        read(config)
    del config["datasets"]["cells"]["mpp"]
    saved(Path("images.tsv").read_text().replace("group", "mpp").replace("\tga", f"\t{mpp}"))
    with pytest.raises(ConfigError, match="mpp"):
        read(config)


@pytest.mark.parametrize(
    "classes",
    [["Tumor", "tumor"], ["a", "b", "A"], ["cell: positive", "Cell:Positive"], ["a", "a "]],
)
def test_classes_that_polygons_do_not_tell_apart_are_refused(
    config: dict[str, Any],
    classes: list[str],
) -> None:
    config["datasets"]["cells"]["classes"] = classes
    with pytest.raises(ConfigError, match="are one class, as polygons have it"):
        read(config)


def test_a_class_has_a_name(config: dict[str, Any]) -> None:
    config["datasets"]["cells"]["classes"] = [" "]
    with pytest.raises(ConfigError, match="has one without a name"):
        read(config)
