"""Run-length encoding of a block, compiled, and its connected components.

Row r, z * height + y, has runs begin[r] to begin[r + 1] (int64); run k ends before pixel ends[k]
(int32), where the next one starts. Of a mask they are background and object in turns, background
first, which is empty where a row starts with an object. `of_run` is the component of each run, 0
for none.
"""

import numpy as np
from numpy.typing import NDArray

from unetflow.engine.compiled import compiled

Begin = NDArray[np.int64]
Ends = NDArray[np.int32]
Ints = NDArray[np.integer]


@compiled
def root_of(parent: Ints, member: int) -> int:
    """The root of a member in a forest of parents; paths are halved on the way."""
    while parent[member] != member:
        parent[member] = parent[parent[member]]
        member = parent[member]
    return member


@compiled
def unite(parent: Ints, pairs: Ints) -> None:
    """Pairs (N, 2) are one: the smaller root becomes that of both."""
    for k in range(len(pairs)):
        one, other = root_of(parent, pairs[k, 0]), root_of(parent, pairs[k, 1])
        if one != other:
            parent[max(one, other)] = min(one, other)


@compiled
def roots(parent: Ints) -> Ints:
    """The root of each member, the smallest of those that are one."""
    found = np.empty_like(parent)
    for member in range(len(parent)):
        found[member] = root_of(parent, member)
    return found


@compiled
def _begin(image: NDArray[np.generic], empty: NDArray[np.int64]) -> Begin:
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


@compiled
def of_mask(mask: NDArray[np.uint8]) -> tuple[Begin, Ends]:
    """The runs of a mask (Z, Y, X) of 0 and 1: begin and ends."""
    depth, height, width = mask.shape
    begin = _begin(mask, mask[:, :, 0].astype(np.int64))
    ends = np.empty(begin[-1], np.int32)
    k = np.int64(0)
    for z in range(depth):
        for y in range(height):
            before = np.int64(0)
            for x in range(width):
                ends[k] = x  # stays where the next run starts: no branch that noise mispredicts
                here = np.int64(mask[z, y, x])
                k += before ^ here
                before = here
            ends[k] = width
            k += 1
    return begin, ends


@compiled
def into_components(
    begin: Begin,
    ends: Ends,
    height: int,
    steps: NDArray[np.int64],
    connectivity: int,
    background: bool,
    of_run: Ints,
) -> int:
    """Write the component of each run, 1 to n in raster order, 0 for none, to `of_run`; n.

    `steps` lead to the rows before (z, y) that a row touches; `of_run` comes as zeros.
    """
    parent = np.empty(len(ends) + 1, of_run.dtype)  # of provisional numbers, as they are given
    parent[0] = 0
    given = 0
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
            _join_objects(of_run, parent, begin, ends, row, other, reach)
            if background and away == 1:
                _join_background(of_run, parent, begin, ends, row, other)
        first = begin[row] + (ends[begin[row]] == 0) if background else begin[row] + 1
        for k in range(first, begin[row + 1], 1 if background else 2):
            if of_run[k] == 0:
                given += 1
                parent[given] = given
                of_run[k] = given
    count = 0
    for number in range(1, given + 1):  # a parent is never larger than its child
        if parent[number] == number:
            count += 1
            parent[number] = count
        else:
            parent[number] = parent[parent[number]]
    for k in range(len(of_run)):
        of_run[k] = parent[of_run[k]]
    return count


# In both that follow, a function of its own for what is done to a pair would cost six times it.


@compiled
def _join_objects(
    of_run: Ints, parent: Ints, begin: Begin, ends: Ends, row: int, other: int, reach: int
) -> None:
    """Number the objects' runs of a row as those before that touch; `reach` 1: also by a corner."""
    i, j = begin[other] + 1, begin[row] + 1
    last_i, last_j = begin[other + 1], begin[row + 1]
    while i < last_i and j < last_j:
        if ends[i] + reach <= ends[j - 1]:
            i += 2
        elif ends[j] + reach <= ends[i - 1]:
            j += 2
        else:
            before, own = of_run[i], of_run[j]
            if own == 0:
                of_run[j] = before
            elif own != before:
                before, own = root_of(parent, before), root_of(parent, own)
                parent[max(before, own)] = min(before, own)
                of_run[j] = min(before, own)
            if ends[i] < ends[j]:
                i += 2
            else:
                j += 2


@compiled
def _join_background(
    of_run: Ints, parent: Ints, begin: Begin, ends: Ends, row: int, other: int
) -> None:
    """The same for the background, by edges; the first run of a row may be empty."""
    i, j = begin[other], begin[row]
    last_i, last_j = begin[other + 1], begin[row + 1]
    while i < last_i and j < last_j:
        start_i = ends[i - 1] if i > begin[other] else 0
        start_j = ends[j - 1] if j > begin[row] else 0
        if min(ends[i], ends[j]) > max(start_i, start_j):
            before, own = of_run[i], of_run[j]
            if own == 0:
                of_run[j] = before
            elif own != before:
                before, own = root_of(parent, before), root_of(parent, own)
                parent[max(before, own)] = min(before, own)
                of_run[j] = min(before, own)
        if ends[i] < ends[j]:
            i += 2
        else:
            j += 2


@compiled
def painted(begin: Begin, ends: Ends, numbers: Ints, rows: NDArray[np.int64], width: int) -> Ints:
    """Some rows as an image of the components of their runs, or of other numbers."""
    image = np.empty((len(rows), width), numbers.dtype)
    eight = np.uint64(8)  # unsigned: no index is from the end, and eight pixels are one store
    for place in range(len(rows)):
        row, line = rows[place], image[place]
        at = np.uint64(0)
        for k in range(begin[row], begin[row + 1]):
            number, end = numbers[k], np.uint64(ends[k])
            if at + eight <= np.uint64(width):
                for x in range(8):  # what is too much, the next run paints over
                    line[at + np.uint64(x)] = number
                at += eight
            if at < end:
                line[at:end] = number
            at = end
    return image


@compiled
def are_objects(begin: Begin, of_run: Ints, count: int) -> NDArray[np.bool_]:
    """Whether each component is of the mask."""
    found = np.zeros(count + 1, np.bool_)
    for row in range(len(begin) - 1):
        for k in range(begin[row] + 1, begin[row + 1], 2):
            found[of_run[k]] = True
    return found[1:]


@compiled
def of_labels(labels: Ints) -> tuple[Begin, Ends, Ints]:
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


@compiled
def touching(
    begin: Begin,
    ends: Ends,
    of_run: Ints,
    count: int,
    height: int,
    steps: NDArray[np.int64],
    connectivity: int,
) -> NDArray[np.int64]:
    """Pairs (background, object) of components that touch, from 0, some of them repeated."""
    pairs = [(0, 0) for _ in range(0)]
    latest = np.zeros(count + 1, of_run.dtype)  # background that each object was last seen with
    for row in range(len(begin) - 1):
        for k in range(begin[row] + (ends[begin[row]] == 0), begin[row + 1] - 1):
            object_first = (k - begin[row]) % 2 == 1
            ground, thing = of_run[k + object_first], of_run[k + 1 - object_first]
            if latest[thing] != ground:
                latest[thing] = ground
                pairs.append((ground, thing))
        z, y = divmod(row, height)
        for step in steps:
            away = abs(step[0]) + abs(step[1])
            if z + step[0] < 0 or not 0 <= y + step[1] < height or away > connectivity:
                continue
            other = row + step[0] * height + step[1]
            reach = 1 if away < connectivity else 0
            _meet(pairs, latest, begin, ends, of_run, row, other, reach)
            _meet(pairs, latest, begin, ends, of_run, other, row, reach)
    found = np.empty((len(pairs), 2), np.int64)
    for k in range(len(pairs)):
        found[k, 0], found[k, 1] = pairs[k][0] - 1, pairs[k][1] - 1
    return found


@compiled
def _meet(
    pairs: list[tuple[int, int]],
    latest: Ints,
    begin: Begin,
    ends: Ends,
    of_run: Ints,
    background_row: int,
    object_row: int,
    reach: int,
) -> None:
    """Add the pairs of background in one row and objects in another that touch, as above."""
    i, j = begin[background_row], begin[object_row] + 1
    while i < begin[background_row + 1] and j < begin[object_row + 1]:
        start_i = ends[i - 1] if i > begin[background_row] else 0
        if start_i == ends[i] or ends[i] + reach <= ends[j - 1]:
            i += 2
        elif ends[j] + reach <= start_i:
            j += 2
        else:
            if latest[of_run[j]] != of_run[i]:
                latest[of_run[j]] = of_run[i]
                pairs.append((of_run[i], of_run[j]))
            if ends[i] < ends[j]:
                i += 2
            else:
                j += 2
