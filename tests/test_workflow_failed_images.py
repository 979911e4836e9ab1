"""Ten images, two of them bad: eight are done, with report and list; what is mended runs alone."""

from pathlib import Path

import pandas as pd
import pytest
from pipeline import Project, path_without_slurm, tiny_project

from unetflow.demo.files import write_demo

pytestmark = pytest.mark.more

GOOD = ("train_00", "train_01", "validation_00", "test_00", "p0", "p1", "p2", "p3")
BAD = ("no_tiff", "cut_off")
AGGREGATES = {"integrity": 1, "segmented": 1, "outcome": 1, "report": 1, "verdict": 1}


def cohort(folder: Path, images_per_job: int) -> tuple[Project, str]:
    """A project with ten small images, two of which cannot be read, and the config of them."""
    (folder / "project").mkdir()
    project = tiny_project(folder / "project", path_without_slurm(folder))
    data = project.folder / "raw"
    data.mkdir()
    names = [*GOOD, *BAD, "slide"]
    images, truths = ([data / f"{name}{end}.tif" for name in names] for end in ("", "_truth"))
    write_demo(
        image_paths=images[:-1],
        truth_paths=truths[:-1],
        slide_path=images[-1],
        slide_truth_path=truths[-1],
        seed=1,
        image_px=128,
        slide_px=128,
    )
    for name, content in zip(BAD, (b"II*\0 this is no image", None), strict=True):
        path = data / f"{name}.tif"
        path.rename(data / f"{name}.whole")
        path.write_bytes(content or (data / f"{name}.whole").read_bytes()[:-9000])
    config = project.config() | {"results": "cohort", "data_dir": "raw"}
    del config["demo"]
    config["datasets"]["cells"]["images_per_job"] = images_per_job
    config["prepare"] |= {"keep_images": images_per_job == 1}
    config["export"] = {"formats": ["labels"], "splits": ["predict"]}
    rows = []
    for name in (*GOOD, *BAD):
        split = name.partition("_")[0] if name in GOOD[:4] else "predict"
        truth = "" if split == "predict" else f"{{data}}/{name}_truth.tif"
        rows.append(f"{name}\tcells\t{{data}}/{name}.tif\t{truth}\t{split}")
    return project, project.write_case("cohort", config, rows)


@pytest.mark.parametrize("images_per_job", [1, 4])
def test_two_bad_images_of_ten_cost_two_results(tmp_path: Path, images_per_job: int) -> None:
    project, case = cohort(tmp_path, images_per_job)
    results = project.folder / "cohort"
    of_case = ("--configfile", case)
    done = project.snakemake(*of_case)
    assert done.status == 1, done.text
    assert "2 of 10 images failed; all others and the report are done" in done.text
    assert done.text.count("  cut_off, in prepare_image: raw/cut_off.tif: ") == 1
    assert (results / "report" / "index.html").stat().st_size > 0
    outcome = pd.read_csv(results / "outcome.tsv", sep="\t", keep_default_na=False)
    states = dict(zip(outcome["image"], outcome["state"], strict=True))
    assert states == dict.fromkeys(GOOD, "done") | dict.fromkeys(BAD, "failed")
    for log in outcome["log"][outcome["state"] == "failed"]:
        assert "SlideError" in (results / log).read_text()
    jobs = pd.read_csv(results / "outcome.jobs.tsv", sep="\t")
    assert jobs["attempts"].tolist() == [1] * 10
    segmented = pd.read_csv(results / "segmented.csv")
    assert set(segmented["image"]) == {"p0", "p1", "p2", "p3"}
    assert not (results / "exports/unet/fold0/cut_off.labels.tif").read_bytes()

    assert project.snakemake("-n", *of_case).planned() == {"verdict": 1}
    again = project.snakemake(*of_case)
    assert again.status == 1
    assert again.text.count("  cut_off, in prepare_image: raw/cut_off.tif: ") == 1
    planned = project.snakemake("-n", *of_case, "--config", "retry=true").planned()
    assert planned["prepare_image"] == (2 if images_per_job == 1 else 1)
    assert not {"train", "evaluate", "prepare_truth"} & set(planned)

    data = project.folder / "raw"
    (data / "cut_off.whole").replace(data / "cut_off.tif")
    own = {"prepare_image": 1, "predict": 1, "instances": 1, "pictures": 1}
    exported = 1 if images_per_job == 1 else len(BAD) + 4  # of all images of its bundles
    planned = project.snakemake("-n", *of_case).planned()
    assert {rule: count for rule, count in planned.items() if rule != "export_labels"} == (
        own | AGGREGATES
    )
    assert planned["export_labels"] <= exported
    (data / "no_tiff.whole").replace(data / "no_tiff.tif")
    done = project.snakemake(*of_case)
    assert done.status == 0, done.text
    assert (results / "verdict.txt").read_text().startswith("10 images are done")
    assert project.snakemake("-n", *of_case).planned() == {}


def test_a_training_image_that_fails_ends_the_run_before_training_or_is_left_out(
    tmp_path: Path,
) -> None:
    project, case = cohort(tmp_path, 4)
    (project.folder / "raw" / "train_00.tif").write_bytes(b"II*\0 this is no image")
    done = project.snakemake("--configfile", case, "--keep-going")
    assert done.status == 1
    assert "1 images that are to be learnt from failed" in done.text
    assert "on_failed_training_image: leave_out" in done.text
    assert not (project.folder / "cohort/models/unet/fold0/model.json").exists()
    path = project.folder / case
    path.write_text(path.read_text().replace("training_image: error", "training_image: leave_out"))
    done = project.snakemake("--configfile", case)
    assert done.status == 1, done.text
    assert "2 of 10 images failed" in done.text
    outcome = pd.read_csv(project.folder / "cohort/outcome.tsv", sep="\t")
    assert set(outcome["image"][outcome["state"] == "skipped"]) == {"train_00"}
