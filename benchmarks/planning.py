"""How long a plan takes: `snakemake -n` over images that are all new, and over prepared ones.

    python benchmarks/planning.py --images 1000 10000 --project another/checkout

One image is prepared by the pipeline; its store, receipt and record then stand for all of them. The
project may be another checkout, to compare with: one that keeps no records is planned without.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import yaml

ROOT = Path(__file__).parents[1]
HEADER = "image\tdataset\tpath\ttruth\tsplit\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="*", default=[1000, 10000], metavar="N")
    parser.add_argument("--project", type=Path, default=ROOT, help="checkout that plans")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print("| images | new files [s] | prepared [s] |\n| --- | --- | --- |")
    for count in options.images:
        with tempfile.TemporaryDirectory() as folder:
            times = measure(options.project.resolve(), Path(folder), count, options.repeats)
        print(f"| {count} | {times[0]:.1f} | {times[1]:.1f} |", flush=True)


def measure(project: Path, folder: Path, count: int, repeats: int) -> tuple[float, float]:
    """Seconds of a first plan, and of one over prepared images: the best of some."""
    write_config(project, folder)
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    for k in range(count):
        tifffile.imwrite(folder / f"i{k}.tif", pixels)
    write_sheet(folder, 1)
    snakemake(project, folder, "results/images/i0.json")
    write_sheet(folder, count)
    first = plan(project, folder)
    for k in range(1, count):
        stand_in(folder, k)
    plan(project, folder)  # remembers what it saw
    return first, min(plan(project, folder) for _ in range(repeats))


def write_config(project: Path, folder: Path) -> None:
    config = yaml.safe_load((project / "config" / "config.yaml").read_text())
    del config["demo"]
    config |= {"images": str(folder / "images.tsv"), "data_dir": str(folder), "export": {}}
    config["results"] = "results"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def write_sheet(folder: Path, count: int) -> None:
    rows = [f"i{k}\tcells\t{{data}}/i{k}.tif\t\tpredict\n" for k in range(count)]
    learnt = [
        f"l{k}\tcells\t{{data}}/i0.tif\t{{data}}/i0.tiff\t{split}\n"
        for k, split in enumerate(("train", "validation", "test"))
    ]
    shutil.copy(folder / "i0.tif", folder / "i0.tiff")
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
    """Seconds of a dry run over all images."""
    shutil.rmtree(folder / ".snakemake", ignore_errors=True)
    started_s = time.perf_counter()
    text = snakemake(project, folder, "-n", "--until", "prepare_image")
    seconds = time.perf_counter() - started_s
    print(text.split("Job stats:")[-1].strip().splitlines()[:6], file=sys.stderr)
    return seconds


def snakemake(project: Path, folder: Path, *arguments: str) -> str:
    command = ["snakemake", "--snakefile", str(project / "Snakefile"), "--cores", "2"]
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
