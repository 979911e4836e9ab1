"""Counts of objects in the report."""

import pandas as pd

from unetflow.evaluate.catalogue import OBJECT_ERRORS
from unetflow.evaluate.tables import COLUMNS
from unetflow.report.object_counts import object_counts
from unetflow.report.score_lines import headline_text, summarise

COUNTS = {"merged": 2, "split": 1, "misshapen": 0, "missed": 3, "spurious": 4}


def table_of(*classes: str) -> pd.DataFrame:
    rows = [
        {
            **{"experiment": "e", "fold": "0", "image": image, "group": "", "method": "network"},
            **{"metric": OBJECT_ERRORS, "variant": kind, "class": name, "chosen": "instances"},
            **{"threshold": 0.5, "value": count + k, "a": count + k, "objects": 20},
        }
        for name in classes
        for k, image in enumerate("ab")
        for kind, count in COUNTS.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_counts_are_summed_over_images_and_those_found_are_the_rest() -> None:
    lines = summarise(table_of("cell"), {"cell": {0.5: "validation"}})
    (counts,) = object_counts(lines)
    assert counts.errors == {kind: 2 * count + 1 for kind, count in COUNTS.items()}
    assert (counts.annotated, counts.predicted) == (40, 40)
    assert counts.found == 40 - 5 - 3 - 1 - 7
    assert counts.text == (
        "of 40 annotated objects 24 found, 5 merged, 3 split, 1 misshapen, 7 missed; of 40 "
        "predicted 9 spurious"
    )
    pooled = {line.score.variant: line.pooled.value for line in lines if line.pooled}
    assert pooled == counts.errors
    text = headline_text("t", {"e": lines}, "r.html", [f"e: {counts.text}"])
    assert text.splitlines()[-2:] == [f"e: {counts.text}", "report: r.html"]


def test_several_classes_are_counted_apart_and_nothing_where_nothing_is_known() -> None:
    lines = summarise(table_of("a", "b"), {name: {0.5: "config"} for name in "ab"})
    assert [counts.of_class for counts in object_counts(lines)] == ["a", "b"]
    assert "objects of class a" in next(object_counts(lines)).text
    assert list(object_counts([])) == []
