"""How long a plan takes, and how much memory: `snakemake -n` over a cohort, new and up to date.

    python benchmarks/planning.py --images 100 1000 10000 --cohort annotated segmented

A cohort is annotated (8 of 10 images train, one validates, one is tested) or to be segmented (with
three that are annotated). After the first plan each job of the graph gets what it would leave:
small files as its outputs, its record in `.made/`, Snakemake's own notes. The plan that follows
finds all of it up to date. Nothing is computed, so that a cohort of ten thousand is finished in a
minute. Seconds are those of the processor (user and system), which other work on the machine
changes less. The project may be another checkout.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
import yaml

ROOT = Path(__file__).parents[1]
HEADER = "image\tdataset\tpath\ttruth\tsplit\n"
COHORTS = ("annotated", "segmented")
EVERY = {"train": 8, "validation": 1, "test": 1}  # of ten annotated images
LEFT = {  # what planning may ask of a receipt
    "shape": [1, 64, 64],
    "dtype": "uint8",
    "levels": [{"shape": [1, 64, 64]}],
    "unreadable": [],
}
FINISH = "--finish"  # this program as Snakemake, whose jobs are given what they would leave


class Plan(NamedTuple):
    """What a dry run took, and how many jobs it lists."""

    seconds: float  # of the processor
    peak_mib: float
    jobs: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="*", default=[1000, 10000], metavar="N")
    parser.add_argument("--cohort", nargs="*", choices=COHORTS, default=COHORTS)
    parser.add_argument("--project", type=Path, default=ROOT, help="checkout that plans")
    parser.add_argument("--profile", default="default", help="of the project")
    options = parser.parse_args()
    project = options.project.resolve()
    print("| cohort | images | jobs | new [s] | [MiB] | up to date [s] | [MiB] |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for cohort in options.cohort:
        for count in options.images:
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place, "case").resolve()
                prepare_sheet(project, folder, count, cohort)
                new = plan(project, folder, options.profile)
                snakemake(project, folder, "-n", program=(sys.executable, __file__, FINISH))
                again = plan(project, folder, options.profile)
            if again.jobs:
                sys.exit(f"{again.jobs} jobs are not up to date")
            print(
                f"| {cohort} | {count:,} | {new.jobs:,} | {new.seconds:.1f} | {new.peak_mib:.0f} | "
                f"{again.seconds:.1f} | {again.peak_mib:.0f} |",
                flush=True,
            )


def prepare_sheet(project: Path, folder: Path, count: int, cohort: str = "segmented") -> None:
    """A case of so many images, each of which has a job of its own for each step."""
    folder.mkdir()
    write_config(project, folder)
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    rows = []
    for name, split in rows_of(count, cohort):
        tifffile.imwrite(folder / f"{name}.tif", pixels)
        truth = ""
        if split != "predict":
            tifffile.imwrite(folder / f"{name}.tiff", pixels)
            truth = f"{{data}}/{name}.tiff"
        rows.append(f"{name}\tcells\t{{data}}/{name}.tif\t{truth}\t{split}\n")
    (folder / "images.tsv").write_text(HEADER + "".join(rows))


def rows_of(count: int, cohort: str) -> Iterator[tuple[str, str]]:
    """Names and splits of a cohort's images."""
    if cohort == "segmented":
        yield from ((split, split) for split in EVERY)
        yield from ((f"i{k}", "predict") for k in range(count))
        return
    splits = [split for split, number in EVERY.items() for _ in range(number)]
    yield from ((f"i{k}", splits[k % len(splits)]) for k in range(count))


def write_config(project: Path, folder: Path) -> None:
    config = yaml.safe_load((project / "config" / "config.yaml").read_text())
    del config["demo"]
    config |= {"images": str(folder / "images.tsv"), "data_dir": str(folder), "export": {}}
    config["results"] = "results"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def plan(project: Path, folder: Path, profile: str) -> Plan:
    """A dry run of everything, in a process of its own."""
    command = snakemake_of(project, folder, "-n", "--quiet", "rules", profile=profile)
    with (folder / "said.txt").open("w+") as said:
        process = subprocess.Popen(
            command, env=environment(project), stdout=said, stderr=subprocess.STDOUT
        )
        _, status, used = os.wait4(process.pid, 0)
        said.seek(0)
        text = said.read()
    if status:
        sys.exit(text)
    total = re.search(r"^total +(\d+)", text, re.MULTILINE)
    jobs = int(total[1]) - 1 if total else 0  # but for rule all
    return Plan(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, jobs)


def snakemake(
    project: Path,
    folder: Path,
    *arguments: str,
    before: Sequence[str] = (),
    program: Sequence[str] = ("snakemake",),
) -> str:
    command = [*before, *snakemake_of(project, folder, *arguments, program=program)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(project))
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout + done.stderr


def snakemake_of(
    project: Path,
    folder: Path,
    *arguments: str,
    profile: str = "default",
    program: Sequence[str] = ("snakemake",),
) -> list[str]:
    """The command of a run of the case in this folder."""
    command = [*program, "--snakefile", str(project / "Snakefile"), "--cores", "2"]
    command += ["--workflow-profile", str(project / "profiles" / profile)]
    command += ["--directory", str(folder), "--configfile", str(folder / "config.yaml")]
    return command + (list(arguments) if arguments[0].startswith("-") else ["--", *arguments])


def environment(project: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(project)}


def finish(arguments: Sequence[str]) -> None:
    """Snakemake itself, but each job of the graph is given what it would leave, and none runs."""
    from snakemake.cli import main as snakemake_main
    from snakemake.scheduling.job_scheduler import JobScheduler

    def schedule(self: Any) -> bool:
        dag, workflow = self.workflow.dag, self.workflow
        new = {job for job in dag.needrun_jobs() if job.output}
        for layer in dag.toposorted():
            for job in new.intersection(layer):
                finish_job(job)
                workflow.async_run(workflow.persistence.finished(job))
        return True

    JobScheduler.schedule = schedule
    snakemake_main(list(arguments))


def finish_job(job: Any) -> None:
    """Outputs, stores and record of a job."""
    from unetflow.jobs.makings import recorded

    making = job.params.making
    receipt = json.dumps(LEFT | {"sources": dict.fromkeys(("path", "truth", "tissue"))})
    with recorded(making, job.input):
        for place in job.output:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            Path(place).write_text(receipt if place.endswith(".json") else "nothing\n")
        for store in making["stores"]:
            Path(store).mkdir(parents=True, exist_ok=True)
            Path(store, "zarr.json").touch()


if __name__ == "__main__":
    if FINISH in sys.argv[1:2]:
        finish(sys.argv[2:])
    else:
        main()
