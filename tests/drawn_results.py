"""A small results folder with known scores, as the pipeline would leave it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from unetflow.evaluate.tables import COLUMNS, STACK_COLUMNS
from unetflow.labels.dataset import Dataset
from unetflow.networks.description import FeatureMap
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.shard_lists import Stored, write_shard_list
from unetflow.report.figures.planes import Outlines, draw_planes
from unetflow.report.figures.views import shown_px
from unetflow.report.handed import PicturesFile, RunFiles, TilesFile
from unetflow.stages.integrity import INTEGRITY_COLUMNS
from unetflow.stages.outcome import COLUMNS as OUTCOME_COLUMNS
from unetflow.stages.pictures import draw_pictures
from unetflow.stages.tiles import make_tiles
from unetflow.store.levels import level_factors
from unetflow.store.ome import PixelSize, ome_image, write_group, write_labels
from unetflow.store.shards import Layout, open_array
from unetflow.train.recipes import PRESETS

FOLDER = "predictions/net/fold0"
SIZES = {"a": (40, 50), "b": (530, 600), "c": (32, 32)}  # [px]
SHARED = {"a": 80, "b": 60, "c": 0}  # [px]
OBJECT_SHARES = {"a": 0.1, "b": 0.05, "c": 0.25}
MPP = {"a": 0.5, "b": None, "c": 0.004}
# metric, variant, threshold, chosen: value of a, b, c
VALUES = {
    ("iou", "", 0.25, "list"): (0.9, 0.7, np.nan),
    ("iou", "", 0.5, "list"): (0.8, 0.6, np.nan),
    ("iou", "", 0.75, "list"): (0.1, 0.1, 0.0),
    ("iou", "", 0.5, "validation"): (0.8, 0.6, np.nan),
    ("iou", "", np.nan, "otsu"): (0.3, 0.1, 0.2),
    ("seg", "", 0.25, "list"): (0.5, None, 0.4),
    ("seg", "", 0.5, "list"): (0.6, None, 0.5),
    ("seg", "", 0.5, "validation"): (0.6, None, 0.5),
    ("seg", "", np.nan, "instances"): (0.61, 0.41, 0.51),
    ("seg", "", np.nan, "otsu"): (0.2, 0.9, 0.1),
    ("v_rand", "thinned", 0.5, "validation"): (0.93, None, 0.95),
    ("v_rand", "unthinned", 0.5, "validation"): (0.83, 0.84, 0.85),
    ("splits_mergers", "", 0.5, "list"): (0.001, None, 0.002),
    ("splits_mergers", "", 0.75, "list"): (0.0, None, 0.0),
    ("splits_mergers", "", 0.5, "validation"): (0.001, None, 0.002),
}


def table_of_scores() -> pd.DataFrame:
    rows = [
        {
            "experiment": "net",
            "fold": "0",
            "image": image,
            "split": "test",
            "method": "otsu" if chosen == "otsu" else "network",
            "class": "cell",
            "metric": metric,
            "variant": variant,
            "threshold": threshold,
            "chosen": chosen,
            "value": value,
            "a": 0 if np.isnan(value) else 100,
            "b": 0 if np.isnan(value) or (threshold == 0.75 and image == "c") else 90,
            "ab": SHARED[image],
            "n": 2000,
            "iou_sum": 10 * value,
            "objects": 10,
        }
        for (metric, variant, threshold, chosen), values in VALUES.items()
        for image, value in zip(SIZES, values, strict=True)
        if value is not None
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def table_of_data() -> pd.DataFrame:
    rows = [
        {"image": image, "dataset": "cells", "split": "test", "height_px": height, "problems": ""}
        | {"object_share": OBJECT_SHARES[image]}
        for image, (height, _) in SIZES.items()
    ]
    rows[2]["problems"] = "the same pixels as x of split train"
    return pd.DataFrame(rows, columns=list(INTEGRITY_COLUMNS))


def table_of_outcome() -> pd.DataFrame:
    rows = [
        {"image": image, "dataset": "cells", "split": "test", "state": "done"} for image in SIZES
    ]
    return pd.DataFrame(rows, columns=list(OUTCOME_COLUMNS))


def table_of_stacks() -> pd.DataFrame:
    stack = {"experiment": "net", "fold": "0", "stack": "em", "slices": 6}
    rows = [
        ("v_rand_thinned_macro_max", "higher", 0.95, 0.5, 0.96, 0.6),
        ("splits_mergers_min", "lower", 0.000421, 0.5, 0.000353, 0.6),
        ("rand_error_2012", "lower", np.nan, np.nan, 0.12, 0.30000000000000004),
    ]
    return pd.DataFrame(
        [{**stack, **dict(zip(STACK_COLUMNS[4:], [*row, 1], strict=True))} for row in rows]
    )


def write_pixels(store: Path, name: str, values: np.ndarray, write_px: int | None = None) -> None:
    axes = ("c", "y", "x")[-values.ndim :]
    layout = Layout(values.shape, str(values.dtype), axes)
    chosen = {"write_px": write_px} if write_px else {}
    array = open_array(store, name, layout, decided_by={}, chosen=chosen)
    for index in array.missing():
        array.write(index, values[array.region(index)])


def draw_image(
    results: Path, image: str, shape: tuple[int, int], mpp: float | None, *, ignored: bool = False
) -> np.ndarray:
    """A prepared image with a square object in its middle; returns its truth."""
    height, width = shape
    truth = np.zeros(shape, np.uint32)
    truth[height // 4 : height // 2, width // 4 : width // 2] = 1
    store = results / "images" / f"{image}.ome.zarr"
    unit = "micrometer" if mpp else None
    step = mpp or 1.0
    axes = ("c", "y", "x")
    write_group(store, "", ome_image(image, axes, {"0": [1, step, step]}, unit=unit))
    write_pixels(store, "0", (1000 * truth[None] + np.arange(width)).astype(np.uint16))
    for name, values in (("truth", truth), ("ignore", np.full_like(truth, ignored, np.uint8))):
        write_labels(store, name, PixelSize.square(mpp))
        write_pixels(store, f"labels/{name}/0", values)
    return truth


def draw_tested(results: Path, image: str, *, ignored: bool = False) -> None:
    """A test image, predicted one pixel too far to the right; `ignored` where nobody annotated."""
    truth = draw_image(results, image, SIZES[image], MPP[image], ignored=ignored)
    predicted = np.roll(truth, 1, axis=1)
    run = results / FOLDER
    foreground = (predicted[None] * 255).astype(np.uint8)
    step, unit = MPP[image] or 1.0, "micrometer" if MPP[image] else None
    axes = ("c", "y", "x")
    scales = {"foreground": [1, step, step]}
    write_group(run / f"{image}.ome.zarr", "", ome_image(image, axes, scales, unit=unit))
    write_pixels(run / f"{image}.ome.zarr", "foreground", foreground, write_px=512)
    write_pixels(run / f"{image}.ome.zarr", "labels/instances/0", predicted)
    area_px = int(np.count_nonzero(predicted))
    made = {"threshold": 0.5, "instances": 1, "first_id": 1, "area_px": area_px}
    warnings = ["no object in this image"] if image == "c" else []
    labels = [f"labels/{name}/0" for name in ("truth", "ignore")]
    for receipt, store, arrays, content in (
        (f"images/{image}.json", f"images/{image}", ["0"], {}),
        (f"truth/{image}.json", f"images/{image}", labels, {"warnings": warnings}),
        (
            f"{FOLDER}/foreground/{image}.json",
            f"{FOLDER}/{image}",
            ["foreground"],
            {"warnings": []},
        ),
        (
            f"{FOLDER}/instances/{image}.json",
            f"{FOLDER}/{image}",
            ["labels/instances/0"],
            {"classes": {"cell": made}},
        ),
    ):
        shards = write_shard_list(results / receipt, results / f"{store}.ome.zarr", arrays)
        write_receipt(results / receipt, {**content, "shards": shards})


def draw_gallery(results: Path, image: str, *, annotated: bool = True) -> None:
    """The pictures of a test image, or as of one that is only segmented."""
    stored = [
        Stored(f"{results}/images/{image}.ome.zarr", f"{results}/images/{image}.json"),
        Stored(
            f"{results}/{FOLDER}/{image}.ome.zarr", f"{results}/{FOLDER}/instances/{image}.json"
        ),
    ]
    draw_pictures(
        image=stored[0].store,
        prediction=stored[1].store,
        foreground=results / FOLDER / f"foreground/{image}.json",
        instances=results / FOLDER / f"instances/{image}.json",
        annotated=annotated,
        stored=stored,
        dataset=Dataset(kind="instances", classes=("cell",)),
        receipt=results / "pictures/net/fold0" / f"{image}.json",
    )


def balls(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A volume (1, Z, Y, X) with two balls, and their numbers (Z, Y, X)."""
    places = np.ogrid[tuple(slice(0, size) for size in shape)]
    labels = np.zeros(shape, np.uint32)
    for number, share in ((1, 0.3), (2, 0.65)):
        away = sum((at - share * size) ** 2 for at, size in zip(places, shape, strict=True))
        labels[away < (min(shape) / 3) ** 2] = number
    noise = np.random.default_rng(1).integers(0, 40, shape)
    return (60 + 150 * (labels > 0) + noise).astype(np.uint8)[None], labels


def draw_volume(results: Path, image: str) -> None:
    """The pictures of an image as if it were a volume, of which one ball is missed."""
    shape, steps = (30, 60, 90), [2.0, 1.0, 1.0]
    pixels, labels = balls(shape)
    found = np.where(labels == 1, labels, 0)
    layers = [
        Outlines("picture"),
        Outlines("truth", lambda region: labels[region], {1: "found", 2: "missed"}),
        Outlines("result", lambda region: found[region], {1: "found"}),
    ]
    planes = draw_planes(lambda region: pixels[(slice(None), *region)], layers, shape, steps)
    receipt = results / "pictures/net/fold0" / f"{image}.json"
    of_volume = {"size_px": [*shape], "shown_px": shown_px(shape, steps), "planes": planes}
    write_receipt(receipt, {**read_receipt(receipt), **of_volume})


def draw_slide(results: Path, shape: tuple[int, int], image: str = "b") -> TilesFile:
    """Stores of a slide with all levels, in a folder of their own, and its tiles.

    As of an image of the results, beside whose page they lie. One square object, a quarter of the
    slide; it was predicted 8 px too far down, its left half as one class, its right as another.
    """
    height, width = shape
    store, prediction = results / "slides/image.ome.zarr", results / "slides/predicted.ome.zarr"
    truth = np.zeros(shape, np.uint32)
    truth[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = 1
    predicted = np.roll(truth, 8, axis=0)
    left = np.arange(width) < width // 2
    of_classes = np.stack([predicted * left, predicted * ~left])
    levels = level_factors(shape)
    scales = {str(k): [1, *factors] for k, factors in enumerate(levels)}
    write_group(store, "", ome_image(image, ("c", "y", "x"), scales, unit=None))
    for level in range(len(levels)):
        every = slice(None, None, 2**level)
        pixels = (50 + 150 * truth + np.arange(width) % 40)[every, every].astype(np.uint8)
        write_pixels(store, f"{level}", pixels[None])
        write_pixels(store, f"labels/truth/{level}", truth[every, every])
        write_pixels(prediction, f"labels/instances/{level}", predicted[every, every])
        name = f"foreground_{level}" if level else "foreground"
        write_pixels(prediction, name, (of_classes[:, every, every] * 255).astype(np.uint8))
    folder, receipt = f"tiles/net/fold0/{image}", results / f"tiles/net/fold0/{image}.json"
    make_tiles(
        image=store,
        prediction=prediction,
        foreground="foreground",
        annotated=True,
        stored=[],
        folder=results / "report" / folder,
        receipt=receipt,
        threads=1,
    )
    return {
        "experiment": "net",
        "fold": "0",
        "image": image,
        "receipt": str(receipt),
        "folder": folder,
    }


def draw_weights(results: Path) -> None:
    """A training image of 300 x 280 px, its weight map with one peak, and pixels of classes."""
    shape = (300, 280)
    draw_image(results, "trained", shape, 0.5)
    term = np.zeros(shape, np.float32)
    term[200, 100] = 6
    write_pixels(results / "weights/paper/trained.zarr", "", term)
    write_receipt(results / "statistics/net/fold0.json", {"class_weights": [0.5, 2.0]})


def feature_maps_of_a_network() -> list[FeatureMap]:
    """Of one pooling, as its training has them."""
    rows: list[tuple[str, int, int, int, list[int]]] = [
        ("image", 1, 60, 1, []),
        ("convolution 3x3", 8, 58, 1, [0]),
        ("max pooling 2x2", 8, 29, 2, [1]),
        ("convolution 3x3", 16, 27, 2, [2]),
        ("up-convolution 2x2", 8, 54, 1, [3]),
        ("concatenated", 16, 54, 1, [1, 4]),
        ("convolution 1x1", 2, 54, 1, [5]),
    ]
    return [
        {
            "made_by": made_by,
            "channels": channels,
            "size_px": [side, side],
            "step_px": step,
            "of": of,
            "count": 1,
        }
        for made_by, channels, side, step, of in rows
    ]


def draw_training(folder: Path) -> None:
    """What rule train leaves of one experiment and fold."""
    recipe = dataclasses.asdict(PRESETS["default"])
    model = {
        "network": {"name": "unet", "depth": 3},
        "recipe": {**recipe, "steps": 4321},
        "digest": "0123abcd",
        "parameters": 1234567,
        "multiply_adds_per_px": 20480.0,
        "training_images": 16,
        "validation_images": 2,
        "feature_maps": feature_maps_of_a_network(),
        "best": {"step": 20, "validation_iou": 0.875},
        "truth": "instances",
        "classes": ["cell"],
    }
    write_receipt(folder / "model.json", model)
    random = np.random.default_rng(0)
    target = np.kron(np.eye(4, dtype=np.uint8), np.ones((11, 11), np.uint8))
    np.savez(
        folder / "patches.npz",
        image=random.normal(size=(8, 1, 60, 60)).astype(np.float16),
        target=target[None].repeat(8, 0),
        weight=np.ones((8, 44, 44), np.float16),
    )
    record = {
        "device": "cpu",
        "precision": "fp32",
        "threads": 2,
        "seconds": 12.25,
        "host": "bench",
        "commit": "abc123",
        "versions": {"torch": "2.13.0"},
    }
    write_receipt(folder / "model.run.json", record)
    history = pd.DataFrame({"step": np.arange(1, 31), "loss": np.linspace(1, 0.1, 30)})
    history = history.assign(learning_rate=0.01, elapsed_s=4.0 * history["step"])
    history = history.assign(validation_loss=np.nan, validation_iou=np.nan)
    history.loc[history["step"] % 10 == 0, ["validation_loss", "validation_iou"]] = 0.5, 0.875
    history.to_csv(folder / "training.csv", index=False)


def write_results(folder: Path) -> None:
    """What a pipeline of one experiment with three test images leaves behind."""
    for image in SIZES:
        draw_tested(folder, image)
        draw_gallery(folder, image)
    (folder / "evaluation").mkdir()
    table_of_scores().to_csv(folder / "evaluation/metrics.csv", index=False)
    table_of_data().to_csv(folder / "integrity.csv", index=False)
    table_of_outcome().to_csv(folder / "outcome.tsv", sep="\t", index=False)
    table_of_stacks().to_csv(folder / "evaluation/stacks.csv", index=False)
    thresholds = [{"class": "cell", "metric": "iou", "variant": "", "threshold": 0.5, "value": 0.7}]
    instances = {"cell": {"threshold": 0.5, "by": "seg"}}
    warnings = ["v: 40 objects of class cell are found and 3 annotated"]
    receipt = {"thresholds": thresholds, "instances": instances, "images": 2, "warnings": warnings}
    write_receipt(folder / "calibration/net/fold0.json", receipt)
    draw_training(folder / "models/net/fold0")
    for image, seconds in (("a", 1.0), ("b", 2.0), ("c", 6.0)):
        write_receipt(folder / f"images/{image}.run.json", {"seconds": seconds})


# What the rule hands over of such a folder


def files_of_run(folder: Path, experiment: str = "net", fold: str = "0") -> RunFiles:
    """The files of one run, without a weight map."""
    models = folder / "models" / experiment / f"fold{fold}"
    predictions = folder / "predictions" / experiment / f"fold{fold}"
    return {
        "experiment": experiment,
        "fold": fold,
        "step_px": 8,
        "before_px": [44, 44],
        "after_px": [44, 40],
        "why": "",
        "options": {"depth": 3},
        "model": str(models / "model.json"),
        "history": str(models / "training.csv"),
        "patches": str(models / "patches.npz"),
        "calibration": str(folder / "calibration" / experiment / f"fold{fold}.json"),
        "statistics": str(folder / "statistics" / experiment / f"fold{fold}.json"),
        "foreground": str(predictions / "foreground/a.json"),
        "scored": "foreground",
        "images": {
            image: {
                "store": str(folder / "images" / f"{image}.ome.zarr"),
                "prediction": str(predictions / f"{image}.ome.zarr"),
                "pixels": str(folder / "images" / f"{image}.json"),
                "truth": str(folder / "truth" / f"{image}.json"),
                "foreground": str(predictions / "foreground" / f"{image}.json"),
                "scored": str(predictions / "foreground" / f"{image}.json"),
                "instances": str(predictions / "instances" / f"{image}.json"),
                "parts": [],
            }
            for image in SIZES
        },
        "weights": None,
    }


def pictures_of(folder: Path, experiment: str = "net", fold: str = "0") -> list[PicturesFile]:
    """What was drawn of the images of a run."""
    drawn = folder / "pictures" / experiment / f"fold{fold}"
    return [
        {
            "experiment": experiment,
            "fold": fold,
            "image": image,
            "split": "test",
            "pictures": str(drawn / f"{image}.json"),
        }
        for image in SIZES
    ]


def receipts_of_stages(folder: Path, runs: Sequence[RunFiles]) -> dict[str, list[str]]:
    """The receipts of these runs by stage."""
    return {
        "prepare image": [str(folder / "images" / f"{image}.json") for image in SIZES],
        "prepare truth": [str(folder / "truth" / f"{image}.json") for image in SIZES],
        "train": [run["model"] for run in runs],
        "calibrate": [run["calibration"] for run in runs],
        "instances": [of["instances"] for run in runs for of in run["images"].values()],
    }
