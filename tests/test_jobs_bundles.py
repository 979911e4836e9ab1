"""Images that share jobs: who is with whom, what fails, and whose receipts count."""

import logging
from pathlib import Path
from typing import Any

import pytest

from unetflow.errors import SlideError, UnetflowError
from unetflow.jobs.bundles import bundles_of, in_turn
from unetflow.jobs.resources import for_shards, pixels_of
from unetflow.jobs.sheet import Image
from unetflow.receipts import read_receipt, receipts_of_images, write_receipt

AB = "images/bundles/cells-train-0"


def image(name: str, split: str = "train", dataset: str = "cells", truth: bool = True) -> Image:
    return Image(name, dataset, f"{name}.tif", split, f"{name}-t.tif" if truth else None)


def do(*, name: str, receipt: Path, side: int = 8) -> None:
    if name == "bad":
        raise SlideError(f"{name}.tif: cannot be opened")
    if name == "bug":
        raise KeyError(name)
    write_receipt(receipt, {"shape": [1, side, side], "of": name})


def arguments(folder: Path, *names: str) -> list[dict[str, Any]]:
    return [{"name": name, "receipt": folder / f"{name}.json"} for name in names]


def test_without_being_told_each_image_has_its_jobs() -> None:
    images = {name: image(name) for name in "abc"}
    assert bundles_of(images, {"cells": 1}) == {name: [name] for name in "abc"}


def test_images_of_a_dataset_and_split_share_jobs() -> None:
    rows = [
        *(image(name) for name in "abcde"),
        *(image("s", dataset="slides"), image("t", "test"), image("0", "3")),
        *(image("p", "predict", truth=False), image("q", "predict")),
    ]
    found = bundles_of({row.name: row for row in rows}, {"cells": 2, "slides": 1})
    assert found == {
        "bundles/cells-train-0": ["a", "b"],
        "bundles/cells-train-1": ["c", "d"],
        "bundles/cells-train-2": ["e"],
        "s": ["s"],
        "bundles/cells-test-0": ["t"],
        "bundles/cells-3-0": ["0"],
        "bundles/cells-predict-0": ["p"],  # without a truth, the next with one
        "bundles/cells-predict-1": ["q"],
    }


def test_a_slide_has_one_receipt(tmp_path: Path) -> None:
    in_turn(do, arguments(tmp_path, "slide"), bundle=tmp_path / "slide.json", side=2000)
    assert read_receipt(tmp_path / "slide.json")["of"] == "slide"
    assert pixels_of(tmp_path / "slide.json") == 2000**2


def test_a_bundle_has_a_receipt_that_follows_from_those_of_its_images(tmp_path: Path) -> None:
    of_bundle = tmp_path / f"{AB}.json"
    in_turn(do, arguments(tmp_path / AB, "a", "b"), bundle=of_bundle, side=1500)
    before = of_bundle.read_bytes()
    assert list(read_receipt(of_bundle)["images"]) == ["a", "b"]
    assert receipts_of_images(tmp_path / "images", "a.json") == [tmp_path / AB / "a.json"]
    assert pixels_of(of_bundle) == 2 * 1500**2

    class Inputs:
        images = of_bundle

    assert for_shards(8)(None, Inputs) == 4  # as many as one of its images has work for
    in_turn(do, arguments(tmp_path / AB, "a", "b"), bundle=of_bundle, side=1501)
    assert of_bundle.read_bytes() != before


def test_one_bad_image_does_not_keep_the_others_from_being_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    of_bundle = tmp_path / f"{AB}.json"
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(UnetflowError, match="1 of 3 images failed, the others are finished") as told,
    ):
        in_turn(do, arguments(tmp_path / AB, "a", "bad", "b"), bundle=of_bundle)
    assert "bad.tif: cannot be opened" in str(told.value)
    assert "bad.tif" in caplog.text
    assert not of_bundle.exists()
    assert len(receipts_of_images(tmp_path / "images", "?.json")) == 2
    with pytest.raises(KeyError):
        in_turn(do, arguments(tmp_path / AB, "bad", "bug", "b"), bundle=of_bundle)


def test_receipts_of_another_division_into_bundles_are_removed(tmp_path: Path) -> None:
    images = tmp_path / "images"

    def alone(name: str) -> None:
        in_turn(do, arguments(images, name), bundle=images / f"{name}.json")

    def together(number: int, *names: str) -> None:
        bundle = images / f"bundles/cells-train-{number}"
        in_turn(do, arguments(bundle, *names), bundle=f"{bundle}.json")

    def left() -> list[str]:
        return sorted(path.relative_to(images).as_posix() for path in images.rglob("*.json"))

    for name in ("a", "b", "slide"):
        alone(name)
    together(0, "a")
    together(1, "b")
    one, two = "bundles/cells-train-0", "bundles/cells-train-1"
    apart = [f"{one}.json", f"{one}/a.json", f"{two}.json", f"{two}/b.json", "slide.json"]
    assert left() == apart
    together(0, "a", "b")
    assert left() == [f"{one}.json", f"{one}/a.json", f"{one}/b.json", "slide.json"]
    alone("b")  # the bundle's receipt would say that b is finished as it was
    assert left() == ["b.json", f"{one}/a.json", "slide.json"]
