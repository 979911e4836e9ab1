"""The pipeline on a real SLURM of one node: jobs, partitions, groups, and images that fail.

What is marked slow is run by `make test-slurm` alone, the rest by `make test-more` too.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from conftest import predict
from pipeline import TESTED, Project, tiny_project
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


SITE_OF_TRAIN = (*SITE, "--retries", "2")
GPU_OF_TRAIN = ("train:slurm_partition=gpu", "train:gpu=0")
MODEL = Path("models", "unet", "fold0", "model.json")
CHECKPOINT = Path("models", "unet", "fold0", "checkpoints", "last.pt")
LOG = Path("logs", "train", "unet", "fold0.log")
LONGEST_S = 240  # that a test waits for what is to come


@dataclass(frozen=True, slots=True)
class Job:
    """What `squeue` tells of a job."""

    number: int
    state: str
    minutes: int  # at most
    memory_mb: int


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
    project.write_config(project.config() | {"export": {}})
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
    comments = [line.split()[2] for line in jobs]
    of_objects = ("instances", "evaluate", "pictures")
    assert not [
        each for each in comments if each.startswith(tuple(f"rule_{of}" for of in of_objects))
    ]
    assert sum("instances" in each for each in comments) == len(TESTED) + 2  # one for each image
    (project.results / MODEL).unlink()
    done = project.snakemake(*SITE, "--retries", "0", "--", f"results/{MODEL}")
    assert done.status == 1, done.text
    assert "this job was given a GPU (SLURM_STEP_GPUS is 0), but it cannot be used" in done.text


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_training_that_is_cut_off_goes_on_with_more_time_and_memory(
    tmp_path: Path, on_cluster: str
) -> None:
    project = learning(tmp_path, on_cluster)
    # a minute is the least that SLURM knows; the memory is what the rule asks for
    with running(project, "--set-resources", *GPU_OF_TRAIN, "train:runtime=1+9*(attempt-1)"):
        wait_for((project.results / CHECKPOINT).exists)
        stopped = trainer(project)
        stopped.suspend()  # it is slow, so that its time is over before its end
        wait_for(lambda: trainings(project)[0].state == "TIMEOUT")
        wait_for(lambda: len(trainings(project)) == 2)
        wait_for(lambda: "going on from step" in log_of(project))
        trainer(project).kill()  # as the kernel does where memory is short
        wait_for((project.results / MODEL).exists)
    jobs = trainings(project)
    assert [job.state for job in jobs] == ["TIMEOUT", "FAILED", "COMPLETED"]
    assert [job.minutes for job in jobs] == [1, 10, 19]
    assert jobs[0].memory_mb < jobs[1].memory_mb < jobs[2].memory_mb
    assert "going on from step" in log_of(project)


@pytest.mark.slow
def test_a_run_that_is_stopped_or_killed_leaves_what_the_same_command_ends(
    tmp_path: Path, on_cluster: str
) -> None:
    project = learning(tmp_path, on_cluster)
    asked = ("--set-resources", *GPU_OF_TRAIN)
    with running(project, *asked) as head:
        wait_for((project.results / CHECKPOINT).exists)
        subprocess.run(["scancel", str(trainings(project)[0].number)], env=seen_by(project))
        wait_for(lambda: [job.state for job in trainings(project)] == ["CANCELLED", "RUNNING"])
        os.killpg(head.pid, signal.SIGINT)
        head.wait(LONGEST_S)
    assert {job.state for job in trainings(project)} == {"CANCELLED"}

    with running(project, *asked) as head:
        wait_for(lambda: trainings(project)[-1].state == "RUNNING")
        orphan = trainer(project)
        orphan.suspend()
        os.killpg(head.pid, signal.SIGKILL)
        head.wait(LONGEST_S)
    assert trainings(project)[-1].state == "RUNNING"
    assert project.snakemake("--unlock").status == 0
    orphan.resume()
    done = project.snakemake(*SITE_OF_TRAIN, *asked, "--until", "train")
    assert done.status == 0, done.text
    assert project.snakemake("-n", *SITE_OF_TRAIN, "--until", "train").planned() == {}


def learning(folder: Path, path: str) -> Project:
    """A project whose training takes long enough to be stopped, all before it done."""
    project = tiny_project(folder / "project", path)
    config: dict[str, Any] = project.config()
    config["train"]["checkpoint_s"] = 0.5
    config["experiments"]["unet"]["recipe"] |= {"steps": 400, "validate_every": 400}
    project.write_config(config)
    before = ["statistics/unet/fold0", "truth/validation_00"]
    before += ["weights/paper/train_00", "weights/paper/train_01"]
    done = project.snakemake(*(f"results/{name}.json" for name in before))
    assert done.status == 0, done.text
    return project


@contextmanager
def running(project: Project, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """The training on the cluster, which is ended with the context."""
    with (project.folder / "output.txt").open("w") as output:
        head = project.started(*SITE_OF_TRAIN, *arguments, "--until", "train", stdout=output)
        try:
            yield head
            head.wait(LONGEST_S)
        finally:
            if head.poll() is None:
                os.killpg(head.pid, signal.SIGKILL)
                head.wait()


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + LONGEST_S
    while not what():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.1)


def seen_by(project: Project) -> dict[str, str]:
    return {**os.environ, "PATH": project.path}


def trainings(project: Project) -> list[Job]:
    """Jobs of rule train, in the order in which they were submitted."""
    told = subprocess.run(
        ["squeue", "--states=all", "--noheader", "--format=%i|%T|%l|%m|%k|%Z"],
        env=seen_by(project),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [line.split("|") for line in told.splitlines()]
    return sorted(
        (
            Job(int(number), state, minutes_of(limit), int(memory.removesuffix("M")))
            for number, state, limit, memory, comment, folder in rows
            if comment.startswith("rule_train") and Path(folder) == project.folder
        ),
        key=lambda job: job.number,
    )


def minutes_of(limit: str) -> int:
    """Of [days-][hours:]minutes:seconds.

    >>> minutes_of("1:00"), minutes_of("1-02:03:00")
    (1, 1563)
    """
    days, _, rest = limit.rpartition("-")
    *hours, minutes, _ = map(int, rest.split(":"))
    return (int(days or 0) * 24 + sum(hours)) * 60 + minutes


def log_of(project: Project) -> str:
    """What the newest training said; Snakemake takes the log of the one before away."""
    log = project.results / LOG
    return log.read_text() if log.exists() else ""


def trainer(project: Project) -> psutil.Process:
    """The process of the newest training of a project, once it runs."""
    found: list[psutil.Process] = []

    def is_there() -> bool:
        found.extend(
            each
            for each in psutil.process_iter(["cmdline", "cwd"])
            if each.info["cwd"] == str(project.folder)
            and any(word.endswith(".train.py") for word in each.info["cmdline"] or [])
        )
        return bool(found)

    wait_for(is_there)
    return max(found, key=lambda each: each.create_time())
