"""Clumped objects taken apart: watershed on a landscape, of `unetflow.instances.landscapes`.

An object is flooded from its highest pixels downwards. Two basins that meet become one unless
both rise by at least a number above the place where they meet (the *dynamics* of Grimaud 1992, as
in h-maxima). On the distance to the edge two discs of radius 10 px that share a neck of half the
width 6 px are two objects up to a number of 4. Parts that are too small for an object stay with the
one beside them. Each object is looked at alone, in its box, so that the result does not depend on
how an image is cut into blocks.
"""

import heapq
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetflow.components.runs import root_of, roots
from unetflow.engine.compiled import compiled
from unetflow.instances.landscapes import has_no_seed, heights_of, rise_of
from unetflow.instances.separation import Separation
from unetflow.tiles.regions import side_px

MOST_PX = 2048  # as `unetflow.tiles.regions.side_px` says
How = tuple[Separation, int, int]
"""How objects are taken apart: method, connectivity and smallest area [px]."""


def most_px(axes: int) -> int:
    """Side of the box of an object that is looked at: one in a larger box stays whole."""
    return side_px(MOST_PX, axes)


def split_object(
    mask: np.ndarray,
    separation: Separation,
    connectivity: int = 1,
    min_area_px: int = 0,
    *,
    foreground: np.ndarray | None = None,
    head: np.ndarray | None = None,
) -> np.ndarray:
    """The parts of one object, 1 to n in scanning order of their first pixels: int32.

    `mask` (bool, any number of axes) holds the object alone; outside it is background.
    `connectivity` as of `unetflow.instances.label_instances`. A part under `min_area_px` becomes
    one with the part beside it that it shares most of its border with, the smallest first. Of
    `foreground` and `head` (float32, as `mask`) those are needed that the method looks at; seeds
    leave an object out that has none.
    """
    steps = separation.steps or [1.0 for _ in mask.shape]
    thinnest = min((size + 1) * step for size, step in zip(mask.shape, steps, strict=True))
    if separation.method == "necks" and thinnest <= 2 * separation.number:
        return mask.astype(np.int32)  # nowhere deeper than half the box
    if has_no_seed(separation, mask, foreground):
        return np.zeros(mask.shape, np.int32)
    padded = np.pad(mask, 1)
    heights = heights_of(separation, mask, foreground, head)
    strides = np.array(padded.strides) // padded.itemsize
    offsets = _steps(mask.ndim, connectivity) @ strides
    inside = np.flatnonzero(padded)
    order = inside[np.argsort(-heights.ravel()[inside], kind="stable")]
    parts = _flood(heights.ravel(), order, offsets, rise_of(separation))
    areas_px = np.bincount(parts)
    if areas_px[1:].min() < min_area_px and len(areas_px) > 2:
        parts = _in_scanning_order(_with_neighbours(parts, inside, offsets, min_area_px))
    inner = (slice(1, -1),) * mask.ndim
    return parts.reshape(padded.shape)[inner]


def _with_neighbours(
    parts: np.ndarray, inside: np.ndarray, offsets: np.ndarray, min_area_px: int
) -> np.ndarray:
    """Parts (flat) with those under `min_area_px` joined to one beside them."""
    borders: dict[int, dict[int, int]] = {}
    own = parts[inside]
    for offset in offsets:  # one after the other: there may be 26, of a whole box each
        beside = parts[inside + offset]
        touch = (beside != 0) & (beside != own)
        pairs = np.stack([own[touch], beside[touch]])
        pairs, lengths = np.unique(pairs, axis=1, return_counts=True)
        for a, b, length in zip(*pairs.tolist(), lengths.tolist(), strict=True):
            around = borders.setdefault(a, {})
            around[b] = around.get(b, 0) + length
    areas_px = np.bincount(parts).tolist()
    into = np.arange(len(areas_px), dtype=parts.dtype)  # a forest, as of `runs.root_of`
    small = [(area, part) for part, area in enumerate(areas_px) if part and area < min_area_px]
    heapq.heapify(small)
    while small:
        area, part = heapq.heappop(small)
        if part not in borders or area != areas_px[part] or not borders[part]:
            continue  # it is another's now, has grown since, or is all there is
        around = borders.pop(part)
        other = max(around, key=lambda of: (around[of], -of))
        into[part] = other
        areas_px[other] += area
        for third, length in around.items():
            del borders[third][part]
            if third != other:
                for a, b in ((third, other), (other, third)):
                    borders[a][b] = borders[a].get(b, 0) + length
        if areas_px[other] < min_area_px:
            heapq.heappush(small, (areas_px[other], other))
    return np.asarray(roots(into)[parts])


def _in_scanning_order(parts: np.ndarray) -> np.ndarray:
    """New numbers 1 to n for parts, in scanning order of their first pixels."""
    numbers, first = np.unique(parts, return_index=True)
    first, numbers = first[numbers != 0], numbers[numbers != 0]
    new = np.zeros(int(parts.max(initial=0)) + 1, parts.dtype)
    new[numbers[np.argsort(first)]] = np.arange(1, len(numbers) + 1)
    return np.asarray(new[parts])


def split_labels(
    labels: np.ndarray,
    separation: Separation,
    connectivity: int = 1,
    min_area_px: int = 0,
    *,
    foreground: np.ndarray | None = None,
    head: np.ndarray | None = None,
) -> np.ndarray:
    """Labels with every object taken apart; new numbers in scanning order: int64.

    `foreground` and `head` as of `split_object`, of the whole image.
    """
    parts, total = np.zeros(labels.shape, np.int64), 0
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        mask = labels[box] == number
        found = split_small(
            mask,
            (separation, connectivity, min_area_px),
            None if foreground is None else foreground[box],
            None if head is None else head[box],
        )
        own = found != 0
        parts[box][own] = found[own] + total
        total += int(found.max())
    return _in_scanning_order(parts)


@cache
def _steps(axes: int, connectivity: int) -> np.ndarray:
    """To the neighbours of a pixel: (N, axes)."""
    steps = np.argwhere(ndimage.generate_binary_structure(axes, connectivity)) - 1
    return steps[np.any(steps != 0, axis=1)]


def split_small(
    mask: np.ndarray, how: How, foreground: np.ndarray | None, head: np.ndarray | None
) -> np.ndarray:
    """As `split_object`, but an object in too large a box stays whole."""
    if max(mask.shape) > most_px(mask.ndim):
        return mask.astype(np.int32)
    return split_object(mask, *how, foreground=foreground, head=head)


@compiled
def _flood(
    height: NDArray[np.float64], order: NDArray[np.int64], offsets: NDArray[np.int64], rise: float
) -> NDArray[np.int32]:
    """Basins of the pixels in `order`, highest first, numbered in scanning order."""
    basins = np.zeros(len(height), np.int32)
    parent = np.zeros(len(order) + 1, np.int32)
    peak = np.zeros(len(order) + 1)
    count = 0
    for pixel in order:
        here = height[pixel]
        own, steepest, highest = 0, -np.inf, 0
        for offset in offsets:
            if basins[pixel + offset] == 0:
                continue
            root = root_of(parent, basins[pixel + offset])
            if height[pixel + offset] > steepest:
                steepest, own = height[pixel + offset], root
            if highest == 0 or (peak[root], -root) > (peak[highest], -highest):
                highest = root
        if own == 0:
            count += 1
            parent[count], peak[count], own = count, here, count
        else:
            for offset in offsets:
                if basins[pixel + offset] != 0:
                    root = root_of(parent, basins[pixel + offset])
                    if root != highest and peak[root] - here < rise:
                        parent[root], own = highest, highest  # this pixel is what joins them
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
