"""Curves of the report: what is pooled in them, and what lies beside the page as files."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from unetflow.report.run_results import Run
from unetflow.report.score_lines import summarise
from unetflow.report.sections.curves import _chosen, curves

MODEL: Any = {"classes": ["cell"]}


def drawn(matched_at_half: int, **sizes: int) -> Any:
    """Of an image with 10 annotated and 5 predicted objects."""
    matched = [
        {"of_class": "cell", "iou": iou, "found": n, "annotated": 10, "predicted": 5}
        for iou, n in ((0.5, matched_at_half), (0.75, 0))
    ]
    of_sizes = [{"kind": kind, "least_px": 64, "objects": n} for kind, n in sizes.items()]
    return {"matched": matched, "sizes": of_sizes}


def test_ap_is_of_the_objects_of_all_images_together() -> None:
    (curve,) = curves([], {}, {"net": [drawn(5), drawn(2)]})
    assert curve.name == "ap-by-iou"
    # 7 of 20 annotated and 10 predicted; a mean of the two images' AP would be 0.327
    assert curve.numbers["ap"].tolist() == pytest.approx([7 / 23, 0.0])
    assert "AP against IoU" in curve.svg and curve.svg.pdf_file.startswith(b"%PDF")


def test_shares_of_a_size_leave_out_what_is_too_few() -> None:
    few, many = drawn(5, missed=1), drawn(5, missed=3, found=3)
    assert [of.name for of in curves([], {}, {"net": [few]})] == ["ap-by-iou"]
    (_, size) = curves([], {}, {"net": [many]})
    assert size.numbers.to_dict("records") == [{"least_px": 64, "found": 3.0, "missed": 3.0}]


def run_of(rows: list[dict[str, Any]], history: pd.DataFrame) -> Run:
    shared = {"experiment": "net", "fold": "0", "class": "cell", "group": "", "method": "network"}
    sums = dict.fromkeys(("z", "n", "iou_sum", "objects"), 1.0)
    table = pd.DataFrame([{**shared, **sums, "metric": "v_rand", **row} for row in rows])
    files: Any = {"experiment": "net", "fold": "0"}
    return Run(files, table, MODEL, {}, summarise(table, {"cell": {}}), history, {}, {})


@pytest.mark.slow
def test_splits_stand_against_mergers_at_each_threshold() -> None:
    rows = [
        {"image": image, "variant": "thinned", "threshold": at, "chosen": "list", "value": 0.5}
        | {"ab": 40 * at, "a": 100, "b": 50}
        for image in "ab"
        for at in (0.25, 0.5)
    ]
    history = pd.DataFrame({"step": range(1, 9), "loss": 1.0, "validation_loss": float("nan")})
    history = history.assign(learning_rate=0.1)
    run = run_of(rows, history)
    rand, loss, rate = curves([run], {"net": run.lines}, {})
    assert rand.numbers[["threshold", "split", "merge"]].to_numpy().tolist() == [
        [0.25, 0.1, 0.2],
        [0.5, 0.2, 0.4],
    ]
    # without a validation there is no curve of it
    assert [loss.name, rate.name] == ["trainings-loss", "trainings-learning-rate"]
    assert rate.numbers["learning_rate"].tolist() == [0.1] * 8


def test_the_curve_of_images_that_are_scored_by_regions_says_so() -> None:
    of = {"threshold": 0.5, "chosen": "list", "value": 0.5, "ab": 40, "a": 100, "b": 50}
    rows = [
        {"image": "small", "variant": "thinned", **of},
        {"image": "large", "variant": "thinned, regions of 512 px", **of},
    ]
    run = run_of(rows, pd.DataFrame())
    captions = [curve.caption.split(":")[0] for curve in curves([run], {"net": run.lines}, {})]
    assert captions == ["V_Rand, thinned", "V_Rand, thinned, regions of 512 px"]


def test_the_chosen_thresholds_of_each_class_are_marked() -> None:
    def line(of_class: str, *thresholds: float) -> Any:
        score = SimpleNamespace(metric="v_rand", variant="thinned")
        return SimpleNamespace(score=score, of_class=of_class, thresholds=thresholds)

    table = pd.DataFrame(
        {"threshold": [0.25, 0.5, 0.75], "merge": [0.1, 0.2, 0.3], "split": [0.9, 0.8, 0.7]}
    )
    lines = [line("a", 0.5), line("b", 0.2, 0.7, 0.8)]  # b's of three folds
    assert _chosen(lines, "thinned", "a", table) == [(0.2, 0.8)]
    assert _chosen(lines, "thinned", "b", table) == [(0.1, 0.9), (0.3, 0.7)]
    assert _chosen(lines, "unthinned", "a", table) == []
