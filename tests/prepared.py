"""Drawn images and truths, prepared as the pipeline does."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from unetflow.images.in_file import Wanted
from unetflow.images.sources import RawFile
from unetflow.labels.dataset import Dataset
from unetflow.stages.prepare_image import prepare_image
from unetflow.stages.prepare_truth import prepare_truth

PIXELS = np.random.default_rng(0).integers(0, 255, (1101, 1300), dtype=np.uint8)


def prepare(folder: Path, pixels: np.ndarray = PIXELS, **changes: Any) -> Path:
    """Write pixels to a TIFF and prepare it; returns the store."""
    if not (folder / "i.tif").exists():
        tifffile.imwrite(folder / "i.tif", pixels, photometric="minisblack")
    path = changes.pop("path", folder / "i.tif")
    raw = raw_file(path, changes)
    wanted: Wanted = {
        "level": changes.pop("level", None),
        "mpp": changes.pop("mpp", None),
        "want_mpp": changes.pop("want_mpp", None),
        "channels": changes.pop("channels", None),
        "tissue": changes.pop("tissue", None),
    }
    if "spacing" in changes:
        wanted["spacing"], wanted["in_um"] = changes.pop("spacing"), changes.pop("in_um", True)
    if "want_spacing" in changes:
        wanted["want_spacing"] = changes.pop("want_spacing")
    options: dict[str, Any] = {
        "store": folder / "i.ome.zarr",
        "receipt": folder / "i.json",
        "max_unreadable": 0.01,
        "threads": 2,
        "code": "c",
    }
    prepare_image(raw=raw, wanted=wanted, **options | changes)
    return folder / "i.ome.zarr"


def raw_file(path: str | Path, changes: dict[str, Any]) -> RawFile:
    """An image of a file, with those of the changes that choose it."""
    raw: RawFile = {
        "path": str(path),
        "plane": changes.pop("plane", None),
        "time": changes.pop("time", None),
        "axes": changes.pop("axes", None),
        "scene": changes.pop("scene", None),
    }
    if changes.pop("volume", False):
        raw["volume"] = True
    if "first_px" in changes:
        raw["first_px"] = changes.pop("first_px")
    return raw


def truth(folder: Path, labels: np.ndarray, **changes: Any) -> Path:
    if "path" not in changes:
        tifffile.imwrite(folder / "t.tif", labels, photometric="minisblack")
    raw = raw_file(changes.pop("path", folder / "t.tif"), changes)
    classes = tuple(changes.pop("classes", ("cell",)))
    options: dict[str, Any] = {
        "store": folder / "i.ome.zarr",
        "image_receipt": folder / "i.json",
        "receipt": folder / "t.json",
        "dataset": Dataset(kind=changes.pop("kind", "instances"), classes=classes),
        "ignore_value": None,
        "code": "c",
    }
    prepare_truth(raw=raw, **options | changes)
    return folder / "i.ome.zarr"
