"""Thresholds: the best of a list by the mean over images, and the one for instances."""

import logging

import pandas as pd
import pytest

from unetflow.evaluate.choosing import (
    ChosenThreshold,
    best_thresholds,
    chosen_thresholds,
    instance_threshold,
)


def scores(metric: str, *values: tuple[float, float], image: str = "i") -> pd.DataFrame:
    """Rows of an image at several thresholds."""
    rows = [
        {
            "class": "cell",
            "metric": metric,
            "variant": "thinned" if metric == "v_rand" else "",
            "image": image,
            "threshold": threshold,
            "value": value,
        }
        for threshold, value in values
    ]
    return pd.DataFrame(rows)


def chosen(metric: str, variant: str = "", *, threshold: float, images: int) -> ChosenThreshold:
    return {
        "class": "cell",
        "metric": metric,
        "variant": variant,
        "threshold": threshold,
        "value": 0.9,
        "images": images,
    }


def test_the_best_is_the_highest_or_of_errors_the_lowest() -> None:
    values = ((0.25, 0.5), (0.5, 0.75), (0.75, 0.625))
    (iou,) = best_thresholds(scores("iou", *values))
    assert (iou["threshold"], iou["value"], iou["images"]) == (0.5, 0.75, 1)
    (error,) = best_thresholds(scores("warping_error", *values))
    assert (error["threshold"], error["value"]) == (0.25, 0.5)


def test_of_equal_thresholds_the_one_nearest_to_a_half_is_taken() -> None:
    (best,) = best_thresholds(scores("iou", (0.125, 1), (0.375, 1), (0.75, 1), (0.875, 1)))
    assert best["threshold"] == 0.375


def test_images_where_it_is_undefined_are_left_out_of_the_mean() -> None:
    both = pd.concat(
        [
            scores("iou", (0.25, float("nan")), (0.5, 0.25), image="a"),
            scores("iou", (0.25, 0.5), (0.5, 0.5), image="b"),
        ]
    )
    (best,) = best_thresholds(both)
    assert (best["threshold"], best["value"], best["images"]) == (0.25, 0.5, 2)


def test_where_no_image_shows_the_class_no_threshold_is_chosen() -> None:
    # found at 0.1, which is wrong, and nothing at the others, which is undefined
    nothing = scores("iou", (0.1, 0.0), (0.3, float("nan")), (0.5, float("nan")))
    assert best_thresholds(nothing) == []
    (best,) = best_thresholds(pd.concat([nothing, scores("iou", (0.1, 0.2), (0.3, 0.4), (0.5, 0))]))
    assert best["threshold"] == 0.3


def test_instances_are_made_by_the_first_that_was_scored_on_all_images(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seg, iou = chosen("seg", threshold=0.6, images=2), chosen("iou", threshold=0.4, images=2)
    assert instance_threshold([iou, seg], "instances", "cell", 2) == {"threshold": 0.6, "by": "seg"}
    assert instance_threshold([iou, seg], "classes", "cell", 2) == {"threshold": 0.4, "by": "iou"}
    thinned = chosen("v_rand", "thinned", threshold=0.3, images=1)
    with caplog.at_level(logging.WARNING):
        of_some = instance_threshold([thinned], "interior", "cell", 2)
    assert of_some == {"threshold": 0.3, "by": "v_rand thinned"}
    assert "chosen by v_rand thinned on 1 of 2 validation images" in caplog.text
    whole = chosen("v_rand", "unthinned", threshold=0.9, images=1)
    by_slices = chosen("v_rand", "thinned, by slices", threshold=0.2, images=1)  # of a volume
    of_volume = instance_threshold([whole, by_slices], "interior", "cell", 1)
    assert of_volume == {"threshold": 0.2, "by": "v_rand thinned, by slices"}
    assert instance_threshold([iou], "instances", "other", 2) == {"threshold": 0.5, "by": "default"}


def test_thresholds_are_found_by_metric_and_variant_of_a_class() -> None:
    seg = chosen("seg", threshold=0.6, images=2)
    thinned = chosen("v_rand", "thinned", threshold=0.3, images=1)
    wanted = {("seg", ""): 0.6, ("v_rand", "thinned"): 0.3}
    assert chosen_thresholds([seg, thinned], "cell") == wanted == chosen_thresholds([seg, thinned])
    assert chosen_thresholds([seg, thinned], "other") == {}
