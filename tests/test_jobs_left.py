"""What goes on without the images that failed."""

import logging
from pathlib import Path
from typing import Any

import pytest

from unetflow.errors import ModelError
from unetflow.jobs.left import (
    data_left,
    receipts_left,
    rows_left,
    runs_left,
    those_left,
    unless_failed,
)
from unetflow.provenance.failed import Failure, failure_of, write_failure
from unetflow.provenance.receipts import write_receipt

FAILURE: Failure = {
    "stage": "prepare_image",
    "reason": "bad.tif: is no image",
    "log": "logs/prepare_image/bad.log",
    "next": "Mend it",
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Receipts of images of which one failed, and of their truths, which another's did."""
    for stage, bad in (("images", "bad"), ("truth", "odd")):
        for name in ("a", "bad", "odd"):
            receipt = tmp_path / stage / "bundles" / "x" / f"{name}.json"
            if name in (bad, "bad"):
                write_failure(receipt, FAILURE, skipped=None if name == bad else stage)
            else:
                write_receipt(receipt, {"shape": [1, 2, 3]})
    return tmp_path


def of_all(folder: Path, pattern: str, names: tuple[str, ...] = ("a", "bad", "odd")) -> list[str]:
    return [str(folder / pattern.format(name)) for name in names]


IMAGES, TRUTHS = "images/bundles/x/{}.json", "truth/bundles/x/{}.json"
STORES = "images/{}.ome.zarr"


def lists(folder: Path) -> dict[str, Any]:
    stores = of_all(folder, STORES)
    told = of_all(folder, IMAGES), of_all(folder, TRUTHS)
    return {
        "images": stores,
        "weights": of_all(folder, "weights/paper/{}.zarr"),
        "stored": [list(pair) for of in told for pair in zip(stores, of, strict=True)],
        "receipts": [*told[0], *told[1]],
    }


def test_lists_are_without_images_that_failed(
    images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        left = those_left(**lists(images), predictions=[])
    assert left["images"] == of_all(images, STORES, ("a",))
    assert left["weights"] == of_all(images, "weights/paper/{}.zarr", ("a",))
    assert left["receipts"] == of_all(images, IMAGES, ("a",)) + of_all(images, TRUTHS, ("a",))
    assert [store for store, _ in left["stored"]] == of_all(images, STORES, ("a",)) * 2
    assert left["predictions"] == []
    assert "bad is left out, because prepare_image failed" in caplog.text
    assert "bad.tif" not in caplog.text


def test_lists_without_failures_stay_as_they_are(images: Path) -> None:
    stored = [["images/a.ome.zarr", of_all(images, IMAGES)[0]]]
    assert those_left(images=["images/a.ome.zarr"], stored=stored, on_failed="error") == {
        "images": ["images/a.ome.zarr"],
        "stored": stored,
    }


def test_training_ends_with_the_list_of_what_failed_unless_it_is_to_be_left_out(
    images: Path,
) -> None:
    with pytest.raises(ModelError, match="2 images that are to be learnt from failed:\nbad: ") as e:
        those_left(**lists(images), on_failed="error")
    assert "The same: odd" in str(e.value)
    assert "on_failed_training_image: leave_out" in str(e.value)
    assert len(those_left(**lists(images), on_failed="leave_out")["images"]) == 1
    none = [pair for pair in lists(images)["stored"] if "bad" in pair[0]]
    with pytest.raises(ModelError, match="all images that are to be learnt from failed"):
        those_left(images=of_all(images, STORES, ("bad",)), stored=none, on_failed="leave_out")


def test_the_table_of_the_data_keeps_images_whose_truth_failed(images: Path) -> None:
    truths = dict(zip(("a", "bad", "odd"), of_all(images, TRUTHS), strict=True))
    facts = [{"image": name} for name in truths]
    left = data_left(of_all(images, IMAGES), truths, facts)
    assert left["facts"] == [{"image": "a"}, {"image": "odd"}]
    assert left["images"] == of_all(images, IMAGES, ("a", "odd"))
    assert list(left["truths"]) == ["a"]


def test_rows_and_receipts_that_failed_are_left_out(images: Path) -> None:
    rows = [{"image": name, "at": path} for name, path in lists_by_name(images).items()]
    assert [row["image"] for row in rows_left(rows, "at")] == ["a", "odd"]
    # an image that one network cannot take, and another one can
    both = [{"image": "bad", "net": "one", "at": rows[1]["at"]}]
    both.append({"image": "bad", "net": "other", "at": str(images / "bad.json")})
    write_receipt(images / "bad.json", {})
    assert [row["net"] for row in rows_left(both, "at")] == ["other"]
    assert receipts_left({"prepare image": of_all(images, IMAGES)}) == {
        "prepare image": of_all(images, IMAGES, ("a", "odd"))
    }


def lists_by_name(folder: Path) -> dict[str, str]:
    return dict(zip(("a", "bad", "odd"), of_all(folder, IMAGES), strict=True))


def test_the_report_shows_the_images_that_are_left(images: Path) -> None:
    of_images = {
        name: {"pixels": pixels, "truth": truth, "instances": pixels, "foreground": f"f/{name}"}
        for name, pixels, truth in zip(
            ("bad", "a"),
            of_all(images, IMAGES, ("bad", "a")),
            of_all(images, TRUTHS, ("bad", "a")),
            strict=True,
        )
    }
    weights = {"image": "bad", "store": "s", "map": str(images / "weights/bad.zarr")}
    run: Any = {"images": of_images, "foreground": "f/bad", "weights": weights, "fold": "0"}
    (left,) = runs_left([run])
    assert list(left["images"]) == ["a"]
    assert (left["foreground"], left["weights"], left["fold"]) == ("f/a", None, "0")
    (none,) = runs_left([run | {"images": {"bad": of_images["bad"]}}])
    assert (none["images"], none["foreground"]) == ({}, None)


def test_an_export_of_what_failed_is_empty(images: Path, caplog: pytest.LogCaptureFixture) -> None:
    def export(*, output: Path, stored: object, text: str) -> None:
        output.write_text(text)

    output = images / "a.labels.tif"
    of_a = [[of_all(images, STORES)[0], of_all(images, IMAGES)[0]]]
    unless_failed(export, output=output, stored=of_a, text="labels")
    assert output.read_text() == "labels"
    of_bad = [[of_all(images, STORES)[1], of_all(images, IMAGES)[1]]]
    with caplog.at_level(logging.WARNING):
        unless_failed(export, output=output, stored=[*of_a, *of_bad], text="labels")
    assert output.read_bytes() == b""
    assert "is empty, as these failed: bad" in caplog.text


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"shape": [1]}'])
def test_what_is_no_failed_receipt_tells_of_no_failure(tmp_path: Path, content: str) -> None:
    assert failure_of(tmp_path / "a.json") is None
    (tmp_path / "a.json").write_text(content)
    assert failure_of(tmp_path / "a.json") is None
