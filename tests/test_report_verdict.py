"""Sentences follow from the numbers by rules, and differences are paired over images."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from unetflow.evaluate.catalogue import score_of
from unetflow.evaluate.tables import COLUMNS
from unetflow.report.handed import Config
from unetflow.report.paired import difference
from unetflow.report.run_results import Run
from unetflow.report.score_lines import summarise
from unetflow.report.sections.verdict import Verdict, share, still_falling, verdict

IMAGES = ("a", "b", "c", "d", "e", "f")
ERRORS = {"merged": 1, "split": 0, "misshapen": 0, "missed": 2, "spurious": 11}  # of 10, and 20
FALLING = np.linspace(1, 0.1, 50)
LEVEL = np.full(50, 0.3)
MODEL: Any = {"classes": ["cell"]}


def table(
    experiment: str, seg: float, otsu: float, group: str = "", found: int = 9
) -> pd.DataFrame:
    """SEG of the network and of Otsu, a little other in each image, and the objects of `ERRORS`."""
    rows = []
    for place, image in enumerate(IMAGES):
        shared = {"experiment": experiment, "fold": "0", "image": image, "class": "cell"}
        shared |= {"split": "test", "group": group}
        for metric, variant, chosen, value in (
            ("seg", "", "instances", seg + 0.01 * place),
            ("seg", "", "otsu", otsu + 0.02 * place),
            *(("object_errors", kind, "instances", number) for kind, number in ERRORS.items()),
        ):
            method = "otsu" if chosen == "otsu" else "network"
            objects = 20 if variant == "spurious" else 10
            numbers = {"value": value, "objects": objects, "a": value}
            names = {"metric": metric, "variant": variant, "chosen": chosen, "method": method}
            rows.append({**shared, **names, **numbers, "threshold": 0.5})
    return pd.DataFrame(rows, columns=list(COLUMNS)).fillna({"group": ""})


def verdict_of(scores: dict[str, pd.DataFrame], loss: np.ndarray, **report: Any) -> Verdict:
    runs = []
    for name, of in scores.items():
        files: Any = {"experiment": name, "fold": "0"}
        thresholds = {"cell": {0.5: "validation"}}
        lines = summarise(of, thresholds)
        history = pd.DataFrame({"loss": loss})
        runs.append(Run(files, of, MODEL, thresholds, lines, history, {}, {}))
    of_report: Any = {"title": "", "overlays": 0, **report}
    config: Config = {
        "experiments": {name: {"dataset": "cells"} for name in scores},
        "report": of_report,
    }
    return verdict(runs, {run.experiment: run.lines for run in runs}, config, [])


def texts(found: Verdict) -> list[str]:
    return [said.text for said in found.judged[0].sentences]


def test_objects_of_a_volume_are_not_counted_again_in_each_plane() -> None:
    of = table("u", 0.9, 0.2)
    by_slices = of[(of["metric"] == "seg") & (of["method"] == "network")].copy()
    by_slices[["variant", "objects"]] = "by slices", 70
    (judged,) = verdict_of({"u": pd.concat([of, by_slices])}, LEVEL).judged
    assert judged.objects == 10 * len(IMAGES)


def test_worse_than_otsu_with_a_falling_loss_has_not_converged() -> None:
    found = verdict_of({"net": table("net", 0.3, 0.6)}, FALLING)
    assert texts(found)[0] == (
        "Finds 42 of 60 annotated objects of class cell; the others are 6 merged, 12 missed. "
        "Spurious: 66 of 120 predicted ones (55 of 100)."
    )
    assert texts(found)[1].startswith(
        "Worse than Otsu's threshold, which learns nothing, by 0.325 in SEG (stored instances) "
        "(difference -0."
    )
    assert found.judged[0].short == (
        "finds 42 of 60 annotated objects, SEG 0.325, worse than Otsu's threshold"
    )
    assert "the training has not converged: the loss was still falling" in texts(found)[1]
    assert found.judged[0].sentences[1].good is False


def test_worse_than_otsu_with_a_level_loss_does_not_blame_the_training() -> None:
    found = verdict_of({"net": table("net", 0.3, 0.6)}, LEVEL)
    of_loss = "the loss falls no longer, from its first fifth to its last +0% (net, fold 0) in 50"
    assert of_loss in texts(found)[1]
    assert "converged" not in " ".join(texts(found))


def test_a_loss_that_rises_is_not_said_to_fall() -> None:
    found = verdict_of({"net": table("net", 0.3, 0.6)}, LEVEL * np.repeat([1, 3], 25))
    assert "from its first fifth to its last +200% (net, fold 0) in 50 steps" in texts(found)[1]


def test_of_several_classes_the_first_line_names_the_one_of_its_score() -> None:
    both = [table("net", 0.8, 0.3).assign(**{"class": name}) for name in ("tumour", "stroma")]
    thresholds = {name: {0.5: "validation"} for name in ("tumour", "stroma")}
    lines = summarise(pd.concat(both), thresholds)
    files: Any = {"experiment": "net", "fold": "0"}
    history = pd.DataFrame({"loss": LEVEL})
    run = Run(files, pd.concat(both), MODEL, thresholds, lines, history, {}, {})
    config: Any = {"experiments": {"net": {}}, "report": {"title": "", "overlays": 0}}
    (judged,) = verdict([run], {"net": lines}, config, []).judged
    assert ", SEG, tumour 0.825" in judged.short


def test_the_class_whose_foreground_vanishes_is_named() -> None:
    row = {"image": "a", "metric": "iou", "chosen": "list", "threshold": 0.9, "a": 100}
    scores = pd.DataFrame([{**row, "class": "x", "b": 90}, {**row, "class": "y", "b": 0}])
    files: Any = {"experiment": "net", "fold": "0"}
    model: Any = {"classes": ["x", "y"]}
    run = Run(files, scores, model, {}, [], pd.DataFrame(), {}, {})
    config: Any = {"experiments": {}, "report": {"title": "", "overlays": 0}}
    (said,) = verdict([run], {}, config, []).vanishing
    assert "at threshold 0.9 the foreground of class y vanishes in 1 of 1 images (a)" in said


def test_better_than_otsu_is_said_with_its_interval() -> None:
    found = verdict_of({"net": table("net", 0.8, 0.3)}, LEVEL)
    assert texts(found)[1].startswith("Better than Otsu's threshold")
    assert found.judged[0].sentences[1].good is True
    assert len(texts(found)) == 2


@pytest.mark.parametrize("seg", [0.8, 0.1])
def test_of_few_images_nothing_is_better_or_worse_than_otsu(seg: float) -> None:
    three = table("net", seg, 0.3)
    found = verdict_of({"net": three[three["image"] <= "c"]}, LEVEL)
    assert texts(found)[1].startswith(
        "Too few images to tell it from Otsu's threshold, which learns nothing: "
    )
    assert "95 % interval, n = 3" in texts(found)[1]
    assert found.judged[0].sentences[1].good is None
    assert found.judged[0].short.endswith("too few images to tell it from Otsu's threshold")


def test_one_group_of_images_tells_nothing_apart() -> None:
    found = verdict_of({"net": table("net", 0.8, 0.3, group="patient")}, LEVEL)
    assert texts(found)[1].startswith("Beside Otsu's threshold, which learns nothing: +0.475")
    assert "All images are of one group, so that no interval says" in texts(found)[1]
    one = table("net", 0.8, 0.3)
    found = verdict_of({"net": one[one["image"] == IMAGES[0]]}, LEVEL)
    assert "It is of one image, so that no interval says how sure that is" in texts(found)[1]
    assert "Otsu" not in found.judged[0].short


def test_intervals_over_few_images_are_to_be_read_with_care() -> None:
    scores = table("net", 0.8, 0.3)
    found = verdict_of({"net": scores, "other": scores.assign(experiment="other")}, LEVEL)
    (text,) = found.few
    assert text.startswith("net, other: intervals are over 6 images.")
    many = [scores.assign(image=scores["image"] + f"{number}") for number in range(2)]
    assert verdict_of({"net": pd.concat(many)}, LEVEL).few == []
    assert verdict_of({"net": table("net", 0.8, 0.3, group="patient")}, LEVEL).few == []


def test_objects_and_images_are_counted() -> None:
    (judged,) = verdict_of({"net": table("net", 0.8, 0.3)}, LEVEL).judged
    assert (judged.images, judged.objects) == (6, 60)


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ({"metric": "seg"}, 1),
        ({"metric": "seg", "experiment": "other"}, 0),
        ({"metric": "seg", "variant": "other"}, 0),
        ({"metric": "iou"}, 0),
    ],
)
def test_a_published_figure_stands_beside_its_metric(entry: dict[str, Any], shown: int) -> None:
    published = [{"value": 0.9, "source": "them", **entry}]
    (judged,) = verdict_of({"net": table("net", 0.8, 0.3)}, LEVEL, published=published).judged
    assert sum(len(card.published) for card in judged.cards) == shown


def test_experiments_are_compared_image_by_image() -> None:
    """Images differ by more than the experiments, which a comparison of means would not see."""
    first = table("one", 0.2, 0.1)
    spread = {image: 0.1 * number for number, image in enumerate(IMAGES)}
    first["value"] += first["image"].map(spread)
    second = first.assign(experiment="two", value=first["value"] + 0.02)
    (compared,) = verdict_of({"one": first, "two": second}, LEVEL).compared
    assert (compared.name, compared.reference) == ("two", "one")
    assert (compared.difference.text, compared.difference.better) == ("+0.020", True)
    assert compared.difference.interval == "+0.020 to +0.020"


def test_only_images_that_both_have_are_compared() -> None:
    rows = pd.DataFrame({"image": ["a", "b", "c"], "group": "", "value": [1.0, 2.0, np.nan]})
    other = pd.DataFrame({"image": ["b", "c", "d"], "group": "", "value": [1.5, 1.0, 1.0]})
    found = difference(score_of("seg", ""), rows, other)
    assert found is not None
    assert (found.mean.value, found.mean.n) == (0.5, 1)
    assert not (found.better or found.worse)  # one image has no interval
    assert found.said == "unknown, without an interval"
    assert difference(score_of("seg", ""), rows, other[2:]) is None


@pytest.mark.parametrize(
    ("images", "said"), [("abcde", "too few images to tell"), ("abcdef", "better")]
)
def test_of_few_images_the_same_sign_in_all_is_chance(images: str, said: str) -> None:
    rows = pd.DataFrame({"image": list(images), "group": "", "value": 0.5})
    found = difference(score_of("seg", ""), rows.assign(value=0.6), rows)
    assert found is not None and found.better
    assert found.said == said


def test_lower_errors_are_better() -> None:
    rows = pd.DataFrame({"image": list("abc"), "group": "", "value": [0.1, 0.2, 0.1]})
    worse = rows.assign(value=rows["value"] + 0.1)
    found = difference(score_of("pixel_error", ""), rows, worse)
    assert found is not None and found.better
    found = difference(score_of("pixel_error", ""), worse, rows)
    assert found is not None and found.worse


@pytest.mark.parametrize(
    ("loss", "falling"),
    [(FALLING, True), (LEVEL, False), (FALLING[::-1], False), (FALLING[:4], False)],
)
def test_a_loss_falls_by_a_share_of_itself(loss: np.ndarray, falling: bool) -> None:
    assert still_falling(pd.DataFrame({"loss": loss})) is falling


def test_a_share_is_never_rounded_to_none_or_all() -> None:
    assert [share(*of) for of in ((3, 4), (970, 1000), (999, 1000), (1, 1000), (0, 500))] == [
        "3 of 4",
        "97 of 100",
        "more than 99 of 100",
        "fewer than 1 of 100",
        "none of 500",
    ]
