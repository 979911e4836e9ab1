"""A schedule of random kills over the whole pipeline: python benchmarks/restarts.py --of pipeline.

The project of the tests (drawn images, one more slide shared by two jobs, exports) is run again and
again until it is complete, and killed (SIGKILL) at random moments: all processes, as by a power
loss, or one job while Snakemake and the other jobs live. Then its results are compared with those
of an undisturbed run, byte by byte and name by name, and the next round begins from nothing.
"""

import contextlib
import csv
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from pipeline import Project, path_without_slurm, tiny_project

LONGEST = 0.4  # a run is killed before this share of the undisturbed run's time has passed
SCRIPTS = "/.snakemake/scripts/"  # in the command line of a job
COMMAND = ("--resources", "gpu=1", "--nolock")  # SIGKILL leaves the folder locked
# What is not the same each time: run records, logs and times of jobs, the cache of fingerprints,
# checkpoints, which hold times, and what made the report, which shows times.
OWN = ("logs", "benchmarks", "checkpoints")
OWN_FILES = (".sources.json", ".made/report.json", "outcome.jobs.tsv", "provenance.json")
TIMED = "training-"  # figures and tables of the report with seconds


def kill_pipeline(project: Project, kills: int, seed: int) -> bool:
    """Whether the results were the same after each round; prints each kill and each round."""
    chance = random.Random(seed)
    clear(project)
    lasted_s = finish(project)  # and compile what later runs find
    expected = content(project.results)
    print(f"undisturbed: {lasted_s:.0f} s, {len(expected)} files", flush=True)
    print(f"seed {seed}", flush=True)
    met: Counter[str] = Counter()
    ended: list[str] = []
    while met.total() < kills:
        clear(project)
        met += disturb(project, kills - met.total(), chance, LONGEST * lasted_s)
        last_s = finish(project)
        others = different(expected, content(project.results))
        ended.append(f"not equal: {', '.join(others[:5])}" if others else "equal to the byte")
        print(
            f"round {len(ended)}, {met.total()} kills, {last_s:.0f} s more: {ended[-1]}", flush=True
        )
    print("killed: " + ", ".join(f"{what} {count}" for what, count in met.most_common()))
    equal = ended.count("equal to the byte")
    print(f"{met.total()} kills in {len(ended)} rounds, of which {equal} ended equal to the byte")
    return equal == len(ended)


def clear(project: Project) -> None:
    """Take all that a run made away."""
    for made in ("results", "data", ".snakemake"):
        shutil.rmtree(project.folder / made, ignore_errors=True)


def project_in(folder: Path) -> Project:
    """The tests' project, with a slide that two jobs share and frequent checkpoints.

    All rounds are in one folder, where what Numba has compiled once is kept.
    """
    (folder / "project").mkdir()
    project = tiny_project(folder / "project", path_without_slurm(folder))
    config = project.config()
    config["predict"]["parts"] = 2
    config["train"]["checkpoint_s"] = 0.5
    config["experiments"]["unet"]["recipe"] |= {"steps": 60, "validate_every": 20}
    project.write_config(config)
    return project


def disturb(project: Project, most: int, chance: random.Random, longest_s: float) -> Counter[str]:
    """Run it and kill it, until it is complete or was killed so often; what was killed."""
    met: Counter[str] = Counter()
    while met.total() < most:
        after_s, one = chance.uniform(0, longest_s), chance.random() < 0.5
        with (project.folder / "output.txt").open("w+") as output:
            process = project.started(*COMMAND, stdout=output)
            try:
                if process.wait(after_s):
                    sys.exit(f"it failed by itself:\n{(project.folder / 'output.txt').read_text()}")
                break
            except subprocess.TimeoutExpired:
                what = kill(process, one, chance)
        met[what] += 1
        print(f"  {what} after {after_s:.1f} s", flush=True)
    return met


def kill(process: "subprocess.Popen[str]", one: bool, chance: random.Random) -> str:
    """Kill one of the jobs and wait for the end, or all at once where none runs or `one` is not."""
    jobs = {}
    for each in psutil.Process(process.pid).children(recursive=True):
        try:
            scripts = [word for word in each.cmdline() if SCRIPTS in word]
            if scripts:
                jobs[each.pid] = scripts[0].split(".")[-2]
        except psutil.Error:  # it has just ended
            continue
    if not (one and jobs):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return "everything"
    pid = chance.choice(sorted(jobs))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    return jobs[pid]


def finish(project: Project) -> float:
    """Run it to its end; seconds."""
    started_s = time.monotonic()
    done = project.snakemake(*COMMAND)
    if done.status:
        sys.exit(f"it failed:\n{done.text}")
    return time.monotonic() - started_s


def content(results: Path) -> dict[str, bytes]:
    """All files that must be the same each time, by their place; times in them left out."""
    found = {}
    for path in sorted(results.rglob("*")):
        place = path.relative_to(results)
        own = place.parts[0] in OWN or place.parent.name in OWN or str(place) in OWN_FILES
        own |= path.name.startswith(TIMED)
        if path.is_file() and not own and not path.name.endswith(".run.json"):
            found[str(place)] = without_times(path)
    return found


def without_times(path: Path) -> bytes:
    """What is in a file, but for times: those of a training, of the report and of raw files.

    The report also says how large files are, of which run records and checkpoints hold times.
    """
    if path.name == "training.csv":
        rows = csv.DictReader(io.StringIO(path.read_text()))
        return repr([row | {"elapsed_s": ""} for row in rows]).encode()
    if ".made" in path.parts:  # and how raw files look, which are drawn anew
        record = json.loads(path.read_text())
        del record["attempts"]
        for source in record["sources"].values():
            del source["seen"]
        return json.dumps(record, sort_keys=True).encode()
    if path.name == "index.html":
        return re.sub(
            rb'<section id="(provenance|training|repeating)">.*?</section>',
            b"",
            path.read_bytes(),
            flags=re.S,
        )
    return path.read_bytes()


def different(first: dict[str, bytes], second: dict[str, bytes]) -> list[str]:
    """Names of files that only one has, or that are not the same."""
    return sorted(n for n in first.keys() | second.keys() if first.get(n) != second.get(n))
