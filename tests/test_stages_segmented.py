"""The table of images that are only segmented: counts, thresholds and who chose them, warnings."""

from pathlib import Path

import pandas as pd
import pytest

from unetflow.provenance.receipts import write_receipt
from unetflow.stages.segmented import COLUMNS, Segmented, write_segmented


def case(folder: Path, name: str, threshold: float, warnings: list[str]) -> Segmented:
    made = {"threshold": threshold, "instances": 7, "first_id": 1, "area_px": 70}
    write_receipt(folder / f"i-{name}.json", {"shape": [40, 50], "classes": {"cell": made}})
    of_tiles = {"tiles": "Tiled."} if warnings else {}
    write_receipt(folder / f"f-{name}.json", {"warnings": warnings, **of_tiles})
    return {
        "experiment": "unet",
        "fold": 0,
        "image": name,
        "instances": folder / f"i-{name}.json",
        "foreground": folder / f"f-{name}.json",
        "calibration": folder / "c.json",
    }


@pytest.mark.parametrize(
    "by, threshold, said",
    [
        ("seg", None, "validation, seg"),
        ("default", None, "default, no validation images"),
        ("default", 0.5, "config"),
    ],
)
def test_a_row_says_what_was_found_and_what_to_doubt(
    tmp_path: Path, by: str, threshold: float | None, said: str
) -> None:
    write_receipt(tmp_path / "c.json", {"instances": {"cell": {"threshold": 0.5, "by": by}}})
    images = [case(tmp_path, "a", 0.5, []), case(tmp_path, "b", 0.5, ["Dark.", "Small."])]
    write_segmented(images=images, threshold=threshold, table=tmp_path / "s.csv")
    table = pd.read_csv(tmp_path / "s.csv", keep_default_na=False)
    assert table.columns.tolist() == list(COLUMNS)
    assert table["image"].tolist() == ["a", "b"]
    assert table["threshold_by"].tolist() == [said, said]
    assert table["warnings"].tolist() == ["", "Dark. Small. Tiled."]
    for column, value in {"instances": 7, "area_px": 70, "height_px": 40, "width_px": 50}.items():
        assert (table[column] == value).all()


def test_no_image_gives_a_header(tmp_path: Path) -> None:
    write_segmented(images=[], threshold=None, table=tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text().strip() == ",".join(COLUMNS)
