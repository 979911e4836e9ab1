"""What was done, in words for a paper: from the run's config, receipts and versions."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from unetflow.evaluate.pooling import RESAMPLES
from unetflow.provenance.receipts import distinct, read_receipt
from unetflow.provenance.schemas import Calibration, RunRecordContent
from unetflow.report import method_sentences as say
from unetflow.report.handed import Config, PicturesFile
from unetflow.report.references import REFERENCES, bibliography, cite
from unetflow.report.run_results import Run
from unetflow.report.score_lines import Line, alike_but_seed, common_name, headline_of

SOURCES = {
    "seg": ["maska2014"],
    "ap": ["schmidt2018", "caicedo2019"],
    "iou": ["jaccard1901"],
    "v_rand": ["arganda2015"],
}
"""By metric of the headline who defined it."""
TITLE = "unetflow: whole-slide segmentation with U-Net as a Snakemake pipeline"


@dataclass(frozen=True, slots=True)
class Method:
    """Experiments that differ by nothing but their seed, with all their folds."""

    name: str
    paragraphs: list[str]


@dataclass(frozen=True, slots=True)
class Methods:
    methods: list[Method]
    software: str
    bibtex: str  # of all that is cited


def methods(
    runs: Sequence[Run],
    lines: Mapping[str, Sequence[Line]],
    config: Config,
    making: Mapping[str, str],
    records: Mapping[str, Sequence[RunRecordContent]],
    pictures: Sequence[PicturesFile],
) -> Methods:
    """`lines` are those of each experiment over all its folds, `making` is all but its seed.

    `pictures` tell of which experiments there are images without a truth.
    """
    by_experiment: dict[str, list[Run]] = {}
    for run in runs:
        by_experiment.setdefault(run.experiment, []).append(run)
    segmenting = {of["experiment"] for of in pictures if of["split"] == "predict"}
    found = [
        _method(of, by_experiment, lines, config, segments=not segmenting.isdisjoint(of))
        for of in alike_but_seed(by_experiment, making)
    ]
    software, own = _software([record for of in records.values() for record in of])
    text = "\n".join([software, *(part for of in found for part in of.paragraphs)])
    cited = [key for key, of in REFERENCES.items() if of.cited in text]
    return Methods(found, software, f"{bibliography(cited)}\n\n{own}")


def _method(
    experiments: Sequence[str],
    by_experiment: Mapping[str, Sequence[Run]],
    lines: Mapping[str, Sequence[Line]],
    config: Config,
    *,
    segments: bool,
) -> Method:
    """`segments`: whether there are images without a truth."""
    runs = by_experiment[experiments[0]]  # the others have another seed
    every = [run for name in experiments for run in by_experiment[name]]
    made: Any = config["experiments"][experiments[0]]
    rest = cast(Mapping[str, Any], config)
    first, models = runs[0], [run.model for run in runs]
    dataset = rest.get("datasets", {}).get(made.get("dataset"), {})
    weighting = rest.get("weighting", {}).get(made.get("weighting"))
    learnt = [say.of_network(first.model, first.files)]
    if first.is_trained:
        seeds = [int(str(by_experiment[name][0].model["recipe"]["seed"])) for name in experiments]
        recipe: Mapping[str, Any] = first.model["recipe"]
        learnt += [
            *say.of_images(models, dataset, *_tested(runs)),
            say.of_loss(recipe, weighting),
            say.of_training(models, first.training.get("precision", ""), seeds),
            *say.of_early_end(recipe, [len(run.history) for run in every]),
            say.of_start(recipe, made.get("pretrained")),
            say.of_augmentation(recipe["augmentation"]),
            say.of_kept([run.model for run in every]),
        ]
    else:
        learnt.append(f"It was trained before; its file has the digest {first.model['digest']}.")
    predicted = [
        *say.of_prediction(first.files, rest.get("predict", {})),
        *(say.of_segmented(made.get("segment_with", "folds")) if segments else ()),
        *say.of_refinement(rest.get("refine")),
        *_objects(every, rest.get("instances", {}).get("threshold")),
        *_judged(lines[experiments[0]]),
    ]
    return Method(common_name(experiments), [" ".join(learnt), " ".join(predicted)])


def _tested(runs: Sequence[Run]) -> tuple[int, int | None]:
    """Test images of all folds, and their objects, None where these are not counted."""
    images = {image for run in runs for image in run.scores["image"]}
    rows = [
        run.scores[run.scores["metric"].eq("seg") & run.scores["chosen"].eq("instances")]
        for run in runs
    ]
    objects = sum(int(of.drop_duplicates(["image", "class"])["objects"].sum()) for of in rows)
    return len(images), objects or None


def _objects(runs: Sequence[Run], threshold: object) -> Iterator[str]:
    """How objects were made; what differs between folds and seeds is said of each.

    `threshold` is the config's: a number overrules what was calibrated.
    """
    classes = runs[0].classes
    calibrations = [read_receipt(run.files["calibration"], Calibration) for run in runs]
    by_hand = {"threshold": threshold, "by": "config"} if isinstance(threshold, int | float) else {}
    for name in classes:
        made: list[dict[str, Any]] = [{**of["instances"][name], **by_hand} for of in calibrations]
        several, thresholds = len(classes) > 1, [f"{of['threshold']:g}" for of in made]
        first, *others = (say.of_objects(name, of, several=several) for of in made)
        yield first
        if len({say.of_objects(name, {**of, "threshold": 0}, several=several) for of in made}) > 1:
            yield from _in_others(runs[1:], first, others)
        elif len(set(thresholds)) > 1:
            yield f"In the other trainings the threshold was {say.listed(thresholds[1:])}."


def _in_others(runs: Sequence[Run], first: str, texts: Sequence[str]) -> Iterator[str]:
    """Of trainings whose objects were made in another way than those of the first, in which."""
    alike: dict[str, list[str]] = {}
    for run, text in zip(runs, texts, strict=True):
        alike.setdefault(text, []).append(run.name)
    alike.pop(first, None)
    for text, names in alike.items():
        yield f"In {'; '.join(names)}: {text[0].lower()}{text[1:]}"


def _judged(lines: Sequence[Line]) -> Iterator[str]:
    """The main scores, their intervals, and the baseline."""
    main = list(headline_of(lines))
    if not main:
        yield "Nothing was scored: no test image has a truth."
        return
    names = dict.fromkeys(f"{line.score.name} {cite(*SOURCES[line.score.metric])}" for line in main)
    text = f"Scores are {'; '.join(names)}; they are means over test images"
    if all(math.isnan(line.mean.low) for line in main):
        yield f"{text}; of one {'group' if main[0].mean.n > 1 else 'image'} there is no interval."
    else:
        grouped = any(line.mean.groups != line.mean.n for line in main)
        yield (
            f"{text} with 95 % intervals, the expanded percentiles {cite('hesterberg2015')} of a "
            f"bootstrap {cite('efron1979')} of {RESAMPLES:,} draws over "
            f"{'groups of images' if grouped else 'images'}."
        )
    if any(line.otsu for line in main):
        yield f"The baseline is a global threshold of each image {cite('otsu1979')}."


def _software(records: Sequence[RunRecordContent]) -> tuple[str, str]:
    """What ran, and BibTeX of this program."""
    version = distinct(of.get("versions", {}).get("unetflow") for of in records)
    commit = distinct(of.get("commit") for of in records)

    def of(name: str) -> str:
        return distinct(record.get("versions", {}).get(name) for record in records)

    parts = [
        f"{called} {of(name)} {cite(key)}".replace("  ", " ")
        for name, called, key in (
            ("snakemake", "Snakemake", "molder2021"),
            ("torch", "PyTorch", "paszke2019"),
            ("scikit-image", "scikit-image", "walt2014"),
        )
        if of(name)
    ]
    devices = distinct(
        machine.get("device") for each in records for machine in each.get("machines", [each])
    )
    made_by = f"unetflow {version or '(version not known)'}{f', commit {commit}' if commit else ''}"
    text = f"All was run with {made_by}"
    text += f", on {say.listed(parts)}" if parts else ""
    text += f"; images and results are stored as OME-Zarr {cite('moore2021')}."
    text += f" Devices: {devices.replace('cpu', 'CPU')}." if devices else ""
    own = "\n".join(
        [
            "@software{unetflow,",
            "  author    = {{unetflow contributors}},",
            f"  title     = {{{{{TITLE}}}}},",
            f"  version   = {{{version or 'not known'}}},",
            *([f"  note      = {{commit {commit}}},"] if commit else []),
            "}",
        ]
    )
    return text, own
