"""Two checkouts in turns, in ten minutes: python benchmarks/short.py --against ../other.

Prediction, training, preparation, metrics and starts, for changes that must not cost speed. Each
measurement is a process of its own, in the folder of its checkout and with that checkout's
`unetflow`. Nothing but public names, commands, rules and paths of results is used: the modules
behind them may differ. Both are warmed up first, so that what numba compiles and Python caches is
there. Without --against: this checkout alone. On the CPU, with two threads; beside jobs of others
those wait for each other (a training took 20 times as long), which OMP_NUM_THREADS=1 avoids; then
CPU time is what tells a slower program from a disturbed one.
"""

import argparse
import csv
import importlib.metadata
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
import yaml

THREADS = os.environ.get("OMP_NUM_THREADS", "2")  # of all that is run
LIMIT = 1.05  # of new / old: what is called slower
BUSY = 0.1  # cores that others took in a round: what is called disturbed
# glibc keeps what is freed, as in jobs. Else it is chance, by the layout of the heap, how many
# pages a call takes anew: one `predict_array` takes 1.6 s in a process and 1.9 s in the next.
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
LIBRARIES = ("torch", "numpy", "scipy", "numba", "zarr", "tensorstore", "snakemake")
IMAGES = (("train", 1024), ("validation", 512), ("test", 1536))
STEPS = 80
MODEL = "run/results/models/unet/fold0/model.safetensors"
TARGETS = ("results/integrity.csv", "results/evaluation/unet/fold0/test.csv")
STAGES = {
    **{"rule prepare_image": "images/*", "rule prepare_truth": "truth/*"},
    **{"rule weights": "weights/*/*", f"rule train, {STEPS} steps": "models/*/*/model"},
    **{"rule predict": "predictions/*/*/foreground/*", "rule calibrate": "calibration/*/*"},
    **{"rule instances": "predictions/*/*/instances/*", "rule evaluate": "evaluation/*/*/*"},
}

Spent = Sequence[float] | np.ndarray  # seconds by the clock, and of CPU time; NaN: not known
Seconds = dict[str, Spent]  # of each measure, by its name
Round = dict[str, Seconds]  # by the checkout's name


class Checkout(NamedTuple):
    name: str  # old or new
    root: Path
    folder: Path  # where its runs write


def environment(root: Path) -> dict[str, str]:
    """That of a job, with the package of a checkout; bytecode is kept."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    pools = dict.fromkeys(("OMP", "MKL", "OPENBLAS", "NUMBA"), THREADS)
    return {
        **kept,
        **{f"{pool}_NUM_THREADS": count for pool, count in pools.items()},
        **{"MALLOC_ARENA_MAX": "1", "PYTHONHASHSEED": "0", "CUDA_VISIBLE_DEVICES": ""},
        **{"PYTHONPATH": str(root)},
    }


def clocks() -> np.ndarray:
    """Seconds by the clock, and of CPU time of this process and of those it has waited for."""
    ours = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return np.array([time.perf_counter(), sum(of.ru_utime + of.ru_stime for of in ours)])


def python(root: Path, *arguments: object, **more: str) -> tuple[np.ndarray, str]:
    """What Python with a checkout's package takes, start and end included, and what it printed."""
    command, environs = [sys.executable, *map(str, arguments)], environment(root) | more
    started = clocks()
    done = subprocess.run(command, cwd=root, env=environs, capture_output=True, text=True)
    spent = clocks() - started
    if done.returncode:
        raise SystemExit(f"{root}: {' '.join(command)}\n{done.stdout}{done.stderr}")
    return spent, done.stdout


def check(root: Path) -> None:
    """Refuse a folder whose `unetflow` is not the one that its processes import."""
    file = python(root, "-c", "import unetflow; print(unetflow.__file__)")[1].strip()
    if Path(file).resolve().parents[1] != root:
        raise SystemExit(f"{root}: imports {file}; give the root folder of a checkout")


# What is measured, each in processes of its own


def pipeline(of: Checkout) -> Seconds:
    """The graph, a run from raw images to scores, and what its stages say that they took."""
    run = of.folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    snakemake: list[object] = ["-m", "snakemake", *TARGETS, "--cores", THREADS]
    snakemake += ["--directory", run, "--snakefile", of.root / "Snakefile"]
    snakemake += ["--configfile", of.folder.parent / "config.yaml"]
    graph, _ = python(of.root, *snakemake, "--dry-run")
    whole, _ = python(of.root, *snakemake)
    found: Seconds = {"snakemake --dry-run": graph, "pipeline to the scores": whole}
    for name, pattern in STAGES.items():
        paths = sorted((run / "results").glob(f"{pattern}.run.json"))
        if not paths:
            raise SystemExit(f"{of.root}: the run left no {pattern}.run.json")
        records = [json.loads(path.read_text()) for path in paths]
        seconds = sum(record.get("training_s", record["seconds"]) for record in records)
        found[name] = seconds, np.nan
    with (run / "results/benchmarks/integrity.tsv").open() as file:
        (row,) = csv.DictReader(file, delimiter="\t")
    found["a small job (integrity)"] = float(row["s"]), np.nan
    return found


def command(of: Checkout) -> Seconds:
    """The command that segments an image, with the network of the last run: foreground, objects."""
    if not (of.folder / MODEL).exists():
        pipeline(of)
    data, output = of.folder.parent, of.folder / "out.ome.zarr"
    shutil.rmtree(output, ignore_errors=True)
    files = (of.folder / MODEL, data / "test.tif", output)
    options = ("--cpu", "--threads", THREADS, "--min-area-px", "20", "--fill-holes")
    spent, _ = python(of.root, "-m", "unetflow.predict", *files, *options)
    return {"python -m unetflow.predict, 1536 px": spent}


def starts(of: Checkout) -> Seconds:
    """Imports of the public doors, and a command that does nothing; the least of two."""
    calls = {
        "import unetflow.predict": ("-c", "import unetflow.predict"),
        "import unetflow.weights, .instances": (
            "-c",
            "import unetflow.weights, unetflow.instances",
        ),
        "python -m unetflow.metrics --help": ("-m", "unetflow.metrics", "--help"),
    }
    return {
        name: np.min([python(of.root, *arguments)[0] for _ in range(2)], axis=0)
        for name, arguments in calls.items()
    }


def inside(of: Checkout) -> Seconds:
    """Calls of the public functions, one process for those with torch and one for those without."""
    found: Seconds = {}
    for name in CALLS:
        child = (__file__, "--inside", name, "--folder", of.folder.parent)
        _, printed = python(of.root, *child, **KEPT)
        found |= json.loads(printed.splitlines()[-1])
    return found


GROUPS = {group.__name__: group for group in (pipeline, command, starts, inside)}


# What runs inside such a process: `unetflow` is imported in these functions only


def draw(folder: Path) -> None:
    """Cells with their labels for the pipeline and the metrics, the sheet and the config."""
    from metrics import cells, prediction_of, proposal_of  # the program beside this one

    rows = ["image\tdataset\tpath\ttruth\tsplit"]
    for seed, (split, side_px) in enumerate(IMAGES):
        truth = cells(side_px, seed)
        image = (40 + 160 * proposal_of(truth, seed)).astype(np.uint8)
        tifffile.imwrite(folder / f"{split}.tif", image)
        tifffile.imwrite(folder / f"{split}-truth.tif", truth.astype(np.uint16))
        rows.append(f"{split}\tcells\t{{data}}/{split}.tif\t{{data}}/{split}-truth.tif\t{split}")
    (folder / "images.tsv").write_text("\n".join(rows) + "\n")
    recipe = {"tile_px": 284, "steps": STEPS, "validate_every": STEPS // 2, "seed": 1}
    network = {"name": "unet", "base_channels": 8, "depth": 3}
    config = {
        **{"results": "results", "images": str(folder / "images.tsv"), "data_dir": str(folder)},
        **{"datasets": {"cells": {"truth": "instances"}}, "weighting": {"paper": {}}},
        "experiments": {
            "unet": {"dataset": "cells", "weighting": "paper", "network": network, "recipe": recipe}
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    labels, truth = cells(4096), cells(2048)
    drawn = {"labels": labels, "predicted": prediction_of(labels), "truth": truth}
    for name, array in {**drawn, "proposal": proposal_of(truth)}.items():
        np.save(folder / f"{name}.npy", array)


def calls_with_torch(folder: Path) -> dict[str, Callable[[], Any]]:
    import torch

    from unetflow.networks import build
    from unetflow.predict import predict_array

    torch.manual_seed(0)
    network = build("unet", base_channels=16, depth=4)
    image = np.load(folder / "proposal.npy")[None, :1100, :1100] - np.float32(0.5)
    return {"predict_array, 1100 px": lambda: predict_array(network, image, write_px=512)}


def calls_without(folder: Path) -> dict[str, Callable[[], Any]]:
    from unetflow import metrics
    from unetflow.instances import label_instances
    from unetflow.weights import weight_map

    names = ("labels", "predicted", "truth", "proposal")
    labels, predicted, truth, proposal = (np.load(folder / f"{name}.npy") for name in names)
    true, proposed = (image[:512, :256].reshape(2, 256, 256) for image in (truth, proposal))
    part = np.ascontiguousarray(proposal[:1024, :1024])
    clean: dict[str, Any] = {"min_area_px": 20, "fill_holes": True}
    return {
        "seg_score, 4096 px": lambda: metrics.seg_score(labels, predicted),
        "average_precision, 4096 px": lambda: metrics.average_precision(labels, predicted),
        "rand_score, 2048 px": lambda: metrics.rand_score(truth, proposal),
        "rand_score thinned": lambda: metrics.rand_score(truth, proposal, thinned=True),
        "warping_error, 2048 px": lambda: metrics.warping_error(truth, proposal),
        "region_tables, 2048 px": lambda: metrics.region_tables(truth, proposal, [0.3, 0.5, 0.7]),
        "isbi2012_scores, 2 x 256 px": lambda: metrics.isbi2012_scores(true, proposed),
        "weight_map, 2048 px": lambda: weight_map(truth, threads=int(THREADS)),
        "label_instances, 1024 px": lambda: label_instances(part, split_px=None, **clean),
        "label_instances, clumps": lambda: label_instances(part, split_px=3, **clean),
    }


CALLS = {"torch": calls_with_torch, "without": calls_without}


def least_of_two(call: Callable[[], Any]) -> list[float]:
    """What a call takes, after one that loads what is compiled."""
    call()
    ended = [clocks()]
    for _ in range(2):
        call()
        ended.append(clocks())
    least: list[float] = np.diff(ended, axis=0).min(axis=0).tolist()
    return least


# Rounds and table


def of_all_s() -> float:
    """CPU seconds of this machine since its start; NaN where there is no /proc/stat."""
    if not Path("/proc/stat").exists():
        return np.nan
    user, nice, system, _, _, *interrupts, stolen = Path("/proc/stat").read_text().split()[1:9]
    ticks = map(int, (user, nice, system, *interrupts, stolen))
    return sum(ticks) / os.sysconf("SC_CLK_TCK")


def one_round(checkouts: Sequence[Checkout], groups: Sequence[str]) -> tuple[Round, float]:
    """Seconds of each measure by checkout, group after group, the checkouts in turns in each.

    And how many cores others kept busy meanwhile.
    """
    found: Round = {of.name: {} for of in checkouts}
    started, before_s = clocks(), of_all_s()
    for group in groups:
        for of in checkouts:
            found[of.name] |= GROUPS[group](of)
    elapsed_s, ours_s = clocks() - started
    others = (of_all_s() - before_s - ours_s) / elapsed_s
    print(f"{elapsed_s:.0f} s, others took {others:.2f} cores", file=sys.stderr, flush=True)
    return found, others


def table(rounds: Sequence[Round], names: Sequence[str]) -> list[str]:
    """Lines of Markdown: medians, their ratios, least to most; then the ratios above `LIMIT`."""
    head = ["measure", *(f"{name} [s]" for name in names)]
    head += ["new / old", "CPU, new / old"] if len(names) == 2 else []
    head += [f"{name}, least to most [s]" for name in names]
    lines, slower = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"], []
    for measure in rounds[0][names[0]]:
        spent = np.array([[of[name][measure] for of in rounds] for name in names])
        medians = np.median(spent, axis=1)
        cells = [measure, *(f"{seconds:.3f}" for seconds, _ in medians)]
        if len(names) == 2:
            clock, cpu = (f"{ratio:.3f}".replace("nan", "") for ratio in medians[1] / medians[0])
            cells += [clock, cpu]
            if (medians[1] > LIMIT * medians[0]).any():
                slower.append(f"* ABOVE {LIMIT}: {measure}, {clock}; CPU {cpu or 'not known'}")
        cells += [f"{times.min():.3f} to {times.max():.3f}" for times in spent[:, :, 0]]
        lines.append(f"| {' | '.join(cells)} |")
    if len(names) == 2:
        lines += ["", *(slower or [f"No ratio is above {LIMIT}."])]
    return lines


def machine() -> str:
    """The processor and the versions of what runs on it."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.*)", info)
    units = [unit for unit in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if unit in info]
    libraries = [f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES]
    processor = f"{os.cpu_count()} x {model[1] if model else platform.processor()}"
    return ", ".join([processor, *units[:1], f"Python {platform.python_version()}", *libraries])


def commit_of(root: Path) -> str:
    git = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(git, capture_output=True, text=True).stdout.strip() or "no commit"


def compare(roots: dict[str, Path], rounds: int, groups: Sequence[str]) -> None:
    """Warm up, measure, print."""
    print(f"{machine()}; {THREADS} threads")
    for name, root in roots.items():
        check(root)
        print(f"{name}: {root} at {commit_of(root)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="unetflow-short-") as folder:
        python(roots["new"], __file__, "--inside", "draw", "--folder", folder)
        checkouts = [Checkout(name, root, Path(folder) / name) for name, root in roots.items()]
        one_round(checkouts, groups)  # warm
        turns = (checkouts[:: -1 if number % 2 else 1] for number in range(rounds))
        found, others = zip(*(one_round(turn, groups) for turn in turns), strict=True)
    print("\n" + "\n".join(table(found, list(roots))))
    disturbed = sum(cores > BUSY for cores in others)
    print(f"Others took up to {max(others):.2f} cores; {disturbed} of {rounds} rounds disturbed.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--against", type=Path, help="the old checkout; this one is the new one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--inside", choices=("draw", *CALLS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside == "draw":
        draw(options.folder)
    elif options.inside:
        calls = CALLS[options.inside](options.folder)
        print(json.dumps({name: least_of_two(call) for name, call in calls.items()}))
    else:
        old = {"old": options.against.resolve()} if options.against else {}
        roots = {**old, "new": Path(__file__).resolve().parents[1]}
        compare(roots, options.rounds, options.only)


if __name__ == "__main__":
    main()
