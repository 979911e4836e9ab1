"""What was found in images without a truth: a table with a row per image and class."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from unetflow.provenance.receipts import read_receipt
from unetflow.store.files import write_whole

log = logging.getLogger(__name__)


COLUMNS = (
    *("experiment", "fold", "image", "class", "instances", "area_px", "height_px", "width_px"),
    *("threshold", "threshold_by", "warnings"),
)


def write_segmented(
    *, images: Sequence[dict[str, Any]], threshold: float | None, table: str | Path
) -> None:
    """Rule segmented: how many objects each image has, how large they are in all, and warnings.

    Of each of `images` experiment, fold and name, and the paths of its receipts: `foreground`,
    `instances` and `calibration`. `threshold` is the config's, None where the validation images
    chose. Areas are in pixels of the image as it was segmented.
    """
    rows = []
    for of in images:
        made = read_receipt(of["instances"])
        calibrated = read_receipt(of["calibration"])["instances"]
        height_px, width_px = made["shape"]
        warnings = read_receipt(of["foreground"])["warnings"]
        for name, own in made["classes"].items():
            rows.append(
                {
                    **{key: of[key] for key in ("experiment", "fold", "image")},
                    **{"class": name, "instances": own["instances"], "area_px": own["area_px"]},
                    **{"height_px": height_px, "width_px": width_px},
                    **{"threshold": own["threshold"]},
                    "threshold_by": _chosen_by(threshold, calibrated[name]),
                    "warnings": " ".join(warnings),
                }
            )
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    write_whole(table, frame.to_csv(index=False, lineterminator="\n").encode())
    for image, warned in frame[frame["warnings"] != ""].groupby("image")["warnings"]:
        log.warning("%s: %s", image, warned.iloc[0])


def _chosen_by(threshold: float | None, calibrated: dict[str, Any]) -> str:
    """Who chose the threshold: a score on the validation images, the config, or nobody."""
    if threshold is not None:
        return "config"
    by: str = calibrated["by"]
    return "default, no validation images" if by == "default" else f"validation, {by}"
