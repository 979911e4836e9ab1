"""The methods paragraph and its citations: what the run did, and nothing that it did not."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from drawn_results import files_of_run, write_results
from test_stages_report import CONFIG, REPEAT, rows_of, write

from unetflow.evaluate.pooling import read_scores
from unetflow.provenance.receipts import write_receipt
from unetflow.report import method_sentences as say
from unetflow.report.handed import Config
from unetflow.report.references import REFERENCES, bibliography
from unetflow.report.run_results import lines_by_experiment, open_run
from unetflow.report.sections.methods import SOURCES, Methods, methods
from unetflow.report.sections.repeating import Changed, alike, in_words, repeating
from unetflow.train.recipes import PRESETS

PICTURES: Any = [{"experiment": "net", "split": "predict"}]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    write_results(folder)
    return folder


def told(results: Path, config: Config, **changes: Any) -> Methods:
    run = open_run(files_of_run(results), read_scores(results / "evaluation/metrics.csv"))
    if "recipe" in changes:
        recipe = {**run.model["recipe"], **changes["recipe"]}
        run = dataclasses.replace(run, model={**run.model, "recipe": recipe})
    if "why" in changes:
        run = dataclasses.replace(run, files={**run.files, "why": changes["why"]})
    making = {"net": "the same"}
    records = {"train": [run.training]}
    return methods([run], lines_by_experiment([run]), config, making, records, PICTURES)


def test_it_is_of_this_run(results: Path) -> None:
    (of,) = told(results, CONFIG).methods
    text = " ".join(of.paragraphs)
    for fact in (
        "The network is a U-Net (Ronneberger et al., 2015) with depth 3;",
        "it has 1,234,567 parameters.",
        "It was trained on 16 images and validated on 2 further images.",
        "All scores are of 3 test images with 30 annotated objects.",
        "by AdamW (Loshchilov and Hutter, 2019), weight decay 0.0001",
        "over 4,321 steps of 1 patch of 572",
        "in fp32 (seed 1)",
        "best foreground IoU on the validation images were kept (step 20)",
        "overlap by the 44 px",
        "above 0.5 (chosen as the best by SEG on the validation images)",
        "(Otsu, 1979)",
    ):
        assert fact in text, fact
    assert "refined" not in text
    assert "separation term" not in text


def test_it_follows_config_and_receipt(results: Path) -> None:
    config: Any = {
        **CONFIG,
        "experiments": {"net": {"dataset": "cells", "weighting": "paper", "recipe": {}}},
        "weighting": {"paper": {"w0": 7, "sigma_px": 3}},
        "datasets": {
            "cells": {
                "mpp": 0.25,
                "spacing": [1, 0.5, 0.5],
                "intensity": "log",
                "percentiles": [1, 99],
            }
        },
        "predict": {"test_time_augmentation": 8},
        "refine": {"smooth_px": 1, "crf": {"iterations": 5}},
    }
    recipe = {"optimizer": "sgd", "momentum": 0.99, "loss": {"dice": 0.5, "cross_entropy": 1}}
    found = told(results, config, recipe=recipe, why="it normalises")
    text = " ".join(found.methods[0].paragraphs)
    for fact in (
        "0.5 times the Dice loss (Milletari et al., 2016) and the cross entropy",
        "(w0 = 7, sigma = 3 px)",
        "stochastic gradient descent with momentum 0.99",
        "brought to 0.25",
        "brought to pixels of 1 \N{MULTIPLICATION SIGN} 0.5 \N{MULTIPLICATION SIGN} 0.5",
        "The logarithm of each channel was normalised by the percentiles 1 and 99",
        "blended",
        "means over 8 flips and rotations",
        "Probabilities were smoothed by a Gaussian of 1 px.",
        "Probabilities were refined by a convolutional CRF (Teichmann and Cipolla, 2019)",
    ):
        assert fact in text, fact
    assert "AdamW" not in text
    assert "loshchilov2019" not in found.bibtex


@pytest.mark.parametrize(("validations", "told_so"), [(None, False), (5, True)])
def test_steps_that_early_stopping_spared_are_not_said_to_be_taken(
    results: Path, validations: int | None, told_so: bool
) -> None:
    of = told(results, CONFIG, recipe={"early_stopping": validations})
    ends = "With early stopping after 5 validations without a better one it took 30 steps."
    assert (ends in of.methods[0].paragraphs[0]) is told_so


@pytest.mark.parametrize(
    ("way", "said"),
    [("folds", ""), ("all", "a further network"), ("ensemble", "the mean of the probabilities")],
)
def test_who_segmented_images_without_a_truth_is_said(results: Path, way: str, said: str) -> None:
    made = {**CONFIG["experiments"]["net"], "segment_with": way}
    config: Any = {**CONFIG, "experiments": {"net": made}}
    text = told(results, config).methods[0].paragraphs[1]
    assert ("Images without a truth were segmented" in text) == bool(said)
    assert said in text


def test_no_interval_is_said_of_one_image(results: Path) -> None:
    scores = read_scores(results / "evaluation/metrics.csv")
    run = open_run(files_of_run(results), scores[scores["image"] == "a"])
    (of,) = methods([run], lines_by_experiment([run]), CONFIG, {"net": ""}, {}, []).methods
    text = of.paragraphs[1]
    assert "means over test images; of one image there is no interval." in text
    assert "bootstrap" not in text


def said_of_folds(results: Path, tmp_path: Path, config: Config, *made: dict[str, Any]) -> str:
    """The paragraph of objects where fold k was calibrated as `made[k]`, and nothing scored."""
    scores = read_scores(results / "evaluation/metrics.csv")
    runs = []
    for fold, of in enumerate(made):
        receipt = tmp_path / f"fold{fold}.json"
        write_receipt(receipt, {"instances": {"cell": {"threshold": 0.5, "by": "default", **of}}})
        files: Any = {**files_of_run(results), "fold": str(fold), "calibration": str(receipt)}
        runs.append(open_run(files, scores[:0]))
    lines = lines_by_experiment(runs)
    (of_all,) = methods(runs, lines, config, {"net": ""}, {}, []).methods
    return of_all.paragraphs[1]


def test_a_threshold_of_the_config_is_said_where_nothing_is_scored(
    results: Path, tmp_path: Path
) -> None:
    config: Any = {**CONFIG, "instances": {"threshold": 0.7}}
    text = said_of_folds(results, tmp_path, config, {}, {})
    assert "above 0.7 (chosen by hand)" in text and "0.5" not in text


def test_of_folds_each_way_to_make_objects_is_said(results: Path, tmp_path: Path) -> None:
    cut = {"labelling": {"split_px": 3, "min_area_px": 20}}
    text = said_of_folds(results, tmp_path, CONFIG, {}, {**cut, "threshold": 0.25}, {})
    told, *others = re.findall(
        r"(?:Objects|In net, fold \d: objects) are [^.]*(?:\.\d[^.]*)?\.", text
    )
    assert "0.5" in told and "necks" not in told
    (other,) = others
    assert other.startswith("In net, fold 1: objects are pixels with a probability above 0.25")
    assert "necks 3 px" in other and "under 20 px" in other


def test_all_that_is_cited_has_an_entry_and_nothing_else(results: Path) -> None:
    found = told(results, CONFIG)
    text = " ".join([*found.methods[0].paragraphs, found.software])
    cited = {of for group in re.findall(r"\(([^()]*\d{4})\)", text) for of in group.split("; ")}
    keys = re.findall(r"^@\w+\{(\w+),", found.bibtex, re.MULTILINE)
    assert {REFERENCES[key].cited for key in keys if key != "unetflow"} == cited
    assert keys == sorted(keys) and len(set(keys)) == len(keys) > 8
    assert "note      = {commit abc123}" in found.bibtex


def test_citations_tell_references_apart() -> None:
    names = [of.cited for of in REFERENCES.values()]
    assert len(set(names)) == len(names)
    for key, of in REFERENCES.items():
        entry = bibliography([key])
        assert entry.count("{") == entry.count("}"), key
        assert of.authors and 1900 < of.year < 2030


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_has_words(preset: str) -> None:
    recipe = dataclasses.asdict(PRESETS[preset])
    recipe["augmentation"] |= {"stain": 0.1, **dict.fromkeys(say.VARIED, 0.5)}
    text = say.of_augmentation(recipe["augmentation"])
    assert text.count("0.5") == len(say.VARIED)
    assert "Tellez" in text
    assert "cross entropy" in say.of_loss(recipe, None)


def test_each_main_score_has_its_source() -> None:
    from unetflow.evaluate.catalogue import SCORES

    assert {score.metric for score in SCORES if score.headline is not None} == SOURCES.keys()


def test_disk_is_told_of_what_is_there(results: Path) -> None:
    shown = repeating(
        {
            "command": "",
            "changed": [],
            "parts": [
                {
                    "part": "images",
                    "paths": [str(results / "images")],
                    "without": "",
                    "command": "",
                },
                {"part": "none", "paths": [str(results / "nothing")], "without": "", "command": ""},
            ],
        },
        CONFIG,
        "abc",
    )
    (part,) = shown.parts
    files = [path for path in (results / "images").rglob("*") if path.is_file()]
    assert (part.name, part.files) == ("images", len(files))
    assert part.size == shown.size == in_words(sum(path.stat().st_size for path in files))


def test_what_experiments_have_alike_stands_once() -> None:
    def changed(key: str, value: str = "1") -> Changed:
        return Changed(key, value, "2")

    rows = alike(
        [
            changed("predict.parts"),
            *(changed(f"experiments.{name}.recipe.steps") for name in "abc"),
            *(changed(f"experiments.{name}.recipe.seed", name) for name in "ab"),
            *(changed(f"experiments.{name}.network.depth") for name in "ac"),
        ],
        3,
    )
    assert [(of.key, of.value) for of in rows] == [
        ("predict.parts", "1"),
        ("experiments.*.recipe.steps", "1"),
        ("experiments.a.recipe.seed", "a"),
        ("experiments.b.recipe.seed", "b"),
        ("experiments.{a, c}.network.depth", "1"),
    ]


@pytest.mark.slow
def test_command_and_changed_keys_stand_in_the_page(results: Path, tmp_path: Path) -> None:
    page = write(results, tmp_path / "index.html").read_text()
    assert REPEAT["command"] in page
    assert ["predict.dtype", "float16", "uint8"] in rows_of(page, "repeating")
    assert ["data_dir", "data", "none: must be given"] in rows_of(page, "repeating")
