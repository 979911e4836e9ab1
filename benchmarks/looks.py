"""How often one job looks at files, by the number of images: python benchmarks/looks.py --help.

A job is what an executor starts on a node: Snakemake in mode `remote`, with one target. strace
counts the calls that ask the file system for a name (newfstatat, statx, openat, access, readlink),
all and those for a raw file. Both are to be the same for any number of images.
"""

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

from planning import ROOT, prepare_sheet, snakemake

CALLS = "newfstatat,statx,stat,lstat,openat,access,faccessat2,readlink"


def looks(project: Path, folder: Path) -> tuple[int, int]:
    """Calls of the job that prepares the first image: all, and for raw files."""
    trace = folder / "trace.txt"
    snakemake(
        project,
        folder,
        *("--mode", "remote", "--force", "--nolock", "--allowed-rules", "prepare_image"),
        *("--target-jobs", "prepare_image:bundle=i0", "--target-files-omit-workdir-adjustment"),
        before=("strace", "-f", "-qq", "-e", f"trace={CALLS}", "-o", str(trace)),
    )
    lines = trace.read_text(errors="replace").splitlines()
    calls = [line for line in lines if re.match(r"\d+ +\w+\(", line)]
    raw = re.compile(rf'"{re.escape(str(folder))}/\w+\.tiff?"')
    return len(calls), sum(1 for line in calls if raw.search(line))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="*", default=[100, 1000], metavar="N")
    parser.add_argument("--project", type=Path, default=ROOT, help="checkout that runs")
    options = parser.parse_args()
    if not any((Path(place) / "strace").exists() for place in os.environ["PATH"].split(":")):
        sys.exit("strace is needed")
    print("| images | calls of a job | of them for raw files |\n| --- | --- | --- |")
    for count in options.images:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder, "case").resolve()
            prepare_sheet(options.project.resolve(), place, count)
            every, raw = looks(options.project.resolve(), place)
        print(f"| {count:,} | {every:,} | {raw:,} |", flush=True)


if __name__ == "__main__":
    main()
