"""Drawn images and truths, prepared as the pipeline does."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from unetflow.images.sources import fingerprint_of
from unetflow.stages.prepare_image import prepare_image
from unetflow.stages.prepare_truth import prepare_truth

PIXELS = np.random.default_rng(0).integers(0, 255, (1101, 1300), dtype=np.uint8)


def prepare(folder: Path, pixels: np.ndarray = PIXELS, **changes: Any) -> Path:
    """Write pixels to a TIFF and prepare it; returns the store."""
    if not (folder / "i.tif").exists():
        tifffile.imwrite(folder / "i.tif", pixels, photometric="minisblack")
    options: dict[str, Any] = {
        "path": folder / "i.tif",
        "store": folder / "i.ome.zarr",
        "receipt": folder / "i.json",
        "plane": None,
        "time": None,
        "axes": None,
        "level": None,
        "mpp": None,
        "want_mpp": None,
        "channels": None,
        "tissue": None,
        "max_unreadable": 0.01,
        "threads": 2,
        "code": "c",
    }
    options |= changes
    prepare_image(**{"fingerprint": fingerprint_of(options["path"])} | options)
    return folder / "i.ome.zarr"


def truth(folder: Path, labels: np.ndarray, **changes: Any) -> Path:
    if "path" not in changes:
        tifffile.imwrite(folder / "t.tif", labels, photometric="minisblack")
    options: dict[str, Any] = {
        "path": folder / "t.tif",
        "store": folder / "i.ome.zarr",
        "image_receipt": folder / "i.json",
        "receipt": folder / "t.json",
        "plane": None,
        "time": None,
        "axes": None,
        "kind": "instances",
        "classes": ["cell"],
        "ignore_value": None,
        "code": "c",
    }
    options |= changes
    prepare_truth(**{"fingerprint": fingerprint_of(options["path"])} | options)
    return folder / "i.ome.zarr"
