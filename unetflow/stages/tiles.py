"""Rule tiles: of a slide what the report's viewer shows, beside the page."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unetflow.provenance.receipts import write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.shard_lists import Stored, unchanged
from unetflow.report.pictures import FOREGROUND, PICTURE, RESULT, TILE_PX, TRUTH, SlideTiles
from unetflow.report.tiles import Read, as_bytes, shown_levels, write_tiles
from unetflow.store import names
from unetflow.store.arrays import read_array
from unetflow.store.levels import level_shapes
from unetflow.store.ome import first_level
from unetflow.store.probabilities import as_probability
from unetflow.tiles.regions import Region

log = logging.getLogger(__name__)
STRETCH = (0.5, 99.8)  # percent, as of the report's other pictures


def make_tiles(
    *,
    image: str | Path,
    prediction: str | Path,
    foreground: str,
    annotated: bool,
    stored: Sequence[Stored],
    folder: str | Path,
    receipt: str | Path,
    threads: int,
) -> None:
    """Rule tiles: `unetflow.report.tiles.SlideTiles` of one image as JSON, its tiles in `folder`.

    `foreground` is the array of the prediction that is thresholded; of several classes the greatest
    is shown. What an earlier job left in the folder goes first. `stored` are all stores that are
    read.
    """
    record = RunRecord(receipt)
    folder = Path(folder)
    if folder.exists():
        shutil.rmtree(folder)
    shape = read_array(prediction, names.of_labels(names.INSTANCES)).shape
    shapes = level_shapes(shape)
    levels = [level for level in shown_levels(shapes) if level >= first_level(image)]
    made: dict[str, Read] = {}
    if levels:
        made[PICTURE] = _picture(image, levels)
        made[FOREGROUND] = _foreground(prediction, foreground)
        if annotated:
            made[TRUTH] = _labels(image, names.TRUTH)
        made[RESULT] = _labels(prediction, names.INSTANCES)
    with unchanged(*(Stored(*of) for of in stored)):
        for layer, read in made.items():
            write_tiles(folder, layer, shapes, levels, read, threads=threads)
    content: SlideTiles = {
        "size_px": list(shapes[levels[0]]) if levels else [],
        "downsample": 2 ** levels[0] if levels else 1,
        "levels": len(levels),
        "tile_px": TILE_PX,
        "layers": list(made),
    }
    write_receipt(receipt, {**content, "shape": list(shape)})
    log.info("%s: %d layers of %d levels", receipt, len(made), len(levels))
    record.write()


def _picture(image: str | Path, levels: Sequence[int]) -> Read:
    """Gray values are stretched by those of the coarsest level."""
    coarsest = np.asarray(read_array(image, f"{levels[-1]}")[...])
    low, high = np.percentile(coarsest.mean(axis=0, dtype=np.float64), STRETCH)
    arrays = {level: read_array(image, f"{level}") for level in levels}

    def read(level: int, region: Region) -> np.ndarray:
        return as_bytes(np.asarray(arrays[level][(slice(None), *region)]), low, high)

    return read


def _foreground(prediction: str | Path, name: str) -> Read:
    def read(level: int, region: Region) -> np.ndarray:
        array = read_array(prediction, f"{name}_{level}" if level else name)
        values: np.ndarray = np.asarray(array[(slice(None), *region)]).max(axis=0)
        if values.dtype == np.uint8:
            return values
        return (as_probability(values) * 255 + 0.5).astype(np.uint8)

    return read


def _labels(store: str | Path, name: str) -> Read:
    def read(level: int, region: Region) -> np.ndarray:
        return np.asarray(read_array(store, names.of_labels(name, level))[tuple(region)])

    return read
