"""The pipeline on a real SLURM of one node: jobs, partitions, groups, and images that fail."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pipeline import Project, tiny_project
from private_slurm import NoSlurmError, private_slurm
from test_workflow_failed_images import BAD, GOOD, cohort

pytestmark = [pytest.mark.more, pytest.mark.slurm]

HERE = (  # what a site sets: no accounting, its partitions, how often a quick cluster is asked
    *("--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue"),
    *("--slurm-no-account", "--slurm-init-seconds-before-status-checks", "2"),
    *("--seconds-between-status-checks", "2", "--latency-wait", "5", "--default-resources"),
    *("mem_mb=1000", "runtime=30", "slurm_partition=cpu"),
)


@pytest.fixture(scope="module")
def on_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The PATH of projects whose jobs go to a SLURM; without one the tests are skipped."""
    try:
        with private_slurm(tmp_path_factory.mktemp("slurm")) as path:
            yield path
    except NoSlurmError as error:
        pytest.skip(f"no SLURM: {error}")


def test_the_whole_pipeline_passes(tmp_path: Path, on_cluster: str) -> None:
    project = tiny_project(tmp_path / "project", on_cluster)
    done = project.snakemake(*HERE)
    assert done.status == 0, done.text
    assert (project.results / "report" / "index.html").stat().st_size > 0
    assert project.snakemake("-n", *HERE).planned() == {}
    jobs = subprocess.run(
        ["squeue", "--states=all", "--noheader", "--format=%P %T %k"],
        env={**os.environ, "PATH": on_cluster},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert {line.split()[1] for line in jobs} == {"COMPLETED"}
    on_gpus = {
        line.split()[2].partition("_wildcards")[0] for line in jobs if line.startswith("gpu")
    }
    assert on_gpus == {"rule_train", "rule_predict"}


def test_two_bad_images_of_ten_that_share_a_job_cost_two_results(
    tmp_path: Path, on_cluster: str
) -> None:
    made, case = cohort(tmp_path, 1)
    project = Project(made.folder, on_cluster)
    done = project.snakemake("--configfile", case, *HERE)
    assert done.status == 1, done.text
    assert "2 of 10 images failed; all others and the report are done" in done.text
    results = project.folder / "cohort"
    outcome = pd.read_csv(results / "outcome.tsv", sep="\t")
    states = dict(zip(outcome["image"], outcome["state"], strict=True))
    assert states == dict.fromkeys(GOOD, "done") | dict.fromkeys(BAD, "failed")
    jobs = pd.read_csv(results / "outcome.jobs.tsv", sep="\t")
    assert jobs["attempts"].tolist() == [1] * 10
    receipt = json.loads((results / "images" / "cut_off.json").read_text())
    assert receipt["failed"]["stage"] == "prepare_image"
