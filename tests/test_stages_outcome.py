"""What became of each image, and how a run ends where some failed."""

from pathlib import Path

import pandas as pd
import pytest

from unetflow.provenance.failed import Failure, write_failure
from unetflow.provenance.receipts import write_receipt
from unetflow.provenance.records import record_of
from unetflow.stages.outcome import Made, write_outcome
from unetflow.stages.verdict import ImagesMissing, write_verdict

FAILURE: Failure = {
    "stage": "prepare_image",
    "reason": 'a "quoted" reason,\twith a tab',
    "log": "logs/prepare_image/bad.log",
    "next": "Mend it.",
}


def made(folder: Path, name: str, split: str, *, failed: str | None = None) -> Made:
    """An image that two jobs made something of, or failed to."""
    receipts = [folder / stage / f"{name}.json" for stage in ("images", "predictions")]
    for number, receipt in enumerate(receipts):
        if failed:
            write_failure(receipt, FAILURE, skipped="predict" if number else None)
        else:
            write_receipt(receipt, {})
            write_receipt(record_of(receipt), {"seconds": 1.25 + number})
    making = folder / ".made" / f"{name}.json"
    write_receipt(making, {"attempts": 2 if name == "b" else 1, "values": {}})
    paths = [str(receipt) for receipt in receipts]
    parts = [folder / f"parts/{name}.{number}of2.json" for number in range(2 * (name == "a"))]
    for receipt in parts:
        write_receipt(record_of(receipt), {"seconds": 10})
    return Made(
        image=name,
        dataset="cells",
        split=split,
        receipts=paths,
        makings=[str(making), str(folder / "none")],
        parts=[str(receipt) for receipt in parts],
    )


def written(folder: Path, images: list[Made], on_failed: str = "error") -> pd.DataFrame:
    table, jobs = folder / "outcome.tsv", folder / "outcome.jobs.tsv"
    write_outcome(images=images, on_failed=on_failed, table=table, jobs=jobs)
    return pd.read_csv(table, sep="\t", keep_default_na=False)


def test_each_image_has_a_row_that_says_what_became_of_it(tmp_path: Path) -> None:
    images = [
        made(tmp_path, "a", "predict"),
        made(tmp_path, "b", "test"),
        made(tmp_path, "bad", "predict", failed="prepare_image"),
    ]
    table = written(tmp_path, images)
    assert table["state"].tolist() == ["done", "done", "failed"]
    bad = table.iloc[2]
    assert (bad["stage"], bad["reason"]) == ("prepare_image", FAILURE["reason"])
    assert (bad["log"], bad["next"]) == (FAILURE["log"], "Mend it.")
    jobs = pd.read_csv(tmp_path / "outcome.jobs.tsv", sep="\t")
    assert jobs["attempts"].tolist() == [1, 2, 1]
    assert jobs["seconds"].tolist() == [23.5, 3.5, 0.0]  # a was predicted in two parts


@pytest.mark.parametrize(
    ("split", "on_failed", "state"),
    [
        ("train", "leave_out", "skipped"),
        ("validation", "leave_out", "skipped"),
        ("train", "error", "failed"),
        ("test", "leave_out", "failed"),
        ("2", "leave_out", "failed"),  # it is test image of a fold too
    ],
)
def test_images_that_training_does_without_are_skipped(
    tmp_path: Path, split: str, on_failed: str, state: str
) -> None:
    table = written(tmp_path, [made(tmp_path, "bad", split, failed="x")], on_failed)
    assert table["state"].tolist() == [state]


def test_a_run_ends_well_where_all_images_are_done(tmp_path: Path) -> None:
    written(tmp_path, [made(tmp_path, "a", "predict")])
    write_verdict(outcome=tmp_path / "outcome.tsv", verdict=tmp_path / "verdict.txt")
    text = (tmp_path / "verdict.txt").read_text()
    assert text == "1 images are done, 0 were left out of training\n"


def test_a_run_ends_in_an_error_that_lists_what_failed_once(tmp_path: Path) -> None:
    images = [made(tmp_path, "a", "predict"), made(tmp_path, "bad", "predict", failed="x")]
    written(tmp_path, images)
    with pytest.raises(ImagesMissing, match="1 of 2 images failed; all others and the re") as told:
        write_verdict(outcome=tmp_path / "outcome.tsv", verdict=tmp_path / "verdict.txt")
    assert "  bad, in prepare_image: a " in str(told.value)
    assert str(told.value).count("quoted") == 1
    assert f"    Log: {tmp_path}/logs/prepare_image/bad.log" in str(told.value)
    assert "Mend it." in str(told.value)
    assert not (tmp_path / "verdict.txt").exists()


def test_a_thousand_images_that_failed_alike_are_a_line(tmp_path: Path) -> None:
    rows = [
        {**FAILURE, "image": f"i{k}", "state": "failed", "reason": f"i{k}.tif: cannot be opened"}
        for k in range(1000)
    ]
    rows.append({**FAILURE, "image": "odd", "state": "failed", "reason": "odd.tif: is a movie"})
    pd.DataFrame(rows).to_csv(tmp_path / "outcome.tsv", sep="\t", index=False)
    with pytest.raises(ImagesMissing, match="1001 of 1001 images failed") as told:
        write_verdict(outcome=tmp_path / "outcome.tsv", verdict=tmp_path / "verdict.txt")
    lines = str(told.value).splitlines()
    assert "  i0, i1, i2 and 997 more, in prepare_image: i0.tif: cannot be opened" in lines
    assert "  odd, in prepare_image: odd.tif: is a movie" in lines
    assert len(lines) == 6
