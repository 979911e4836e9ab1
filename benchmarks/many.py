"""Many small images: seconds of the graph and of the pipeline: python benchmarks/many.py --help.

Draws images with their truth, then runs the pipeline on them with a tiny network and few steps, so
that what is measured is the jobs and not the network.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import yaml

ROOT = Path(__file__).parents[1]
SHARES = (("train", 0.6), ("validation", 0.1), ("test", 0.3))


def draw(folder: Path, count: int, side_px: int) -> None:
    """Images of bright squares in noise, their truths, and the sheet."""
    random = np.random.default_rng(0)
    folder.mkdir()
    rows = ["image\tdataset\tpath\ttruth\tsplit"]
    splits = [split for split, share in SHARES for _ in range(round(share * count))]
    for number, split in enumerate(splits):
        truth = np.zeros((side_px, side_px), np.uint16)
        for label, (y, x) in enumerate(random.integers(0, side_px - 10, (5, 2)), start=1):
            truth[y : y + 10, x : x + 10] = label
        noise = random.normal(80, 20, truth.shape)
        image = np.where(truth > 0, noise + 90, noise).clip(0, 255).astype(np.uint8)
        tifffile.imwrite(folder / f"{number}.tif", image)
        tifffile.imwrite(folder / f"{number}-truth.tif", truth)
        rows.append(
            f"image-{number}\tsmall\t{{data}}/{number}.tif\t{{data}}/{number}-truth.tif\t{split}"
        )
    (folder / "images.tsv").write_text("\n".join(rows) + "\n")


def config(folder: Path, images_per_job: int) -> dict[str, Any]:
    return {
        "results": str(folder / f"results-{images_per_job}"),
        "images": str(folder / "data" / "images.tsv"),
        "data_dir": str(folder / "data"),
        "datasets": {"small": {"truth": "instances", "images_per_job": images_per_job}},
        "weighting": {"paper": {}},
        "experiments": {
            "unet": {
                "dataset": "small",
                "weighting": "paper",
                "network": {"name": "unet", "base_channels": 4, "depth": 2},
                "recipe": {"tile_px": 92, "steps": 20, "validate_every": 20},
            }
        },
    }


def snakemake(file: Path, *options: str) -> tuple[float, str]:
    """Seconds of a call in the project's folder, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(
        ["snakemake", "--configfile", str(file), "--cores", *options],
        **{"cwd": ROOT, "capture_output": True, "text": True},
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    seconds, printed = time.perf_counter() - started, done.stdout + done.stderr
    if done.returncode:
        raise SystemExit(printed)
    return seconds, printed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--side", type=int, default=64, help="pixels")
    parser.add_argument("--images-per-job", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--cores", default="2")
    parser.add_argument("--run-at-most", type=int, default=100, help="jobs of one image each")
    options = parser.parse_args()
    columns = ("images", "images_per_job", "jobs", "graph [s]", "everything [s]", "again [s]")
    print("| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns))
    for count in options.images:
        with tempfile.TemporaryDirectory(prefix="unetflow-many-") as name:
            folder = Path(name)
            draw(folder / "data", count, options.side)
            for together in options.images_per_job:
                file = folder / "config.yaml"
                file.write_text(yaml.safe_dump(config(folder, together)))
                graph_s, printed = snakemake(file, options.cores, "--dry-run")
                jobs = re.findall(r"^total +(\d+)", printed, re.MULTILINE)[0]
                cells = [f"{count:,}", f"{together}", jobs, f"{graph_s:.1f}", "not run", ""]
                if together > 1 or count <= options.run_at_most:
                    cells[4:] = [f"{snakemake(file, options.cores)[0]:.1f}" for _ in range(2)]
                print("| " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
