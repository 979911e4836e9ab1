"""The type of each pixel that warping left over: flooding and counting behind `mismatches`."""

import numpy as np

from unetflow.engine.compiled import compiled
from unetflow.metrics.checks import BoolArray, IntArray, LabelArray
from unetflow.metrics.components import label_interior
from unetflow.metrics.warping import Bytes, Warped

# Round the ring N, NE, E, ... consecutive neighbours are 4-connected; even ones touch the centre.
_RING_Y = np.array((-1, -1, 0, 1, 1, 1, 0, -1))
_RING_X = np.array((0, 1, 1, 1, 0, -1, -1, -1))


def types_of(warped: Warped, radius_px: int | None) -> Bytes:
    """The type of each remaining mismatch, in their order."""
    if warped.mismatches.size == 0:
        return np.zeros(0, np.uint8)
    whole = max(warped.truth.shape)
    reach = whole if radius_px is None else min(radius_px, whole)
    labels = label_interior(warped.truth.view(np.bool_))
    types, suspects = _classify(warped.truth, labels, warped.mismatches)
    if suspects.any():
        _decide_splits(warped.truth, warped.mismatches, types, suspects, reach)
    return types


def count_clusters(warped: Warped, types: Bytes) -> IntArray:
    """Connected groups of remaining mismatches of one type, indexed by type."""
    image = np.zeros(warped.truth.shape, np.uint8)
    image.ravel()[warped.mismatches] = 2 * types + warped.truth.ravel()[warped.mismatches]
    counts: IntArray = _clusters(image, warped.mismatches).reshape(-1, 2).sum(axis=1)
    return counts


@compiled
def _classify(image: Bytes, labels: LabelArray, positions: IntArray) -> tuple[Bytes, BoolArray]:
    """Type by the ids N among the 8 neighbours; suspects of a split are marked HOLE_DELETION.

    N = {0} is an object, N = {k} a hole, two ids a hole or (centre 1) perhaps a split, more ids a
    merger (centre 0) or a split (centre 1).
    """
    width = image.shape[1]
    types = np.empty(positions.size, np.uint8)
    suspects = np.zeros(positions.size, np.bool_)
    ids = np.empty(9, np.int64)
    for m in range(positions.size):
        y, x = positions[m] // width, positions[m] % width
        count = 0
        for k in range(9):
            if k == 4:
                continue
            found = np.int64(labels[y - 1 + k // 3, x - 1 + k % 3])
            seen = False
            for earlier in range(count):
                seen |= ids[earlier] == found
            if not seen:
                ids[count] = found
                count += 1
        inside = image[y, x] != 0
        if count > 2:
            types[m] = 6 if inside else 5
        elif count == 2:
            types[m] = 4 if inside else 3
            suspects[m] = inside
        elif ids[0] == 0:
            types[m] = 2 if inside else 1
        else:
            types[m] = 3 if inside else 4
    return types, suspects


@compiled
def _decide_splits(
    image: Bytes, positions: IntArray, types: Bytes, suspects: BoolArray, reach: int
) -> None:
    """A suspect is a split if its neighbours fall apart within the window once it is removed."""
    width = image.shape[1]
    owner = np.zeros(image.shape, np.int64)  # 4 * number of the search + group; 0 never met
    queue = np.empty(min((2 * reach + 1) ** 2, image.size), np.int64)
    for m in range(positions.size):
        if suspects[m]:
            y, x = positions[m] // width, positions[m] % width
            if _falls_apart(image, y, x, reach, owner, 4 * (m + 1), queue):
                types[m] = 6


@compiled
def _falls_apart(
    image: Bytes, y: int, x: int, reach: int, owner: IntArray, stamp: int, queue: IntArray
) -> bool:
    """Search outwards from all groups of neighbours at once, until all met or one is exhausted."""
    width = image.shape[1]
    waiting = np.zeros(4, np.int64)  # pixels in the queue of each group, by root
    groups, tail = _start_groups(image, y, x, owner, stamp, queue, waiting)
    root = np.arange(4)
    head = 0
    while groups > 1:
        py, px = queue[head] // width, queue[head] % width
        head += 1
        own = root[owner[py, px] - stamp]
        for k in range(0, 8, 2):
            ny, nx = py + _RING_Y[k], px + _RING_X[k]
            outside = abs(ny - y) > reach or abs(nx - x) > reach
            if outside or image[ny, nx] == 0 or (ny == y and nx == x):
                continue
            if owner[ny, nx] < stamp:
                owner[ny, nx] = stamp + own
                waiting[own] += 1
                queue[tail] = ny * width + nx
                tail += 1
                continue
            other = root[owner[ny, nx] - stamp]
            if other != own:
                waiting[own] += waiting[other]
                groups -= 1
                root[root == other] = own
        waiting[own] -= 1
        if waiting[own] == 0:
            break
    return groups > 1


@compiled
def _start_groups(
    image: Bytes, y: int, x: int, owner: IntArray, stamp: int, queue: IntArray, waiting: IntArray
) -> tuple[int, int]:
    """Queue the neighbours, each run of foreground round the ring as one group of at most four."""
    start = 0
    while start < 8 and image[y + _RING_Y[start], x + _RING_X[start]] != 0:
        start += 1
    groups, tail, inside_run = 0, 0, False
    for k in range(start + 1, start + 8):  # from a background neighbour, so that no run is cut
        ny, nx = y + _RING_Y[k % 8], x + _RING_X[k % 8]
        if image[ny, nx] == 0:
            inside_run = False
            continue
        groups += not inside_run
        inside_run = True
        owner[ny, nx] = stamp + groups - 1
        waiting[groups - 1] += 1
        queue[tail] = ny * image.shape[1] + nx
        tail += 1
    return groups, tail


@compiled
def _clusters(keys: Bytes, positions: IntArray) -> IntArray:
    """Groups of equal key, 2 * type + centre, of each key; erases the image of keys.

    Mergers and holes inside one region are background, hence 8-connected; all others, and the
    holes among two ids (centre 0 added, centre 1 deleted), are 4-connected, as in Fiji.
    """
    width = keys.shape[1]
    counts = np.zeros(14, np.int64)
    stack = np.empty(positions.size, np.int64)
    for m in range(positions.size):
        y, x = positions[m] // width, positions[m] % width
        key = keys[y, x]
        if key == 0:
            continue
        eight = key == 2 * 5 or key == 2 * 3 + 1 or key == 2 * 4
        counts[key] += 1
        keys[y, x] = 0
        stack[0] = positions[m]
        top = 1
        while top > 0:
            top -= 1
            y, x = stack[top] // width, stack[top] % width
            for k in range(9):
                ny, nx = y - 1 + k // 3, x - 1 + k % 3
                if keys[ny, nx] == key and (eight or ny == y or nx == x):
                    keys[ny, nx] = 0
                    stack[top] = ny * width + nx
                    top += 1
    return counts
