"""Networks side by side: what each reaches, and what it costs to train and to run."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from unetflow.evaluate.catalogue import Score
from unetflow.evaluate.pooling import Estimate, mean_over_images
from unetflow.provenance.receipts import distinct
from unetflow.provenance.schemas import MachineRecord, RunRecordContent
from unetflow.report.figures.plots import CostPoint, cost_plot
from unetflow.report.handed import Config, RunFiles
from unetflow.report.run_history import read_record
from unetflow.report.run_results import Run
from unetflow.report.score_lines import Line, alike_but_seed, common_name, headline_of


@dataclass(frozen=True, slots=True)
class SeedsScore:
    """A score of experiments that differ by their seed."""

    score: Score
    mean: Estimate  # over images, of each image's mean over the seeds
    least: float  # mean over images of a seed, as the next
    greatest: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What trainings and predictions took; None where no run record says it."""

    training_s: list[float]  # of each training, validations among it
    learnt_px_s: float | None  # output pixels, steps with a validation left out
    trained_on: str
    predicted_px_s: float | None
    predicted_on: str
    peak_mib: float | None  # largest of all predictions, as the next
    gpu_peak_mib: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """Experiments that differ by nothing but their seed, with all their folds."""

    number: int
    name: str
    seeds: int
    network: str
    options: str  # that differ from the network's defaults
    scores: dict[str, SeedsScore]  # the first of the headline, by name of its line
    parameters: int
    multiply_adds_per_px: float | None
    halo_px: str
    why: str  # it is not seamless; empty where it is
    cost: Cost


@dataclass(frozen=True, slots=True)
class Networks:
    """Those of a dataset."""

    dataset: str
    scores: list[str]  # names
    rows: list[Row]
    svg: str | None  # the first score against multiply-adds


def networks(
    runs: Sequence[Run],
    lines: Mapping[str, Sequence[Line]],
    config: Config,
    making: Mapping[str, str],
) -> list[Networks]:
    """A table for each dataset with more than one network or set of options.

    `lines` are those of each experiment over all its folds, `making` is all but its seed.
    """
    of_dataset: dict[str, list[Run]] = {}
    for run in runs:
        of_dataset.setdefault(config["experiments"][run.experiment]["dataset"], []).append(run)
    return [
        _side_by_side(dataset, of, lines, making)
        for dataset, of in of_dataset.items()
        if len({json.dumps(run.model["network"], sort_keys=True) for run in of}) > 1
    ]


def _side_by_side(
    dataset: str,
    runs: Sequence[Run],
    lines: Mapping[str, Sequence[Line]],
    making: Mapping[str, str],
) -> Networks:
    experiments = dict.fromkeys(run.experiment for run in runs)
    rows = [
        _row(
            number,
            [run for run in runs if run.experiment in of],
            {experiment: lines[experiment] for experiment in of},
        )
        for number, of in enumerate(alike_but_seed(experiments, making), start=1)
    ]
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    return Networks(dataset, names, rows, _plot(names[0], rows) if names else None)


def _row(number: int, runs: Sequence[Run], lines: Mapping[str, Sequence[Line]]) -> Row:
    files, model = runs[0].files, runs[0].model
    shown = {key: "none" if value is None else value for key, value in files["options"].items()}
    return Row(
        number=number,
        name=common_name(list(lines)),
        seeds=len(lines),
        network=model["network"]["name"],
        options=", ".join(f"{key} {value}" for key, value in shown.items()) or "its defaults",
        scores=dict(_scores(lines)),
        parameters=model["parameters"],
        multiply_adds_per_px=model.get("multiply_adds_per_px"),
        halo_px=" ".join(map(str, dict.fromkeys([*files["before_px"], *files["after_px"]]))),
        why=files["why"],
        cost=cost(runs),
    )


def _scores(lines: Mapping[str, Sequence[Line]]) -> Iterator[tuple[str, SeedsScore]]:
    """The headline's first score, of each class."""
    by_name: dict[str, list[Line]] = {}
    for of in lines.values():
        headline = list(headline_of(of))
        for line in headline:
            if (line.score, line.of) == (headline[0].score, headline[0].of):
                by_name.setdefault(line.name, []).append(line)
    for name, of_seeds in by_name.items():
        rows = pd.concat([line.rows for line in of_seeds])
        by_image = rows.groupby("image", sort=False).agg({"value": "mean", "group": "first"})
        means = [line.mean.value for line in of_seeds]
        mean = mean_over_images(by_image.reset_index())
        yield name, SeedsScore(of_seeds[0].score, mean, min(means), max(means))


def cost(runs: Sequence[Run]) -> Cost:
    """Of the trainings of some runs, and of the predictions of their test images."""
    trained = [run for run in runs if run.is_trained]
    learnt = [_learnt(run) for run in trained]
    predictions = [
        read_record(receipt)
        for run in runs
        for of in run.files["images"].values()
        for receipt in (of["foreground"], *of["parts"])
    ]
    # the others found all of it finished: their memory, too, is not that of a prediction
    computed = [of for of in predictions if of.get("computed_px") and of.get("computing_s")]
    return Cost(
        training_s=[float(run.history["elapsed_s"].iloc[-1]) for run in trained],
        learnt_px_s=_rate(sum(px for px, _ in learnt), sum(s for _, s in learnt)),
        trained_on=_machines([run.training for run in trained]),
        predicted_px_s=_rate(
            sum(of["computed_px"] for of in computed), sum(of["computing_s"] for of in computed)
        ),
        predicted_on=_machines(computed),
        peak_mib=max((of["peak_mib"] for of in computed), default=None),
        gpu_peak_mib=max(
            (of["gpu_peak_mib"] for of in computed if "gpu_peak_mib" in of), default=None
        ),
    )


def _learnt(run: Run) -> tuple[float, float]:
    """Output pixels of the steps without a validation, and their seconds.

    The history of a training that was stopped and went on has each step once, with the seconds of
    the start that it is kept of.
    """
    history, recipe = run.history, run.model["recipe"]
    seconds = history["elapsed_s"].diff().fillna(history["elapsed_s"])
    steps = history["validation_loss"].isna()
    patch_px = _output_px(run.files, recipe["tile_px"]) * int(str(recipe["batch"]))
    return float(steps.sum() * patch_px), float(seconds[steps].sum())


def _output_px(files: RunFiles, tile_px: Any) -> int:
    """Pixels of a training patch that the network answers for."""
    axes = len(files["before_px"])
    sides = tile_px if isinstance(tile_px, list) else [int(tile_px)] * axes
    halos = zip(sides, files["before_px"], files["after_px"], strict=True)
    return math.prod(side - before - after for side, before, after in halos)


def _rate(px: float, seconds: float) -> float | None:
    return px / seconds if px and seconds else None


def _machines(records: Sequence[RunRecordContent]) -> str:
    """Devices, precisions and threads, each kind once."""
    machines: list[MachineRecord] = [
        machine for record in records for machine in record.get("machines", [record])
    ]
    return distinct(
        f"{of.get('device', '')} {of.get('precision', '')}".strip() + _threads(of)
        for of in machines
    )


def _threads(machine: MachineRecord) -> str:
    if "threads" not in machine:
        return ""
    return f", {machine['threads']} thread{'s' if machine['threads'] > 1 else ''}"


def _plot(name: str, rows: Sequence[Row]) -> str | None:
    """SVG of a score against multiply-adds, of all rows that have both; None for less than two."""
    points = [
        CostPoint(row.number, row.multiply_adds_per_px, mean.value, mean.low, mean.high)
        for row in rows
        if row.multiply_adds_per_px and name in row.scores
        for mean in [row.scores[name].mean]
    ]
    return cost_plot(points, name=name) if len(points) > 1 else None
