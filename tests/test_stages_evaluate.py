"""Scores of an image, and thresholds chosen on validation images."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import write_prepared
from scipy import ndimage

from unetflow import metrics
from unetflow.demo.planes import draw_region
from unetflow.evaluate.catalogue import SCORES, row_of
from unetflow.evaluate.image_scores import Truth, otsu_baseline
from unetflow.evaluate.judged_images import notes_of, read_judged
from unetflow.evaluate.object_stages import Stages
from unetflow.evaluate.object_step import Wanted
from unetflow.evaluate.pooling import pooled_over_images
from unetflow.evaluate.scoring import Labelling, Scoring
from unetflow.evaluate.stack_scores import STACK_SCORES
from unetflow.evaluate.tables import COLUMNS, STACK_COLUMNS
from unetflow.instances.whole_image import label_instances
from unetflow.labels.dataset import Dataset
from unetflow.labels.encoding import separate_touching
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.stages.calibrate import calibrate
from unetflow.stages.collect import collect_metrics
from unetflow.stages.evaluate import evaluate_image
from unetflow.stages.evaluate_stack import evaluate_stack
from unetflow.store.foreground import read_foreground
from unetflow.store.ome import ome_image, write_group
from unetflow.store.shards import Layout, open_array

CELL = {"class": "cell"}
CELLS = Dataset("instances", ("cell",))
LABELLING: Labelling = {"min_area_px": 5, "fill_holes": True, "connectivity": 1}


def scoring(*thresholds: float, regions_px: int | None = None) -> Scoring:
    return Scoring(thresholds, regions_px, LABELLING, threads=2)


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
                {**CELL, "metric": "iou", "variant": "", "threshold": 0.45, "value": 0.9},
                {**CELL, "metric": "v_rand", "variant": "thinned", "threshold": 0.5, "value": 0.9},
            ],
            "instances": {"cell": {"threshold": 0.6, "by": "seg"}},
        },
    )
    made = {"threshold": 0.6, "instances": 10_000, "first_id": 1}
    write_receipt(tmp_path / "instances.json", {"classes": {"cell": made}})
    return {
        "image": write_prepared(tmp_path, "i", image[None], labels),
        "prediction": write_prediction(tmp_path, "i", foreground, 0.6),
        "calibration": tmp_path / "calibration.json",
        "instances": tmp_path / "instances.json",
        "table": tmp_path / "i.csv",
        "stored": [],
        "dataset": CELLS,
        "scoring": scoring(0.3, 0.5),
        "facts": {"experiment": "e", "fold": "0", "image": "i", "split": "test", "group": ""},
    }


def write_perfect(image: Path, prediction: Path) -> None:
    """Array `refined` beside a foreground: the truth."""
    perfect = (np.asarray(Truth(image, CELLS).interior) * np.uint8(255))[None]
    layout = Layout(perfect.shape, "uint8", ("c", "y", "x"))
    array = open_array(prediction, "refined", layout, decided_by={})
    for index in array.missing():
        array.write(index, perfect[array.region(index)])


def test_what_is_scored_is_the_array_that_is_named(case: dict[str, Any]) -> None:
    write_perfect(case["image"], case["prediction"])

    def iou(foreground: str) -> float:
        evaluate_image(**case | {"scoring": replace(case["scoring"], foreground=foreground)})
        table = pd.read_csv(case["table"])
        of = table[(table["metric"] == "iou") & (table["chosen"] == "validation")]
        return float(of["value"].iloc[0])

    assert iou("foreground") < 0.95
    assert iou("refined") == 1
    calibrate(
        images=[case["image"]],
        predictions=[case["prediction"]],
        stored=[],
        receipt=case["calibration"],
        dataset=CELLS,
        scoring=replace(case["scoring"], foreground="refined"),
    )
    chosen = read_receipt(case["calibration"])["thresholds"]
    assert {of["value"] for of in chosen if of["metric"] == "iou"} == {1}


def test_the_table_holds_what_the_metrics_say(case: dict[str, Any]) -> None:
    evaluate_image(**case)
    table = pd.read_csv(case["table"])
    truth, foreground = Truth(case["image"], CELLS), read_foreground(case["prediction"])[0]

    def value(metric: str, chosen: str, threshold: float | None = None, variant: str = "") -> float:
        rows = table[(table["method"] == "network") & (table["metric"] == metric)]
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
    truth = Truth(case["image"], CELLS)
    case["prediction"] = write_prediction(tmp_path, "perfect", truth.interior.astype(float), 0.5)
    evaluate_image(**case)
    table = pd.read_csv(case["table"]).query("method == 'network' and chosen == 'list'")
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


def test_every_row_stands_in_the_catalogue_and_its_sums_pool_to_its_value(
    case: dict[str, Any],
) -> None:
    evaluate_image(**case)
    table = pd.read_csv(case["table"], keep_default_na=False)
    found = {(row["metric"], row["variant"]) for _, row in table.iterrows()}
    assert found == {(score.metric, score.variant) for score in SCORES}
    for _, rows in table.groupby(["method", "metric", "variant", "chosen", "threshold"]):
        one = rows.iloc[:1].replace("", np.nan).assign(variant=rows["variant"], group="")
        pooled = pooled_over_images(one)
        if pooled is not None:
            assert pooled.value == pytest.approx(float(rows["value"].iloc[0]))
        else:
            assert row_of(*rows[["metric", "variant"]].iloc[0]).metric in ("v_info", "dsb2018")


def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every image one that is read block by block."""
    monkeypatch.setattr("unetflow.evaluate.image_scores.IN_MEMORY_PX", 100)


def test_a_large_image_has_the_scores_of_a_small_one(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate_image(**case)
    small = pd.read_csv(case["table"])
    large(monkeypatch)
    monkeypatch.setattr("unetflow.metrics.blocks.BLOCK_PX", 1)
    evaluate_image(**case)
    table = pd.read_csv(case["table"])
    assert not {"warping_error", "splits_mergers"} & set(table["metric"])
    assert len(table) > 30
    key = ["method", "metric", "variant", "chosen", "threshold"]
    both = table.merge(small, on=key, suffixes=("", "_small"))
    assert len(both) == len(table)
    for column in ("value", "ab", "a", "b", "z", "n", "iou_sum", "objects"):
        np.testing.assert_array_equal(both[column], both[f"{column}_small"])


def test_membranes_of_a_large_image_are_scored_by_declared_regions(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    large(monkeypatch)
    case["scoring"] = scoring(0.3, 0.5, regions_px=64)
    evaluate_image(**case)
    table = pd.read_csv(case["table"])
    (row,) = table.query(
        "metric == 'warping_error' and variant == 'regions of 64 px' and chosen == 'list' "
        "and threshold == 0.3"
    ).to_dict("records")
    truth, foreground = Truth(case["image"], CELLS), read_foreground(case["prediction"])[0]
    regions = [
        (slice(y, min(y + 64, 120)), slice(x, min(x + 64, 130)))
        for y in (0, 64)
        for x in (0, 64, 128)
    ]
    interior = np.asarray(truth.interior)
    (left,) = metrics.mismatches_of_regions(interior, foreground, 0.3, regions)
    assert row["value"] == left.warping_error == row["a"] / row["n"]
    assert row["n"] == 120 * 130
    thinned = table[(table["metric"] == "v_rand") & (table["chosen"] == "list")]
    assert set(thinned["variant"]) == {"unthinned", "thinned, regions of 64 px"}


def test_the_baseline_takes_the_better_polarity(case: dict[str, Any]) -> None:
    truth = Truth(case["image"], CELLS)
    label = partial(label_instances, **LABELLING)
    bright = truth.interior[None] * 100 + np.arange(130)[None, None] % 7
    for image in (bright, 255 - bright):
        rows = otsu_baseline(truth, image, label)
        assert next(row.value for row in rows if row.metric == "iou") == 1
    assert otsu_baseline(truth, np.zeros_like(bright), label) == []


def test_the_baseline_has_its_threshold_of_pixels_that_count(case: dict[str, Any]) -> None:
    """A bright mark that is ignored was told apart from all else, objects and ground alike."""
    truth = Truth(case["image"], CELLS)
    image = truth.interior[None] * 100 + np.arange(130)[None, None] % 7
    truth.ignore = np.broadcast_to(np.arange(130) >= 120, truth.ignore.shape)
    image[..., 120:] = 20_000
    rows = otsu_baseline(truth, image, partial(label_instances, **LABELLING))
    assert next(row.value for row in rows if row.metric == "iou") == 1
    truth.ignore = np.ones(truth.ignore.shape, np.bool_)
    assert otsu_baseline(truth, image, partial(label_instances, **LABELLING)) == []


def collect(folder: Path, tables: list[Path], stacks: list[Path]) -> dict[str, pd.DataFrame]:
    names = {"table": "metrics", "stack_table": "stacks", "summary": "summary"}
    paths = {key: folder / f"{name}.csv" for key, name in names.items()}
    collect_metrics(tables=tables, stacks=stacks, **paths)
    return {name: pd.read_csv(folder / f"{name}.csv") for name in names.values()}


def test_tables_are_collected_in_order(case: dict[str, Any], tmp_path: Path) -> None:
    evaluate_image(**case)
    other = tmp_path / "j.csv"
    evaluate_image(**{**case, "table": other, "facts": {**case["facts"], "image": "j"}})
    found = collect(tmp_path, [case["table"], other], [])
    one = pd.read_csv(case["table"])
    joined = pd.concat([one, one.assign(image="j")], ignore_index=True)
    pd.testing.assert_frame_equal(found["metrics"], joined, check_dtype=False)
    assert list(found["metrics"]) == list(COLUMNS)
    assert list(found["stacks"]) == list(STACK_COLUMNS)
    summary = found["summary"]
    assert (summary["n"] + summary["left_out"] == 2).all()
    iou = summary.query("metric == 'iou' and chosen == 'validation' and method == 'network'")
    assert set(iou["reduce"]) == {"mean", "pooled"}
    assert (iou["threshold"].astype(float) == 0.45).all()
    np.testing.assert_allclose(iou["value"], iou["low_95"])  # two equal images


def test_sums_too_large_for_int64_are_collected_as_they_are(
    case: dict[str, Any], tmp_path: Path
) -> None:
    evaluate_image(**case)
    text = case["table"].read_text()
    row = text.splitlines()[1].split(",")
    row[COLUMNS.index("ab")] = str(2**70 + 1)
    case["table"].write_text(text + ",".join(row) + "\n")
    collect(tmp_path, [case["table"]], [])
    assert str(2**70 + 1) in (tmp_path / "metrics.csv").read_text()


def test_slices_of_a_stack_are_scored_as_the_challenge_does(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    interiors, foregrounds, images, predictions = [], [], [], []
    for k in range(3):
        _, labels = draw_region(slice(0, 60), slice(90 * k, 90 * k + 80), seed=4)
        interior = separate_touching(labels) != 0
        foreground = np.clip(0.2 + 0.6 * interior + random.normal(0, 0.2, interior.shape), 0, 1)
        images.append(write_prepared(tmp_path, f"s{k}", interior[None] * 9, interior * 1))
        predictions.append(write_prediction(tmp_path, f"s{k}", foreground, 0.5))
        interiors.append(interior)
        foregrounds.append(read_foreground(predictions[-1])[0])
    chosen = [{**CELL, "metric": "v_rand", "variant": "thinned", "threshold": 0.45, "value": 0.9}]
    write_receipt(tmp_path / "c.json", {"thresholds": chosen})
    scored: dict[str, Any] = {
        "stored": [],
        "images": images,
        "predictions": predictions,
        "calibration": tmp_path / "c.json",
        "table": tmp_path / "stack.csv",
        "facts": {"experiment": "e", "fold": "0", "stack": "test"},
        "threads": 1,
    }
    for image, prediction in zip(images, predictions, strict=True):
        write_perfect(image, prediction)
    evaluate_stack(**scored, foreground="refined")
    assert pd.read_csv(scored["table"]).set_index("score")["best_of_11"]["pixel_error_min"] == 0
    evaluate_stack(**scored)
    table = collect(tmp_path, [], [tmp_path / "stack.csv"])["stacks"].set_index("score")
    scores = metrics.isbi2012_scores(np.stack(interiors), np.stack(foregrounds))
    for name, row in table.iterrows():
        assert row["best_of_11"] == pytest.approx(scores[str(name)], rel=1e-12)
        assert row["best_threshold"] == pytest.approx(scores[f"{name}_threshold"])
        assert row["better"] == ("higher" if str(name).endswith("_max") else "lower")
    assert table.index.tolist() == [score.name for score in STACK_SCORES]
    assert (table["slices"] == 3).all()
    official = table.loc["v_rand_thinned_macro_max"]
    wanted = metrics.rand_score(np.stack(interiors), np.stack(foregrounds), 0.45, thinned=True).f
    assert (official["value"], official["threshold"]) == (pytest.approx(wanted), 0.45)
    assert table["value"].isna()["rand_error_2012"]  # the validation chose none for it


def test_thresholds_are_chosen_by_the_metrics_themselves(case: dict[str, Any]) -> None:
    thresholds = [0.2, 0.4, 0.5, 0.8]
    receipt = case["table"].with_suffix(".json")
    calibrate(
        stored=[],
        images=[case["image"]],
        predictions=[case["prediction"]],
        receipt=receipt,
        dataset=CELLS,
        scoring=scoring(*thresholds),
    )
    found = {(b["metric"], b["variant"]): b for b in read_receipt(receipt)["thresholds"]}
    truth, foreground = Truth(case["image"], CELLS), read_foreground(case["prediction"])[0]
    errors = {t: metrics.pixel_error(truth.interior, foreground, t) for t in thresholds}
    assert found["pixel_error", ""]["value"] == min(errors.values())
    assert found["pixel_error", ""]["threshold"] == min(errors, key=lambda t: errors[t])
    rand = [metrics.rand_score(truth.interior, foreground, t, thinned=True).f for t in thresholds]
    assert found["v_rand", "thinned"]["value"] == max(rand)
    assert read_receipt(receipt)["instances"] == {
        "cell": {
            "threshold": found["seg", ""]["threshold"],
            "by": "seg",
            "labelling": {**LABELLING, "split_px": None},
        }
    }


def two_images(folder: Path) -> dict[str, Any]:
    """Arguments of `calibrate`: touching cells that a blurred foreground joins."""
    made: dict[str, Any] = {"images": [], "predictions": [], "stored": [], "dataset": CELLS}
    for k, name in enumerate("jk"):
        image, labels = draw_region(slice(0, 150), slice(200 * k, 200 * k + 140), seed=4)
        light = ndimage.gaussian_filter((labels != 0).astype(float), 1.5)
        made["images"].append(write_prepared(folder, name, image[None], labels))
        made["predictions"].append(write_prediction(folder, name, light, 0.5))
    return made


AUTO: dict[str, Any] = {
    **{"threshold": None, "min_area_px": "auto", "fill_holes": "auto", "max_hole_px": "auto"},
    **{"connectivity": 1, "separate": "auto", "split_px": None, "split_logits": None},
    "seed_threshold": None,
}


@pytest.mark.slow
def test_the_whole_object_step_is_chosen_and_stands_in_the_receipt(
    case: dict[str, Any], tmp_path: Path
) -> None:
    receipt, tried = tmp_path / "c.json", tmp_path / "c" / "tried.csv"
    wanted = Wanted(AUTO, methods=("none", "necks", "valleys"))
    asked = two_images(tmp_path) | {"scoring": scoring(0.3, 0.5, 0.7)}
    calibrate(**asked, receipt=receipt, tried=tried, wanted=wanted)
    found = read_receipt(receipt)
    made = found["instances"]["cell"]
    assert made["by"] == "mean_ap"
    assert made["labelling"]["separate"] == "valleys" or made["labelling"]["split_px"]
    assert found["search"]["images"] == 2
    rows = pd.read_csv(tried)
    assert rows["chosen"].sum() == 1
    assert rows["mean_ap"].iloc[0] == pytest.approx(found["search"]["score"])
    assert set(found["stages"]["cell"]) == set(Stages.__annotations__)
    assert found["stages"]["cell"]["product"] == pytest.approx(rows["ap"].iloc[0])
    # who reads it makes instances and scores them as it says
    evaluate_image(**case | {"calibration": receipt})
    table = pd.read_csv(case["table"])
    truth, foreground = Truth(case["image"], CELLS), read_foreground(case["prediction"])[0]
    labels = label_instances(foreground, threshold=0.3, **made["labelling"])
    (seg,) = table.query(
        "metric == 'seg' and chosen == 'list' and method == 'network' and threshold == 0.3"
    )["value"]
    assert seg == pytest.approx(metrics.seg_score(truth.labels, labels))


def test_large_and_many_images_are_searched_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = two_images(tmp_path)
    stores = made["images"], made["predictions"]
    whole = read_judged(*stores, CELLS)["cell"]
    monkeypatch.setattr("unetflow.evaluate.judged_images.SIDE_PX", 64)
    parts = read_judged(*stores, CELLS)["cell"]
    assert list(notes_of(parts, 2)) == [
        "of validation images above 64 px it is chosen on the part with most objects"
    ]
    for part, image in zip(parts, whole, strict=True):
        assert part.truth.shape == (64, 64)
        grid = [(min(y, 150 - 64), min(x, 140 - 64)) for y in (0, 64, 128) for x in (0, 64, 128)]
        inside = [np.count_nonzero(image.truth[y : y + 64, x : x + 64]) for y, x in grid]
        assert np.count_nonzero(part.truth) >= np.median(inside)
    monkeypatch.setattr("unetflow.evaluate.judged_images.MOST_PX", 64 * 64)
    few = read_judged(*stores, CELLS)["cell"]
    assert "on 1 of 2 validation images" in next(iter(notes_of(few, 2)))


def test_a_metric_of_all_images_decides_before_one_of_some(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unetflow.evaluate.image_scores.IN_MEMORY_PX", 200)
    image, labels = draw_region(slice(0, 250), slice(0, 250), seed=5)
    foreground = np.clip(0.3 + 0.5 * (labels != 0), 0, 1)
    receipt = tmp_path / "both.json"
    calibrate(
        stored=[],
        images=[case["image"], write_prepared(tmp_path, "j", image[None], labels)],
        predictions=[case["prediction"], write_prediction(tmp_path, "j", foreground, 0.5)],
        receipt=receipt,
        dataset=CELLS,
        scoring=scoring(0.2, 0.4, 0.5),
    )
    found = {(b["metric"], b["variant"]): b["images"] for b in read_receipt(receipt)["thresholds"]}
    assert (found["seg", ""], found["iou", ""]) == (1, 2)
    assert read_receipt(receipt)["instances"]["cell"]["by"] == "iou"


def test_without_validation_images_instances_are_made_at_a_half(tmp_path: Path) -> None:
    calibrate(
        stored=[],
        images=[],
        predictions=[],
        receipt=tmp_path / "c.json",
        dataset=Dataset("interior", ("cell",)),
        scoring=scoring(0.5),
    )
    found = read_receipt(tmp_path / "c.json")
    assert found == {
        "thresholds": [],
        "instances": {
            "cell": {
                "threshold": 0.5,
                "by": "default",
                "labelling": {**LABELLING, "split_px": None},
            }
        },
        "images": 0,
        "search": None,
        "stages": {},
        "warnings": [],
        "deployed": None,
    }


def test_a_class_that_no_validation_image_shows_chooses_no_threshold(tmp_path: Path) -> None:
    nothing = np.zeros((64, 64), int)
    faint = 0.15 * (np.arange(64 * 64).reshape(64, 64) % 64 > 40)  # found where above 0.1 is
    calibrate(
        stored=[],
        images=[write_prepared(tmp_path, "i", np.zeros((1, 64, 64), np.uint8), nothing)],
        predictions=[write_prediction(tmp_path, "i", faint, 0.5)],
        receipt=tmp_path / "c.json",
        dataset=CELLS,
        scoring=scoring(0.1, 0.3, 0.5),
    )
    found = read_receipt(tmp_path / "c.json")
    made = found["instances"]["cell"]
    assert (made["threshold"], made["by"]) == (0.5, "default")
    assert {best["threshold"] for best in found["thresholds"]} == {0.5}  # of errors: as small
    (warning,) = found["warnings"]
    assert warning.startswith("class cell: no threshold could be chosen, as no validation image")


@pytest.mark.parametrize("annotated", [1, 4])
def test_far_more_objects_than_annotated_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, annotated: int
) -> None:
    squares = np.kron(np.arange(1, 17).reshape(4, 4), np.pad(np.ones((20, 20), int), 6))
    half = np.where(squares > 8, 0, squares)
    few = np.where(squares > annotated, 0, squares)
    image = np.zeros((1, *squares.shape), np.uint8)
    truths = {"all": squares, "half": half, "few": few}
    calibrate(
        stored=[],
        images=[write_prepared(tmp_path, name, image, of) for name, of in truths.items()],
        predictions=[write_prediction(tmp_path, name, squares > 0, 0.5) for name in truths],
        receipt=tmp_path / "c.json",
        dataset=CELLS,
        scoring=scoring(0.5),
    )
    (warning,) = read_receipt(tmp_path / "c.json")["warnings"]
    counts = f"16 objects of class cell are found and {annotated} annotated"
    assert warning.startswith(f"few: {counts}. Is the annotation complete")
    assert warning in caplog.text
