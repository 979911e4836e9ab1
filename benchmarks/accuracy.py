"""Scores of a config's experiments over seeds: python benchmarks/accuracy.py --help.

    python benchmarks/accuracy.py config/dic-hela-cpu.yaml --data DIC --seeds 1 2 3

Each experiment is trained with each seed and calibrated on the validation images, by Snakemake, in
one folder of results: what is there is not made again, and the same command goes on. Test images
are predicted and scored with --test alone, once, when everything is chosen. With --peer MONAI's
U-Net (`benchmarks.monai_unet`) is trained beside them, with the recipe of the first experiment.

Prints the seconds of each training, what the validation images say at the values chosen on them,
and with --test the pooled scores of the test images, Otsu's threshold beside.
"""

import argparse
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

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


def calibrated(results: Path) -> Iterator[dict[str, Any]]:
    """A row for each training: its seconds, and the best of each metric on validation images."""
    for path in sorted(results.glob("calibration/*/fold?.json")):
        name, fold = path.parent.name, path.stem
        receipt = json.loads(path.read_text())
        trained = json.loads((results / f"models/{name}/{fold}/model.run.json").read_text())
        best = {f"{of['metric']} {of['variant']}".strip(): of for of in receipt["thresholds"]}
        yield {
            "experiment": name,
            "fold": fold,
            "training_s": round(trained["seconds"]),
            **{metric: round(best[metric]["value"], 3) for metric in CALIBRATED if metric in best},
            "chosen": json.dumps(receipt["instances"]),
        }


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
    if options.test:
        print(as_markdown(tested(results)))


if __name__ == "__main__":
    main()
