"""Images that share jobs: who is with whom, what fails, and whose receipts count."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from unetflow.errors import SlideError, StoreError
from unetflow.jobs import bundles
from unetflow.jobs.bundles import bundles_of
from unetflow.jobs.failures import ImagesFailed
from unetflow.jobs.resources import for_shards, pixels_of
from unetflow.jobs.sheet import Image
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.records import record_of

AB = "images/bundles/cells-train-0"


def image(name: str, split: str = "train", dataset: str = "cells", truth: bool = True) -> Image:
    return Image(name, dataset, f"{name}.tif", split, f"{name}-t.tif" if truth else None)


def do(*, receipt: Path, side: int = 8) -> None:
    name = receipt.stem
    if name == "bad":
        raise SlideError(f"{name}.tif: cannot be opened")
    if name == "full":
        raise OSError(28, "No space left on device")
    if name == "bug":
        raise KeyError(name)
    write_receipt(receipt, {"shape": [side, side], "of": name})


def in_turn(do: Callable[..., None], images: dict[str, dict[str, Any]], **how: Any) -> None:
    log = Path("results/logs/prepare_image/a.log")
    bundles.in_turn(do, images, rule="prepare_image", log=log, **how)


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
    found = bundles_of({row.name: row for row in rows}, {"cells": 1000, "slides": 1})
    assert [(bundle.rpartition("-")[0] or bundle, names) for bundle, names in found.items()] == [
        ("bundles/cells-train", [*"abcde"]),
        ("s", ["s"]),
        ("bundles/cells-test", ["t"]),
        ("bundles/cells-3", ["0"]),
        ("bundles/cells-predict", ["p"]),  # without a truth, apart from the next
        ("bundles/cells-predict", ["q"]),
    ]
    few = bundles_of({row.name: row for row in rows}, {"cells": 2, "slides": 1})
    assert sorted(name for names in few.values() for name in names) == sorted("abcdest0pq")
    assert max(map(len, few.values())) == 2


def test_a_row_more_changes_the_bundles_around_it_only() -> None:
    names = [f"image-{number}" for number in range(1000)]

    def bundles(names: list[str]) -> dict[str, list[str]]:
        return bundles_of({name: image(name) for name in names}, {"cells": 32})

    before = bundles(names)
    assert len(before) < 60
    assert [name for of in before.values() for name in of] == names
    for at in (0, 500):
        more = bundles([*names[:at], "new", *names[at:]])
        assert 1 <= len(set(more) - set(before)) <= 4
        less = bundles([*names[:at], *names[at + 1 :]])
        assert 1 <= len(set(less) - set(before)) <= 4


def test_a_slide_has_one_receipt(tmp_path: Path) -> None:
    in_turn(do, arguments(tmp_path, "slide"), output=tmp_path / "slide.json", side=2000)
    assert read_receipt(tmp_path / "slide.json")["of"] == "slide"
    assert pixels_of(tmp_path / "slide.json") == 2000**2


def test_a_bundle_has_a_receipt_that_follows_from_those_of_its_images(tmp_path: Path) -> None:
    of_bundle = tmp_path / f"{AB}.json"
    in_turn(do, arguments(tmp_path / AB, "a", "b"), output=of_bundle, side=1500)
    before = of_bundle.read_bytes()
    assert list(read_receipt(of_bundle)["images"]) == ["a", "b"]
    assert list((tmp_path / "images").rglob("a.json")) == [tmp_path / AB / "a.json"]
    assert pixels_of(of_bundle) == 2 * 1500**2

    class Inputs:
        images = of_bundle

    assert for_shards(8)(None, Inputs) == 4  # as many as one of its images has work for
    in_turn(do, arguments(tmp_path / AB, "a", "b"), output=of_bundle, side=1501)
    assert of_bundle.read_bytes() != before


def test_an_image_whose_file_is_at_fault_has_a_receipt_that_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    of_bundle = tmp_path / f"{AB}.json"
    write_receipt(record_of(tmp_path / AB / "bad.json"), {"seconds": 9})
    with caplog.at_level(logging.INFO):
        in_turn(do, arguments(tmp_path / AB, "a", "bad", "b"), output=of_bundle)
    assert "bad failed, and the others go on (results/logs/prepare_image/a.log)" in caplog.text
    images = read_receipt(of_bundle)["images"]
    assert [name for name, of in images.items() if of.get("failed")] == ["bad"]
    failure = read_receipt(tmp_path / AB / "bad.json")["failed"]
    assert failure["stage"] == "prepare_image"
    assert failure["reason"] == "bad.tif: cannot be opened"
    assert failure["log"] == "logs/prepare_image/a.log"
    assert "--config retry=true" in failure["next"]
    assert read_receipt(record_of(tmp_path / AB / "bad.json"))["failed"] is True
    assert pixels_of(of_bundle) == 2 * 8**2
    in_turn(do, arguments(tmp_path, "bad"), output=tmp_path / "bad.json")
    assert read_receipt(tmp_path / "bad.json") == {"failed": failure}
    assert pixels_of(tmp_path / "bad.json") == 0


def test_stages_that_follow_pass_a_failure_on(tmp_path: Path) -> None:
    def fail(**of: Any) -> None:
        raise AssertionError(of)

    in_turn(do, arguments(tmp_path / "images", "bad"), output=tmp_path / "images/bad.json")
    failure = read_receipt(tmp_path / "images/bad.json")["failed"]
    first, then = tmp_path / "images/bad.json", tmp_path / "foreground/bad.json"
    objects = tmp_path / "objects/bad.parquet"
    objects.parent.mkdir()
    objects.touch()
    images = {"bad": {"image_receipt": first, "receipt": then, "table": objects}}
    bundles.in_turn(fail, images, rule="predict", log="logs/predict/bad.log", output=then)
    assert read_receipt(then) == {"failed": failure, "skipped": "predict"}
    assert not objects.exists()
    table = tmp_path / "evaluation/bad.csv"
    in_turn(
        fail,
        {"bad": {"stored": [["bad.zarr", first], ["bad.zarr", then]], "table": table}},
        output=table,
        made="table",
        finish=lambda tables, output: write_receipt(output, {"rows": len(tables)}),
    )
    assert read_receipt(table) == {"rows": 0}


def test_faults_of_the_machine_and_of_our_code_fail_the_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    of_bundle = tmp_path / f"{AB}.json"
    with pytest.raises(
        ImagesFailed, match="2 of 4 images failed\nfull: OSError.*\nbug: Key"
    ) as told:
        in_turn(do, arguments(tmp_path / AB, "bad", "full", "bug", "b"), output=of_bundle)
    assert set(told.value.why) == {"full", "bug"}
    assert told.value.others == 2
    assert not of_bundle.exists()
    assert len(list((tmp_path / "images").rglob("b*.json"))) == 3  # and the record of the bad one
    with pytest.raises(KeyError, match="bug"):
        in_turn(do, arguments(tmp_path, "bug"), output=tmp_path / "bug.json")
    assert not (tmp_path / "bug.json").exists()


class Stage:
    """The receipts of a stage, as jobs and Snakemake leave them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def alone(self, *names: str) -> None:
        for name in names:
            self._run(arguments(self.folder, name), self.folder / f"{name}.json")

    def together(self, *bundles: str) -> None:
        """Jobs one after the other; "ab" stands for images a and b, and names their bundle."""
        for names in bundles:
            bundle = self.folder / "bundles" / names
            self._run(arguments(bundle, *names), bundle.with_name(f"{names}.json"))

    def _run(self, images: dict[str, dict[str, Any]], output: Path) -> None:
        output.unlink(missing_ok=True)  # as Snakemake does
        in_turn(do, images, output=output)
        for each in images.values():
            write_receipt(record_of(each["receipt"]), {"seconds": 1})

    def left(self) -> str:
        """What Snakemake knows; all that images left has its receipt there."""
        known = sorted(self.folder.glob("bundles/*.json"))
        own = sorted(self.folder.glob("?.json"))
        told = [bundle.stem for bundle in known] + [receipt.stem for receipt in own]
        left = [path.name.partition(".")[0] for path in self.folder.glob("**/*.run.json")]
        assert sorted(left) == sorted(set("".join(told)))
        assert len(list(self.folder.glob("bundles/*/?.json"))) + len(own) == len(left)
        return " ".join(told)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a b", "ab"),
        ("ab cd ef", "ax bc de f"),  # a row more
        ("abcd efgh", "ab cd ef gh"),
        ("ab cd ef gh", "abcd efgh"),
        ("abcd", "b acd"),  # b is on the other side of the split now
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_receipts_of_another_division_are_removed_and_new_ones_kept(
    tmp_path: Path, before: str, after: str, turned: bool
) -> None:
    stage = Stage(tmp_path / "images")
    stage.alone("s")
    stage.together(*before.split())
    jobs = after.split()
    stage.together(*(reversed(jobs) if turned else jobs))
    assert stage.left() == f"{' '.join(sorted(jobs))} s"
    stage.together(*before.split())  # and back
    known = {path.stem for path in stage.folder.glob("bundles/*.json")}
    assert known == set(before.split())


def test_a_bundle_that_another_took_an_image_of_is_not_finished(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "images")
    stage.together("ab")
    stage.alone("b")
    assert not (stage.folder / "bundles" / "ab.json").exists()
    assert [path.name for path in stage.folder.glob("bundles/ab/?.json")] == ["a.json"]


def test_results_may_be_called_bundles(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "bundles" / "images")
    stage.alone("s")
    stage.together("ab")
    assert stage.left() == "ab s"


def test_an_output_that_is_not_the_bundles_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not what the bundle"):
        in_turn(do, arguments(tmp_path / AB, "a", "b"), output=tmp_path / "images" / "a.json")


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
    bundle, other = tmp_path / "bundles" / "one", tmp_path / "bundles" / "two"
    assert run(bundle, bundle.with_name("one.csv"), "a", "b") == "ab"
    assert not list(tmp_path.glob("a.*"))
    assert run(other, other.with_name("two.csv"), "b", "c") == "bc"
    assert not bundle.with_name("one.csv").exists()


def test_what_cannot_be_read_names_what_snakemake_knows(tmp_path: Path) -> None:
    write_receipt(tmp_path / f"{AB}.json", {})
    write_receipt(tmp_path / "parts/bundles/c-0.begun.json", {})
    with pytest.raises(StoreError, match=r"Delete \S*images/bundles/cells-train-0.json and run"):
        read_receipt(tmp_path / AB / "a.json")
    with pytest.raises(StoreError, match=r"Delete \S*parts/bundles/c-0.begun.json and run"):
        read_receipt(tmp_path / "parts/bundles/c-0/a.begun.json")
    with pytest.raises(StoreError, match=r"Delete \S*bundles/images/a.json and run"):
        read_receipt(tmp_path / "bundles/images/a.json")  # the results are called so
