"""The pipeline by one command: a line a stage, and what stopped, once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from environments import ROOT
from pipeline import Project

from unetflow.commands import MENDABLE, run_command
from unetflow.commands.run import Stages

RUN = """\
import sys
from unetflow.commands import main
sys.executable = "bin/python"  # the fake program lies beside it
sys.exit(main())
"""
COMMAND = (sys.executable, "-c", RUN)
PRINTED = """\
Building DAG of jobs...
Job stats:
job              count
-------------  -------
all                  1
prepare_image        2
train                1
total                4

[Mon Nov 30 01:00:00 2026]
rule prepare_image:
Finished jobid: 3 (Rule: prepare_image)
1 of 4 steps (25%) done
Finished jobid: 2 (Rule: prepare_image)
Finished jobid: 1 (Rule: train)
Complete log(s): /project/.snakemake/log/a.log
"""
FAKE = """\
#!{python}
import signal, sys, time
def stop(number, frame):
    print("Not everything is done. To go on run the same command again", flush=True)
    sys.exit(1)
signal.signal(signal.SIGINT, stop)
print("Job stats:\\ntrain 1\\ntotal 1", *sys.argv[1:], sep="\\n", flush=True)
if not any(each in sys.argv for each in ("-np", "--until=train", "here/x.csv")):
    print("Finished jobid: 0 (Rule: all)", flush=True)
if "wait" in sys.argv:
    time.sleep(60)
if "fail" in sys.argv:
    print("much", "What stopped, and why:", "train: no", sep="\\n")
    sys.exit(1)
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with a program `snakemake` that only says how it was called."""
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "bin" / "snakemake"
    program.parent.mkdir()
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program.with_name("python")))
    Path("Snakefile").touch()
    Path("workflow/schemas").mkdir(parents=True)
    Path("case.yaml").touch()
    return tmp_path


def test_a_stage_is_a_line_when_all_its_jobs_are_done() -> None:
    stages = Stages()
    said = [line for printed in PRINTED.splitlines() for line in stages.take(printed, 75)]
    assert said == [
        "3 jobs in 2 stages",
        "0:01:15  prepare_image: 2 jobs; 2 of 3 jobs done",
        "0:01:15  train: 1 job; 3 of 3 jobs done",
    ]
    assert stages.log == "/project/.snakemake/log/a.log"


def test_what_the_graph_says_of_config_and_images_is_told() -> None:
    notes = [
        "note: config: experiments.unet: no image of its dataset is of split validation: what then",
        "note: will not be prepared: image b: b.tif: cannot be opened",
        "  The same: image c",
        "train runs again: recipe.steps was 100 and is 200 (results/models/a/fold0)",
    ]
    stages, said = Stages(), list[str]()
    for printed in ("Building DAG of jobs...", *notes, "  Date: today", *PRINTED.splitlines()):
        said += stages.take(f"{printed}\n", 75)
    assert said[:-3] == notes
    assert said[-1] == "0:01:15  train: 1 job; 3 of 3 jobs done"


def test_the_jobs_of_a_dry_run_are_told_once() -> None:
    stages, table = Stages(), PRINTED.splitlines()[1:8]
    assert [said for line in table * 2 for said in stages.take(line, 1)] == ["3 jobs in 2 stages"]


def test_it_runs_snakemake_and_says_how(fake: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command("run", ["case.yaml", "--cores", "3", "--", "--notemp"]) == 0
    said = capfd.readouterr().out
    assert said.splitlines() == [
        "snakemake --cores 3 --resources gpu=1 --configfile case.yaml --notemp",
        "1 jobs in 1 stages",
    ]


def test_it_takes_the_cores_that_it_was_granted(
    fake: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 128)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert run_command("run", ["case.yaml"]) == 0
    assert "snakemake --cores 3 " in capfd.readouterr().out


def test_a_run_ends_with_scores_and_the_place_of_the_report(
    fake: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("case.yaml").write_text("results: here\n")
    headline = Path("here", "report", "headline.txt")
    headline.parent.mkdir(parents=True)
    headline.write_text("report: here/report/index.html\n")
    assert run_command("run", ["case.yaml"]) == 0
    assert capfd.readouterr().out.endswith("\nreport: here/report/index.html\n")
    for more in ("-np", "--until=train", "here/x.csv"):  # it is of an earlier run
        assert run_command("run", ["case.yaml", "--", more]) == 0
    assert run_command("run", ["case.yaml", "--", "--config", "results=there"]) == 0
    assert run_command("run", ["case.yaml", "--", "fail"]) == MENDABLE
    assert "report:" not in capfd.readouterr().out


def test_results_in_the_home_are_found(
    fake: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(fake))
    Path("case.yaml").write_text("results: ~/here\n")
    Path("here/report").mkdir(parents=True)
    Path("here/report/headline.txt").write_text("report: here\n")
    assert run_command("run", ["case.yaml"]) == 0
    assert capfd.readouterr().out.endswith("\nreport: here\n")


def test_a_config_of_another_encoding_is_told(
    fake: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("case.yaml").write_text("results: Zellkörper\n", encoding="latin-1")
    assert run_command("run", ["case.yaml"]) == MENDABLE
    assert "error: case.yaml: is no text in UTF-8" in capfd.readouterr().err


def test_jobs_of_slurm_are_those_of_the_profile(
    fake: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command("run", ["case.yaml", "--slurm"]) == 0
    first = capfd.readouterr().out.splitlines()[0]
    assert first == "snakemake --workflow-profile profiles/slurm --configfile case.yaml"


def test_what_stopped_is_told_once(fake: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command("run", ["case.yaml", "--", "fail"]) == MENDABLE
    assert capfd.readouterr().err.splitlines() == ["What stopped, and why:", "train: no"]


def test_ctrl_c_lets_snakemake_end_its_jobs(fake: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "run", "case.yaml", "--", "wait"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert any("stages" in line for line in iter(process.stdout.readline, ""))
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("Not everything is done.")


def test_elsewhere_than_in_a_clone_the_workflow_is_that_of_the_package(
    fake: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("Snakefile").unlink()
    assert run_command("run", ["case.yaml", "--cores", "3"]) == 0
    assert run_command("run", ["case.yaml", "--slurm"]) == 0
    first, *_, second = [
        line for line in capfd.readouterr().out.splitlines() if line.startswith("snakemake")
    ]
    named = f"snakemake --snakefile {ROOT / 'Snakefile'}"
    assert first == f"{named} --cores 3 --resources gpu=1 --configfile case.yaml"
    profile = ROOT / "profiles" / "slurm"
    assert second == f"{named} --workflow-profile {profile} --configfile case.yaml"


def test_a_config_that_is_not_there_is_told(fake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("run", ["gone.yaml"]) == MENDABLE
    assert "there is no config gone.yaml; `unetflow init FOLDER`" in capsys.readouterr().err


@pytest.mark.slow
def test_a_finished_case_is_up_to_date(
    finished: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished.folder)
    monkeypatch.setenv("PATH", finished.path)
    monkeypatch.setenv("PYTHONPATH", str(finished.folder))
    assert run_command("run", ["config/config.yaml", "--cores", "2"]) == 0
    assert "nothing to be done" in capfd.readouterr().out
