"""A plane of synthetic cells with exact truth, drawn lazily: microscopy-like images of any size.

Cells of varied size and shape, many of them touching, with dark membranes, bright halos, nuclei
and grain; out-of-focus debris that is not a cell; strongly uneven illumination; blur, shot noise
and read noise.

The plane is cut into fixed blocks of BLOCK_PX. A block is a function of (seed, block row, block
column), and a region is put together from blocks: it equals the same part of any larger region to
the bit.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetflow.demo.cells import (
    GRID_PX,
    HALO_PX,
    REACH_PX,
    cells_in,
    compete,
    label_connected,
    smooth_noise,
    uniform,
)
from unetflow.engine.compiled import compiled

BLOCK_PX = 512
PLANE_PX = (2**16 - 16) * GRID_PX  # side of the plane; beyond it labels would overflow uint32
_BLUR_PX = 0.9  # sigma of the point spread function
_SEE_PX = 4  # the signal that the blur needs around a block
_BORDER_PX = _SEE_PX + 2 * REACH_PX  # a cell that meets block and blur lies whole in this border
_DEBRIS_PX = (
    128  # side of the squares that may hold one piece of debris; its largest radius is half of it
)


def draw_region(
    rows: slice, columns: slice, *, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Image uint8 and labels uint32, 0 background, both (Y, X), of a region [px] of a seed's plane.

    Each label is one 4-connected cell (the region's border may cut it), the same in every region;
    touching cells have adjacent labels. Memory is that of the result and of one block.
    """
    parts = _parts(rows, columns, seed)
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    image, labels = np.empty(shape, np.uint8), np.empty(shape, np.uint32)
    for block_row, block_column, target, source in parts:
        drawn = _draw_block(seed, block_row, block_column)
        image[target], labels[target] = drawn[0][source], drawn[1][source]
    return image, labels


def draw_labels(rows: slice, columns: slice, *, seed: int) -> NDArray[np.uint32]:
    """The labels of `draw_region` alone, in about half the time."""
    parts = _parts(rows, columns, seed)
    labels = np.empty((rows.stop - rows.start, columns.stop - columns.start), np.uint32)
    see = slice(_SEE_PX, _SEE_PX + BLOCK_PX)
    for block_row, block_column, target, source in parts:
        labels[target] = _draw_truth(seed, block_row, block_column)[0][see, see][source]
    return labels


Part = tuple[int, int, tuple[slice, slice], tuple[slice, slice]]
Truth = tuple[
    NDArray[np.uint32],
    NDArray[np.void],
    NDArray[np.int32],
    NDArray[np.float32],
    NDArray[np.float32],
]


def _parts(rows: slice, columns: slice, seed: int) -> list[Part]:
    """Block row and column, place in the region, place in the block, for each block of a region."""
    if not 0 <= seed < 2**63:
        raise ValueError(f"drawing with seed {seed}: a seed has 63 bits; take one in [0, {2**63}).")
    for name, part in (("rows", rows), ("columns", columns)):
        if part.step not in (None, 1) or part.start is None or part.stop is None:
            raise ValueError(
                f"drawing {name} {part}: give slice(start, stop) in px, without a step."
            )
        if not 0 <= part.start < part.stop <= PLANE_PX:
            raise ValueError(
                f"drawing {name} {part.start} to {part.stop} px: a region is not empty and lies in "
                f"the plane, 0 <= start < stop <= {PLANE_PX}. Move it; another place of the same "
                "kind is another seed."
            )
    return [
        (block_row, block_column, (to_rows, to_columns), (from_rows, from_columns))
        for block_row, to_rows, from_rows in _pieces(rows)
        for block_column, to_columns, from_columns in _pieces(columns)
    ]


def _pieces(part: slice) -> list[tuple[int, slice, slice]]:
    pieces = []
    for block in range(part.start // BLOCK_PX, (part.stop - 1) // BLOCK_PX + 1):
        first, last = max(part.start, block * BLOCK_PX), min(part.stop, (block + 1) * BLOCK_PX)
        target = slice(first - part.start, last - part.start)
        pieces.append((block, target, slice(first - block * BLOCK_PX, last - block * BLOCK_PX)))
    return pieces


def _draw_truth(seed: int, block_row: int, block_column: int) -> Truth:
    """Labels, cells, nearest, depth, second depth (see `compete`) of a block and _SEE_PX around."""
    row, column = block_row * BLOCK_PX - _SEE_PX, block_column * BLOCK_PX - _SEE_PX
    side, border = BLOCK_PX + 2 * _SEE_PX, _BORDER_PX - _SEE_PX
    around = REACH_PX + HALO_PX + border
    cells = cells_in(seed, row - around, column - around, (side + 2 * around, side + 2 * around))
    area = (side + 2 * border, side + 2 * border)
    nearest, depth, second = compete(cells, row - border, column - border, area)
    labels = label_connected(cells, nearest, depth, row - border, column - border)
    see = (slice(border, border + side), slice(border, border + side))
    return labels[see], cells, nearest[see], depth[see], second[see]


def _draw_block(
    seed: int, block_row: int, block_column: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    row, column = block_row * BLOCK_PX - _SEE_PX, block_column * BLOCK_PX - _SEE_PX
    labels, cells, nearest, depth, second = _draw_truth(seed, block_row, block_column)
    light = smooth_noise(seed, 30, 1100, row, column, labels.shape)
    light = 0.35 + 0.7 * light + 0.6 * smooth_noise(seed, 31, 330, row, column, labels.shape)
    grain = smooth_noise(seed, 32, 3, row, column, labels.shape)
    grain = grain + smooth_noise(seed, 33, 7, row, column, labels.shape) - np.float32(1)
    signal = _signal(labels, cells, nearest, depth, second, grain, row, column)
    _add_debris(signal, seed, row, column)
    signal = ndimage.gaussian_filter(signal * light, _BLUR_PX, truncate=_SEE_PX / _BLUR_PX - 0.5)
    see = slice(_SEE_PX, _SEE_PX + BLOCK_PX)
    image = _expose(signal[see, see], seed, row + _SEE_PX, column + _SEE_PX)
    return image, labels[see, see]


@compiled
def _signal(
    labels: NDArray[np.uint32],
    cells: NDArray[np.void],
    nearest: NDArray[np.int32],
    depth: NDArray[np.float32],
    second: NDArray[np.float32],
    grain: NDArray[np.float32],
    row: int,
    column: int,
) -> NDArray[np.float32]:
    """Gray levels of cells and background under even light, without blur or noise."""
    signal = np.empty(labels.shape, np.float32)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            gray = 100.0 + 10.0 * grain[y, x]
            if nearest[y, x] >= 0:
                cell = cells[nearest[y, x]]
                inside = min(depth[y, x], (depth[y, x] - second[y, x]) / 2)  # px from the border
                if labels[y, x] > 0:
                    body = min(inside / 4.0, 1.0)
                    gray += body * (cell.gray + 22.0 * cell.grain * grain[y, x])
                    dy = y + row - cell.row - cell.nucleus[0]
                    dx = x + column - cell.column - cell.nucleus[1]
                    soft = cell.nucleus[2] - np.sqrt(dy * dy + dx * dx)
                    gray += body * cell.nucleus[3] * min(max(soft / 2.0, 0.0), 1.0)
                    gray -= cell.membrane * max(0.0, 1.0 - (inside / 2.2) ** 2)
                else:
                    outside = abs(depth[y, x])  # px; positive depths here are cut-off slivers
                    ring = max(0.0, 1.0 - ((outside - 3.0) / 4.0) ** 2)
                    gray += cell.bright_halo * ring
            signal[y, x] = gray
    return signal


@compiled
def _add_debris(signal: NDArray[np.float32], seed: int, row: int, column: int) -> None:
    """Add soft blobs and rings of [gray levels] to the signal of the region at (row, column)."""
    size = _DEBRIS_PX
    for i in range(row // size - 1, (row + signal.shape[0]) // size + 2):
        for j in range(column // size - 1, (column + signal.shape[1]) // size + 2):
            if uniform(seed, 40, i, j) > 0.7:
                continue
            centre_y = (i + uniform(seed, 41, i, j)) * size - row
            centre_x = (j + uniform(seed, 42, i, j)) * size - column
            radius = 5.0 + (size / 2 - 5.0) * uniform(seed, 43, i, j) ** 2
            gray = 150.0 * (uniform(seed, 44, i, j) - 0.45)
            hollow = 2.0 * uniform(seed, 45, i, j)
            top, bottom = int(centre_y - radius), int(centre_y + radius) + 2
            left, right = int(centre_x - radius), int(centre_x + radius) + 2
            for y in range(max(0, top), min(signal.shape[0], bottom)):
                for x in range(max(0, left), min(signal.shape[1], right)):
                    apart = ((y - centre_y) ** 2 + (x - centre_x) ** 2) / radius**2
                    if apart < 1.0:
                        signal[y, x] += gray * (1 - apart) ** 2 * (1 - hollow * (1 - 2 * apart))


@compiled
def _expose(signal: NDArray[np.float32], seed: int, row: int, column: int) -> NDArray[np.uint8]:
    """The image of a signal with shot and read noise from a hash of each pixel's place."""
    image = np.empty(signal.shape, np.uint8)
    for y in range(signal.shape[0]):
        for x in range(signal.shape[1]):
            # the sum of four uniforms is near enough to a normal deviate: variance 4 / 12
            bits = np.int64(uniform(seed, 50, row + y, column + x) * 2.0**52)
            normal = (bits & 8191) + (bits >> 13 & 8191) + (bits >> 26 & 8191) + (bits >> 39)
            deviate = (normal / 8192.0 - 2.0) * 1.7320508
            gray = max(signal[y, x], 0.0)
            gray += deviate * np.sqrt(9.0 + 0.25 * gray)
            image[y, x] = np.uint8(min(max(gray + 0.5, 0.0), 255.0))
    return image
