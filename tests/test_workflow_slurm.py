"""The pipeline on a real SLURM of one node: jobs, partitions, groups, and images that fail."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from conftest import predict
from pipeline import Project, tiny_project
from predicting import all_bytes, job_in
from private_slurm import NoSlurmError, private_slurm
from test_workflow_failed_images import BAD, GOOD, cohort

from unetflow.engine.distributed import working_on

pytestmark = [pytest.mark.more, pytest.mark.slurm]

SITE = (  # what a site sets: its partitions, how often a quick cluster is asked
    *("--workflow-profile", "profiles/slurm"),
    *("--slurm-no-account", "--slurm-init-seconds-before-status-checks", "2"),
    *("--seconds-between-status-checks", "2", "--latency-wait", "5", "--default-resources"),
    *("mem_mb=1000", "runtime=30", "slurm_partition=cpu"),
)
HERE = (  # its GPU is none: on CPUs, in the partition that has it
    *(*SITE, "--set-resources", "train:slurm_partition=gpu", "train:gpu=0"),
    *("predict:slurm_partition=gpu", "predict:gpu=0"),
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
    assert "states of jobs are asked of squeue, not of sacct" in done.text
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
    (project.results / "models" / "unet" / "fold0" / "model.json").unlink()
    done = project.snakemake(*SITE, "--retries", "0", "--until", "train")
    assert done.status == 1, done.text
    assert "this job was given a GPU (SLURM_JOB_GPUS is 0), but it cannot be used" in done.text


def test_workers_that_slurm_starts_have_the_bytes_of_threads(
    tmp_path: Path, on_cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dask = pytest.importorskip("dask")
    pytest.importorskip("dask_jobqueue", reason="needs the extra `distributed`")
    monkeypatch.setenv("PATH", on_cluster)
    monkeypatch.chdir(tmp_path)
    job = job_in(tmp_path, 600, 1100)
    undisturbed = {**job, "store": tmp_path / "u" / "i.ome.zarr", "receipt": tmp_path / "u/i.json"}
    predict(**undisturbed)
    asked = {"queue": "cpu", "cores": 1, "memory": "2GB", "walltime": "00:05:00"}
    asked = {f"jobqueue.slurm.{key}": value for key, value in asked.items()}
    with dask.config.set(asked), working_on({"scheduler": "slurm", "workers": 1}):
        predict(**job)
    assert all_bytes(tmp_path / "p") == all_bytes(tmp_path / "u")


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
