"""Scores of a config's experiments over seeds: python benchmarks/accuracy.py --help.

    python benchmarks/accuracy.py config/dic-hela-cpu.yaml --data DIC --seeds 1 2 3
    python benchmarks/accuracy.py config/dsb2018-cpu.yaml --data DSB --heads none border distance

Each experiment is trained with each seed and calibrated on the validation images, by Snakemake, in
one folder of results: what is there is not made again, and the same command goes on. Test images
are predicted and scored with --test alone, once, when everything is chosen. With --peer MONAI's
U-Net (`benchmarks.monai_unet`) is trained beside them, with the recipe of the first experiment.
With --heads each experiment is trained with each of these heads: an ablation of the separations,
for which the whole object step is searched.

Prints the seconds of each training, what the validation images say at the values chosen on them,
for each way to separate objects the best that was tried, and with --test the pooled scores of the
test images, Otsu's threshold beside.
"""

import argparse
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from unetflow.store.heads import HEADS

BASE = Path(__file__).parents[1]
CALIBRATED = ("seg", "ap iou 0.5", "pq", "aji", "iou")
TESTED = (*CALIBRATED, "v_rand", "object_errors missed", "object_errors merged")


def seeded(config: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """The config with each experiment once a seed, and results of its own."""
    chosen = options.experiments or list(config["experiments"])
    experiments = {name: config["experiments"][name] for name in chosen}
    if options.peer:
        first = experiments[chosen[0]]
        network = {"name": "benchmarks.monai_unet", "base_channels": options.peer}
        experiments["monai"] = {**first, "network": network, "head": None}
        if first.get("head") is None:
            del experiments["monai"]["head"]
    if options.heads:
        heads: list[str | None] = [None if head == "none" else head for head in options.heads]
        experiments = {
            f"{name}-{head or 'none'}": {**of, "head": head}
            for name, of in experiments.items()
            for head in heads
        }
        searched = ("threshold", "min_area_px", "fill_holes", "max_hole_px", "separate")
        config = {**config, "instances": dict.fromkeys(searched, "auto")}
    made = {
        f"{name}-{seed}": {**of, "recipe": {**of.get("recipe", {}), "seed": seed}}
        for name, of in experiments.items()
        for seed in options.seeds
    }
    return {**config, "results": str(options.out / options.config.stem), "experiments": made}


def run(config: Path, options: argparse.Namespace) -> None:
    """Train and calibrate; with --test all the rest."""
    until = [] if options.test else ["--until", "calibrate"]
    data = ["--config", f"data_dir={options.data}"] if options.data else []
    subprocess.run(
        [
            *("snakemake", "--cores", str(options.cores), "--resources", "gpu=1", "--keep-going"),
            *("--configfile", str(config), *data, *until),
        ],
        cwd=BASE,
        check=True,
    )


def calibrations(results: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The receipt of each calibration, with what it holds."""
    for path in sorted(results.glob("calibration/*/fold?.json")):
        yield path, json.loads(path.read_text())


def staged(results: Path) -> Iterator[dict[str, Any]]:
    """AP at IoU 0.5 of validation images after each part of the object step, without a network."""
    for path, receipt in calibrations(results):
        for name, stages in receipt["stages"].items():
            yield {"experiment": path.parent.name, "fold": path.stem, "class": name, **stages}


def calibrated(results: Path) -> Iterator[dict[str, Any]]:
    """A row for each training: its seconds, and the best of each metric on validation images."""
    for path, receipt in calibrations(results):
        name, fold = path.parent.name, path.stem
        trained = json.loads((results / f"models/{name}/{fold}/model.run.json").read_text())
        best = {f"{of['metric']} {of['variant']}".strip(): of for of in receipt["thresholds"]}
        yield {
            "experiment": name,
            "fold": fold,
            "training_s": round(trained["seconds"]),
            **{metric: round(best[metric]["value"], 3) for metric in CALIBRATED if metric in best},
            **best_by_separation(path.with_suffix("") / "tried.csv"),
            "chosen": json.dumps(receipt["instances"]),
        }


def best_by_separation(tried: Path) -> dict[str, float]:
    """The best score of each way to separate objects, among what the search tried."""
    table = pd.read_csv(tried, keep_default_na=False)  # "none" is a way
    if not {"mean_ap", "separate"} <= {*table.columns}:
        return {}
    best = pd.to_numeric(table["mean_ap"]).groupby(table["separate"]).max()
    return {f"mean AP {way}": round(value, 3) for way, value in best.items()}


def tested(results: Path) -> pd.DataFrame:
    """Pooled scores of the test images' stored instances, by experiment and method."""
    table = pd.read_csv(results / "evaluation/summary.csv").fillna({"variant": ""})
    table["score"] = (table["metric"] + " " + table["variant"]).str.strip()
    wanted = table[table["score"].isin(TESTED) & (table["reduce"] == "pooled")]
    wanted = wanted[wanted["chosen"].isin(("instances", "otsu"))]
    return wanted.pivot_table(
        index=["experiment", "method"], columns="score", values="value", sort=False
    ).reset_index()


def as_markdown(table: pd.DataFrame) -> str:
    """A table as a page of results has it."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.round(3).values.tolist()]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", type=Path, help="data_dir, in place of the config's")
    parser.add_argument("--experiments", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--heads", nargs="+", choices=("none", *HEADS), help="train with each")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--peer", type=int, metavar="BASE", help="MONAI's, of these base channels")
    parser.add_argument("--test", action="store_true", help="score the test images, at the end")
    parser.add_argument("--out", type=Path, default=Path("results/accuracy"))
    options = parser.parse_args()
    made = seeded(yaml.safe_load(options.config.read_text()), options)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.config.stem}.yaml"
    path.write_text(yaml.safe_dump(made, sort_keys=False))
    run(path, options)
    results = Path(made["results"])
    print(as_markdown(pd.DataFrame(calibrated(results))))
    print(
        "\nAP at IoU 0.5 of validation images: of their truth as the network is asked for it, with"
    )
    print(
        "holes filled, taken apart; of the foreground cut as the truth is, and by the object step"
    )
    print(as_markdown(pd.DataFrame(staged(results))))
    if options.test:
        print(as_markdown(tested(results)))


if __name__ == "__main__":
    main()
