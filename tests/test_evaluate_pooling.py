"""Means and pooled scores of many images, with intervals that keep groups together."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from unetflow.evaluate.catalogue import SCORES
from unetflow.evaluate.pooling import (
    mean_over_images,
    pooled_over_images,
    read_scores,
    summarise_scores,
)
from unetflow.evaluate.tables import SUMS, read_table


def rows(
    metric: str, values: list[float], groups: list[str] | None = None, **sums: Any
) -> pd.DataFrame:
    count = len(values)
    frame = pd.DataFrame({"value": values, "group": groups or [""] * count})
    frame["image"] = [f"i{k}" for k in range(count)]
    variant = "thinned" if metric == "v_info" else ""
    return frame.assign(metric=metric, variant=variant, **dict.fromkeys(SUMS, np.nan)).assign(
        **sums
    )


def test_a_mean_leaves_undefined_images_out_and_counts_them() -> None:
    mean = mean_over_images(rows("iou", [0.5, np.nan, 0.7]))
    assert (mean.reduce, mean.value, mean.n, mean.left_out) == ("mean", 0.6, 2, 1)
    assert mean.count == "2 (1 undefined, left out)"
    nothing = mean_over_images(rows("iou", [np.nan, np.nan]))
    assert np.isnan(nothing.value)
    assert np.isnan(nothing.low)
    assert (nothing.n, nothing.left_out, nothing.groups) == (0, 2, 0)


def test_pooling_adds_the_counts_first() -> None:
    pooled = pooled_over_images(rows("iou", [0.5, 0.25], ab=[50, 1], a=[75, 2], b=[75, 3]))
    assert pooled is not None
    assert (pooled.reduce, pooled.value) == ("pooled", 51 / (77 + 78 - 51))
    assert pooled_over_images(rows("v_info", [0.5, 0.25])) is None
    assert pooled_over_images(rows("iou", [])) is None


def test_surplus_objects_of_images_without_truth_are_in_the_pooled_det() -> None:
    # one image of 2 objects and a surplus one; one of none, with 4 surplus; one of nothing at all
    det = rows("det", [0.95, np.nan, np.nan], a=[20, 0, 0], b=[1, 4, 0], objects=[2, 0, 0])
    pooled = pooled_over_images(det)
    assert pooled is not None
    assert (pooled.value, pooled.n, pooled.left_out, pooled.groups) == (1 - 5 / 20, 2, 1, 2)
    # 2000 draws of two: a quarter of them has no truth and says nothing
    assert (pooled.low, pooled.high) == pytest.approx((0.75, 0.95))
    alone = pooled_over_images(det[1:])
    assert alone is not None
    assert np.isnan([alone.value, alone.low, alone.high]).all()
    assert mean_over_images(det).n == 1
    # of IoU an image without truth and prediction adds nothing, however many pixels it has
    iou = pooled_over_images(rows("iou", [0.5, np.nan], ab=[5, 0], a=[8, 0], b=[7, 0], n=100))
    assert iou is not None and (iou.value, iou.n, iou.left_out) == (0.5, 1, 1)


def test_each_pooled_formula_gives_a_single_image_its_own_score() -> None:
    sums = {"ab": 30.0, "a": 50.0, "b": 40.0, "n": 100.0, "iou_sum": 7.5, "objects": 10.0}
    wanted = {
        "iou": 30 / 60,
        "dice": 60 / 90,
        "pixel_error": 0.3,
        "v_rand": 60 / 90,
        "ap": 0.5,
        "warping_error": 0.5,
        "splits_mergers": 0.5,
        "seg": 0.75,
        "det": 1 - 40 / 50,
        "pq": 15 / 90,
        "aji": 0.3,
        "aji+": 0.3,
        "object_errors": 50,
    }
    arrays = {name: np.array(value) for name, value in sums.items()}
    pooled = [score for score in SCORES if score.pooling]
    assert {score.metric for score in pooled} == wanted.keys()
    for score in pooled:
        assert score.pooling is not None
        assert float(score.pooling(arrays)) == pytest.approx(wanted[score.metric])


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.05, 200)
    mean = mean_over_images(rows("iou", list(values)))
    # 2000 resamples: the ends of a percentile interval are good to a tenth of its width
    half = 1.96 * values.std() / np.sqrt(200)
    assert mean.low == pytest.approx(values.mean() - half, abs=0.2 * half)
    assert mean.high == pytest.approx(values.mean() + half, abs=0.2 * half)
    assert mean == mean_over_images(rows("iou", list(values)))


@pytest.mark.slow
@pytest.mark.parametrize(("images", "least"), [(5, 0.90), (10, 0.94)])
def test_intervals_hold_the_true_mean_nearly_as_often_as_they_say(
    images: int, least: float
) -> None:
    """Plain percentiles do in 0.865 and 0.913 of these cases."""
    random = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        mean = mean_over_images(rows("iou", list(random.normal(0.8, 0.05, images))))
        held += mean.low <= 0.8 <= mean.high
    assert held / 400 >= least


def test_images_of_a_group_are_drawn_together() -> None:
    values = [0.1] * 50 + [0.9] * 50
    alone = mean_over_images(rows("iou", values))
    grouped = mean_over_images(rows("iou", values, ["p"] * 50 + ["q"] * 50))
    assert (alone.groups, grouped.groups) == (100, 2)
    assert (grouped.low, grouped.high) == pytest.approx((0.1, 0.9))
    assert alone.high - alone.low < 0.2
    one = mean_over_images(rows("iou", values, ["p"] * 100))
    assert np.isnan(one.low)
    assert one.value == pytest.approx(0.5)


def test_a_group_named_as_an_image_is_not_that_image() -> None:
    assert mean_over_images(rows("iou", [0.1, 0.2], ["i1", ""])).groups == 2


def test_the_summary_names_choice_and_reduction() -> None:
    scores = pd.concat(
        [
            rows("iou", [0.5, 0.25], ab=[50, 1], a=[75, 2], b=[75, 3]).assign(
                chosen=chosen, threshold=threshold
            )
            for chosen, threshold in (("list", 0.3), ("list", 0.5), ("validation", 0.5))
        ]
    ).assign(experiment="e", method="network", **{"class": "cell"})
    summary = summarise_scores(scores)
    assert list(zip(summary["chosen"], summary["threshold"], summary["reduce"], strict=True)) == [
        ("list", "0.3", "mean"),
        ("list", "0.3", "pooled"),
        ("list", "0.5", "mean"),
        ("list", "0.5", "pooled"),
        ("validation", "0.5", "mean"),
        ("validation", "0.5", "pooled"),
    ]
    assert set(summary["n"]) == {2}


@pytest.mark.parametrize("large", [2**63 - 1, 2**63 + 1, 2**64 + 1, 10**23])
def test_sums_may_be_of_any_size(tmp_path: Path, large: int) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f"image,a,b\ni,{large},1\nj,,2\n")  # squares of areas of a slide
    found = read_table(table, ("a", "b"))
    assert found["a"].iloc[0] == float(large) and np.isnan(found["a"].iloc[1])
    assert found["b"].tolist() == [1, 2]
    table.write_text("image,a\ni,many\n")
    with pytest.raises(ValueError, match="Unable to parse string"):
        read_table(table, ("a",))


def test_names_that_look_like_missing_values_are_names(tmp_path: Path) -> None:
    names = ["NA", "null", "None", "nan", "N/A"]
    frame = rows("iou", [0.5, 0.25, 0.75, 1.0, np.nan], groups=names, ab=1.0, a=2.0)
    frame = frame.assign(b=[2.0, 2.0, 2.0, 2.0, 0.0])
    frame = frame.assign(image=names, experiment="NULL", fold="0", split="test", method="nan")
    frame = frame.assign(threshold=np.nan, chosen="none", **{"class": "NA"})
    frame.to_csv(tmp_path / "metrics.csv", index=False)
    scores = read_scores(tmp_path / "metrics.csv")
    assert list(scores["image"]) == list(scores["group"]) == names
    assert set(scores["experiment"]) == {"NULL"} and set(scores["class"]) == {"NA"}
    mean = mean_over_images(scores)
    assert (mean.value, mean.n, mean.left_out, mean.groups) == (0.625, 4, 1, 4)
    assert list(summarise_scores(scores)["n"]) == [4, 4]
