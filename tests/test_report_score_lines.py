"""Lines of scores: no image is left out because its fold chose no threshold."""

import pandas as pd

from unetflow.evaluate.tables import COLUMNS
from unetflow.report.score_lines import UNCHOSEN, summarise


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
