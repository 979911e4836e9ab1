"""How long a plan takes: `snakemake -n` over images that are all new, and over prepared ones.

    python benchmarks/planning.py --images 1000 10000 --project another/checkout

One image is prepared by the pipeline; its store, receipt and record then stand for all of them. The
project may be another checkout, to compare with: one that keeps no records is planned without.
Seconds are those of the processor, which other work on the machine hardly changes; both projects
take turns where --against names the second.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import tifffile
import yaml

ROOT = Path(__file__).parents[1]
HEADER = "image\tdataset\tpath\ttruth\tsplit\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="*", default=[1000, 10000], metavar="N")
    parser.add_argument("--project", type=Path, default=ROOT, help="checkout that plans")
    parser.add_argument("--against", type=Path, help="another one, planned in turns")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    projects = [each.resolve() for each in (options.project, options.against) if each]
    print("| images | project | new files [s] | prepared [s] |\n| --- | --- | --- | --- |")
    for count in options.images:
        with tempfile.TemporaryDirectory() as folder:
            folders = [Path(folder, str(k)) for k in range(len(projects))]
            first = [
                prepare(project, each, count)
                for project, each in zip(projects, folders, strict=True)
            ]
            again = [
                [plan(project, each) for project, each in zip(projects, folders, strict=True)]
                for _ in range(options.repeats)
            ]
        for k, project in enumerate(projects):
            seconds = [each[k] for each in again]
            print(
                f"| {count} | {project.name} | {first[k]:.1f} | {median(seconds):.1f} "
                f"({min(seconds):.1f} to {max(seconds):.1f}) |",
                flush=True,
            )


def prepare(project: Path, folder: Path, count: int) -> float:
    """Seconds of a first plan; afterwards all images are as if they were prepared."""
    prepare_sheet(project, folder, count)
    write_sheet(folder, 1)
    snakemake(project, folder, "results/images/i0.json")
    write_sheet(folder, count)
    first = plan(project, folder)
    for k in range(1, count):
        stand_in(folder, k)
    plan(project, folder)  # remembers what it saw
    return first


def prepare_sheet(project: Path, folder: Path, count: int) -> None:
    """A case of so many images."""
    folder.mkdir()
    write_config(project, folder)
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    for k in range(count):
        tifffile.imwrite(folder / f"i{k}.tif", pixels)
    write_sheet(folder, count)


def write_config(project: Path, folder: Path) -> None:
    config = yaml.safe_load((project / "config" / "config.yaml").read_text())
    del config["demo"]
    config |= {"images": str(folder / "images.tsv"), "data_dir": str(folder), "export": {}}
    config["results"] = "results"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def write_sheet(folder: Path, count: int) -> None:
    rows = [f"i{k}\tcells\t{{data}}/i{k}.tif\t\tpredict\n" for k in range(count)]
    learnt = []
    for split in ("train", "validation", "test"):
        learnt.append(f"{split}\tcells\t{{data}}/{split}.tif\t{{data}}/{split}.tiff\t{split}\n")
        for name in (f"{split}.tif", f"{split}.tiff"):
            shutil.copy(folder / "i0.tif", folder / name)
    (folder / "images.tsv").write_text(HEADER + "".join(learnt + rows))


def stand_in(folder: Path, number: int) -> None:
    """The results of the first image as those of another."""
    images, made = folder / "results" / "images", folder / "results" / ".made" / "prepare_image"
    shutil.copy(images / "i0.json", images / f"i{number}.json")
    (images / f"i{number}.ome.zarr").symlink_to(images / "i0.ome.zarr")
    if made.exists():
        from unetflow.images.sources import seen

        text = (made / "i0.json").read_text()
        record = json.loads(text.replace("i0", f"i{number}"))
        for source in record["sources"].values():
            source["seen"] = seen([Path(file) for file in source["files"]])
        (made / f"i{number}.json").write_text(json.dumps(record))


def plan(project: Path, folder: Path) -> float:
    """Seconds of the processor for a dry run over all images."""
    shutil.rmtree(folder / ".snakemake", ignore_errors=True)
    before_s = children_s()
    text = snakemake(project, folder, "-n", "--until", "prepare_image")
    seconds = children_s() - before_s
    print(text.split("Job stats:")[-1].strip().splitlines()[:6], file=sys.stderr)
    return seconds


def children_s() -> float:
    """Seconds of the processor that ended processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def snakemake(project: Path, folder: Path, *arguments: str, before: Sequence[str] = ()) -> str:
    command = [*before, "snakemake", "--snakefile", str(project / "Snakefile"), "--cores", "2"]
    command += ["--workflow-profile", str(project / "profiles" / "default")]
    command += ["--directory", str(folder), "--configfile", str(folder / "config.yaml")]
    command += ["--", *arguments] if not arguments[0].startswith("-") else [*arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(project)},
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
