"""The table of the objects of an image: where each lies, how large and how sure it is."""

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from unetflow.components.pieces_of_block import Sums
from unetflow.errors import StoreError
from unetflow.store.files import write_whole
from unetflow.store.ome import PixelSize

COLUMNS = (
    "id",
    "class",
    "row_px",  # of the centroid
    "column_px",
    "row_um",
    "column_um",
    "area_px",
    "area_um2",
    "top_px",
    "left_px",
    "bottom_px",  # excluded
    "right_px",
    "mean_foreground",
)

CSV_FORMAT = "%.12g"  # in images of a million pixels to 1e-6 px, without digits of rounding


def write_objects(
    path: str | Path,
    classes: Sequence[tuple[str, int, Sums]],
    size: PixelSize,
    *,
    highest: float,
) -> None:
    """The objects of all classes (name, first id, sums) as Parquet, and as CSV beside it.

    Where the size of a pixel is not known, the columns in um are empty.
    `highest` is the summed foreground that stands for 1.
    Pixels are those of the prepared image, (0, 0) the centre of the first one.
    """
    frames = [_frame(*of) for of in classes]
    frame = pd.concat(frames) if frames else pd.DataFrame(columns=list(COLUMNS))
    height_um, width_um = size.um[-2:] if size.um else (float("nan"),) * 2
    frame["row_um"], frame["column_um"] = frame["row_px"] * height_um, frame["column_px"] * width_um
    frame["area_um2"] = frame["area_px"] * (height_um * width_um)
    frame["mean_foreground"] = frame["mean_foreground"] / highest
    frame = frame[list(COLUMNS)]
    content = io.BytesIO()
    frame.to_parquet(content, index=False)
    write_whole(path, content.getvalue())
    text = frame.to_csv(index=False, lineterminator="\n", float_format=CSV_FORMAT)
    write_whole(Path(path).with_suffix(".csv"), text.encode())


def read_objects(path: str | Path, receipt: str | Path) -> pd.DataFrame:
    """The table of objects that a job with this receipt left. Raises StoreError where broken."""
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: not readable ({error}). Delete {receipt} and run the same command again: the "
            "table is written anew."
        ) from error


def _frame(name: str, first_id: int, sums: Sums) -> pd.DataFrame:
    centre = sums.at / sums.area_px[:, None]
    return pd.DataFrame(
        {
            "id": range(first_id, first_id + len(sums.area_px)),
            "class": name,
            "row_px": centre[:, 0],
            "column_px": centre[:, 1],
            "area_px": sums.area_px,
            "top_px": sums.start[:, 0],
            "left_px": sums.start[:, 1],
            "bottom_px": sums.stop[:, 0],
            "right_px": sums.stop[:, 1],
            "mean_foreground": sums.foreground / sums.area_px,
        }
    )
