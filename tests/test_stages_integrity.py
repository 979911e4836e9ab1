"""What looks wrong in the data is said before anything is trained."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from unetflow.images.units import shown
from unetflow.provenance.receipts import write_receipt
from unetflow.stages.integrity import Fact, write_integrity


def image(digest: str, **changes: Any) -> dict[str, Any]:
    pixels = {"lowest": [0], "highest": [255], "mean": [90.5], "deviation": [12.25]}
    level = {"shape": [1, 100, 200], "mpp": 0.5, "digest": digest}
    return {
        "dtype": "uint8",
        "levels": [level],
        "not_applied": [],
        "unreadable": [],
        "tissue": None,
        "pixels": pixels,
    } | changes


def truth(**changes: Any) -> dict[str, Any]:
    counts = {"instances": 7, "object_px": 16000, "ignored_px": 0, "touching_px": 40}
    return {**counts, "class_px": {"cell": 16000}, "warnings": []} | changes


@pytest.fixture
def check(tmp_path: Path) -> Any:
    """Writes receipts of images (name: split, receipt, truth) and returns the table by image."""

    def table(kind: str = "instances", **given: Any) -> pd.DataFrame:
        facts: list[Fact] = []
        truths = {}
        for name, (split, receipt, annotation) in given.items():
            write_receipt(tmp_path / f"{name}.json", receipt)
            facts.append({"image": name, "dataset": "d", "split": split, "group": "", "kind": kind})
            if annotation is not None:
                truths[name] = tmp_path / f"{name}-truth.json"
                write_receipt(truths[name], annotation)
        write_integrity(
            images=[tmp_path / f"{name}.json" for name in given],
            truths=truths,
            facts=facts,
            table=tmp_path / "integrity.csv",
        )
        return pd.read_csv(tmp_path / "integrity.csv", keep_default_na=False).set_index("image")

    return table


def test_what_is_odd_about_a_file_stands_there(check: Any) -> None:
    odd = image("x", odd=["its orientation is 3: it may be turned"])
    table = check(a=("train", odd, truth()), b=("train", image("y"), truth()))["problems"]
    assert (table["a"], table["b"]) == ("its orientation is 3: it may be turned", "")


def test_each_image_has_a_row_of_what_it_is_like(check: Any) -> None:
    row = check(a=("train", image("x"), truth()), b=("predict", image("y"), None)).loc["a"]
    assert (row["height_px"], row["width_px"], row["dtype"], row["mpp"]) == (100, 200, "uint8", 0.5)
    assert (row["instances"], row["object_share"], row["touching_px"]) == ("7", "0.8", "40")
    assert row["problems"] == ""


def test_duplicates_are_named_on_both_sides(check: Any) -> None:
    table = check(
        a=("train", image("x"), truth()),
        b=("test", image("x"), truth()),
        c=("train", image("x"), truth()),
    )
    assert table.loc["a", "problems"] == "the same pixels as c; the same pixels as b of split test"
    assert table.loc["b", "problems"] == "the same pixels as a, c of split train"


def test_many_images_of_the_same_pixels_are_a_line_each(check: Any) -> None:
    blank = {f"b{number}": ("predict", image("x"), None) for number in range(9)}
    table = check(a=("train", image("x"), truth()), **blank)
    assert table.loc["b1", "problems"] == (
        "the same pixels as a of split train; the same pixels as b0, b2, b3 and 5 more"
    )
    assert table.loc["b8", "problems"].endswith("as b0, b1, b2 and 5 more")
    assert table.loc["a", "problems"].endswith("as b0, b1, b2 and 6 more of split predict")


def test_a_problem_with_a_semicolon_stays_one(check: Any) -> None:
    warning = "number 255 is taken as an object; where it means nothing, set ignore_value"
    row = check(a=("train", image("x"), truth(warnings=[warning]))).loc["a"]
    assert row["problems"] == warning.replace(";", ",")


def test_odd_truths_and_images_are_named(check: Any) -> None:
    flat = {"lowest": [3], "highest": [3], "mean": [3.0], "deviation": [0.0]}
    table = check(
        "interior",
        empty=("train", image("1"), truth(object_px=0, warnings=["no object in this image"])),
        flat=("train", image("2", pixels=flat), truth()),
        inverted=("train", image("3"), truth(object_px=4000)),
        deep=("train", image("4", dtype="uint16"), truth()),
        holes=("train", image("5", unreadable=[{}]), truth()),
        good=("train", image("6"), truth()),
    )["problems"]
    assert table["empty"] == "no object in this image"
    assert table["flat"] == "constant in channel 0"
    assert (
        "only 20% of the annotated pixels are inside: the truth may be inverted"
        in table["inverted"]
    )
    assert table["deep"] == "type is uint16, of most of the dataset uint8"
    assert table["holes"] == "1 places cannot be read"
    assert table["good"] == ""


def test_another_resolution_is_shown_as_microscopists_name_it(check: Any) -> None:
    sizes = {"a": 0.004, "b": 0.004, "c": 0.004, "d": 0.004, "fine": 0.0005, "light": 0.05}
    levels = {name: {"shape": [1, 9, 9], "mpp": mpp, "digest": name} for name, mpp in sizes.items()}
    table = check(
        **{name: ("train", image(name, levels=[level]), None) for name, level in levels.items()}
    )["problems"]
    assert table["a"] == ""
    for name in ("fine", "light"):
        words = f"{shown(sizes[name])}, of most of the dataset {shown(sizes['a'])}"
        assert table[name] == f"resolution is {words}"
    assert "is 0.5 nm/px, of most of the dataset 4 nm/px" in table["fine"]


def test_what_preparation_found_odd_in_a_truth_is_shown(check: Any) -> None:
    said = "1 of 1 numbers lie in several pieces that do not touch (number 255 in 2)"
    assert check(a=("train", image("x"), truth(warnings=[said]))).loc["a", "problems"] == said


def test_few_objects_of_instances_are_nothing_odd(check: Any) -> None:
    assert check(a=("train", image("x"), truth(object_px=40))).loc["a", "problems"] == ""


@pytest.mark.parametrize(
    ("object_px", "mpp", "wanted"),
    [
        (7 * 7854, 0.19, "objects are 100 px wide .* try mpp: 0.475 in the dataset, which also"),
        (7 * 78.54, 0.5, "objects are 10 px wide .* try mpp: 0.125 .*, where the files have that"),
        (
            7 * 7854,
            None,
            r"try 2\.5 times the mpp of the images .*output of 400 px as they are, 160",
        ),
        (7 * 1257, 0.5, None),
    ],
)
def test_a_resolution_that_suits_the_objects_is_proposed(
    check: Any,
    object_px: float,
    mpp: float | None,
    wanted: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    levels = [{"shape": [1, 100, 200], "mpp": mpp, "digest": "x"}]
    of = truth(object_px=int(object_px))
    given = {name: ("train", image(name, levels=levels), of) for name in "abc"}
    row = check(**given, e=("train", image("e", levels=levels), truth(instances=0))).loc["a"]
    assert float(row["diameter_px"]) == pytest.approx((4 * object_px / 7 / 3.14159) ** 0.5, abs=0.1)
    assert row["problems"].count("px wide") == 0
    said = [line for line in caplog.messages if line.startswith("dataset d: objects are")]
    assert len(said) == (wanted is not None)
    assert wanted is None or re.search(wanted, said[0])


def volume(digest: str, *spacing: float) -> dict[str, Any]:
    level = {"shape": [1, 8, 20, 20], "mpp": spacing[-1], "spacing": [*spacing], "digest": digest}
    return image(digest, levels=[level])


def test_volumes_are_compared_by_how_their_planes_lie(check: Any) -> None:
    one = truth(instances=1, object_px=100)
    table = check(
        a=("train", volume("1", 1.0, 0.5, 0.5), one),
        b=("train", volume("2", 1.0, 0.5, 0.5), one),
        far=("validation", volume("3", 4.5, 0.5, 0.5), one),
    )
    assert table.loc["far", "problems"] == "distance of planes is 9 px, of most of the dataset 2 px"
    assert table.loc["a", "problems"] == ""
    # of a ball of 200 and 900 pixels that are as deep as wide
    assert table["diameter_px"].astype(float).tolist() == [7.3, 7.3, 12.0]
