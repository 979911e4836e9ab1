"""The report: what was run and how good it is, as one HTML file that needs no network."""

import base64
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import yaml

from unetflow import colours
from unetflow.evaluate.catalogue import SCORES as KINDS
from unetflow.evaluate.pooling import read_scores
from unetflow.labels.encoding import separate_touching
from unetflow.report.figures import panels, plots
from unetflow.report.run_history import describe_environment, describe_stages, records_by_stage
from unetflow.report.run_results import (
    INTEGRITY,
    SCORES,
    STACKS,
    Run,
    open_run,
    read_crop,
    read_patches,
    read_seams,
    read_weight_crop,
    training_curve,
    truth_warnings,
)
from unetflow.report.score_lines import (
    Line,
    by_threshold,
    headline_of,
    headline_text,
    spread_over_seeds,
    summarise,
    vanishing,
)
from unetflow.report.stacks import describe_stacks, read_stacks
from unetflow.store.files import write_whole
from unetflow.train.recipes import PRESETS

CROP_PX = 512  # side of the largest crop that is shown
MOST_AUDITED = 12  # images of a run whose borders of tiles are audited
NOT_SCORED = "not scored"


def write_report(
    *,
    results: str | Path,
    config: Mapping[str, Any],
    runs: Sequence[tuple[str, str | int]],
    html: str | Path,
    headline: str | Path,
) -> None:
    """Rule report: one page for all runs (experiment, fold), and its headline scores as text.

    `config` is the whole config with its defaults. Reads tables and receipts and, of each image
    that is shown, one crop of at most `CROP_PX`. Raises StoreError for what is missing.
    """
    root = Path(results)
    scores = read_scores(root / SCORES)
    opened = [open_run(root, experiment, str(fold), scores) for experiment, fold in runs]
    title = config["report"]["title"]
    lines = {name: _lines_of_experiment(opened, name) for name in _experiments(opened)}
    records = records_by_stage(root)
    images = sorted({image for run in opened for image in run.scores["image"]})
    page = _template().render(
        title=title,
        headlines={name: list(headline_of(of)) for name, of in lines.items()},
        spreads=spread_over_seeds(lines, {name: _but_seed(config, name) for name in lines}),
        images=images,
        warnings=[*_vanishing_warnings(opened), *truth_warnings(root, images)],
        runs=[_describe(run, config) for run in opened],
        data=pd.read_csv(root / INTEGRITY, keep_default_na=False, dtype=str).to_dict("records"),
        stacks=describe_stacks(read_stacks(root / STACKS)),
        recipes=_recipes(opened, config),
        presets={name: _flat(dataclasses.asdict(of)) for name, of in PRESETS.items()},
        stages=describe_stages(records),
        environment=describe_environment(records),
        config=yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True, width=100),
        kinds=KINDS,
        colours=colours,
        crop_px=CROP_PX,
    )
    write_whole(html, page.encode())
    write_whole(headline, headline_text(title, lines, str(html)).encode())


def _template() -> jinja2.Template:
    text = resources.files("unetflow.report").joinpath("templates/page.html").read_text("utf-8")
    return jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(text)


def _experiments(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(run.experiment for run in runs))


def _lines_of_experiment(runs: Sequence[Run], experiment: str) -> list[Line]:
    """Scores over the test images of all folds of an experiment."""
    mine = [run for run in runs if run.experiment == experiment]
    thresholds: dict[str, dict[float, str]] = {}
    for run in mine:
        for name, of_class in run.instance_thresholds().items():
            thresholds.setdefault(name, {}).update(of_class)
    return summarise(pd.concat([run.scores for run in mine]), thresholds)


def _but_seed(config: Mapping[str, Any], experiment: str) -> str:
    """All that makes an experiment but its seed."""
    made = config.get("experiments", {}).get(experiment, {"name": experiment})
    recipe = {key: value for key, value in made.get("recipe", {}).items() if key != "seed"}
    return json.dumps(_plain({**made, "recipe": recipe}), sort_keys=True)


def _vanishing_warnings(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        for threshold, images in vanishing(run.scores):
            yield (
                f"{run.name}: at threshold {threshold:g} the foreground vanishes in "
                f"{', '.join(images)}. Zero splits and mergers and a small warping error mean "
                "nothing there."
            )


def _describe(run: Run, config: Mapping[str, Any]) -> dict[str, Any]:
    """All that the page says of one run."""
    lines = summarise(run.scores, run.instance_thresholds())
    unet = run.scores[run.scores["method"] == "unet"]
    curve = training_curve(run.history)
    return {
        "run": run,
        "lines": lines,
        "per_image": _per_image(unet, lines),
        "plots": [
            _threshold_plot(unet, line) for line in lines if line.best and line.score.plotted
        ],
        "curve": curve.to_dict("records"),
        "training_plots": _training_plots(run, curve),
        "overlays": list(_overlays(run, unet, lines, config["report"]["overlays"])),
        "patches": _patches(run),
        "seams": list(_seams(run)),
        "weights": _weights(run, config["experiments"].get(run.experiment, {}).get("weighting")),
    }


def _patches(run: Run) -> list[str]:
    """The first patches of the training as pictures."""
    patches = read_patches(run)
    drawn = map(panels.patch_panel, *(patches[name] for name in ("image", "target", "weight")))
    return [base64.b64encode(png).decode() for png in drawn]


def _seams(run: Run) -> Iterator[dict[str, Any]]:
    """The audit of up to `MOST_AUDITED` images that are larger than a tile, spread over all."""
    images = sorted(set(run.scores["image"]))
    spread = np.linspace(0, len(images) - 1, min(MOST_AUDITED, len(images))).round().astype(int)
    for image in (images[at] for at in spread):
        seams = read_seams(run, image)
        if seams is not None:
            yield {"image": image, "seams": seams, "svg": plots.seam_plot(seams)}


def _weights(run: Run, weighting: str | None) -> dict[str, Any] | None:
    """A crop of a training image, its truth and its weight map."""
    crop = read_weight_crop(run, weighting, most_px=CROP_PX // 2) if weighting else None
    if crop is None:
        return None
    drawn = panels.weight_panels(crop.image_CYX, crop.truth_YX, crop.weight_YX)
    return {
        "image": crop.image,
        "size_px": crop.truth_YX.shape,
        "highest": float(crop.weight_YX.max()),
        "panels": {name: base64.b64encode(png).decode() for name, png in drawn.items()},
    }


def _per_image(unet: pd.DataFrame, lines: Sequence[Line]) -> dict[str, list[str]]:
    """A row of texts per image, a column per line; `NOT_SCORED` where a score does not apply."""
    table = {image: [NOT_SCORED] * len(lines) for image in unet["image"].unique()}
    for column, line in enumerate(lines):
        for image, value in zip(line.rows["image"], line.rows["value"], strict=True):
            table[image][column] = line.score.text(float(value))
    return table


def _threshold_plot(unet: pd.DataFrame, line: Line) -> dict[str, Any]:
    score = line.score
    rows = unet[(unet["metric"] == score.metric) & (unet["variant"] == score.variant)]
    if line.of_class:
        rows = rows[rows["class"] == line.of_class]
    scores = by_threshold(rows)
    baseline = line.otsu.value if line.otsu else None
    return {
        "line": line,
        "scores": scores,
        "svg": plots.threshold_plot(
            scores,
            name=line.name,
            chosen=line.thresholds if line.by == "validation" else (),
            baseline=baseline,
        ),
    }


def _training_plots(run: Run, curve: pd.DataFrame) -> list[dict[str, str]]:
    wanted = [
        (
            "loss",
            "weighted cross entropy",
            "Mean over pixels; the weight map counts in training only.",
        ),
        ("validation_iou", "foreground IoU", "IoU of object pixels on the validation images."),
    ]
    best_step = run.model.get("best", {}).get("step")
    return [
        {
            "caption": caption,
            "svg": plots.training_plot(run.history, curve, column, name=name, best_step=best_step),
        }
        for column, name, caption in wanted
        if column in curve
    ]


def _overlays(
    run: Run, unet: pd.DataFrame, lines: Sequence[Line], most: int
) -> Iterator[dict[str, Any]]:
    """Crops of up to `most` images of each class, spread from the worst to the best by IoU."""
    texts, headlines = _per_image(unet, lines), list(headline_of(lines))
    for by_iou in (line for line in lines if line.score.metric == "iou" and most > 0):
        order = by_iou.rows.sort_values(["value", "image"], na_position="first")["image"].tolist()
        shown = np.unique(np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int))
        for rank in shown:
            image = order[rank]
            scores = [
                f"{line.name} {text}"
                for line, text in zip(lines, texts[image], strict=True)
                if line in headlines and text != NOT_SCORED and line.of_class == by_iou.of_class
            ]
            place = {"rank": int(rank) + 1, "of": len(order), "of_class": by_iou.of_class}
            yield {**_overlay(run, image, by_iou.of_class), **place, "scores": scores}


def _overlay(run: Run, image: str, of_class: str) -> dict[str, Any]:
    """The four panels of the central crop of an image, and where it lies."""
    name = of_class or run.classes[0]
    crop = read_crop(run, image, name, most_px=CROP_PX)
    threshold = run.instance_threshold(image, name)
    drawn = panels.overlay(
        crop.image_CYX,
        crop.truth_YX,
        separate_touching(crop.truth_YX),
        crop.foreground_YX,
        crop.instances_YX,
        crop.ignore_YX,
        threshold=threshold,
    )
    return {
        "image": image,
        "crop": crop,
        "threshold": threshold,
        "bar": panels.scale_bar(crop.truth_YX.shape[1], crop.um_per_px),
        "panels": {
            name: base64.b64encode(png).decode() for name, png in dataclasses.asdict(drawn).items()
        },
    }


def _recipes(runs: Sequence[Run], config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The resolved recipe of each experiment, its network and the name of its preset."""
    described: dict[str, dict[str, Any]] = {}
    for run in runs:
        asked = config.get("experiments", {}).get(run.experiment, {}).get("recipe", {})
        described.setdefault(
            run.experiment,
            {
                "experiment": run.experiment,
                "preset": asked.get("preset", "default"),
                "recipe": _flat(run.model["recipe"]),
            },
        )
    return list(described.values())


def _flat(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Keys and values as text; those of the augmentation beside the others."""
    flat: dict[str, str] = {}
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            flat |= _flat(value)
        elif isinstance(value, bool):
            flat[key] = "yes" if value else "no"
        elif value is None:
            flat[key] = "none"
        else:
            flat[key] = str(value) if isinstance(value, str) else f"{value:g}"
    return flat


def _plain(config: Mapping[str, Any]) -> Any:
    """Without Snakemake's own types, which YAML does not know."""
    return json.loads(json.dumps(config, default=str))
