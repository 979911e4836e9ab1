"""The table of objects: the same numbers in both of its files."""

from pathlib import Path

import numpy as np
import pandas as pd

from unetflow.components.pieces_of_block import Sums
from unetflow.instances.table import write_objects
from unetflow.store.ome import PixelSize


def test_places_in_large_images_are_kept_to_the_pixel(tmp_path: Path) -> None:
    """Six digits were written: beyond 100,000 px centres came rounded to 1 px, and then to 10."""
    area_px = np.array([4, 8, 40_000])
    centres = np.array([[99_999.75, 100_000.25], [123_456.75, 1_234_567.125], [1e6, 1_999_999.5]])
    sums = Sums(
        area_px=area_px,
        first=np.zeros(3, np.int64),
        start=centres.astype(np.int64) - 1,
        stop=centres.astype(np.int64) + 2,
        at=centres * area_px[:, None],
        foreground=np.array([3.0, 4.0, 39_999.0]),
    )
    size = PixelSize.square(0.25)
    write_objects(tmp_path / "o.parquet", [("cell", 1, sums)], size, highest=1)
    text = pd.read_csv(tmp_path / "o.csv")
    assert text[["row_px", "column_px"]].to_numpy().tolist() == centres.tolist()
    assert text[["row_um", "column_um"]].to_numpy().tolist() == (centres / 4).tolist()
    assert text["area_um2"].tolist() == [0.25, 0.5, 2500.0]
    assert text["mean_foreground"].tolist() == [0.75, 0.5, 0.999975]
    pd.testing.assert_frame_equal(text, pd.read_parquet(tmp_path / "o.parquet"), rtol=1e-9)
