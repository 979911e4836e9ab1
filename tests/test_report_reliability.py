"""Reliability of the foreground, from the sums of scores at the list of thresholds."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from unetflow.report.run_results import Run
from unetflow.report.sections.reliability import reliability

MODEL: Any = {"classes": ["cell"]}


def scored(image: str, foreground: np.ndarray, truth: np.ndarray, at: float) -> dict[str, Any]:
    predicted = foreground > at
    return {
        "experiment": "net",
        "fold": "0",
        "class": "cell",
        "method": "network",
        "metric": "iou",
        "variant": "",
        "chosen": "list",
        "image": image,
        "threshold": at,
        "ab": np.count_nonzero(predicted & truth),
        "a": np.count_nonzero(truth),
        "b": np.count_nonzero(predicted),
        "n": truth.size,
    }


def run_of(images: dict[str, tuple[np.ndarray, np.ndarray]], thresholds: list[float]) -> Run:
    rows = [scored(name, *of, at) for name, of in images.items() for at in thresholds]
    nothing, files = pd.DataFrame(), {"experiment": "net", "fold": "0"}
    return Run(files, pd.DataFrame(rows), MODEL, {}, [], nothing, {}, {})  # type: ignore[arg-type]


def test_it_is_the_histogram_of_the_pixels_of_all_images() -> None:
    random = np.random.default_rng(0)
    images = {}
    for name in "ab":
        foreground = random.integers(0, 256, (40, 50)) / 255
        images[name] = foreground, random.random((40, 50)) < foreground
    (found,) = reliability([run_of(images, [0.25, 0.5, 0.75])])
    every = np.concatenate([of[0].ravel() for of in images.values()])
    objects = np.concatenate([of[1].ravel() for of in images.values()])
    part = np.digitize(every, [0.25, 0.5, 0.75], right=True)  # above a threshold, strictly
    counts = np.bincount(part, minlength=4)
    assert found.table["pixels"].tolist() == counts.tolist()
    observed = np.bincount(part, objects, minlength=4) / counts
    assert found.table["observed"].to_numpy() == pytest.approx(observed)
    assert found.table["share"].sum() == pytest.approx(1)
    # drawn with the probability that was predicted: within its range, but for chance
    assert found.out < 0.02
    assert (found.images, found.name) == (2, "net")
    between = found.table.iloc[1:3]
    assert found.out_between is not None
    assert found.out_between[0] == pytest.approx(between["share"].sum())
    assert found.out_between[1] < 0.05


def test_a_range_without_a_pixel_or_an_object_has_no_minus_before_its_zero() -> None:
    foreground, truth = np.repeat([0.1, 0.9], 50), np.repeat([False, True], 50)
    (found,) = reliability([run_of({"a": (foreground, truth)}, [0.25, 0.5])])
    assert found.table["share"].tolist() == [0.5, 0.0, 0.5]
    assert not np.signbit(found.table[["share", "observed", "out"]].fillna(0)).any(axis=None)


def test_probabilities_that_are_too_high_lie_outside_of_their_range() -> None:
    foreground = np.full((10, 10), 0.9)
    truth = np.zeros((10, 10), bool)
    truth[:2] = True  # 20 of 100
    (found,) = reliability([run_of({"a": (foreground, truth)}, [0.5, 0.8])])
    assert found.table["pixels"].tolist() == [0, 0, 100]
    assert np.isnan(found.table["observed"][0])
    assert found.out == pytest.approx(0.8 - 0.2)
    assert found.out_between is None  # no pixel there


def test_without_scores_there_is_none() -> None:
    assert reliability([]) == []
    empty = run_of({"a": (np.zeros((2, 2)), np.zeros((2, 2), bool))}, [0.5])
    none = pd.DataFrame(columns=empty.scores.columns)
    assert reliability([Run(empty.files, none, MODEL, {}, [], none, {}, {})]) == []
