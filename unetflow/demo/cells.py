"""Where the cells of the synthetic plane lie, what they look like and which pixel is whose.

Everything here follows from integer hashes of (seed, grid row, grid column) and from + - * / sqrt:
no state, no order of drawing. That is why any part of the plane can be drawn alone.
"""

import numpy as np
from numpy.typing import NDArray

from unetflow.engine.compiled import compiled

GRID_PX = 16  # one candidate for a cell in each square of this grid
GRID_OFFSET = 4  # grid rows and columns before pixel 0, whose cells reach into the plane
REACH_PX = 38  # no pixel of a cell is further from its centre
HALO_PX = 8  # the bright halo and the competition for a pixel end this far outside a cell
MIN_AREA_PX = 60  # smaller remainders of a cell that its neighbours cover are not drawn
_APART = 0.84  # least distance of two centres, in sums of their mean radii
_NEAR_GRID = 3  # candidates further apart than this many squares never exclude each other
_ROUNDS = 5
CELL = np.dtype(
    [
        ("label", np.uint32),
        ("row", np.float64),  # centre [px]
        ("column", np.float64),
        ("radius", np.float64),  # mean radius [px]
        ("harmonics", np.float64, (8,)),  # cos, sin of 2, 3, 4, 5 times the angle, in mean radii
        ("gray", np.float64),  # against the background [gray levels]
        ("grain", np.float64),  # strength of the texture
        ("membrane", np.float64),  # darkness of the membrane [gray levels]
        ("bright_halo", np.float64),  # brightness of the halo [gray levels]
        ("nucleus", np.float64, (4,)),  # row, column offset [px], radius [px], gray levels
    ],
    align=True,
)


@compiled(signature="float64(int64, int64, int64, int64)")  # else one per constant
def uniform(seed: int, stream: int, row: int, column: int) -> float:
    """A number in [0, 1), a function of four integers (splitmix64; Steele, Lea, Flood 2014)."""
    state = np.uint64(seed)
    for word in (stream, row, column):
        state = (state ^ np.uint64(word)) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return np.float64(state >> np.uint64(11)) * 2.0**-53


@compiled
def smooth_noise(
    seed: int, stream: int, pitch_px: int, row: int, column: int, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Value noise in [0, 1), one random value each `pitch_px`, of the region at (row, column)."""
    first_row, first_column = row // pitch_px, column // pitch_px
    last_row = (row + shape[0] - 1) // pitch_px + 1
    last_column = (column + shape[1] - 1) // pitch_px + 1
    knots = np.empty((last_row - first_row + 1, last_column - first_column + 1), np.float32)
    for i in range(knots.shape[0]):
        for j in range(knots.shape[1]):
            knots[i, j] = uniform(seed, stream, first_row + i, first_column + j)
    noise = np.empty(shape, np.float32)
    for y in range(shape[0]):
        i = (row + y) // pitch_px - first_row
        v = np.float32(((row + y) % pitch_px) / pitch_px)
        v = v * v * (np.float32(3) - np.float32(2) * v)
        line = knots[i] + v * (knots[i + 1] - knots[i])
        for x in range(shape[1]):
            j = (column + x) // pitch_px - first_column
            u = np.float32(((column + x) % pitch_px) / pitch_px)
            u = u * u * (np.float32(3) - np.float32(2) * u)
            noise[y, x] = line[j] + u * (line[j + 1] - line[j])
    return noise


@compiled
def _candidates(seed: int, row: int, column: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Row, column, radius [px] and priority of a part of the grid; priority < 0: no candidate."""
    found = np.empty((shape[0], shape[1], 4))
    crowd = smooth_noise(seed, 1, 9, row, column, shape)  # crowded and empty places, 144 px apart
    for i in range(shape[0]):
        for j in range(shape[1]):
            y, x = row + i, column + j
            size = uniform(seed, 2, y, x)
            found[i, j, 0] = (y + uniform(seed, 3, y, x)) * GRID_PX
            found[i, j, 1] = (x + uniform(seed, 4, y, x)) * GRID_PX
            found[i, j, 2] = 9.0 + 16.0 * size * size
            found[i, j, 3] = uniform(seed, 5, y, x) + 0.8 * size
            if uniform(seed, 6, y, x) > 2.0 * crowd[i, j] - 0.35:
                found[i, j, 3] = -1.0
    return found


@compiled
def _chosen(found: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which candidates become cells: by falling priority, none too near to one already chosen.

    In full this is random sequential packing, where a choice may hang on choices far away. It is
    cut off after _ROUNDS rounds of comparing neighbours, so that a choice hangs on the squares up
    to _ROUNDS * _NEAR_GRID from it; in a border of that width the answer is not right.
    """
    state = -(found[:, :, 3] < 0).astype(np.int64)  # -1 dropped, 0 open, 1 chosen
    for _ in range(_ROUNDS):
        before = state.copy()
        for i in range(_NEAR_GRID, state.shape[0] - _NEAR_GRID):
            for j in range(_NEAR_GRID, state.shape[1] - _NEAR_GRID):
                if before[i, j] == 0:
                    state[i, j] = _choice(found, before, i, j)
    chosen: NDArray[np.bool_] = state == 1
    return chosen


@compiled
def _choice(found: NDArray[np.float64], state: NDArray[np.int64], i: int, j: int) -> int:
    answer = 1
    for k in range(i - _NEAR_GRID, i + _NEAR_GRID + 1):
        for m in range(j - _NEAR_GRID, j + _NEAR_GRID + 1):
            if (k == i and m == j) or state[k, m] < 0:
                continue
            distance2 = (found[k, m, 0] - found[i, j, 0]) ** 2
            distance2 += (found[k, m, 1] - found[i, j, 1]) ** 2
            if distance2 < (_APART * (found[k, m, 2] + found[i, j, 2])) ** 2:
                if state[k, m] == 1:
                    return -1
                if found[k, m, 3] >= found[i, j, 3]:
                    answer = 0
    return answer


@compiled
def _set_looks(seed: int, grid: NDArray[np.int64], cells: NDArray[np.void]) -> None:
    """Fill in the shapes and the gray values of the cells at these rows and columns of the grid."""
    for index in range(len(cells)):
        y, x, cell = grid[index, 0], grid[index, 1], cells[index]
        for k in range(4):
            amplitude = (0.26, 0.12, 0.06, 0.04)[k]  # their sum keeps a cell inside REACH_PX
            for part in range(2):
                turn = uniform(seed, 10 + 2 * k + part, y, x) - 0.5
                cell.harmonics[2 * k + part] = 1.41 * amplitude * turn
        cell.gray = 4.0 + 56.0 * uniform(seed, 20, y, x)
        cell.grain = 0.4 + 1.0 * uniform(seed, 21, y, x)
        cell.membrane = 46.0 + 26.0 * uniform(seed, 22, y, x)
        cell.bright_halo = 6.0 + 34.0 * uniform(seed, 23, y, x)
        cell.nucleus[0] = 0.4 * cell.radius * (uniform(seed, 24, y, x) - 0.5)
        cell.nucleus[1] = 0.4 * cell.radius * (uniform(seed, 25, y, x) - 0.5)
        cell.nucleus[2] = cell.radius * (0.3 + 0.25 * uniform(seed, 26, y, x))
        cell.nucleus[3] = -26.0 + 34.0 * uniform(seed, 27, y, x)


def cells_in(seed: int, row: int, column: int, shape: tuple[int, int]) -> NDArray[np.void]:
    """The cells with centres in the grid squares that the (Y, X) region at (row, column) meets.

    A cell's label is 1 + the pair number of its grid row and column (Szudzik 2006): unique in the
    plane, the same in every region, and small near the origin, about (row / GRID_PX)^2.
    """
    border = _ROUNDS * _NEAR_GRID
    top, left = row // GRID_PX - border, column // GRID_PX - border
    bottom = (row + shape[0] - 1) // GRID_PX + border
    right = (column + shape[1] - 1) // GRID_PX + border
    found = _candidates(seed, top, left, (bottom - top + 1, right - left + 1))
    places = np.argwhere(_chosen(found)[border:-border, border:-border]) + border
    grid = places + np.array([top, left])
    seen = (grid >= -GRID_OFFSET).all(axis=1)  # those before are out of reach of the plane
    places, grid = places[seen], grid[seen]
    cells = np.empty(len(grid), CELL)
    y, x = (grid + GRID_OFFSET).T
    cells["label"] = 1 + np.where(y >= x, y * y + y + x, x * x + y)
    for k, name in enumerate(("row", "column", "radius")):
        cells[name] = found[places[:, 0], places[:, 1], k]
    _set_looks(seed, grid, cells)
    return cells


@compiled
def compete(
    cells: NDArray[np.void], row: int, column: int, shape: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Nearest cell (index, -1: none), depth and second depth of each pixel of a (Y, X) region.

    The depth [px] of a pixel in a cell is the cell's radius in that direction less the distance to
    its centre: positive inside, 0 on the border, -HALO_PX where no cell is near. The cell in which
    the pixel lies deepest has it.
    """
    nearest = np.full(shape, -1, np.int32)
    depth = np.full(shape, -HALO_PX, np.float32)
    second = np.full(shape, -HALO_PX, np.float32)
    for index in range(len(cells)):
        cell = cells[index]
        h, centre_y, centre_x = cell.harmonics, cell.row - row, cell.column - column
        reach = HALO_PX + cell.radius
        for k in range(0, 8, 2):
            reach += cell.radius * np.sqrt(h[k] ** 2 + h[k + 1] ** 2)
        for y in range(max(0, int(centre_y - reach)), min(shape[0], int(centre_y + reach) + 1)):
            dy = y - centre_y
            half = np.sqrt(max(reach**2 - dy**2, 0.0))
            for x in range(max(0, int(centre_x - half)), min(shape[1], int(centre_x + half) + 1)):
                dx = x - centre_x
                distance = np.sqrt(dy * dy + dx * dx) + 1e-9
                c, s = (
                    dx / distance,
                    dy / distance,
                )  # cos and sin of the angle, then of its multiples
                c2, s2 = c * c - s * s, 2 * c * s
                c3, s3 = c2 * c - s2 * s, s2 * c + c2 * s
                c4, s4 = c2 * c2 - s2 * s2, 2 * c2 * s2
                c5, s5 = c4 * c - s4 * s, s4 * c + c4 * s
                wave = h[0] * c2 + h[1] * s2 + h[2] * c3 + h[3] * s3
                wave += h[4] * c4 + h[5] * s4 + h[6] * c5 + h[7] * s5
                here = np.float32(cell.radius * (1.0 + wave) - distance)
                if here > depth[y, x]:
                    second[y, x], depth[y, x], nearest[y, x] = depth[y, x], here, index
                elif here > second[y, x]:
                    second[y, x] = here
    return nearest, depth, second


@compiled
def label_connected(
    cells: NDArray[np.void],
    nearest: NDArray[np.int32],
    depth: NDArray[np.float32],
    row: int,
    column: int,
) -> NDArray[np.uint32]:
    """Labels of the part of each cell that is 4-connected to its centre; slivers are background.

    Right for cells that lie whole in the region; the caller leaves a border of 2 * REACH_PX.
    """
    labels = np.zeros(depth.shape, np.uint32)
    pixels = np.empty(((2 * REACH_PX + 3) ** 2, 2), np.int32)
    for index in range(len(cells)):
        y, x = round(cells[index].row - row), round(cells[index].column - column)
        if not (0 <= y < depth.shape[0] and 0 <= x < depth.shape[1]):
            continue
        if nearest[y, x] != index or depth[y, x] <= 0:
            continue
        label = cells[index].label
        labels[y, x], pixels[0, 0], pixels[0, 1] = label, y, x
        done, count = 0, 1
        while done < count:
            for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                y, x = pixels[done, 0] + dy, pixels[done, 1] + dx
                if not (0 <= y < depth.shape[0] and 0 <= x < depth.shape[1]):
                    continue
                if nearest[y, x] == index and depth[y, x] > 0 and labels[y, x] == 0:
                    labels[y, x], pixels[count, 0], pixels[count, 1] = label, y, x
                    count += 1
            done += 1
        if count < MIN_AREA_PX:
            for k in range(count):
                labels[pixels[k, 0], pixels[k, 1]] = 0
    return labels
