"""The table of the objects of an image: where each lies, how large and how sure it is.

Of a volume it has planes too, and volumes in the place of areas.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from unetflow.components.pieces_of_block import Sums
from unetflow.errors import StoreError
from unetflow.store.files import write_whole
from unetflow.store.ome import PixelSize
from unetflow.tiles.regions import PLANE

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

COLUMNS_OF_VOLUME = (
    "id",
    "class",
    "plane_px",  # of the centroid
    "row_px",
    "column_px",
    "plane_um",
    "row_um",
    "column_um",
    "volume_px",
    "volume_um3",
    "first_plane_px",
    "top_px",
    "left_px",
    "end_plane_px",  # excluded
    "bottom_px",
    "right_px",
    "mean_foreground",
)
CENTRES = ("plane", "row", "column")
STARTS = ("first_plane_px", "top_px", "left_px")
STOPS = ("end_plane_px", "bottom_px", "right_px")

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
    axes = len(size.scale)
    columns = COLUMNS if axes == PLANE else COLUMNS_OF_VOLUME
    frames = [_frame(*of) for of in classes]
    frame = pd.concat(frames) if frames else pd.DataFrame(columns=list(columns))
    sides_um = size.um or (float("nan"),) * axes
    for name, side_um in zip(CENTRES[-axes:], sides_um, strict=True):
        frame[f"{name}_um"] = frame[f"{name}_px"] * side_um
    of_px, of_um = ("area_px", "area_um2") if axes == PLANE else ("volume_px", "volume_um3")
    frame[of_um] = frame[of_px] * math.prod(sides_um)
    frame["mean_foreground"] = frame["mean_foreground"] / highest
    frame = frame[list(columns)]
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
    centre, axes = sums.at / sums.area_px[:, None], sums.at.shape[1]
    of_axes = [
        (CENTRES[-axes:], centre, "{}_px"),
        (STARTS[-axes:], sums.start, "{}"),
        (STOPS[-axes:], sums.stop, "{}"),
    ]
    return pd.DataFrame(
        {
            "id": range(first_id, first_id + len(sums.area_px)),
            "class": name,
            **{
                as_.format(column): values[:, axis]
                for columns, values, as_ in of_axes
                for axis, column in enumerate(columns)
            },
            "area_px" if axes == PLANE else "volume_px": sums.area_px,
            "mean_foreground": sums.foreground / sums.area_px,
        }
    )
