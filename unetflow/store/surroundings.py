"""Mean and deviation of what lies around each pixel, the same in whatever regions they are read.

The image is cut into cells of half the window, counted from its corner; a node is where four cells
meet, and knows mean and deviation of these. Between nodes both are interpolated:

    cells   +----+----+----+        a window of px = 2 cells around each node
            |    |    |    |
            +----o----o----+        o nodes; a pixel lies between four of them
            |    | .  |    |
            +----o----o----+
            |    |    |    |
            +----+----+----+

Of a volume they are cubes, and a node lies between eight of them.

So a region needs the cells around it, each whole, and no pixel twice. Sums over a cell are taken
in one order whatever is read with it, and so the bits of the result do not depend on the region.
"""

import numpy as np

from unetflow.tiles.regions import Region, within

LEAST_CELL_PX = 4
FLOOR = 0.1  # of the training's deviation: what differs by less is noise, and stays small


def with_surroundings(region: Region, px: int, shape: tuple[int, ...]) -> Region:
    """The whole cells (rows, columns) that a region of an image of `shape` needs."""
    cell = cell_px(px)
    return tuple(
        slice(
            max(0, part.start // cell - 1) * cell,
            min(size, ((part.stop - 1) // cell + 2) * cell),
        )
        for part, size in zip(region, shape, strict=True)
    )


def locally_normalised(
    pixels_CYX: np.ndarray,
    read: Region,
    region: Region,
    px: int,
    mean: np.ndarray,
    deviation: np.ndarray,
) -> np.ndarray:
    """(pixel - mean of its surroundings) / their deviation in float32, (C, H, W) of a region.

    `pixels_CYX` are those of `read` (`with_surroundings`). `mean` and `deviation` (C,) are of the
    training images: deviations count as a tenth of those at least.
    """
    cell = cell_px(px)
    ones = [1 for _ in region]
    mean_C11 = mean.reshape(-1, *ones)
    shifted_CYX = np.subtract(np.ascontiguousarray(pixels_CYX), mean_C11, dtype=np.float64)
    firsts = [part.start // cell for part in region]  # cells that the first pixels lie in
    lasts = [(part.stop - 1) // cell for part in region]
    numbers = [last - first + 2 for first, last in zip(firsts, lasts, strict=True)]  # of nodes
    count = _around_nodes(np.ones((1, *shifted_CYX.shape[1:])), read, firsts, numbers, cell)
    sums, squares = (
        _around_nodes(values, read, firsts, numbers, cell) / count
        for values in (shifted_CYX, shifted_CYX**2)
    )
    least = FLOOR * deviation.reshape(-1, *ones)
    found = np.maximum(np.sqrt(np.maximum(squares - sums**2, 0)), least)
    inner = within(region, read)
    result: np.ndarray = shifted_CYX[(slice(None), *inner)].astype(np.float32)
    result -= _between_nodes(sums.astype(np.float32), region, cell)
    result /= _between_nodes(found.astype(np.float32), region, cell)
    return result


def cell_px(px: int) -> int:
    """Side of a cell of a window of `px`."""
    return max(LEAST_CELL_PX, px // 2)


def _around_nodes(
    values_CYX: np.ndarray, read: Region, firsts: list[int], numbers: list[int], cell: int
) -> np.ndarray:
    """Sums over the four cells around each node (C, nodes, nodes), from the one before `firsts`."""
    sums = values_CYX
    for axis, part in enumerate(read, start=1):
        sums = np.add.reduceat(sums, np.arange(0, part.stop - part.start, cell), axis=axis)
    for axis, (part, first, number) in enumerate(zip(read, firsts, numbers, strict=True), start=1):
        before = part.start // cell - (first - 1)  # 1 where there is no cell before the first
        after = number + 1 - before - sums.shape[axis]
        padding = [(0, 0)] * sums.ndim
        padding[axis] = before, max(after, 0)
        sums = np.pad(sums, padding)
        one, other = (
            tuple(slice(k, k + number) if a == axis else slice(None) for a in range(sums.ndim))
            for k in (0, 1)
        )
        sums = sums[one] + sums[other]
    return sums


def _between_nodes(nodes: np.ndarray, region: Region, cell: int) -> np.ndarray:
    """Values of nodes (C, nodes, nodes), interpolated to the pixels of a region."""
    for axis, part in enumerate(region, start=1):
        positions = np.arange(part.start, part.stop)
        share = (((positions % cell) + 0.5) / cell).astype(np.float32)
        share = share.reshape([-1 if a == axis else 1 for a in range(nodes.ndim)])
        which = positions // cell - part.start // cell
        before, after = np.take(nodes, which, axis=axis), np.take(nodes, which + 1, axis=axis)
        nodes = before * (1 - share) + after * share
    return nodes
