"""The results know what made them, with Snakemake's own memory of them and without it."""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from pipeline import Project, changed

pytestmark = pytest.mark.more

AFTER_TRAINING = {"predict", "calibrate", "instances", "segmented", "evaluate", "collect", "report"}
AFTER_TRAINING |= {"outcome", "pictures", "verdict"}
AFTER_TRAINING |= {"pictures"}
EXPORTS = {"export_geojson", "export_labels", "export_overlay"}


@pytest.fixture(scope="module", params=["with", "without"])
def project(
    finished: Project, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Project:
    """A copy of the finished project, with Snakemake's memory of it or without."""
    copy = finished.copied_to(tmp_path_factory.mktemp(request.param) / "copy")
    if request.param == "without":
        shutil.rmtree(copy.folder / ".snakemake")
    return copy


def planned(project: Project, config: dict[str, Any]) -> tuple[Counter[str], str]:
    with changed(project.config_path, yaml.safe_dump(config)):
        done = project.snakemake("-n")
    return done.planned(), done.text


def test_a_copy_has_nothing_to_do(project: Project) -> None:
    assert project.snakemake("-n").planned() == {}


def test_numbers_that_change_places_are_another_making(project: Project) -> None:
    config = project.config()
    of = config["weighting"]["paper"]
    of["w0"], of["sigma_px"] = of["sigma_px"], of["w0"]
    jobs, text = planned(project, config)
    assert set(jobs) == {"weights", "train"} | AFTER_TRAINING | EXPORTS
    assert text.count("weights runs again: weighting.sigma_px was 5") == 1  # of two jobs


def test_more_steps_are_another_training(project: Project) -> None:
    config = project.config()
    config["experiments"]["unet"]["recipe"]["steps"] = 99
    jobs, text = planned(project, config)
    assert set(jobs) == {"train"} | AFTER_TRAINING | EXPORTS
    assert "train runs again: recipe.steps was 12 and is 99" in text


def test_another_smallest_area_makes_instances_anew(project: Project) -> None:
    config = project.config()
    config["instances"]["min_area_px"] = 77
    jobs, _ = planned(project, config)
    assert {"instances", "evaluate", "report"} <= set(jobs)
    assert not {"train", "predict"} & set(jobs)


def test_an_edit_in_the_network_is_another_training(project: Project) -> None:
    path = project.folder / "unetflow" / "networks" / "unet.py"
    before = path.read_text()
    with changed(path, before + "\nSIDE_PX = 3\n"):
        done = project.snakemake("-n")
    assert {"train", "predict"} <= set(done.planned())
    assert "train runs again: its code is another" in done.text


def test_an_image_that_is_out_of_the_sheet_is_out_of_the_scores(project: Project) -> None:
    sheet = project.folder / "config" / "images.tsv"
    rows = [row for row in sheet.read_text().splitlines(True) if not row.startswith("test_00")]
    with changed(sheet, "".join(rows)):
        config = project.config()
        del config["demo"]
        jobs, _ = planned(project, config)
    assert {"integrity": 1, "collect": 1, "report": 1}.items() <= jobs.items()
    assert not {"train", "predict", "evaluate"} & set(jobs)


def test_what_is_gone_is_made_again_and_named(project: Project, tmp_path: Path) -> None:
    store = project.results / "predictions" / "unet" / "fold0" / "test_00.ome.zarr" / "foreground"
    store.rename(tmp_path / "foreground")
    done = project.snakemake("-n")
    (tmp_path / "foreground").rename(store)
    assert done.planned()["predict"] == 1
    assert "test_00.ome.zarr/foreground is gone" in done.text


def test_a_receipt_without_a_record_is_made_again(project: Project, tmp_path: Path) -> None:
    record = project.results / ".made" / "weights" / "paper" / "train_00.json"
    record.rename(tmp_path / "record")
    done = project.snakemake("-n")
    (tmp_path / "record").rename(record)
    assert {"weights", "train"} <= set(done.planned())
    assert "weights runs again: no record says what made its output" in done.text


def test_a_receipt_that_somebody_changed_is_made_again(project: Project) -> None:
    receipt = project.results / "truth" / "train_00.json"
    with changed(receipt, receipt.read_text().replace('"instances": ', '"instances": 1')):
        done = project.snakemake("-n")
    assert done.planned()["prepare_truth"] == 1
    assert "prepare_truth runs again: its output was changed" in done.text


@pytest.mark.parametrize(
    ("job", "image"),
    [
        ("instances/unet/0/slide", "slide"),
        ("weights/paper/train_00", "train_00"),
        ("calibrate/unet/0", "validation_00"),
    ],
)
def test_what_depends_on_the_size_of_pixels_takes_the_receipt_that_says_it(
    project: Project, job: str, image: str
) -> None:
    record = json.loads((project.results / ".made" / f"{job}.json").read_text())
    assert f"images/{image}.json" in record["inputs"]


@pytest.mark.parametrize(
    ("receipt", "jobs"),
    [
        ("predictions/unet/fold0/instances/slide.json", {"instances", "evaluate", "pictures"}),
        ("calibration/unet/fold0.json", {"calibrate", "instances", "segmented"}),
        ("models/unet/fold0/model.json", {"train", "predict", "calibrate"}),
        ("evaluation/metrics.csv", {"collect", "report", "verdict"}),
    ],
)
def test_a_receipt_that_is_gone_is_made_again(
    project: Project, tmp_path: Path, receipt: str, jobs: set[str]
) -> None:
    (project.results / receipt).rename(tmp_path / "receipt")
    done = project.snakemake("-n")
    (tmp_path / "receipt").rename(project.results / receipt)
    assert jobs <= set(done.planned())
    assert f"runs again: {Path(receipt).name} is gone" in done.text


@pytest.mark.parametrize(
    ("file", "jobs"),
    [
        ("predictions/unet/fold0/objects/slide.csv", {"instances"}),
        ("predictions/unet/fold0/objects/slide.parquet", {"instances"}),
        ("calibration/unet/fold0/deploy.safetensors", {"calibrate"}),
    ],
)
def test_a_file_beside_a_receipt_that_is_gone_is_made_again(
    project: Project, tmp_path: Path, file: str, jobs: set[str]
) -> None:
    (project.results / file).rename(tmp_path / "file")
    done = project.snakemake("-n")
    (tmp_path / "file").rename(project.results / file)
    assert jobs <= set(done.planned())
    assert f"{file} is gone" in done.text


def test_what_was_cleaned_runs_nothing_until_it_would_be_another(
    project: Project, tmp_path: Path
) -> None:
    copy = project.copied_to(tmp_path / "copy")
    clean = ["unetflow", "clean", "results", "--only", "images", "truth", "weights", "--yes"]
    subprocess.run(clean, cwd=copy.folder, check=True, stdout=subprocess.DEVNULL)
    assert copy.snakemake("-n").planned() == {}
    path = copy.demo_data / "train_00_truth.tif"
    labels = tifffile.imread(path)
    tifffile.imwrite(path, np.where(labels == labels.max(), 0, labels).astype(labels.dtype))
    assert {"prepare_truth", "train", "evaluate", "report"} <= set(copy.snakemake("-n").planned())


def test_a_corrected_annotation_is_seen_wherever_it_lies(project: Project) -> None:
    path = project.demo_data / "train_00_truth.tif"
    labels, looked = tifffile.imread(path), path.stat()
    content = path.read_bytes()
    number = np.unique(labels)[1]
    tifffile.imwrite(path, np.where(labels == number, 0, labels).astype(labels.dtype))
    assert project.snakemake("-n").planned()["prepare_truth"] == 1
    path.write_bytes(content)
    assert project.snakemake("-n").planned() == {}  # another time, the same bytes
    os.utime(path, ns=(looked.st_atime_ns, looked.st_mtime_ns))
