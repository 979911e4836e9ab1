"""Tiles of a slide for a viewer: pictures of squares, level by level, for a page beside them.

    folder/layer/level/column_row.ending    level 0 is the coarsest

Layers: the picture and the foreground as JPEG; outlines of truth and result as PNG with one colour,
all else transparent. Shapes: (C, Y, X) of pixels, (Y, X) of labels.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from unetflow.colours import CHOSEN, SKY_BLUE, rgb_bytes
from unetflow.engine.each import for_each
from unetflow.report.pictures import ENDINGS, LEAST_PX, MOST_PX, RESULT, TILE_PX, TRUTH
from unetflow.store.files import write_whole
from unetflow.tiles.regions import Region, shard_grid, shard_region

BLOCK_PX = 2048  # that is read at once: whole tiles
QUALITY = 80
OUTLINES = {TRUTH: CHOSEN, RESULT: SKY_BLUE}
Read = Callable[[int, Region], np.ndarray]
"""A level, 0 the finest, and a region of it that may end outside: its values."""


def shown_levels(shapes: Sequence[tuple[int, ...]]) -> list[int]:
    """Levels of an image (shapes, finest first) that have tiles, finest first; of a volume none."""
    if len(shapes[0]) > len(("y", "x")) or max(shapes[0]) < LEAST_PX:
        return []
    return [level for level, shape in enumerate(shapes) if max(shape) <= MOST_PX]


def write_tiles(
    folder: Path,
    layer: str,
    shapes: Sequence[tuple[int, ...]],
    levels: Sequence[int],
    read: Read,
    *,
    threads: int,
) -> None:
    """All tiles of a layer; `shapes` are those of all levels of the image, finest first."""
    work = [
        (level, number, index)
        for number, level in zip(reversed(range(len(levels))), levels, strict=True)
        for index in shard_grid(shapes[level], (BLOCK_PX, BLOCK_PX))
    ]
    for number in range(len(levels)):
        (folder / layer / f"{number}").mkdir(parents=True, exist_ok=True)

    def block(each: tuple[int, int, tuple[int, ...]]) -> None:
        level, number, index = each
        region = shard_region(index, shapes[level], (BLOCK_PX, BLOCK_PX))
        _write_block(folder / layer / f"{number}", layer, shapes[level], level, region, read)

    for_each(block, work, threads=threads)


def _write_block(
    folder: Path, layer: str, shape: tuple[int, ...], level: int, region: Region, read: Read
) -> None:
    outlined = layer in OUTLINES
    margin = 1 if outlined else 0
    wider = tuple(
        slice(max(0, part.start - margin), min(size, part.stop + margin))
        for part, size in zip(region, shape, strict=True)
    )
    values = read(level, wider)
    if outlined:
        values = edges(values)
        inner = tuple(
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(region, wider, strict=True)
        )
        values = values[inner]
    top, left = region[0].start, region[1].start
    for y in range(0, values.shape[0], TILE_PX):
        for x in range(0, values.shape[1], TILE_PX):
            name = f"{(left + x) // TILE_PX}_{(top + y) // TILE_PX}.{ENDINGS[layer]}"
            tile = values[y : y + TILE_PX, x : x + TILE_PX]
            write_whole(folder / name, _encoded(layer, tile), sync=False)


def edges(labels_YX: np.ndarray) -> np.ndarray:
    """Pixels of objects beside pixels of another object or of the ground."""
    found = np.zeros(labels_YX.shape, bool)
    for first, second in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = labels_YX[first] != labels_YX[second]
        found[first] |= differ
        found[second] |= differ
    found &= labels_YX != 0
    return found


def _encoded(layer: str, tile: np.ndarray) -> bytes:
    content = io.BytesIO()
    if layer in OUTLINES:
        picture = Image.fromarray(tile.view(np.uint8), "P")
        picture.putpalette([0, 0, 0, *rgb_bytes(OUTLINES[layer])])
        picture.save(content, "png", bits=1, transparency=0, compress_level=1)
    else:
        Image.fromarray(np.ascontiguousarray(tile)).save(content, "jpeg", quality=QUALITY)
    return content.getvalue()


def as_bytes(pixels_CYX: np.ndarray, low: float, high: float) -> np.ndarray:
    """A picture as `figures.panels.gray_or_rgb` shows it, (Y, X) or (Y, X, 3) of bytes.

    Gray values go from `low` to `high`, which are those of the whole image.
    """
    if len(pixels_CYX) == 3 and pixels_CYX.dtype == np.uint8:
        return np.moveaxis(pixels_CYX, 0, -1)
    gray = pixels_CYX[0] if len(pixels_CYX) == 1 else pixels_CYX.mean(axis=0, dtype=np.float32)
    scaled = (gray.astype(np.float32) - low) * (255 / max(high - low, 1e-12))
    stretched: np.ndarray = np.clip(scaled + 0.5, 0, 255).astype(np.uint8)
    return stretched
