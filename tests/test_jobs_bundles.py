"""Images that share jobs: who is with whom, what fails, and whose receipts count."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from unetflow.errors import SlideError, StoreError, UnetflowError
from unetflow.jobs.bundles import bundles_of, in_turn
from unetflow.jobs.resources import for_shards, pixels_of
from unetflow.jobs.sheet import Image
from unetflow.receipts import bundle_of, read_receipt, receipts_of_images, record_of, write_receipt

AB = "images/bundles/cells-train-0"


def image(name: str, split: str = "train", dataset: str = "cells", truth: bool = True) -> Image:
    return Image(name, dataset, f"{name}.tif", split, f"{name}-t.tif" if truth else None)


def do(*, receipt: Path, side: int = 8) -> None:
    name = receipt.stem
    if name == "bad":
        raise SlideError(f"{name}.tif: cannot be opened")
    if name == "bug":
        raise KeyError(name)
    write_receipt(receipt, {"shape": [1, side, side], "of": name})


def arguments(folder: Path, *names: str) -> dict[str, dict[str, Any]]:
    return {name: {"receipt": folder / f"{name}.json"} for name in names}


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
    in_turn(do, arguments(tmp_path, "slide"), output=tmp_path / "slide.json", side=2000)
    assert read_receipt(tmp_path / "slide.json")["of"] == "slide"
    assert pixels_of(tmp_path / "slide.json") == 2000**2


def test_a_bundle_has_a_receipt_that_follows_from_those_of_its_images(tmp_path: Path) -> None:
    of_bundle = tmp_path / f"{AB}.json"
    in_turn(do, arguments(tmp_path / AB, "a", "b"), output=of_bundle, side=1500)
    before = of_bundle.read_bytes()
    assert list(read_receipt(of_bundle)["images"]) == ["a", "b"]
    assert receipts_of_images(tmp_path / "images", "a.json") == [tmp_path / AB / "a.json"]
    assert pixels_of(of_bundle) == 2 * 1500**2

    class Inputs:
        images = of_bundle

    assert for_shards(8)(None, Inputs) == 4  # as many as one of its images has work for
    in_turn(do, arguments(tmp_path / AB, "a", "b"), output=of_bundle, side=1501)
    assert of_bundle.read_bytes() != before


def test_one_bad_image_does_not_keep_the_others_from_being_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    of_bundle = tmp_path / f"{AB}.json"
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(UnetflowError, match="1 of 3 images failed. None of the 3 goes on") as told,
    ):
        in_turn(do, arguments(tmp_path / AB, "a", "bad", "b"), output=of_bundle)
    assert "bad: bad.tif: cannot be opened" in str(told.value)
    assert "bad.tif" in caplog.text
    assert not of_bundle.exists()
    assert len(receipts_of_images(tmp_path / "images", "?.json")) == 2
    with pytest.raises(RuntimeError, match="2 of 3 images failed"):  # with its traceback
        in_turn(do, arguments(tmp_path / AB, "bad", "bug", "b"), output=of_bundle)


class Stage:
    """The receipts of a stage, as jobs and Snakemake leave them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def alone(self, *names: str) -> None:
        for name in names:
            self._run(arguments(self.folder, name), self.folder / f"{name}.json")

    def together(self, *bundles: str) -> None:
        """Jobs one after the other; "ab" stands for images a and b."""
        for number, names in enumerate(bundles):
            self.together_as(number, names)

    def together_as(self, number: int, names: str) -> None:
        bundle = self.folder / f"bundles/cells-train-{number}"
        self._run(arguments(bundle, *names), bundle_of(bundle / "any.json"))

    def _run(self, images: dict[str, dict[str, Any]], output: Path) -> None:
        output.unlink(missing_ok=True)  # as Snakemake does
        in_turn(do, images, output=output)
        for each in images.values():
            write_receipt(record_of(each["receipt"]), {"seconds": 1})

    def left(self) -> str:
        """Images by receipt of Snakemake's: of bundles by number, then those with their own."""
        found = []
        for folder in sorted(self.folder.glob("bundles/*/")):
            told = bundle_of(folder / "any.json")
            images = "".join(sorted(file.stem for file in folder.glob("?.json")))
            assert {file.name[0] for file in folder.glob("*.run.json")} == set(images)
            if told.exists():
                assert "".join(read_receipt(told)["images"]) == images
            found.append(images if told.exists() else f"({images})")
        own = "".join(sorted(file.stem for file in self.folder.glob("?.json")))
        assert {file.name[0] for file in self.folder.glob("*.run.json")} == set(own)
        return " ".join([*found, own])


def test_receipts_of_another_division_are_removed(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "images")
    stage.alone("a", "b", "s")
    stage.together("a", "b")
    assert stage.left() == "a b s"
    stage.together("ab")
    assert stage.left() == "ab () s"
    stage.alone("b")  # the bundle's receipt would say that b is finished as it was
    assert stage.left() == "(a) () bs"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["ab", "cd", "ef"], ["0a", "bc", "de", "f"]),  # a row more at the top
        (["0a", "bc", "de", "f"], ["ab", "cd", "ef", ""]),  # and gone again
        (["abcd", "efgh"], ["ab", "cd", "ef", "gh"]),
        (["ab", "cd", "ef", "gh"], ["abcd", "efgh", "", ""]),
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_receipts_that_were_just_made_are_kept(
    tmp_path: Path, before: list[str], after: list[str], backwards: bool
) -> None:
    stage = Stage(tmp_path / "images")
    stage.together(*before)
    jobs = [(number, names) for number, names in enumerate(after) if names]
    for number, names in reversed(jobs) if backwards else jobs:
        stage.together_as(number, names)
    assert stage.left() == " ".join([n or "()" for n in after] + [""])


def test_tables_are_joined_and_old_ones_removed(tmp_path: Path) -> None:
    def write(*, table: Path, text: str) -> None:
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(text)

    def join(tables: Sequence[Path], output: Path) -> None:
        output.write_text("".join(table.read_text() for table in tables))

    def run(folder: Path, output: Path, *names: str) -> str:
        images = {name: {"table": folder / f"{name}.csv", "text": name} for name in names}
        in_turn(write, images, output=output, made="table", finish=join)
        return output.read_text()

    assert run(tmp_path, tmp_path / "a.csv", "a") == "a"
    write_receipt(tmp_path / "a.run.json", {})
    bundle = tmp_path / "bundles" / "cells-test-0"
    assert run(bundle, bundle.with_name("cells-test-0.csv"), "a", "b") == "ab"
    assert not list(tmp_path.glob("a.*"))


def test_what_cannot_be_read_names_what_snakemake_knows(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"Delete \S*images/bundles/cells-train-0.json and run"):
        read_receipt(tmp_path / AB / "a.json")
    with pytest.raises(StoreError, match=r"Delete \S*parts/bundles/c-0.begun.json and run"):
        read_receipt(tmp_path / "parts/bundles/c-0/a.begun.json")
    with pytest.raises(StoreError, match=r"Delete \S*images/a.json and run"):
        read_receipt(tmp_path / "images/a.json")
