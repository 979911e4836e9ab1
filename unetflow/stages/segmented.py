"""What was found in images without a truth: a table with a row per image and class."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import pandas as pd

from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.schemas import (
    OF_MODEL,
    Calibration,
    ForegroundReceipt,
    InstancesReceipt,
)
from unetflow.store.files import write_whole

log = logging.getLogger(__name__)


COLUMNS = (
    "experiment",
    "fold",
    "image",
    "class",
    "instances",
    "area_px",
    "height_px",
    "width_px",
    "threshold",
    "threshold_by",
    "warnings",
)


class Segmented(TypedDict):
    """An image that is only segmented, and the paths of its receipts."""

    experiment: str
    fold: str | int
    image: str
    foreground: str | Path
    instances: str | Path
    calibration: str | Path


def write_segmented(
    *, images: Sequence[Segmented], threshold: float | None, table: str | Path
) -> None:
    """Rule segmented: how many objects each image has, how large they are in all, and warnings.

    `threshold` is the config's, None where the validation images chose. Areas are in pixels of the
    image as it was segmented, of a volume in pixels of all its planes.
    """
    rows = [row for of in images for row in _rows(of, threshold)]
    columns = [*COLUMNS]
    if any("depth_px" in row for row in rows):
        columns.insert(columns.index("height_px"), "depth_px")
    frame = pd.DataFrame(rows, columns=columns)
    write_whole(table, frame.to_csv(index=False, lineterminator="\n").encode())
    for image, warned in frame[frame["warnings"] != ""].groupby("image")["warnings"]:
        log.warning("%s: %s", image, warned.iloc[0])


def _rows(of: Segmented, threshold: float | None) -> list[dict[str, str | float]]:
    """A row per class."""
    made = read_receipt(of["instances"], InstancesReceipt)
    calibrated = read_receipt(of["calibration"], Calibration)["instances"]
    foreground = read_receipt(of["foreground"], ForegroundReceipt)
    warnings = [*foreground["warnings"], foreground.get("tiles", "")]
    *depth, height_px, width_px = made["shape"]
    of_volume = {"depth_px": depth[0]} if depth else {}
    return [
        {
            "experiment": of["experiment"],
            "fold": of["fold"],
            "image": of["image"],
            "class": name,
            "instances": own["instances"],
            "area_px": own["area_px"],
            **of_volume,
            "height_px": height_px,
            "width_px": width_px,
            "threshold": own["threshold"],
            "threshold_by": _chosen_by(threshold, calibrated[name]["by"]),
            "warnings": " ".join(filter(None, warnings)),
        }
        for name, own in made["classes"].items()
    ]


def _chosen_by(threshold: float | None, by: str) -> str:
    """Who chose the threshold: a score on the validation images, the config, or nobody."""
    if threshold is not None:
        return "config"
    if by == OF_MODEL:
        return "the model file"
    return "default, no validation images" if by == "default" else f"validation, {by}"
