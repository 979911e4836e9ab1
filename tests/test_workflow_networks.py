"""Every network of the registry through one whole pipeline, and side by side in its report."""

import json
from typing import Any

import pandas as pd
import pytest
from pipeline import IMAGES, TESTED, Project, annotated, path_without_slurm, tiny_project
from test_networks_contract import OF_IMAGES, small
from test_stages_report import rows_of

from unetflow.networks import build, geometry_of
from unetflow.networks.fitted import multiply_adds_per_px

pytestmark = pytest.mark.more

SLIDE_PX, IMAGE_PX = 300, 128
OUTPUT_PX = 64  # of a training patch


def experiment(name: str, recipe: dict[str, Any]) -> dict[str, Any]:
    """The smallest experiment of a network."""
    sized = {"tile_px": geometry_of(name, **small(name)).input_px(OUTPUT_PX), "steps": 3}
    return {
        "dataset": "cells",
        "weighting": "paper",
        "network": {"name": name, **small(name)},
        "recipe": recipe | sized | {"validate_every": 3},
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The pipeline of all networks after one run; images share jobs."""
    path = path_without_slurm(tmp_path_factory.mktemp("path"))
    project = tiny_project(tmp_path_factory.mktemp("project"), path)
    trained = [row for row in IMAGES if row[1] == "train"]  # validation is a job more of each
    rows = [annotated(*row) for row in (*trained, *TESTED)]
    config = project.config()
    config["datasets"]["cells"]["images_per_job"] = 4
    config["demo"] |= {"image_px": IMAGE_PX, "slide_px": SLIDE_PX}
    recipe = config["experiments"]["unet"]["recipe"]
    config["experiments"] = {name: experiment(name, recipe) for name in OF_IMAGES}
    config["export"]["formats"] = []
    path_of_config = project.write_case("every", config, rows)
    done = project.snakemake("--resources", "gpu=1", "--configfile", path_of_config)
    assert done.status == 0, done.text
    return project


def test_every_network_trains_predicts_and_is_scored(project: Project) -> None:
    metrics = pd.read_csv(project.results / "evaluation/metrics.csv")
    scored = metrics[(metrics["metric"] == "iou") & (metrics["method"] == "network")]
    assert set(scored["experiment"]) == set(OF_IMAGES)
    assert (scored.groupby("experiment")["image"].nunique() == 2).all()
    for name in OF_IMAGES:
        made = project.results / "predictions" / name / "fold0"
        (instances,) = (made / "instances").glob("bundles/*/slide.json")
        assert json.loads(instances.read_text())["shape"] == [SLIDE_PX, SLIDE_PX]
        assert (made / "objects/slide.csv").exists()


def test_receipts_have_the_work_of_a_pixel_and_records_what_was_computed(project: Project) -> None:
    for name in OF_IMAGES:
        receipt = project.results / "models" / name / "fold0" / "model.json"
        work = json.loads(receipt.read_text())["multiply_adds_per_px"]
        assert work == multiply_adds_per_px(build(name, **small(name))), name
        records = (project.results / "predictions" / name / "fold0/foreground").rglob("*.run.json")
        found = {path.name: json.loads(path.read_text()) for path in records}
        assert found["slide.run.json"]["computed_px"] == SLIDE_PX**2, name
        assert found["test_00.run.json"]["computed_px"] == IMAGE_PX**2, name


def test_the_report_has_a_row_for_each(project: Project) -> None:
    page = (project.results / "report/index.html").read_text()
    _, *rows = rows_of(page, "networks")
    names = sorted(OF_IMAGES)  # as the YAML of the config has them
    assert [row[0] for row in rows] == [f"{k} {name}" for k, name in enumerate(names, start=1)]
    for name, row in zip(names, rows, strict=True):
        geometry = geometry_of(name, **small(name))
        assert row[1].split()[0] == name
        assert "not known" not in row
        halo_px = " ".join(map(str, dict.fromkeys(geometry.before_px + geometry.after_px)))
        joined = f"blended: {geometry.why}" if geometry.why else "seamless"
        assert row[6] == f"{halo_px} {joined}"


def test_a_second_run_has_nothing_to_do(project: Project) -> None:
    done = project.snakemake("--configfile", "config/every.yaml")
    assert "Nothing to be done" in done.text
