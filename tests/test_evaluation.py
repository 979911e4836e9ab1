"""Scores of an image, and thresholds chosen on validation images."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import write_prepared

from unetflow import metrics
from unetflow.calibration import calibrate
from unetflow.evaluation import Truth, collect_metrics, evaluate_image, otsu_baseline
from unetflow.instances import label_instances
from unetflow.labels import separate_touching
from unetflow.ome import ome_image, write_group
from unetflow.receipts import read_receipt, write_receipt
from unetflow.stores import Layout, open_array, read_foreground
from unetflow.synthetic import draw_region

LABELLING: dict[str, Any] = {"min_area_px": 5, "fill_holes": True, "connectivity": 1}


def write_prediction(folder: Path, name: str, foreground: np.ndarray, threshold: float) -> Path:
    """A store of predictions: foreground (Y, X) in [0, 1] and its instances at a threshold."""
    store = folder / "p" / f"{name}.ome.zarr"
    write_group(store, "", ome_image(name, ("c", "y", "x"), {"foreground": [1, 1, 1]}, unit=None))
    stored = np.rint(foreground[None] * 255).astype(np.uint8)
    labels = label_instances(stored[0] / np.float32(255), threshold=threshold, **LABELLING)
    for path, pixels, axes in (
        ("foreground", stored, ("c", "y", "x")),
        ("labels/instances/0", labels, ("y", "x")),
    ):
        array = open_array(
            store, path, Layout(pixels.shape, str(pixels.dtype), axes), decided_by={}
        )
        for index in array.missing():
            array.write(index, pixels[array.region(index)])
    return store


@pytest.fixture
def case(tmp_path: Path) -> dict[str, Any]:
    """A drawn image with a fair prediction, and the arguments of `evaluate_image`."""
    image, labels = draw_region(slice(0, 120), slice(0, 130), seed=4)
    truth = separate_touching(labels) != 0
    noise = np.random.default_rng(0).normal(0, 0.25, truth.shape)
    foreground = np.clip(0.2 + 0.6 * truth + noise, 0, 1)
    write_receipt(
        tmp_path / "calibration.json",
        {
            "thresholds": [
                {"metric": "iou", "variant": "", "threshold": 0.45, "value": 0.9},
                {"metric": "v_rand", "variant": "thinned", "threshold": 0.5, "value": 0.9},
            ],
            "instances": {"threshold": 0.6, "by": "seg"},
        },
    )
    return {
        "image": write_prepared(tmp_path, "i", image[None], labels),
        "prediction": write_prediction(tmp_path, "i", foreground, 0.6),
        "calibration": tmp_path / "calibration.json",
        "table": tmp_path / "i.csv",
        "kind": "instances",
        "thresholds": [0.3, 0.5],
        "labelling": LABELLING,
        "facts": {"experiment": "e", "fold": "0", "image": "i", "split": "test", "group": ""},
    }


def test_the_table_holds_what_the_metrics_say(case: dict[str, Any]) -> None:
    evaluate_image(**case)
    table = pd.read_csv(case["table"])
    truth, foreground = Truth(case["image"], "instances"), read_foreground(case["prediction"])[0]

    def value(metric: str, chosen: str, threshold: float | None = None, variant: str = "") -> float:
        rows = table[(table["method"] == "unet") & (table["metric"] == metric)]
        rows = rows[(rows["chosen"] == chosen) & (rows["variant"].fillna("") == variant)]
        if threshold is not None:
            rows = rows[rows["threshold"] == threshold]
        (found,) = rows["value"]
        return float(found)

    interior = truth.interior
    assert value("pixel_error", "list", 0.3) == metrics.pixel_error(interior, foreground, 0.3)
    for thinned, variant in ((False, "unthinned"), (True, "thinned")):
        wanted = metrics.rand_score(interior, foreground, 0.5, thinned=thinned).f
        assert value("v_rand", "list", 0.5, variant) == wanted
    assert value("v_rand", "validation", variant="thinned") == wanted
    assert value("warping_error", "list", 0.5) == metrics.warping_error(interior, foreground, 0.5)
    wanted = metrics.splits_and_mergers(interior, foreground, [0.5])
    assert value("splits_mergers", "list", 0.5) == wanted
    binary = foreground > 0.45
    wanted = (binary & (interior > 0)).sum() / (binary | (interior > 0)).sum()
    assert value("iou", "validation") == wanted
    stored = label_instances(foreground, threshold=0.6, **LABELLING)
    assert value("seg", "instances") == metrics.seg_score(truth.labels, stored)
    assert value("ap", "instances", variant="iou 0.5") == metrics.average_precision(
        truth.labels, stored
    )
    assert set(table.loc[table["method"] == "otsu", "chosen"]) == {"otsu"}
    assert table["image"].eq("i").all()


def test_a_perfect_prediction_is_perfect(case: dict[str, Any], tmp_path: Path) -> None:
    truth = Truth(case["image"], "instances")
    case["prediction"] = write_prediction(tmp_path, "perfect", truth.interior.astype(float), 0.5)
    evaluate_image(**case)
    table = pd.read_csv(case["table"]).query("method == 'unet' and chosen == 'list'")
    best = table["metric"].isin(["iou", "dice", "v_rand"])
    assert (table.loc[best, "value"] == 1).all()
    errors = table["metric"].isin(["pixel_error", "warping_error", "splits_mergers"])
    assert (table.loc[errors, "value"] == 0).all()


def test_sums_reproduce_the_value(case: dict[str, Any]) -> None:
    evaluate_image(**case)
    table = pd.read_csv(case["table"])
    rand = table[table["metric"] == "v_rand"]
    np.testing.assert_allclose(rand["value"], 2 * rand["ab"] / (rand["a"] + rand["b"]))
    iou = table[table["metric"] == "iou"]
    np.testing.assert_allclose(iou["value"], iou["ab"] / (iou["a"] + iou["b"] - iou["ab"]))
    seg = table[table["metric"] == "seg"]
    np.testing.assert_allclose(seg["value"], seg["iou_sum"] / seg["objects"])


def test_membrane_metrics_are_left_out_of_large_images(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unetflow.evaluation.MEMBRANE_LIMIT_PX", 100)
    evaluate_image(**case)
    table = pd.read_csv(case["table"])
    assert {"iou", "v_rand", "seg", "ap"} <= set(table["metric"])
    assert not {"warping_error", "splits_mergers"} & set(table["metric"])


def test_the_baseline_takes_the_better_polarity(case: dict[str, Any]) -> None:
    truth = Truth(case["image"], "instances")
    label = partial(label_instances, **LABELLING)
    bright = truth.interior[None] * 100 + np.arange(130)[None, None] % 7
    for image in (bright, 255 - bright):
        rows = otsu_baseline(truth, image, label)
        assert next(row["value"] for row in rows if row["metric"] == "iou") == 1
    assert otsu_baseline(truth, np.zeros_like(bright), label) == []


def test_tables_are_collected_in_order(case: dict[str, Any], tmp_path: Path) -> None:
    evaluate_image(**case)
    collect_metrics(tables=[case["table"], case["table"]], table=tmp_path / "all.csv")
    one, all_ = pd.read_csv(case["table"]), pd.read_csv(tmp_path / "all.csv")
    pd.testing.assert_frame_equal(all_, pd.concat([one, one], ignore_index=True), check_dtype=False)


def test_thresholds_are_chosen_by_the_metrics_themselves(case: dict[str, Any]) -> None:
    thresholds = [0.2, 0.4, 0.5, 0.8]
    receipt = case["table"].with_suffix(".json")
    calibrate(
        images=[case["image"]],
        predictions=[case["prediction"]],
        receipt=receipt,
        kind="instances",
        thresholds=thresholds,
        labelling=LABELLING,
    )
    found = {(b["metric"], b["variant"]): b for b in read_receipt(receipt)["thresholds"]}
    truth, foreground = Truth(case["image"], "instances"), read_foreground(case["prediction"])[0]
    errors = {t: metrics.pixel_error(truth.interior, foreground, t) for t in thresholds}
    assert found["pixel_error", ""]["value"] == min(errors.values())
    assert found["pixel_error", ""]["threshold"] == min(errors, key=lambda t: errors[t])
    rand = [metrics.rand_score(truth.interior, foreground, t, thinned=True).f for t in thresholds]
    assert found["v_rand", "thinned"]["value"] == max(rand)
    assert read_receipt(receipt)["instances"] == {
        "threshold": found["seg", ""]["threshold"],
        "by": "seg",
    }


def test_without_validation_images_instances_are_made_at_a_half(tmp_path: Path) -> None:
    calibrate(
        images=[],
        predictions=[],
        receipt=tmp_path / "c.json",
        kind="interior",
        thresholds=[0.5],
        labelling=LABELLING,
    )
    found = read_receipt(tmp_path / "c.json")
    assert found == {
        "thresholds": [],
        "instances": {"threshold": 0.5, "by": "default"},
        "images": 0,
    }
