"""The time that is left is that of jobs which were timed; what nobody timed is counted."""

from pathlib import Path

import pytest

from unetflow.commands.run import Stages
from unetflow.commands.run_time import TimeLeft, earlier_seconds

TABLE = ["Job stats:", "prepare_image 4", "train 1", "report 1", "total 6"]
STARTED = ["rule {rule}:", "    jobid: {job}"]


def said_of(stages: Stages, *lines: str, at_s: float) -> list[str]:
    return [said for line in lines for said in stages.take(line, at_s)]


def start(stages: Stages, rule: str, job: int, at_s: float) -> list[str]:
    return said_of(stages, *(line.format(rule=rule, job=job) for line in STARTED), at_s=at_s)


def finish(stages: Stages, rule: str, job: int, at_s: float) -> list[str]:
    return said_of(stages, f"Finished jobid: {job} (Rule: {rule})", at_s=at_s)


@pytest.fixture
def stages() -> Stages:
    """After four images, two at once, of a minute each."""
    stages = Stages({"report": 120.0})
    said_of(stages, *TABLE, at_s=0)
    for first in (0, 2):
        for job in (first, first + 1):
            start(stages, "prepare_image", job, 30.0 * first)
        for job in (first, first + 1):
            last = finish(stages, "prepare_image", job, 60 + 30.0 * first)
    assert last == ["0:02:00  prepare_image: 4 jobs; 4 of 6 jobs done; " + UNTIMED]
    return stages


UNTIMED = "about 2 min left, and 1 jobs that were never timed"


def test_a_training_says_itself_how_long_it_goes_on(stages: Stages) -> None:
    start(stages, "train", 9, 120)
    told = "train: 100 of 400, about 300 s left"
    assert said_of(stages, told, at_s=220) == ["0:03:40  about 7 min left"]
    assert said_of(stages, "validation", at_s=230) == []  # said a moment ago
    assert said_of(stages, "validation", at_s=340) == ["0:05:40  about 5 min left"]
    assert finish(stages, "train", 9, 520) == [
        "0:08:40  train: 1 job; 5 of 6 jobs done; about 2 min left"
    ]


def test_jobs_take_as_long_and_run_side_by_side_as_those_that_are_done() -> None:
    time = TimeLeft()
    time.jobs["predict"] = 10
    assert time.in_words(0) == ""
    for job in "ab":
        time.start(job, "predict", 0)
    for job in "ab":
        time.finish(job, "predict", 100)
    assert time.in_words(100) == "about 7 min left"  # 8 jobs of 100 s, two at once
    for job in "cd":
        time.start(job, "predict", 100)
    assert time.in_words(180) == "about 5 min left"
    for job in "cd":  # they failed, and are to be done whole
        time.stop(job, 180)
    assert time.in_words(180) == "about 7 min left"


def test_a_failed_job_no_longer_runs() -> None:
    stages = Stages({"train": 600.0})
    said_of(stages, "Job stats:", "train 1", "total 1", at_s=0)
    start(stages, "train", 9, 0)
    assert said_of(stages, "any", at_s=180) == ["0:03:00  about 7 min left"]
    said_of(stages, "Error in rule train:", "    jobid: 9", at_s=190)
    assert said_of(stages, "any", at_s=300) == ["0:05:00  about 10 min left"]  # to be done whole


def test_little_that_is_known_is_not_said_beside_what_is_not() -> None:
    time = TimeLeft({"report": 20.0})
    time.jobs.update(report=1, train=1)
    assert time.in_words(0) == ""
    time.done["train"] += 1
    assert time.in_words(0) == "less than a minute left"


def test_of_two_that_run_nobody_knows_which_one_speaks() -> None:
    time = TimeLeft()
    time.jobs["train"] = 2
    for job in "ab":
        time.start(job, "train", 0)
    time.hear("train: 1 of 2, about 500 s left", 10)
    assert time.in_words(10) == ""


def test_earlier_seconds_are_those_of_benchmarks(tmp_path: Path) -> None:
    for name, seconds in (("a", "10.5"), ("bundles/b", "20.5"), ("c", "NA")):
        file = tmp_path / "benchmarks" / "predict" / f"{name}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"s\th:m:s\n{seconds}\t0:00:10\n")
    assert earlier_seconds(tmp_path) == {"predict": 15.5}
    assert earlier_seconds(tmp_path / "gone") == {}
