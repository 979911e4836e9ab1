"""Rows of a block as runs, compiled: what joins them into pieces and adds them up.

Row r, z * height + y, has runs begin[r] to begin[r + 1] (int64); run k ends before pixel ends[k]
(int32), where the next one starts. Of a mask they are background and object in turns, background
first, which is empty where a row starts with an object.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def root_of(parent, piece):
    """The root of a piece in a forest of parents; paths are halved on the way."""
    while parent[piece] != piece:
        parent[piece] = parent[parent[piece]]
        piece = parent[piece]
    return piece


@njit(cache=True, nogil=True)
def unite(parent, pairs):
    for k in range(len(pairs)):
        one, other = root_of(parent, pairs[k, 0]), root_of(parent, pairs[k, 1])
        if one != other:
            parent[max(one, other)] = min(one, other)


@njit(cache=True, nogil=True)
def roots(parent):
    found = np.empty_like(parent)
    for piece in range(len(parent)):
        found[piece] = root_of(parent, piece)
    return found


@njit(cache=True, nogil=True)
def _begin(image, empty):
    """Where the runs of each row begin: one for each value in turn, and `empty` (Z, Y) ones."""
    depth, height, width = image.shape
    begin = np.zeros(depth * height + 1, np.int64)
    for z in range(depth):
        for y in range(height):
            count = 1 + empty[z, y]
            for x in range(1, width):
                count += image[z, y, x] != image[z, y, x - 1]
            begin[z * height + y + 1] = count
    return np.cumsum(begin)


@njit(cache=True, nogil=True)
def of_mask(mask):
    """The runs of a mask (Z, Y, X): begin and ends."""
    depth, height, width = mask.shape
    begin = _begin(mask, mask[:, :, 0].astype(np.int64))
    ends = np.empty(begin[-1], np.int32)
    k = 0
    for z in range(depth):
        for y in range(height):
            own = False
            for x in range(width):
                if mask[z, y, x] != own:
                    ends[k] = x
                    k += 1
                    own = not own
            ends[k] = width
            k += 1
    return begin, ends


@njit(cache=True, nogil=True)
def into_pieces(begin, ends, height, steps, connectivity, background):
    """The piece of each run, 1 to n in raster order of the pieces, 0 for none; and n.

    `steps` lead to the rows before (z, y) that a row touches.
    """
    parent = np.arange(len(ends), dtype=np.int32)
    for row in range(len(begin) - 1):
        z, y = divmod(row, height)
        for step in steps:
            if z + step[0] < 0 or not 0 <= y + step[1] < height:
                continue
            other = row + step[0] * height + step[1]
            away = abs(step[0]) + abs(step[1])
            if away > connectivity:
                continue
            reach = 1 if away < connectivity else 0
            _unite_runs(parent, begin, ends, row, other, 1, reach)
            if background and away == 1:
                _unite_runs(parent, begin, ends, row, other, 0, 0)
    count = 0
    for row in range(len(begin) - 1):
        at = 0
        for k in range(begin[row], begin[row + 1]):
            is_object = (k - begin[row]) % 2 == 1
            if at == ends[k] or not (is_object or background):
                parent[k] = 0
            elif parent[k] == k:  # a root is never after what hangs on it
                count += 1
                parent[k] = -count
            else:
                parent[k] = parent[parent[k]]
            at = ends[k]
    return -parent, count


@njit(cache=True, nogil=True)
def _unite_runs(parent, begin, ends, row, other, kind, reach):
    """Unite the runs of one kind (0 background, 1 object) of two rows that touch.

    `reach` 1: also those that touch by a corner.
    """
    i, j = begin[other] + kind, begin[row] + kind
    while i < begin[other + 1] and j < begin[row + 1]:
        start_i = ends[i - 1] if i > begin[other] else 0
        start_j = ends[j - 1] if j > begin[row] else 0
        if start_i == ends[i] or ends[i] + reach <= start_j:
            i += 2
        elif start_j == ends[j] or ends[j] + reach <= start_i:
            j += 2
        else:
            a, b = root_of(parent, i), root_of(parent, j)
            if a != b:
                parent[max(a, b)] = min(a, b)
            if ends[i] < ends[j]:
                i += 2
            else:
                j += 2


@njit(cache=True, nogil=True)
def painted(begin, ends, pieces, rows, width):
    """Some rows as an image of the pieces of their runs, or of other numbers."""
    labels = np.zeros((len(rows), width), pieces.dtype)
    for number, row in enumerate(rows):
        at = 0
        for k in range(begin[row], begin[row + 1]):
            if pieces[k] != 0:
                labels[number, at : ends[k]] = pieces[k]
            at = ends[k]
    return labels


@njit(cache=True, nogil=True)
def are_objects(begin, pieces, count):
    """Whether each piece is of the mask."""
    found = np.zeros(count + 1, np.bool_)
    for row in range(len(begin) - 1):
        for k in range(begin[row] + 1, begin[row + 1], 2):
            found[pieces[k]] = True
    return found[1:]


@njit(cache=True, nogil=True)
def of_labels(labels):
    """Runs of one label each of a label image (Z, Y, X): begin, ends and their labels."""
    depth, height, width = labels.shape
    begin = _begin(labels, np.zeros((depth, height), np.int64))
    ends, of_run = np.empty(begin[-1], np.int32), np.empty(begin[-1], labels.dtype)
    k = 0
    for z in range(depth):
        for y in range(height):
            for x in range(1, width + 1):
                if x == width or labels[z, y, x] != labels[z, y, x - 1]:
                    ends[k], of_run[k] = x, labels[z, y, x - 1]
                    k += 1
    return begin, ends, of_run


@njit(cache=True, nogil=True)
def sums(begin, ends, pieces, count, foreground, origin, image):
    """Sums of the pieces 1 to `count` of the runs of a block at `origin` of an image."""
    area, first = np.zeros(count, np.int64), np.zeros(count, np.int64)
    start, stop = np.zeros((count, 3), np.int64), np.zeros((count, 3), np.int64)
    at, light = np.zeros((count, 3)), np.zeros(count)
    height = foreground.shape[1]
    for row in range(len(begin) - 1):
        i, j = divmod(row, height)
        z, y = origin[0] + i, origin[1] + j
        right = 0
        for run in range(begin[row], begin[row + 1]):
            left, right = right, ends[run]
            if pieces[run] == 0:
                continue
            k = np.int64(pieces[run]) - 1
            here = (z, y, origin[2] + left)
            if area[k] == 0:
                first[k] = (z * image[1] + y) * image[2] + here[2]
                for axis in range(3):
                    start[k, axis] = here[axis]
            pixels = right - left
            area[k] += pixels
            start[k, 1] = min(start[k, 1], y)
            start[k, 2] = min(start[k, 2], here[2])
            stop[k, 0] = z + 1
            stop[k, 1] = max(stop[k, 1], y + 1)
            stop[k, 2] = max(stop[k, 2], origin[2] + right)
            at[k, 0] += z * pixels
            at[k, 1] += y * pixels
            at[k, 2] += (2 * here[2] + pixels - 1) * pixels / 2
            total = 0  # of whole numbers it stays one
            for x in range(left, right):
                total += foreground[i, j, x]
            light[k] += total
    return area, first, start, stop, at, light


@njit(cache=True, nogil=True)
def add_up(values, of, total, sign):
    """Add values to their groups, or keep the least (`sign` -1) or the greatest (1) of each."""
    for piece in range(len(values)):
        group = of[piece]
        for k in range(values.shape[1]):
            if sign < 0:
                total[group, k] = min(total[group, k], values[piece, k])
            elif sign > 0:
                total[group, k] = max(total[group, k], values[piece, k])
            else:
                total[group, k] += values[piece, k]


@njit(cache=True, nogil=True)
def touching(begin, ends, pieces, count, height, steps, connectivity):
    """Pairs (background, object) of pieces that touch in a block, some of them repeated."""
    pairs = [(0, 0) for _ in range(0)]
    latest = np.zeros(count + 1, np.int32)  # background that each object was last seen with
    for row in range(len(begin) - 1):
        for k in range(begin[row] + (ends[begin[row]] == 0), begin[row + 1] - 1):
            object_first = (k - begin[row]) % 2 == 1
            ground, piece = pieces[k + object_first], pieces[k + 1 - object_first]
            if latest[piece] != ground:
                latest[piece] = ground
                pairs.append((ground, piece))
        z, y = divmod(row, height)
        for step in steps:
            away = abs(step[0]) + abs(step[1])
            if z + step[0] < 0 or not 0 <= y + step[1] < height or away > connectivity:
                continue
            other = row + step[0] * height + step[1]
            reach = 1 if away < connectivity else 0
            _meet(pairs, latest, begin, ends, pieces, row, other, reach)
            _meet(pairs, latest, begin, ends, pieces, other, row, reach)
    found = np.empty((len(pairs), 2), np.int64)
    for k in range(len(pairs)):
        found[k, 0], found[k, 1] = pairs[k]
    return found


@njit(cache=True, nogil=True)
def _meet(pairs, latest, begin, ends, pieces, background_row, object_row, reach):
    """Add the pairs of background in one row and objects in another that touch, as above."""
    i, j = begin[background_row], begin[object_row] + 1
    while i < begin[background_row + 1] and j < begin[object_row + 1]:
        start_i = ends[i - 1] if i > begin[background_row] else 0
        if start_i == ends[i] or ends[i] + reach <= ends[j - 1]:
            i += 2
        elif ends[j] + reach <= start_i:
            j += 2
        else:
            if latest[pieces[j]] != pieces[i]:
                latest[pieces[j]] = pieces[i]
                pairs.append((pieces[i], pieces[j]))
            if ends[i] < ends[j]:
                i += 2
            else:
                j += 2
