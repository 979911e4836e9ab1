"""Clumped objects taken apart where they are thin: watershed on the distance transform.

An object is flooded from its innermost pixels outwards. Two basins that meet become one unless
both are at least `split_px` deeper inside than the place where they meet (the *dynamics* of
Grimaud 1992, as in h-maxima): two discs of radius 10 px that share a neck of half the width 6 px
are two objects up to `split_px` 4. Parts that are too small for an object stay with the one beside
them. Each object is looked at alone, in its box, so that the result
does not depend on how an image is cut into blocks.
"""

import heapq
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetflow.components.pieces_of_block import Sums, labelled_components, no_sums, sums_of
from unetflow.components.runs import root_of
from unetflow.engine.compiled import compiled
from unetflow.engine.each import in_order
from unetflow.store.pixels import ImageLike
from unetflow.tiles.regions import Region, common, shard_region, within

log = logging.getLogger(__name__)


MOST_PX = 2048  # side of the box of an object that is looked at: larger ones stay as they are


def split_object(
    mask: np.ndarray, split_px: float, connectivity: int = 1, min_area_px: int = 0
) -> np.ndarray:
    """The parts of one object, 1 to n in scanning order of their first pixels: int32.

    `mask` (bool, any number of axes) holds the object alone; outside it is background.
    `connectivity` as of `unetflow.instances.label_instances`. A part under `min_area_px` becomes
    one with the part beside it that it shares most of its border with, the smallest first.
    """
    if min(mask.shape) + 1 <= 2 * split_px:  # nowhere deeper than half the box
        return mask.astype(np.int32)
    padded = np.pad(mask, 1)
    depth = ndimage.distance_transform_edt(padded)
    strides = np.array(padded.strides) // padded.itemsize
    offsets = _steps(mask.ndim, connectivity) @ strides
    inside = np.flatnonzero(padded)
    order = inside[np.argsort(-depth.ravel()[inside], kind="stable")]
    parts = _flood(depth.ravel(), order, offsets, split_px)
    areas_px = np.bincount(parts)
    if areas_px[1:].min() < min_area_px and len(areas_px) > 2:
        parts = _in_scanning_order(_with_neighbours(parts, inside, offsets, min_area_px))
    inner = (slice(1, -1),) * mask.ndim
    return parts.reshape(padded.shape)[inner]


def _with_neighbours(
    parts: np.ndarray, inside: np.ndarray, offsets: np.ndarray, min_area_px: int
) -> np.ndarray:
    """Parts (flat) with those under `min_area_px` joined to one beside them."""
    own = np.repeat(parts[inside], len(offsets))
    beside = parts[inside[:, None] + offsets].ravel()
    touch = (beside != 0) & (beside != own)
    pairs, lengths = np.unique(np.stack([own[touch], beside[touch]]), axis=1, return_counts=True)
    borders: dict[int, dict[int, int]] = {}
    for a, b, length in zip(*pairs.tolist(), lengths.tolist(), strict=True):
        borders.setdefault(a, {})[b] = length
    areas_px = np.bincount(parts).tolist()
    into = np.arange(len(areas_px), dtype=parts.dtype)
    small = [(area, part) for part, area in enumerate(areas_px) if part and area < min_area_px]
    heapq.heapify(small)
    while small:
        area, part = heapq.heappop(small)
        if part not in borders or area != areas_px[part] or not borders[part]:
            continue  # it is another's now, has grown since, or is all there is
        around = borders.pop(part)
        other = max(around, key=lambda of: (around[of], -of))
        into[into == part] = other
        areas_px[other] += area
        for third, length in around.items():
            del borders[third][part]
            if third != other:
                for a, b in ((third, other), (other, third)):
                    borders[a][b] = borders[a].get(b, 0) + length
        if areas_px[other] < min_area_px:
            heapq.heappush(small, (areas_px[other], other))
    return np.asarray(into[parts])


def _in_scanning_order(parts: np.ndarray) -> np.ndarray:
    """New numbers 1 to n for parts, in scanning order of their first pixels."""
    numbers, first = np.unique(parts, return_index=True)
    first, numbers = first[numbers != 0], numbers[numbers != 0]
    new = np.zeros(int(parts.max(initial=0)) + 1, parts.dtype)
    new[numbers[np.argsort(first)]] = np.arange(1, len(numbers) + 1)
    return np.asarray(new[parts])


def split_labels(
    labels: np.ndarray, split_px: float, connectivity: int = 1, min_area_px: int = 0
) -> np.ndarray:
    """Labels with every object taken apart; new numbers in scanning order: int64."""
    parts, total = np.zeros(labels.shape, np.int64), 0
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        mask = labels[box] == number
        found = _parts(mask, split_px, connectivity, min_area_px)
        parts[box][mask] = found[mask] + total
        total += int(found.max())
    return _in_scanning_order(parts)


@cache
def _steps(axes: int, connectivity: int) -> np.ndarray:
    """To the neighbours of a pixel: (N, axes)."""
    steps = np.argwhere(ndimage.generate_binary_structure(axes, connectivity)) - 1
    return steps[np.any(steps != 0, axis=1)]


def _parts(mask: np.ndarray, split_px: float, connectivity: int, min_area_px: int) -> np.ndarray:
    """As `split_object`, but an object in too large a box stays whole."""
    if max(mask.shape) > MOST_PX:
        return mask.astype(np.int32)
    return split_object(mask, split_px, connectivity, min_area_px)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of all objects of an image (Y, X) that is labelled already, block by block."""

    labels: ImageLike  # of the objects (Y, X)
    block: Sequence[int]
    boxes: np.ndarray  # of the objects 1, 2, ...: top, left, bottom, right; (N, 4)
    split_px: float
    connectivity: int
    min_area_px: int
    sums: list[Sums]  # of the parts, by class, in scanning order of their first pixels
    counts: np.ndarray  # parts of each object, (N + 1,) as there is none with number 0
    starts: np.ndarray  # where they begin in `numbers`
    numbers: np.ndarray  # of the parts, object after object; the first is the background's 0

    def draw(self, index: Sequence[int]) -> np.ndarray:
        """Numbers of the parts (uint32) in a block."""
        region = shard_region(index, self.labels.shape, self.block)
        labels_YX = np.asarray(self.labels[region])
        drawn_YX = self.numbers[self.starts[labels_YX]]
        objects = np.unique(labels_YX)
        objects = objects[self.counts[objects] > 1]
        window, seen_YX = _window(self.labels, self.boxes[objects - 1])
        for number in objects:
            box = _box(self.boxes, number)
            mask = seen_YX[within(box, window)] == number
            parts = _parts(mask, self.split_px, self.connectivity, self.min_area_px)
            shared = common(box, region)
            parts = parts[within(shared, box)]
            own = parts != 0
            drawn_YX[within(shared, region)][own] = self.numbers[
                self.starts[number] + parts[own] - 1
            ]
        return np.asarray(drawn_YX)


def find_parts(
    labels: ImageLike,
    foreground_KYX: ImageLike,
    classes: Sequence[Sums],
    block: Sequence[int],
    split_px: float,
    connectivity: int = 1,
    min_area_px: int = 0,
    threads: int = 1,
) -> Parts:
    """Take the objects of an image apart; as `split_labels`, but class after class.

    `labels` (Y, X) numbers the objects of the first class (their sums are in `classes`), then
    those of the next, and so on; of each class there is a plane of foreground.
    """
    ends = np.cumsum([len(sums.first) for sums in classes])
    boxes = np.concatenate([np.concatenate([of.start, of.stop], axis=1) for of in classes])
    too_large = (boxes[:, 2:] - boxes[:, :2] > MOST_PX).any(axis=1)
    if too_large.any():
        log.warning("%d objects of more than %d px are not taken apart", too_large.sum(), MOST_PX)

    how = (split_px, connectivity, min_area_px)
    take_apart = partial(_take_apart, labels, foreground_KYX, ends, boxes, how)
    groups = [of[~too_large[of - 1]] for of in _by_block(boxes, labels.shape, block)]
    done = list(in_order(take_apart, groups, threads=threads, ahead=len(groups)))
    # those that stay as they are have the sums that they had: nothing of their size is read
    groups.append(1 + np.flatnonzero(too_large))
    whole = Sums(*(values[too_large] for values in _in_a_row(classes)))
    done.append((np.ones(len(groups[-1]), np.int64), whole))
    objects = np.concatenate(groups)
    counts = np.concatenate([of for of, _ in done])
    sums = _in_a_row([of for _, of in done])
    of_part = np.repeat(objects, counts)
    by_object = np.argsort(of_part, kind="stable")
    of_part, sums = of_part[by_object], Sums(*(values[by_object] for values in sums))
    of_class = np.searchsorted(ends, of_part)
    by_first = np.lexsort((sums.first, of_class))
    numbers = np.zeros(len(of_part) + 1, np.uint32)
    numbers[1 + by_first] = np.arange(1, len(of_part) + 1)
    counts = np.concatenate([[1], counts[np.argsort(objects)]])
    return Parts(
        labels=labels,
        block=block,
        boxes=boxes,
        split_px=split_px,
        connectivity=connectivity,
        min_area_px=min_area_px,
        sums=[
            Sums(*(values[by_first][of_class[by_first] == k] for values in sums))
            for k in range(len(classes))
        ],
        counts=counts,
        starts=np.cumsum(counts) - counts,
        numbers=numbers,
    )


def _take_apart(
    labels: ImageLike,
    foreground_KYX: ImageLike,
    ends: np.ndarray,
    boxes: np.ndarray,
    how: tuple[float, int, int],
    objects: np.ndarray,
) -> tuple[np.ndarray, Sums]:
    """How many parts each of these objects has, and the sums of the parts."""
    window, seen_YX = _window(labels, boxes[objects - 1])
    light_KYX = np.asarray(foreground_KYX[(slice(None), *window)])
    found = [no_sums(len(labels.shape))]
    for number in objects:
        box = _box(boxes, number)
        mask = seen_YX[within(box, window)] == number
        light_YX = light_KYX[int(np.searchsorted(ends, number))][within(box, window)]
        parts = _parts(mask, *how)
        origin = (box[0].start, box[1].start)
        found.append(sums_of(labelled_components(parts), light_YX, origin, labels.shape))
    return np.array([len(of.first) for of in found[1:]], np.int64), _in_a_row(found)


def _by_block(boxes: np.ndarray, shape: Sequence[int], block: Sequence[int]) -> list[np.ndarray]:
    """Numbers of the objects by the block in which their box starts."""
    grid = [-(-size // step) for size, step in zip(shape, block, strict=True)]
    owner = boxes[:, 0] // block[0] * grid[1] + boxes[:, 1] // block[1]
    order = np.argsort(owner, kind="stable")
    return np.split(order + 1, np.searchsorted(owner[order], np.arange(1, grid[0] * grid[1])))


def _box(boxes: np.ndarray, number: int) -> Region:
    top, left, bottom, right = boxes[number - 1].tolist()
    return slice(top, bottom), slice(left, right)


def _window(labels: ImageLike, boxes: np.ndarray) -> tuple[Region, np.ndarray]:
    """The smallest region that holds these boxes, and the labels there."""
    if not len(boxes):
        return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), np.uint32)
    (top, left), (bottom, right) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    window = (slice(int(top), int(bottom)), slice(int(left), int(right)))
    return window, np.asarray(labels[window])


def _in_a_row(sums: Sequence[Sums]) -> Sums:
    return Sums(*(np.concatenate(values) for values in zip(*sums, strict=True)))


@compiled
def _flood(
    depth: NDArray[np.float64], order: NDArray[np.int64], offsets: NDArray[np.int64], split: float
) -> NDArray[np.int32]:
    """Basins of the pixels in `order`, deepest first, numbered in scanning order."""
    basins = np.zeros(len(depth), np.int32)
    parent = np.zeros(len(order) + 1, np.int32)
    peak = np.zeros(len(order) + 1)
    count = 0
    for pixel in order:
        here = depth[pixel]
        own, steepest, deepest = 0, -1.0, 0
        for offset in offsets:
            if basins[pixel + offset] == 0:
                continue
            root = root_of(parent, basins[pixel + offset])
            if depth[pixel + offset] > steepest:
                steepest, own = depth[pixel + offset], root
            if deepest == 0 or (peak[root], -root) > (peak[deepest], -deepest):
                deepest = root
        if own == 0:
            count += 1
            parent[count], peak[count], own = count, here, count
        else:
            for offset in offsets:
                if basins[pixel + offset] != 0:
                    root = root_of(parent, basins[pixel + offset])
                    if root != deepest and peak[root] - here < split:
                        parent[root], own = deepest, deepest  # this pixel is what joins them
        basins[pixel] = own
    numbers = np.zeros(count + 1, np.int32)
    following = 0
    for pixel in range(len(basins)):
        if basins[pixel] == 0:
            continue
        root = root_of(parent, basins[pixel])
        if numbers[root] == 0:
            following += 1
            numbers[root] = following
        basins[pixel] = numbers[root]
    return basins
