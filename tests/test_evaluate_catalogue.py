"""The catalogue: one row a score, and everything that is asked of it."""

import math
import sys
from subprocess import run

import pytest

from unetflow import metrics
from unetflow.evaluate.catalogue import (
    ARROWS,
    OF_TABLES,
    SCORES,
    STORED,
    Score,
    at_iou,
    row_of,
    score_of,
)
from unetflow.evaluate.pooling import Estimate
from unetflow.evaluate.stack_scores import STACK_SCORES, WITHOUT_ONE


def test_a_score_has_one_row() -> None:
    assert len(OF_TABLES) == len(SCORES)
    assert len({score.name for score in SCORES}) == len(SCORES)


def test_variants_of_a_metric_have_its_direction_pooling_and_digits() -> None:
    for metric in {score.metric for score in SCORES}:
        rows = [score for score in SCORES if score.metric == metric]
        assert len({(row.better, row.pooling is None, row.digits) for row in rows}) == 1


def test_errors_are_better_low() -> None:
    lower = {score.metric for score in SCORES if score.lower_is_better}
    assert lower == {"pixel_error", "warping_error", "splits_mergers", "object_errors"}
    assert all(score.better in ("higher", "lower") for score in SCORES)
    assert ARROWS[row_of("seg", "").better] == "↑"


def test_instances_are_made_at_the_threshold_of_what_says_most_of_their_kind() -> None:
    decides = {
        kind: [(score.metric, score.variant) for score in SCORES if kind in score.decides]
        for kind in ("instances", "interior", "classes")
    }
    assert decides == {
        "instances": [("seg", ""), ("iou", "")],
        "interior": [("v_rand", "thinned"), ("v_rand", "unthinned")],
        "classes": [("iou", "")],
    }


def test_the_headline_has_seg_and_ap_of_stored_instances_iou_and_v_rand() -> None:
    assert [(score.name, score.headline) for score in SCORES if score.headline is not None] == [
        ("SEG", STORED),
        ("AP at IoU 0.5", STORED),
        ("IoU, object pixels", ""),
        ("V_Rand, thinned", ""),
    ]


@pytest.mark.parametrize(
    ("metric", "variant", "row", "name"),
    [
        ("seg", "", "", "SEG"),
        ("warping_error", "regions of 64 px", "", "Warping error, regions of 64 px"),
        ("v_rand", "thinned, regions of 64 px", "thinned", "V_Rand, thinned, regions of 64 px"),
        ("ap", at_iou(0.75), "iou 0.75", "AP at IoU 0.75"),
    ],
)
def test_a_variant_may_say_how_it_was_scored(
    metric: str, variant: str, row: str, name: str
) -> None:
    assert row_of(metric, variant) is OF_TABLES[metric, row]
    score = score_of(metric, variant)
    assert (score.variant, score.name) == (variant, name)
    assert score.pooling is OF_TABLES[metric, row].pooling


@pytest.mark.parametrize(("metric", "variant"), [("aji_plus", ""), ("ap", ""), ("v_rand", "thin")])
def test_a_score_without_a_row_is_an_error(metric: str, variant: str) -> None:
    with pytest.raises(KeyError, match=f"no row of the catalogue is metric '{metric}'"):
        row_of(metric, variant)


def test_values_and_intervals_are_text_with_the_digits_of_the_score() -> None:
    score = Score(metric="m", name="M", definition="Is.", source="Them 2012", digits=2)
    assert score.text(0.125) == "0.12"
    assert score.text(math.nan) == "undefined"
    assert score.meaning == "Is. Source: Them 2012."
    known = Estimate("mean", 0.5, 0.25, 0.75, n=3, left_out=0, groups=3)
    assert score.interval(known) == "0.25 to 0.75"
    one = Estimate("mean", 0.5, math.nan, math.nan, n=3, left_out=0, groups=1)
    assert score.interval(one) == "no interval: one group"
    none = Estimate("mean", math.nan, math.nan, math.nan, n=0, left_out=3, groups=0)
    assert score.interval(none) == ""


def test_numbers_of_stacks_are_what_the_challenge_takes_and_which_way() -> None:
    low, high = dict.fromkeys(COLUMNS, 0.25), dict.fromkeys(COLUMNS, 0.75)
    rows = [
        low | {"threshold": 0.0, "interior_share": 1},
        high | {"threshold": 0.5, "interior_share": 1},
        low | {"threshold": 1.0, "interior_share": 1},
    ]
    best = metrics.best_of_thresholds(rows)
    names = {score.name for score in (*STACK_SCORES, WITHOUT_ONE)}
    assert names == {name.removesuffix("_threshold") for name in best} - {
        "thresholds_without_interior"
    }
    for score in (*STACK_SCORES, WITHOUT_ONE):
        values = [score.of(row) for row in rows]
        assert best[score.name] == (max(values) if score.better == "higher" else min(values))


COLUMNS = {score.column for score in (*STACK_SCORES, WITHOUT_ONE)}


def test_the_catalogue_needs_numpy_alone() -> None:
    code = (
        "import sys, unetflow.evaluate.catalogue, unetflow.evaluate.stack_scores;"
        "print({'pandas', 'scipy', 'dask', 'zarr', 'torch', 'numba'} & sys.modules.keys())"
    )
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
