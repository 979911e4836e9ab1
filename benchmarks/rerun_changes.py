"""Changes to a finished project of which `benchmarks/reruns.py` measures what they rerun.

Each key of the config's schema has another value here; a test says which have none.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tifffile

if TYPE_CHECKING:
    from pipeline import Project

# By key another value than that of the tests' project: * stands for its only dataset, weighting or
# experiment. Alone some are refused: `BESIDE` has what they need.
VALUES: dict[str, Any] = {
    "results": "elsewhere",
    "images": "config/copy.tsv",
    "data_dir": "data/copy",
    "require_gpu": True,
    "retry": True,
    "container": "docker://unetflow",
    "engine.scheduler": "slurm",
    "engine.workers": 2,
    "demo.seed": 7,
    "demo.image_px": 129,
    "demo.slide_px": 601,
    "datasets.*.truth": "interior",
    "datasets.*.classes": ["nucleus"],
    "datasets.*.ignore_value": 9,
    "datasets.*.label_value": 1,
    "datasets.*.unannotated": "ignore",
    "datasets.*.ring_px": 3,
    "datasets.*.percentiles": [1, 99],
    "datasets.*.intensity": "log",
    "datasets.*.intensity_px": 16,
    "datasets.*.as": "volume",
    "datasets.*.adjacent_planes": 1,
    "datasets.*.mpp": 1.0,
    "datasets.*.spacing": [1.0, 0.5, 0.5],
    "datasets.*.tissue": "threshold",
    "datasets.*.images_per_job": 2,
    "prepare.keep_images": False,
    "prepare.scratch": "/tmp",
    "prepare.max_unreadable": 0.02,
    "prepare.on_failed_training_image": "leave_out",
    "weighting.*.w0": 9,
    "weighting.*.sigma_px": 4,
    "experiments.*.dataset": "again",
    "experiments.*.weighting": None,
    "experiments.*.model": "model.safetensors",
    "experiments.*.pretrained": "model.safetensors",
    "experiments.*.segment_with": "all",
    "experiments.*.seeds": [1, 2],
    "experiments.*.head": "distance",
    "experiments.*.budget_min": 5,
    "experiments.*.network.name": "unet_padded",
    "experiments.*.recipe.preset": "paper",
    "experiments.*.recipe.tile_px": 108,
    "experiments.*.recipe.batch": 2,
    "experiments.*.recipe.steps": 13,
    "experiments.*.recipe.continue": True,
    "experiments.*.recipe.optimizer": "sgd",
    "experiments.*.recipe.learning_rate": 0.001,
    "experiments.*.recipe.momentum": 0.5,
    "experiments.*.recipe.weight_decay": 0.01,
    "experiments.*.recipe.schedule": "constant",
    "experiments.*.recipe.class_balance": False,
    "experiments.*.recipe.precision": "fp32",
    "experiments.*.recipe.validate_every": 5,
    "experiments.*.recipe.seed": 2,
    "experiments.*.recipe.loss.cross_entropy": 2,
    "experiments.*.recipe.loss.focal": 1,
    "experiments.*.recipe.loss.dice": 1,
    "experiments.*.recipe.loss.iou": 1,
    "experiments.*.recipe.start": "he",
    "experiments.*.recipe.accumulate": 2,
    "experiments.*.recipe.clip_norm": 2,
    "experiments.*.recipe.ema": 0.5,
    "experiments.*.recipe.early_stopping": 1,
    "experiments.*.recipe.freeze_encoder": True,
    "experiments.*.recipe.deterministic": True,
    "experiments.*.recipe.augmentation.elastic_px": 1,
    "experiments.*.recipe.augmentation.elastic_z": False,
    "experiments.*.recipe.augmentation.elastic_grid": 4,
    "experiments.*.recipe.augmentation.rotate": False,
    "experiments.*.recipe.augmentation.flip": False,
    "experiments.*.recipe.augmentation.zoom": 0.1,
    "experiments.*.recipe.augmentation.brightness": 0.2,
    "experiments.*.recipe.augmentation.contrast": 0.2,
    "experiments.*.recipe.augmentation.gamma": 0.1,
    "experiments.*.recipe.augmentation.blur_px": 1,
    "experiments.*.recipe.augmentation.foreground": 0.5,
    "experiments.*.recipe.augmentation.noise": 0.1,
    "experiments.*.recipe.augmentation.stain": 0.1,
    "experiments.*.recipe.augmentation.hue": 0.1,
    "experiments.*.recipe.augmentation.saturation": 0.1,
    "train.gpus": 2,
    "train.checkpoint_s": 30,
    "predict.write_px": 128,
    "predict.shard_px": 1024,
    "predict.dtype": "float16",
    "predict.test_time_augmentation": 8,
    "predict.precision": "fp32",
    "predict.parts": 2,
    "refine.smooth_px": 1,
    "refine.crf.iterations": 2,
    "refine.crf.radius_px": 2,
    "refine.crf.appearance_weight": 2,
    "refine.crf.appearance_px": 40,
    "refine.crf.appearance_intensity": 0.3,
    "refine.crf.smoothness_weight": 1,
    "refine.crf.smoothness_px": 2,
    "instances.threshold": 0.5,
    "instances.min_area_px": 30,
    "instances.fill_holes": False,
    "instances.max_hole_px": 9,
    "instances.connectivity": 2,
    "instances.separate": "valleys",
    "instances.split_px": 2,
    "instances.split_logits": 2,
    "instances.seed_threshold": 0.8,
    "instances.border_threshold": 0.4,
    "calibrate.thresholds": [0.3, 0.4],
    "calibrate.by": "pq",
    "evaluate.thresholds": [0.3, 0.4],
    "evaluate.per_slice": True,
    "evaluate.regions_px": 512,
    "export.formats": ["labels"],
    "export.splits": ["test"],
    "report.title": "another",
    "report.overlays": 2,
    "report.published": [],
}
NAMES = {"datasets": "cells", "weighting": "paper", "experiments": "unet"}
BESIDE: dict[str, tuple[str, Any]] = {
    "datasets.*.unannotated": ("datasets.*.ring_px", 3),
    "datasets.*.intensity_px": ("datasets.*.intensity", "local"),
    "prepare.keep_images": ("export.formats", ["geojson", "labels"]),
    "experiments.*.recipe.accumulate": ("experiments.*.recipe.batch", 2),
    "experiments.*.recipe.momentum": ("experiments.*.recipe.optimizer", "sgd"),
    "experiments.*.recipe.freeze_encoder": ("experiments.*.pretrained", "model.safetensors"),
}


class Change(NamedTuple):
    """What is done to a project that is finished, and what Snakemake is called with."""

    name: str
    do: Callable[["Project"], None]
    arguments: tuple[str, ...] = ()


def keys_of(schema: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """The keys of a schema that have no keys of their own, those of free names as `*`."""
    inner = dict(schema.get("properties", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        inner["*"] = schema["additionalProperties"]
    if not inner:
        yield at
    for key, of in inner.items():
        yield from keys_of(of, f"{at}.{key}" if at else key)


def changes() -> list[Change]:
    """All changes: of each key, then of code, files, the sheet and the way that it is called."""
    of_keys = [Change(f"`{key}`", _setting(key, value)) for key, value in VALUES.items()]
    beside = [
        Change(f"`{key}`, with `{other}`", _setting(key, VALUES[key], (other, value)))
        for key, (other, value) in BESIDE.items()
    ]
    return [*of_keys, *beside, *OTHERS]


def _setting(key: str, value: object, *others: tuple[str, object]) -> Callable[["Project"], None]:
    def do(project: "Project") -> None:
        config = project.config()
        for name, of in ((key, value), *others):
            _set(config, name, of)
        if key == "images":
            sheet = project.folder / "config" / "images.tsv"
            shutil.copy(sheet, project.folder / str(value))
        if key == "data_dir":
            shutil.copytree(project.demo_data, project.folder / str(value))
        if key == "experiments.*.dataset":
            config["datasets"]["again"] = dict(config["datasets"]["cells"])
        if key == "experiments.*.model":
            config["experiments"]["unet"] = {"dataset": "cells", "model": value}
        if "model.safetensors" in (value, *(other for _, other in others)):
            shutil.copy(_model(project), project.folder / "model.safetensors")
        project.write_config(config)

    return do


def _set(config: dict[str, Any], key: str, value: object) -> None:
    """Give a key of a config its value."""
    *above, last = key.split(".")
    part = config
    for number, name in enumerate(above):
        name = NAMES[above[number - 1]] if name == "*" else name
        if part.get(name) is None:
            part[name] = {}
        part = part[name]
    part[last] = value


def _model(project: "Project") -> Path:
    return project.results / "models" / "unet" / "fold0" / "model.safetensors"


def _sheet(change: Callable[[list[str]], list[str]]) -> Callable[["Project"], None]:
    """Another order, or other rows, of the sheet."""

    def do(project: "Project") -> None:
        path = project.folder / "config" / "images.tsv"
        header, *rows = path.read_text().splitlines(True)
        path.write_text(header + "".join(change(rows)))

    return do


def _appended(place: str, text: str) -> Callable[["Project"], None]:
    def do(project: "Project") -> None:
        path = project.folder / place
        path.write_text(path.read_text() + text)

    return do


def _touched(place: Callable[["Project"], Path]) -> Callable[["Project"], None]:
    return lambda project: os.utime(place(project))


def _with_another_pixel(project: "Project") -> None:
    path = project.demo_data / "test_00.tif"
    pixels = tifffile.imread(path)
    pixels[0, 0] ^= 1
    tifffile.imwrite(path, pixels, compression="deflate")


def _without(place: str) -> Callable[["Project"], None]:
    return lambda project: shutil.rmtree(project.folder / place)


def _swapped(project: "Project") -> None:
    config = project.config()
    of = config["weighting"]["paper"]
    of["w0"], of["sigma_px"] = of["sigma_px"], of["w0"]
    project.write_config(config)


def _nothing(project: "Project") -> None:
    pass


CODE, COMMENT = "\nUNUSED = 1\n", "\n# a comment\n"
NEW = "new\tcells\t{data}/test_00.tif\t\tpredict\t\n"
OTHERS = [
    Change("nothing", _nothing),
    Change("`--cores 1`, other threads and memory", _nothing, ("--set-threads", "train=1")),
    Change("another profile's `default-resources`", _nothing, ("--default-resources", "mem_mb=9")),
    Change("`.snakemake` lost", _without(".snakemake")),
    Change("two values swapped (`w0`, `sigma_px`)", _swapped),
    Change("a raw image touched", _touched(lambda project: project.demo_data / "test_00.tif")),
    Change("a raw image with another pixel", _with_another_pixel),
    Change("a model file touched", _touched(_model)),
    Change("a store deleted", _without("results/images/test_00.ome.zarr")),
    Change("rows of the sheet reversed", _sheet(lambda rows: rows[::-1])),
    Change("an image of split predict more", _sheet(lambda rows: [*rows, NEW])),
    Change(
        "an image of split predict less",
        _sheet(lambda rows: [row for row in rows if not row.startswith("empty")]),
    ),
    Change(
        "an image of split predict renamed",
        _sheet(lambda rows: [row.replace("empty\t", "named\t") for row in rows]),
    ),
    *(
        Change(f"a line of code in `{place}`", _appended(f"unetflow/{place}", CODE))
        for place in (
            "networks/unet.py",
            "metrics/rand.py",
            "images/slide.py",
            "instances/clumps.py",
            "report/page.py",
            "jobs/bundles.py",
            "provenance/records.py",
            "engine/gpus.py",
            "engine/memory.py",
            "train/torchrun.py",
        )
    ),
    Change("a comment in `networks/unet.py`", _appended("unetflow/networks/unet.py", COMMENT)),
]
