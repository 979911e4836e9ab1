"""Lines of scores: no image, and no score, is left out without a word."""

import pandas as pd

from unetflow.evaluate.catalogue import SCORES
from unetflow.evaluate.searching import BY
from unetflow.evaluate.tables import COLUMNS
from unetflow.report.page import environment_of_page
from unetflow.report.score_lines import (
    UNCHOSEN,
    Spread,
    called,
    headline_of,
    spread_over_folds,
    summarise,
)
from unetflow.report.sections.scores import Scores


def row(image: str, threshold: float, chosen: str, value: float) -> dict[str, object]:
    of = {"image": image, "group": "", "method": "network", "metric": "iou", "variant": ""}
    sums = {"a": 10, "b": 10, "ab": 5}
    return {**of, "class": "cell", "threshold": threshold, "chosen": chosen, "value": value, **sums}


def test_images_of_a_fold_without_validation_count_at_the_threshold_nearest_to_a_half() -> None:
    rows = [row(image, t, "list", t) for image in "abc" for t in (0.25, 0.5, 0.75)]
    both = pd.DataFrame([row("a", 0.25, "validation", 0.25), *rows], columns=list(COLUMNS))
    (line,) = summarise(both, {"cell": {}})
    assert line.rows.set_index("image")["value"].to_dict() == {"a": 0.25, "b": 0.5, "c": 0.5}
    assert (line.mean.n, line.thresholds) == (3, (0.25, 0.5))
    assert line.by == f"validation; of 2 images {UNCHOSEN}"
    (line,) = summarise(pd.DataFrame(rows, columns=list(COLUMNS)), {"cell": {}})
    assert (line.mean.n, line.at) == (3, f"0.5 ({UNCHOSEN})")


def test_the_best_of_the_list_is_never_worse_than_the_chosen_threshold() -> None:
    """Calibration may choose one beyond the list; of some images alone it is not compared."""
    rows = [row(image, t, "list", t) for image in "ab" for t in (0.25, 0.5)]
    chosen = [row(image, 0.75, "validation", 0.75) for image in "ab"]
    for of, best in ((chosen, (0.75, 0.75)), (chosen[:1], (0.5, 0.5))):
        (line,) = summarise(pd.DataFrame([*rows, *of], columns=list(COLUMNS)), {"cell": {}})
        assert line.best is not None
        assert (line.best.value, line.best_threshold) == best


def test_a_fold_without_a_score_is_left_out_of_the_spread() -> None:
    folds = []
    for values in ((0.2, 0.4), (float("nan"), float("nan")), (0.7, 0.7)):
        rows = [
            row(image, 0.5, "validation", value) for image, value in zip("ab", values, strict=True)
        ]
        folds.append(summarise(pd.DataFrame(rows, columns=list(COLUMNS)), {"cell": {}}))
    for order in (folds, folds[::-1]):
        (spread,) = spread_over_folds({"net": order})
        assert spread.values == {"IoU, object pixels": ["0.500", "0.300", "0.700"]}
    (nothing,) = spread_over_folds({"net": [folds[1]] * 2})
    assert nothing.values["IoU, object pixels"][0] == "undefined"


def test_a_table_of_spreads_has_the_scores_of_all_its_experiments() -> None:
    """Experiments of another dataset have other main scores."""
    cells = Spread(("a-1", "a-2"), {"SEG": ["0.5", "0.4", "0.6"]})
    membranes = Spread(("b-1", "b-2"), {"V_Rand": ["0.9", "0.8", "0.95"]})
    template = environment_of_page().get_template("scores.html")
    html = template.render(scores=Scores([cells, membranes], [], []))
    assert ">SEG</th>" in html and ">V_Rand</th>" in html
    assert "<strong>0.9</strong><small>0.8 to 0.95</small>" in html


def test_main_scores_are_by_slices_where_there_are_no_others() -> None:
    rows = [
        {**row("a", 0.5, "validation", 0.9), "metric": "v_rand", "variant": "thinned, by slices"},
        {**row("a", 0.5, "instances", 0.8), "metric": "seg"},
        {**row("a", 0.5, "instances", 0.7), "metric": "seg", "variant": "by slices"},
    ]
    lines = summarise(pd.DataFrame(rows, columns=list(COLUMNS)), {"cell": {0.5: ""}})
    assert [line.name for line in headline_of(lines)] == [
        "SEG (stored instances)",
        "V_Rand, thinned, by slices",
    ]


def test_what_chose_a_threshold_has_the_name_of_its_score() -> None:
    deciding = [f"{score.metric} {score.variant}".strip() for score in SCORES if score.decides]
    names = [score.name for score in SCORES if score.decides]
    assert [called(by) for by in deciding] == names
    assert called("v_rand thinned, regions of 512 px") == "V_Rand, thinned, regions of 512 px"
    assert [called(by) for by in BY] == ["mean AP", "AP at IoU 0.5", "PQ", "SEG", "AJI"]
