"""The clumps of an image of any size taken apart, block by block, each as `split_object` does.

The result is that of the whole image at once, to the number: an object is looked at alone, in its
box, by the block that its box begins in.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from unetflow.components.pieces_of_block import Sums, labelled_components, no_sums, sums_of
from unetflow.engine.each import in_order
from unetflow.instances.separation import Separation
from unetflow.instances.watershed import How, most_px, split_small
from unetflow.store.pixels import ImageLike
from unetflow.store.probabilities import as_probability
from unetflow.tiles.regions import Region, common, within

log = logging.getLogger(__name__)


class Chosen(NamedTuple):
    """Some objects of an image."""

    numbers: np.ndarray  # as they are labelled, ascending
    boxes: np.ndarray  # first pixels along each axis, then last ones, excluded: (N, 2 axes)
    classes: np.ndarray  # place of the class of each


@dataclass(frozen=True, slots=True)
class Clumps:
    """The objects of an image (Y, X) that are to be taken apart, and what is looked at for it.

    Or of a volume (Z, Y, X).
    """

    labels: ImageLike  # of the objects, of one class after the other
    foreground_KYX: ImageLike  # as it is stored, a plane for each class
    head_HYX: ImageLike | None  # as it is stored
    how: How

    def parts_of(
        self, chosen: Chosen, *, lit: bool = False
    ) -> Iterator[tuple[int, Region, np.ndarray, np.ndarray | None]]:
        """Of each of these objects its number, its box, its parts there and its foreground.

        The foreground is as it is stored; where nothing needs it and it is not to be `lit`, None.
        """
        window, seen_YX = _window(self.labels, chosen.boxes)
        separation = self.how[0]
        light_KYX = head_YX = None
        if lit or separation.looks_at_foreground:
            light_KYX = np.asarray(self.foreground_KYX[(slice(None), *window)])
        if separation.head:
            assert self.head_HYX is not None
            head_YX = np.asarray(self.head_HYX[(slice(0, 1), *window)])[0]
        for number, sides, of_class in zip(*(part.tolist() for part in chosen), strict=True):
            box = _box(sides)
            inner = within(box, window)
            light_YX = None if light_KYX is None else light_KYX[of_class][inner]
            seen = light_YX if separation.looks_at_foreground else None
            beside = None if head_YX is None else head_YX[inner]
            parts = split_small(
                seen_YX[inner] == number,
                self.how,
                None if seen is None else as_probability(seen),
                None if beside is None else as_probability(beside),
            )
            yield number, box, parts, light_YX

    def take_apart(self, chosen: Chosen) -> tuple[np.ndarray, Sums]:
        """How many parts each of these objects has, and the sums of the parts."""
        shape = self.labels.shape
        found = [no_sums(len(shape))]
        for _, box, parts, light_YX in self.parts_of(chosen, lit=True):
            origin = [part.start for part in box]
            found.append(sums_of(labelled_components(parts), light_YX, origin, shape))
        return np.array([len(of.first) for of in found[1:]], np.int64), _in_a_row(found)


class PartsOfBlock(NamedTuple):
    """The parts of the objects whose boxes reach into a block."""

    objects: Chosen
    counts: np.ndarray  # of the parts of each object
    numbers: np.ndarray  # of the parts (uint32), object after object


@dataclass(frozen=True, slots=True)
class PartsDrawing:
    """Draws the parts of objects, block by block."""

    clumps: Clumps

    def block(self, region: Region, parts: PartsOfBlock) -> np.ndarray:
        """Numbers of the parts (uint32) in a block."""
        objects, counts, numbers = parts
        labels_YX = np.asarray(self.clumps.labels[region])
        starts = np.cumsum(counts) - counts
        firsts = np.zeros(int(labels_YX.max(initial=0)) + 1, np.uint32)  # 0 of those left out
        there = (counts > 0) & (objects.numbers < len(firsts))
        firsts[objects.numbers[there]] = numbers[starts[there]]
        drawn_YX = firsts[labels_YX]
        seen = np.zeros(len(firsts), bool)
        seen[labels_YX] = True
        apart = there & (counts > 1)
        apart[apart] = seen[objects.numbers[apart]]
        chosen = Chosen(*(values[apart] for values in objects))
        found = self.clumps.parts_of(chosen)
        for start, (_, box, of_object, _) in zip(starts[apart].tolist(), found, strict=True):
            shared = common(box, region)
            part = of_object[within(shared, box)]
            own = part != 0
            drawn_YX[within(shared, region)][own] = numbers[start + part[own] - 1]
        return np.asarray(drawn_YX)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of all objects of an image (Y, X) that is labelled already."""

    drawing: PartsDrawing
    sums: list[Sums]  # of the parts, by class, in scanning order of their first pixels
    objects: Chosen  # all of the image
    counts: np.ndarray  # parts of each object
    starts: np.ndarray  # where they begin in `numbers`
    numbers: np.ndarray  # of the parts, object after object
    reaching: list[np.ndarray]  # places of the objects that reach into each block, in raster order
    grid: list[int]  # blocks along each axis

    def in_block(self, index: Sequence[int]) -> PartsOfBlock:
        """What drawing a block needs to know."""
        of = self.reaching[np.ravel_multi_index(tuple(index), self.grid)]
        counts = self.counts[of]
        places = np.repeat(self.starts[of] - np.cumsum(counts) + counts, counts)
        numbers = self.numbers[places + np.arange(len(places))]
        return PartsOfBlock(Chosen(*(values[of] for values in self.objects)), counts, numbers)


def find_parts(
    labels: ImageLike,
    foreground_KYX: ImageLike,
    classes: Sequence[Sums],
    block: Sequence[int],
    separation: Separation,
    connectivity: int = 1,
    min_area_px: int = 0,
    *,
    head_HYX: ImageLike | None = None,
    threads: int = 1,
) -> Parts:
    """Take the objects of an image apart; as `split_labels`, but class after class.

    `labels` (Y, X), or (Z, Y, X), numbers the objects of the first class (their sums are in
    `classes`), then those of the next, and so on; of each class there is a plane of foreground.
    """
    objects, shape = _objects_of(classes), labels.shape
    clumps = Clumps(labels, foreground_KYX, head_HYX, (separation, connectivity, min_area_px))
    counts, sums = _take_apart(clumps, objects, _in_a_row(classes), block, threads)
    of_class = np.repeat(objects.classes, counts)
    by_first = np.lexsort((sums.first, of_class))
    numbers = np.empty(len(by_first), np.uint32)
    numbers[by_first] = np.arange(1, len(by_first) + 1)
    by_class = [by_first[of_class[by_first] == k] for k in range(len(classes))]
    return Parts(
        drawing=PartsDrawing(clumps),
        sums=[Sums(*(values[parts] for values in sums)) for parts in by_class],
        objects=objects,
        counts=counts,
        starts=np.cumsum(counts) - counts,
        numbers=numbers,
        reaching=_by_block(objects.boxes, shape, block, reaching=True),
        grid=_grid(shape, block),
    )


def _objects_of(classes: Sequence[Sums]) -> Chosen:
    """All objects, class after class, as they are numbered."""
    ends = np.cumsum([len(sums.first) for sums in classes])
    boxes = np.concatenate([np.concatenate([of.start, of.stop], axis=1) for of in classes])
    numbers = np.arange(1, len(boxes) + 1)
    return Chosen(numbers, boxes, np.searchsorted(ends, numbers))


def _take_apart(
    clumps: Clumps, objects: Chosen, whole: Sums, block: Sequence[int], threads: int
) -> tuple[np.ndarray, Sums]:
    """How many parts each object has, and the sums of the parts, object after object.

    `whole` are the sums of the objects. Those in too large a box stay as they are, with the sums
    that they had: nothing of their size is read.
    """
    shape, boxes = clumps.labels.shape, objects.boxes
    axes = len(shape)
    most = most_px(axes)
    too_large = (boxes[:, axes:] - boxes[:, :axes] > most).any(axis=1)
    if too_large.any():
        log.warning("%d objects of more than %d px are not taken apart", too_large.sum(), most)
    groups = [of[~too_large[of]] for of in _by_block(boxes, shape, block)]
    done = list(
        in_order(
            clumps.take_apart,
            (Chosen(*(values[of] for values in objects)) for of in groups),
            threads=threads,
            ahead=len(groups),
            sendable=True,
        )
    )
    groups.append(np.flatnonzero(too_large))
    as_they_are = Sums(*(values[too_large] for values in whole))
    done.append((np.ones(len(groups[-1]), np.int64), as_they_are))
    places = np.concatenate(groups)
    counts = np.concatenate([of for of, _ in done])
    sums = _in_a_row([of for _, of in done])
    by_object = np.argsort(np.repeat(places, counts), kind="stable")
    return counts[np.argsort(places)], Sums(*(values[by_object] for values in sums))


def _by_block(
    boxes: np.ndarray, shape: Sequence[int], block: Sequence[int], *, reaching: bool = False
) -> list[np.ndarray]:
    """Places of the objects, by the block in which their box starts, or by each that it reaches."""
    grid, axes = _grid(shape, block), len(shape)
    first, last = boxes[:, :axes] // block, (boxes[:, axes:] - 1) // block
    spans = last - first + 1 if reaching else np.ones_like(first)
    counts = spans.prod(axis=1)
    objects = np.repeat(np.arange(len(boxes)), counts)
    nth = np.arange(len(objects)) - np.repeat(np.cumsum(counts) - counts, counts)
    owner = np.zeros(len(objects), np.int64)
    before = 1  # blocks of the grid for one step along the axis
    for axis in reversed(range(axes)):  # the last one changes fastest
        along = spans[objects, axis]
        owner += before * (first[objects, axis] + nth % along)
        nth, before = nth // along, before * grid[axis]
    order = np.argsort(owner, kind="stable")
    return np.split(objects[order], np.searchsorted(owner[order], np.arange(1, math.prod(grid))))


def _grid(shape: Sequence[int], block: Sequence[int]) -> list[int]:
    """Blocks along each axis."""
    return [-(-size // step) for size, step in zip(shape, block, strict=True)]


def _box(sides: Sequence[int]) -> Region:
    """A box of `Chosen` as a region."""
    axes = len(sides) // 2
    return tuple(slice(int(a), int(b)) for a, b in zip(sides[:axes], sides[axes:], strict=True))


def _window(labels: ImageLike, boxes: np.ndarray) -> tuple[Region, np.ndarray]:
    """The smallest region that holds these boxes, and the labels there."""
    axes = len(labels.shape)
    if not len(boxes):
        return (slice(0, 0),) * axes, np.zeros((0,) * axes, np.uint32)
    window = _box([*boxes[:, :axes].min(axis=0), *boxes[:, axes:].max(axis=0)])
    return window, np.asarray(labels[window])


def _in_a_row(sums: Sequence[Sums]) -> Sums:
    return Sums(*(np.concatenate(values) for values in zip(*sums, strict=True)))
