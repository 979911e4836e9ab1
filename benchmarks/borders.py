"""Scores of two checkouts, and errors by distance to the image's border.

    python benchmarks/borders.py config/config.yaml --against ../other --seeds 1 2 3

For changes of how patches are drawn. In each checkout one run of the pipeline from raw images to
the scores, with an experiment for each seed of the config's only one, in a folder of its own. The
errors are those of pixels of the test images at the threshold that the validation images chose by
IoU, in rings around the border. Nothing but public names, rules and paths of results is used: the
modules behind them may differ. A run that fails is said, and its rows are left out. Beside jobs of
others take --cores 1: threads of one training wait for one another then.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
import zarr
from short import check, commit_of, environment, machine  # the program beside this one

from unetflow.labels import separate_touching

ROOT = Path(__file__).parents[1]
RINGS_PX = (0, 1, 4, 8, 32)  # distances to the border that a ring begins at
SCORES = (("iou", ""), ("seg", ""), ("ap", "iou 0.5"))
TARGET = "evaluation/summary.csv"


def with_seeds(config: dict[str, Any], options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The config with an experiment for each seed, and without images that have no truth."""
    ((name, experiment),) = config["experiments"].items()
    changes = {"steps": options.steps, "validate_every": options.steps and options.steps // 5}
    recipe = experiment["recipe"] | {key: value for key, value in changes.items() if value}
    sheet = pd.read_csv(ROOT / config["images"], sep="\t", dtype=str, keep_default_na=False)
    sheet[sheet["split"] != "predict"].to_csv(folder / "images.tsv", sep="\t", index=False)
    made = config | {"results": "results", "images": str(folder / "images.tsv")}
    made["datasets"] = {
        dataset: of | {"images_per_job": 32} for dataset, of in config["datasets"].items()
    }
    if options.data:
        made["data_dir"] = str(options.data.resolve())
    made["experiments"] = {
        f"{name}-{seed}": experiment | {"recipe": recipe | {"seed": seed}} for seed in options.seeds
    }
    return made


def run_pipeline(root: Path, folder: Path, cores: int) -> Path | None:
    """The results of a checkout's run; None where it failed, which is said."""
    command = [sys.executable, "-m", "snakemake", f"results/{TARGET}", "--cores", str(cores)]
    command += ["--directory", str(folder), "--snakefile", str(root / "Snakefile")]
    command += ["--configfile", str(folder / "config.yaml"), "--quiet", "all"]
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(cores))}
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=root, env=environment(root) | threads, capture_output=True, text=True
    )
    print(f"{root.name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    if done.returncode:
        print(f"{root}: FAILED\n{done.stdout[-2000:]}{done.stderr[-2000:]}", file=sys.stderr)
        return None
    return folder / "results"


def errors_by_ring(results: Path, experiment: str, scores: pd.DataFrame) -> list[float]:
    """Share of wrong pixels in each ring, pooled over the test images."""
    wrong, pixels = np.zeros((2, len(RINGS_PX)), int)
    of = scores[(scores["experiment"] == experiment) & (scores["metric"] == "iou")]
    of = of[(of["chosen"] == "validation") & (of["split"] == "test")]
    for fold, image, threshold in zip(of["fold"], of["image"], of["threshold"], strict=True):
        truth = zarr.open_group(results / f"images/{image}.ome.zarr/labels", mode="r")
        labels, ignore = (np.asarray(truth[f"{name}/0"][:]) for name in ("truth", "ignore"))
        found = zarr.open_group(
            results / f"predictions/{experiment}/fold{fold}/{image}.ome.zarr", mode="r"
        )
        above = np.asarray(found["foreground"][0]) / 255 > float(threshold)
        differs = (above != (separate_touching(labels) != 0)) & (ignore == 0)
        rings = np.searchsorted(RINGS_PX, from_border(labels.shape), side="right") - 1
        wrong += np.bincount(rings[differs], minlength=len(RINGS_PX))
        pixels += np.bincount(rings[ignore == 0], minlength=len(RINGS_PX))
    errors: list[float] = (wrong / pixels).tolist()
    return errors


def from_border(shape_YX: tuple[int, ...]) -> np.ndarray:
    """Distance of each pixel to the nearest border [px]; 0 is the outermost line."""
    rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in shape_YX)
    return np.minimum(rows[:, None], columns[None])


def rows_of(name: str, results: Path, experiments: Sequence[str]) -> list[list[str]]:
    """A line of the table for each experiment."""
    summary = pd.read_csv(results / TARGET, keep_default_na=False)
    scores = pd.read_csv(results / "evaluation/metrics.csv", keep_default_na=False, dtype=str)
    summary = summary[(summary["reduce"] == "mean") & (summary["method"] != "otsu")]
    rows = []
    for experiment in experiments:
        cells = [name, experiment]
        for metric, variant in SCORES:
            of = summary[(summary["experiment"] == experiment) & (summary["metric"] == metric)]
            of = of[(of["variant"] == variant) & of["chosen"].isin(["validation", "instances"])]
            cells.append(f"{float(of['value'].iloc[-1]):.4f}" if len(of) else "")
        cells += [f"{error:.4f}" for error in errors_by_ring(results, experiment, scores)]
        rows.append(cells)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("config", type=Path)
    parser.add_argument("--against", type=Path, help="the old checkout; this one is the new one")
    parser.add_argument("--data", type=Path, help="instead of the config's data_dir")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    against = {"old": options.against.resolve()} if options.against else {}
    roots = {**against, "new": ROOT}
    print(f"{machine()}; {options.cores} cores")
    for name, root in roots.items():
        check(root)
        print(f"{name}: {root.name} at {commit_of(root)}", flush=True)
    bounds = [f"{a} to {b - 1} px" for a, b in itertools.pairwise(RINGS_PX)]
    heads = ["checkout", "experiment", "IoU", "SEG", "AP at IoU 0.5"]
    heads += [f"error {ring}" for ring in (*bounds, f"{RINGS_PX[-1]} px and more")]
    print(f"\n| {' | '.join(heads)} |\n{'| --- ' * len(heads)}|")
    with tempfile.TemporaryDirectory(prefix="unetflow-borders-") as temporary:
        config = with_seeds(yaml.safe_load(options.config.read_text()), options, Path(temporary))
        for name, root in roots.items():
            folder = Path(temporary) / name
            folder.mkdir()
            (folder / "config.yaml").write_text(yaml.safe_dump(config))
            if results := run_pipeline(root, folder, options.cores):
                for cells in rows_of(name, results, list(config["experiments"])):
                    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
