"""What is said at the end of a run: each error once, last, and how to go on."""

from pathlib import Path

from unetflow.errors import LabelsError, SlideError
from unetflow.jobs.failures import (
    ImagesFailed,
    farewell,
    forget_failures,
    in_groups,
    note_failure,
)


def test_errors_that_differ_in_names_and_numbers_are_told_once() -> None:
    why = {
        f"image{k}": f"data/{'abc'[k % 3]}{k}.tif: holds the values 0, {k}, 70, 8; set the truth"
        for k in range(108)
    }
    why["other"] = "data/x.tif: is no image"
    first, second = in_groups(why)
    assert first == (
        "image0: data/a0.tif: holds the values 0, 0, 70, 8; set the truth\n"
        "  The same: image1, image2, image3, image4, image5, image6, image7, image8, image9, "
        "image10 and 97 more"
    )
    assert second == "other: data/x.tif: is no image"


def test_a_run_ends_with_all_that_failed_and_how_to_go_on(tmp_path: Path) -> None:
    truths = tmp_path / "prepare_truth/bundles"
    kind = "holds the values 0, 7; set truth to instances"
    both = {"a": f"a.tif: {kind}", "b": f"b.tif: {kind}"}
    note_failure(truths / "cells-train-0.log", ImagesFailed(both, others=3))
    note_failure(truths / "cells-test-0.log", ImagesFailed({"c": f"c.tif: {kind}"}, others=0))
    note_failure(tmp_path / "prepare_image/d.log", SlideError("d.tif: is no image"))
    assert (
        farewell(tmp_path, ["--cores", "2", "--configfile", "my config.yaml"])
        == f"""\
What stopped, and why:

prepare_image/d: d.tif: is no image
  Log: {tmp_path}/prepare_image/d.log

prepare_truth of c: c.tif: {kind}
  The same: prepare_truth of a, prepare_truth of b
  Log: {truths}/cells-test-0.log

3 images that share jobs with these wait for them; with images_per_job: 1 in the dataset they go on.

Mend what needs it, and run the same command again: what is finished stays, and a training goes on \
from its last checkpoint.
  snakemake --cores 2 --configfile 'my config.yaml'"""
    )


def test_what_failed_in_an_earlier_run_is_forgotten(tmp_path: Path) -> None:
    note_failure(tmp_path / "integrity.log", LabelsError("truths are odd"))
    assert "integrity: truths are odd" in farewell(tmp_path, [])
    forget_failures(tmp_path)
    assert farewell(tmp_path, ["-c1"]) == (
        "Not everything is done. To go on run the same command again: what is finished stays, and "
        "a training goes on from its last checkpoint.\n  snakemake -c1"
    )


def test_an_image_that_failed_in_several_jobs_is_told_of_each(tmp_path: Path) -> None:
    why = {
        "predict/a/fold0/bundles/x": "no GPU",
        "predict/b/fold0/bundles/x": "no memory",
        "predict_part/a/fold0/bundles/x.0of2": "no disk",
        "predict_part/a/fold0/bundles/x.1of2": "no time",
    }
    for job, text in why.items():
        note_failure(tmp_path / f"{job}.log", ImagesFailed({"cell": text}, others=0))
    said = farewell(tmp_path, [])
    for who, text in zip(
        ("predict/a/fold0", "predict/b/fold0", "predict_part/a/fold0", [*why][3]),
        why.values(),
        strict=True,
    ):
        assert f"{who} of cell: {text}" in said
