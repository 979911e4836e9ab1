"""Many small images: seconds of the graph and of the pipeline: python benchmarks/many.py --help.

Draws images with their truth, then runs the pipeline on them with a tiny network and few steps, so
that what is measured is the jobs and not the network.
"""

import argparse
import os
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


def snakemake(file: Path, *options: str) -> float:
    """Seconds of a call in the project's folder."""
    started = time.perf_counter()
    subprocess.run(
        ["snakemake", "--configfile", str(file), "--cores", *options],
        **{"cwd": ROOT, "check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE},
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--side", type=int, default=64, help="pixels")
    parser.add_argument("--images-per-job", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--cores", default="2")
    parser.add_argument("--run-at-most", type=int, default=100, help="jobs of one image each")
    options = parser.parse_args()
    print("| images | images_per_job | graph [s] | everything [s] | again, nothing to do [s] |")
    print("| --- | --- | --- | --- | --- |")
    for count in options.images:
        with tempfile.TemporaryDirectory(prefix="unetflow-many-") as name:
            folder = Path(name)
            draw(folder / "data", count, options.side)
            for together in options.images_per_job:
                file = folder / "config.yaml"
                file.write_text(yaml.safe_dump(config(folder, together)))
                times = [f"{snakemake(file, options.cores, '--dry-run', '--quiet'):.1f}", "", ""]
                if together > 1 or count <= options.run_at_most:
                    times[1] = f"{snakemake(file, options.cores):.0f}"
                    times[2] = f"{snakemake(file, options.cores):.1f}"
                print(f"| {count:,} | {together} | {' | '.join(times)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
