"""Tissue found: by a threshold on a coarse level of a slide, or by a mask that somebody drew."""

import logging
from pathlib import Path

import numpy as np
import shapely

from unetflow.errors import SlideError
from unetflow.images.ground import Coarse
from unetflow.images.lossless import lossy_compression
from unetflow.images.no_numbers import without_numbers
from unetflow.images.polygons import tissue_areas
from unetflow.images.resampling import Source
from unetflow.images.slide import Slide
from unetflow.images.sources import holds_polygons
from unetflow.store.tissue_mask import CELL_PX, Tissue

log = logging.getLogger(__name__)


COARSE = (4, 32)  # pixels of the image per pixel of the level that is looked at, at least, at most
THRESHOLD = "threshold"  # as a wish: find the tissue by `tissue_by_threshold`
BAND_CELLS = 16  # rows of cells that are looked at together
SAMPLE_PX = 1_000_000  # pixels that the ground is estimated from
# The ground is the most frequent value, if it is an extreme: what is beyond it is noise, which
# reaches this share of what the other side does, at most. Tissue of less than 0.1 % is not seen in
# this, and every cell kept.
BEYOND_PERCENT = 99
OTHER_PERCENT = 99.9  # of all pixels
BEYOND_SHARE = 0.2
NOISE = 2.0  # times the reach of the noise is still ground
LEAST_GRAY = 4  # gray values of an integer image that are still ground
GLASS = 200  # an image of bytes with a ground above this, and
STRETCHED = 0.25  # that a mask may be higher or lower than its slide's sides say, beside a pixel
FLAT = 0.05  # of it as largest variation, is nothing but glass


def coarse_level(source: Source, channels: list[int]) -> Coarse | None:
    """The coarsest level of the file that still shows small things, or None where it has none."""
    slide = source.slide
    fitting = [
        (level, each.shape_px)
        for level, each in enumerate(slide.levels)
        if all(
            COARSE[0] <= size / of <= COARSE[1]
            for size, of in zip(source.shape_px, each.shape_px, strict=True)
        )
    ]
    if not fitting:
        return None
    level, size_px = fitting[-1]
    return Coarse(
        lambda rows, columns: without_numbers(slide.read(level, rows, columns)[channels])[0],
        size_px,
    )


def find_tissue(wanted: str | Path, coarse: Coarse, source: Source) -> Tissue:
    """The tissue of an image by a threshold on a coarse level, or by the mask of that path."""
    if wanted != THRESHOLD:
        return tissue_by_mask(wanted, source.shape_px, source.slide.levels[0].shape_px)
    try:
        return tissue_by_threshold(coarse, source.shape_px)
    except SlideError as error:
        log.warning("%s; every cell is kept", error)
        cells = np.ones(_grid(source.shape_px), bool)
        return Tissue(cells, "every cell kept: the coarse level cannot be read")


def tissue_by_threshold(coarse: Coarse, shape_px: tuple[int, ...]) -> Tissue:
    """Cells where any pixel of a coarse level differs from the ground by more than its noise.

    The ground of each channel is bright or dark, whichever the pixels say: its most frequent value,
    if it is an extreme. Where that cannot be told, every cell is kept, and `by` says so.
    """
    lowest, highest, sample = _look(coarse, shape_px)
    cells = np.zeros(lowest.shape[1:], bool)
    for channel, values in enumerate(sample):
        ground = _ground(values)
        if ground is None:
            by = f"every cell kept: channel {channel} has no clear ground"
            log.warning(by)
            return Tissue(np.ones_like(cells), by)
        value, tolerance = ground
        cells |= (lowest[channel] < value - tolerance) | (highest[channel] > value + tolerance)
    return Tissue(_grown(cells), "threshold")


def tissue_by_mask(
    path: str | Path, shape_px: tuple[int, ...], finest_px: tuple[int, ...]
) -> Tissue:
    """Cells that a mask touches: an image of any size that is laid over the whole slide.

    What is not 0 is tissue; or polygons, in pixels of the slide's finest level.
    Raises SlideError or LabelsError for what is neither, and for a mask whose sides are in another
    proportion than the slide's.
    """
    grid = _grid(shape_px)
    if holds_polygons(path):
        areas, odd = tissue_areas(path, size_px=finest_px, shape_px=shape_px)
        for each in odd:
            log.warning("%s: %s", path, each)
        tree = shapely.STRtree(areas)
        rows, columns = (np.arange(n + 1) * CELL_PX for n in grid)
        y, x = np.meshgrid(rows[:-1], columns[:-1], indexing="ij")
        boxes = shapely.box(x, y, x + CELL_PX, y + CELL_PX).ravel()
        cells = np.zeros(boxes.size, bool)
        cells[tree.query(boxes, predicate="intersects")[0]] = True
        return Tissue(_grown(cells.reshape(grid)), "mask")
    with Slide(path, as_labels=True) as mask:
        if how := lossy_compression(path):
            log.warning(
                "%s: is a mask compressed as %s: what that blurs around the tissue counts as "
                "tissue. Save it as PNG, or as TIFF with LZW, where that is too much.",
                path,
                how,
            )
        size_px = mask.levels[0].shape_px
        _check_sides(path, size_px, shape_px)
        level = Coarse(lambda rows, columns: mask.read(0, rows, columns), size_px)
        lowest, highest, _ = _look(level, shape_px)
        for note in mask.notes:
            log.warning("%s: %s", path, note)
    return Tissue(_grown((lowest[0] != 0) | (highest[0] != 0)), "mask")


def _check_sides(path: str | Path, size_px: tuple[int, ...], shape_px: tuple[int, ...]) -> None:
    """Raise SlideError for a mask that would be stretched, as that of another slide, or turned."""
    (height, width), wanted = size_px, size_px[1] * shape_px[0] / shape_px[1]
    if abs(height - wanted) > max(1, STRETCHED * wanted):
        raise SlideError(
            f"{path}: is a mask of tissue of {height}x{width} px, and its slide has "
            f"{shape_px[0]}x{shape_px[1]} px: laid over the whole slide it would be stretched. Is "
            "it of another slide, of a part, or turned? Correct the sheet's column tissue."
        )


def _grid(shape_px: tuple[int, ...]) -> tuple[int, ...]:
    return -(-shape_px[0] // CELL_PX), -(-shape_px[1] // CELL_PX)


def _grown(cells: np.ndarray) -> np.ndarray:
    from scipy import ndimage  # a quarter of a second that few jobs need

    return np.asarray(ndimage.binary_dilation(cells, np.ones((3, 3), bool)))


def _look(coarse: Coarse, shape_px: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest and highest value in each cell (C, rows, columns), and a sample of pixels (C, N).

    Read in bands of cells, so that the level may be of any size.
    """
    edges = [
        [_edges(k, shape, size) for k in range(n)]
        for n, shape, size in zip(_grid(shape_px), shape_px, coarse.size_px, strict=True)
    ]
    step = max(1, round((coarse.size_px[0] * coarse.size_px[1] / SAMPLE_PX) ** 0.5))
    low, high, sample = [], [], []
    for first in range(0, len(edges[0]), BAND_CELLS):
        band = edges[0][first : first + BAND_CELLS]
        rows = slice(band[0].start, band[-1].stop)
        pixels = coarse.read(rows, slice(0, coarse.size_px[1]))
        sample.append(pixels[:, ::step, ::step].reshape(len(pixels), -1))
        for row in band:
            strip = pixels[:, row.start - rows.start : row.stop - rows.start]
            least, most = strip.min(axis=1), strip.max(axis=1)
            low.append(np.stack([least[:, part].min(axis=1) for part in edges[1]], axis=1))
            high.append(np.stack([most[:, part].max(axis=1) for part in edges[1]], axis=1))
    # in float64, where differences of unsigned values cannot wrap
    return (
        np.stack(low, axis=1).astype(np.float64),
        np.stack(high, axis=1).astype(np.float64),
        np.concatenate(sample, axis=1),
    )


def _edges(cell: int, shape_px: int, size_px: int) -> slice:
    """Pixels of a coarse level along one axis that lie in a cell, at least in part."""
    start = cell * CELL_PX * size_px // shape_px
    stop = -(-min((cell + 1) * CELL_PX, shape_px) * size_px // shape_px)
    return slice(min(start, size_px - 1), max(stop, start + 1))


def _ground(values: np.ndarray) -> tuple[float, float] | None:
    """The value of the ground and what still counts as ground around it, or None if unclear."""
    ordered = np.sort(values.astype(np.float64))
    ground = _mode(ordered)
    low, high = ordered[0], ordered[-1]
    flat = FLAT * ground if values.dtype == np.uint8 and ground > GLASS else 0.0
    if high - low <= flat:
        return ground, high - low
    below, above = ground - ordered, ordered - ground
    noise, other = min(
        (_reach(side[side > 0], BEYOND_PERCENT), float(np.percentile(-side, OTHER_PERCENT)))
        for side in (below, above)
    )
    least = LEAST_GRAY if np.issubdtype(values.dtype, np.integer) else 0.0
    if max(noise, least) > BEYOND_SHARE * other:
        return None
    return ground, max(NOISE * noise, least)


def _reach(distances: np.ndarray, percent: float) -> float:
    return float(np.percentile(distances, percent)) if distances.size else 0.0


def _mode(ordered: np.ndarray) -> float:
    """The most frequent value: the densest half, again and again (Robertson and Cryer 1974)."""
    while len(ordered) > 2:
        half = -(-len(ordered) // 2)
        widths = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
        start = int(widths.argmin())
        if widths[start] == 0:
            return float(ordered[start])
        ordered = ordered[start : start + half]
    return float(ordered.mean())
