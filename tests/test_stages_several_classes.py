"""Several classes: from annotations through targets and thresholds to scores of each class."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prepared import prepare, truth
from scipy import ndimage

from unetflow.errors import LabelsError, ModelError
from unetflow.evaluate.catalogue import SCORES
from unetflow.evaluate.pooling import read_scores
from unetflow.evaluate.scoring import Labelling, Scoring
from unetflow.instances.labelled_store import label_store
from unetflow.labels.annotation import Annotation
from unetflow.labels.dataset import Dataset, Kind
from unetflow.labels.encoding import class_target
from unetflow.labels.reading import Meaning, read_truth
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.shard_lists import write_shard_list
from unetflow.report.crops import read_crop
from unetflow.report.score_lines import summarise
from unetflow.stages.calibrate import calibrate
from unetflow.stages.evaluate import evaluate_image
from unetflow.stages.instances import Making, write_instances
from unetflow.stages.statistics import write_statistics
from unetflow.stages.weights import write_weights
from unetflow.store.ome import ome_image, write_group
from unetflow.store.shards import Layout, open_array, read_array
from unetflow.train.patches import Statistics, open_image

CLASSES = ["tumour", "stroma"]
SHAPE = (120, 200)
# rows, columns, class of objects; the second touches the first and is of the other class
OBJECTS = [((10, 40), (10, 40), 1), ((10, 40), (40, 70), 2), ((60, 100), (20, 90), 2)]
OBJECTS += [((60, 80), (120, 150), 1)]
LABELLING: Labelling = {"min_area_px": 0, "fill_holes": True, "connectivity": 1}
EVERYWHERE = (slice(0, SHAPE[0]), slice(0, SHAPE[1]))


def drawn(*, of_class: bool) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    for number, (rows, columns, name) in enumerate(OBJECTS, start=1):
        labels[slice(*rows), slice(*columns)] = name if of_class else number
    return labels


def write_polygons(path: Path) -> None:
    features = []
    for (top, bottom), (left, right), number in OBJECTS:
        ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        classification = {"classification": {"name": CLASSES[number - 1].capitalize()}}
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "geometry": geometry, "properties": classification})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


@pytest.fixture(params=["classes", "instances", "polygons of classes"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Kind]:
    """A store with truth of two classes, and the kind of truth."""
    pixels = (drawn(of_class=True) * 60 + np.arange(200)).astype(np.uint8)
    store = prepare(tmp_path, pixels)
    kind: Kind = "instances" if request.param == "instances" else "classes"
    if request.param == "classes":
        truth(tmp_path, drawn(of_class=True), kind=kind, classes=CLASSES)
    else:
        write_polygons(tmp_path / "t.geojson")
        truth(
            tmp_path, drawn(of_class=True), path=tmp_path / "t.geojson", kind=kind, classes=CLASSES
        )
    return store, kind


def target_of(store: Path, kind: str) -> np.ndarray:
    return Annotation(store, kind, len(CLASSES)).target(EVERYWHERE)


def test_targets_are_classes_and_only_objects_are_separated(case: tuple[Path, Kind]) -> None:
    store, kind = case
    wanted = drawn(of_class=True)
    if kind == "instances":
        np.testing.assert_array_equal(read_array(store, "labels/truth/0"), drawn(of_class=False))
        np.testing.assert_array_equal(read_array(store, "labels/class/0"), wanted)
        wanted[10:40, 39:41] = 0  # where the first two touch
    else:
        np.testing.assert_array_equal(read_array(store, "labels/truth/0"), wanted)
    np.testing.assert_array_equal(target_of(store, kind), wanted)
    receipt = read_receipt(store.parent / "t.json")
    assert receipt["instances"] == (4 if kind == "instances" else None)
    counts = {name: int((wanted == k).sum()) for k, name in enumerate(CLASSES, start=1)}
    assert receipt["class_px"] == counts
    write_statistics(
        stored=[],
        images=[store],
        receipt=store.parent / "s.json",
        percentiles=None,
        dataset=Dataset(kind=kind, classes=tuple(CLASSES)),
    )
    statistics = read_receipt(store.parent / "s.json", Statistics)
    assert read_receipt(store.parent / "s.json")["class_px"] == [
        int((wanted == k).sum()) for k in range(3)
    ]
    opened = open_image(store, None, statistics, kind=kind, balance=True)
    target, weight = opened.labels(EVERYWHERE)
    np.testing.assert_array_equal(target, wanted)
    weights = np.asarray(statistics["class_weights"], np.float32)
    np.testing.assert_array_equal(weight, weights[wanted])
    # balanced: every class weighs the same in the whole image
    assert np.ptp([weights[k] * (wanted == k).sum() for k in range(3)]) < 1


@pytest.mark.slow
def test_only_objects_have_a_separation_term(case: tuple[Path, Kind]) -> None:
    store, kind = case
    write_weights(
        truth=store,
        truth_receipt=store.parent / "t.json",
        store=store.parent / "w.zarr",
        receipt=store.parent / "w.json",
        kind=kind,
        weighting={"w0": 10.0, "sigma_px": 5.0},
        threads=1,
        code="c",
    )
    term = np.asarray(read_array(store.parent / "w.zarr", "")[:])
    assert (term.max() > 5) == (kind == "instances")
    assert (term.max() == 0) == (kind == "classes")


def write_foreground(store: Path, planes: np.ndarray) -> None:
    axes = ("c", "y", "x")
    write_group(store, "", ome_image("p", axes, {"foreground": [1, 1, 1]}, unit=None))
    array = open_array(store, "foreground", Layout(planes.shape, "uint8", axes), decided_by={})
    for index in array.missing():
        array.write(index, planes[array.region(index)])


def write_foreground_receipt(folder: Path) -> None:
    shards = write_shard_list(folder / "p.json", folder / "p.ome.zarr", ["foreground"])
    write_receipt(folder / "p.json", {"digest": "p", "shards": shards})


def predicted(folder: Path, target: np.ndarray) -> None:
    """A foreground that finds tumour at thresholds under 0.39 and some false stroma under 0.47."""
    planes = np.zeros((2, *SHAPE), np.uint8)
    planes[0][target == 1] = 100
    planes[1][target == 2] = 230
    planes[1][:5, 150:155] = 120
    write_foreground(folder / "p.ome.zarr", planes)
    write_foreground_receipt(folder)


def instances_at_best(store: Path, dataset: Dataset, scoring: Scoring) -> dict[str, Any]:
    """Choose thresholds on the image and make instances with them; what was chosen, by class."""
    folder = store.parent
    calibrate(
        stored=[],
        images=[store],
        predictions=[folder / "p.ome.zarr"],
        receipt=folder / "c.json",
        dataset=dataset,
        scoring=scoring,
    )
    write_instances(
        store=folder / "p.ome.zarr",
        foreground_receipt=folder / "p.json",
        calibration=folder / "c.json",
        receipt=folder / "i-made.json",
        table=folder / "objects.parquet",
        making=Making(classes=CLASSES, threshold=None, labelling=LABELLING),
        threads=2,
        code="c",
    )
    chosen: dict[str, Any] = read_receipt(folder / "c.json")["instances"]
    return chosen


@pytest.mark.slow
def test_each_class_has_its_threshold_instances_and_scores(case: tuple[Path, Kind]) -> None:
    store, kind = case
    folder, target = store.parent, target_of(store, kind)
    predicted(folder, target)
    dataset = Dataset(kind, tuple(CLASSES))
    scoring = Scoring([0.3, 0.6], None, LABELLING, threads=1)
    calibration = instances_at_best(store, dataset, scoring)
    at = {name: of["threshold"] for name, of in calibration.items()}
    assert at == {"tumour": 0.3, "stroma": 0.6}
    made = read_receipt(folder / "i-made.json")["classes"]
    assert (made["tumour"]["first_id"], made["tumour"]["instances"]) == (1, 2)
    assert (made["stroma"]["first_id"], made["stroma"]["instances"]) == (3, 2)
    stored = np.asarray(read_array(folder / "p.ome.zarr", "labels/instances/0")[:])
    assert set(np.unique(stored[target == 1])) == {1, 2}
    assert set(np.unique(stored[target == 2])) == {3, 4}
    evaluate_image(
        stored=[],
        image=store,
        prediction=folder / "p.ome.zarr",
        calibration=folder / "c.json",
        instances=folder / "i-made.json",
        table=folder / "e.csv",
        dataset=dataset,
        scoring=scoring,
        facts={"experiment": "e", "fold": "0", "image": "i", "split": "test", "group": ""},
    )
    table = read_scores(folder / "e.csv")
    assert set(table["class"]) == set(CLASSES)
    assert not (table["method"] == "otsu").any()
    chosen = table[(table["metric"] == "iou") & (table["chosen"] == "validation")]
    assert chosen["value"].tolist() == [1, 1]
    at_03 = table[(table["metric"] == "iou") & (table["chosen"] == "list")]
    false = at_03[(at_03["class"] == "stroma") & (at_03["threshold"] == 0.3)]["value"].item()
    stroma_px = int((target == 2).sum())
    assert false == pytest.approx(stroma_px / (stroma_px + 25))
    assert ("seg" in set(table["metric"])) == (kind == "instances")
    assert ("warping_error" in set(table["metric"])) == (kind == "instances")
    thresholds = {name: {of["threshold"]: "validation"} for name, of in calibration.items()}
    names = [line.name for line in summarise(table, thresholds)]
    iou = next(score.name for score in SCORES if score.metric == "iou")
    assert {f"{iou}, tumour", f"{iou}, stroma"} <= set(names)
    for number, name in enumerate(CLASSES, start=1):  # of a perfect foreground nothing is missed
        crop = read_crop(run_of(folder, kind), "i", name)
        np.testing.assert_array_equal(crop.interior_YX, target == number)


def run_of(folder: Path, kind: Kind) -> Any:
    """What the report's crops ask of a run."""
    receipts = {"pixels": "i", "truth": "t", "scored": "p", "instances": "i-made"}
    files = {key: str(folder / f"{name}.json") for key, name in receipts.items()}
    files |= {"store": str(folder / "i.ome.zarr"), "prediction": str(folder / "p.ome.zarr")}
    return SimpleNamespace(
        files={"images": {"i": files}, "scored": "foreground"},
        classes=CLASSES,
        model={"truth": kind},
    )


def test_a_hole_may_hold_an_object_of_another_class(tmp_path: Path) -> None:
    planes = np.zeros((2, 40, 40), np.uint8)
    planes[0, 5:35, 5:35] = 255
    planes[0, 15:20, 15:20] = 0  # with an object of the other class
    planes[0, 8:11, 8:11] = 0  # with one in its middle: what is around that stays
    planes[1, 9, 9] = 255
    planes[0, 25:28, 25:28] = 0  # empty: filled
    planes[1, 15:20, 15:20] = 255
    write_foreground(tmp_path / "p.ome.zarr", planes)
    write_foreground_receipt(tmp_path)
    write_receipt(
        tmp_path / "c.json", {"instances": {name: {"threshold": 0.5} for name in CLASSES}}
    )
    write_instances(
        store=tmp_path / "p.ome.zarr",
        foreground_receipt=tmp_path / "p.json",
        calibration=tmp_path / "c.json",
        receipt=tmp_path / "i.json",
        table=tmp_path / "objects.parquet",
        making=Making(classes=CLASSES, threshold=None, labelling=LABELLING),
        threads=2,
        code="c",
    )
    stored = np.asarray(read_array(tmp_path / "p.ome.zarr", "labels/instances/0")[:])
    assert (stored[15:20, 15:20] == 3).all()
    assert np.unique(stored[8:11, 8:11]).tolist() == [0, 2]
    assert (stored[25:28, 25:28] == 1).all()


@pytest.mark.parametrize("fill_holes", [False, True])
def test_the_table_says_what_is_drawn(tmp_path: Path, *, fill_holes: bool) -> None:
    """Holes with other classes in them do not count, nor for the smallest area."""
    random = np.random.default_rng(5)
    smooth = ndimage.gaussian_filter(random.normal(size=(2, 1100, 1200)), (0, 4, 4))
    planes = np.clip(128 + 100 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    write_foreground(tmp_path / "p.ome.zarr", planes)
    how = {**LABELLING, "min_area_px": 60, "fill_holes": fill_holes}
    table = tmp_path / "objects.parquet"
    label_store(
        *(tmp_path / "p.ome.zarr", {"tumour": 0.6, "stroma": 0.5}, how),
        table=table,
        threads=2,
        decided_by={},
    )
    stored = np.asarray(read_array(tmp_path / "p.ome.zarr", "labels/instances/0")[:])
    rows = pd.read_parquet(table)
    assert len(rows) == stored.max() > 500
    assert rows["area_px"].min() >= 60
    np.testing.assert_array_equal(rows["area_px"], np.bincount(stored.ravel())[1:])
    number = rows["class"].map({"tumour": 0, "stroma": 1}).to_numpy()
    light = [ndimage.mean(plane / 255, stored, rows["id"]) for plane in planes]
    np.testing.assert_allclose(rows["mean_foreground"], np.choose(number, light), rtol=1e-6)
    centres = np.array(ndimage.center_of_mass(stored > 0, stored, rows["id"]))
    np.testing.assert_allclose(rows[["row_px", "column_px"]], centres, rtol=1e-9)


def test_a_pixel_goes_to_the_highest_class_that_is_above_its_threshold(tmp_path: Path) -> None:
    planes = np.zeros((2, 40, 40), np.uint8)
    planes[:, 5:35, 5:35] = np.array([150, 90])[:, None, None]  # 0.59 and 0.35
    write_foreground(tmp_path / "p.ome.zarr", planes)
    _, made = label_store(
        *(tmp_path / "p.ome.zarr", {"tumour": 0.7, "stroma": 0.3}, LABELLING),
        table=tmp_path / "objects.parquet",
        threads=1,
        decided_by={},
    )
    assert [of["instances"] for of in made.values()] == [0, 1]


def test_values_beyond_the_classes_are_refused() -> None:
    with pytest.raises(LabelsError, match="holds the values 0, 3, but the dataset names 2 classes"):
        read_truth(np.array([[0, 3]]), Meaning("classes", classes=2), "t.tif")
    labels, ignored = read_truth(np.array([[0, 2, 9]]), Meaning("classes", 9, classes=2), "t.tif")
    np.testing.assert_array_equal(labels, [[0, 2, 0]])
    np.testing.assert_array_equal(ignored, [[False, False, True]])


def test_a_label_image_of_objects_does_not_say_their_class(tmp_path: Path) -> None:
    prepare(tmp_path, drawn(of_class=True))
    with pytest.raises(LabelsError, match="does not say which of tumour, stroma an object is"):
        truth(tmp_path, drawn(of_class=False), kind="instances", classes=CLASSES)


def test_a_class_that_no_training_image_shows_is_named(tmp_path: Path) -> None:
    store = prepare(tmp_path, np.arange(400, dtype=np.uint16).reshape(20, 20))
    truth(tmp_path, np.eye(20, dtype=np.uint8), kind="classes", classes=CLASSES)
    with pytest.raises(ModelError, match="background 380, tumour 20, stroma 0"):
        write_statistics(
            stored=[],
            images=[store],
            receipt=tmp_path / "s.json",
            percentiles=None,
            dataset=Dataset(kind="classes", classes=tuple(CLASSES)),
        )


def test_touching_pixels_go_whatever_their_classes() -> None:
    labels, classes = np.array([[1, 1, 2, 2]]), np.array([[1, 1, 2, 2]], np.uint8)
    np.testing.assert_array_equal(class_target(labels, "instances", classes), [[1, 0, 0, 2]])
    np.testing.assert_array_equal(class_target(classes, "classes"), classes)
