"""Connected components of one block, of a mask and of its background, and their sums.

Rows are run-length encoded, background and object in turns; runs are joined, not pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from unetflow.components import runs, sums_of_runs
from unetflow.components.runs import Ints
from unetflow.errors import StoreError


class Labelling(NamedTuple):
    """How objects are made of a mask; as of `unetflow.instances.label_instances`."""

    min_area_px: int = 0
    fill_holes: bool = False
    connectivity: int = 1
    max_hole_px: int | None = None  # larger holes stay ground; None: any is filled


class Sums(NamedTuple):
    """Of the pixels of each component or object: arrays of N, or (N, axes)."""

    area_px: np.ndarray  # int64
    first: np.ndarray  # int64: place of the first pixel in raster order of the image
    start: np.ndarray  # int64 (N, axes): of the smallest box [px]
    stop: np.ndarray  # int64 (N, axes): its end, excluded
    at: np.ndarray  # float64 (N, axes): coordinates [px], summed over the pixels
    foreground: np.ndarray  # float64, summed over the pixels


Faces = list[tuple[np.ndarray, np.ndarray]]
"""Along each axis of a block what its first and its last pixels are, all of the other axes."""
# Of each of them: the least of several is kept (-1), the greatest (1), or all are added (0).
_KEEPS = dict(zip(Sums._fields, (0, -1, -1, 1, 0, 0), strict=True))


@dataclass(frozen=True, slots=True)
class Components:
    """The connected components of a block: numbers 1 to `count` in raster order, of each run."""

    count: int
    shape: tuple[int, ...]
    begin: np.ndarray  # int64 (rows + 1): of each row its first run
    ends: np.ndarray  # int32 (runs): a run ends before this pixel, where the next one starts
    of_run: np.ndarray  # int32 (runs), or int64 where they are too many: 0 is none

    def labels(self) -> np.ndarray:
        """The block as an image (uint32). Raises StoreError where the numbers do not fit."""
        if self.count > np.iinfo(np.uint32).max:
            raise StoreError(f"{self.count} objects do not fit uint32: raise min_area_px")
        labels = self.painted()
        return labels.view(np.uint32) if labels.itemsize == 4 else labels.astype(np.uint32)

    def painted(self, numbers: np.ndarray | None = None) -> np.ndarray:
        """The block as an image of its components, or of another number for each (count + 1)."""
        of_run = self.of_run if numbers is None else numbers[self.of_run]
        return self._rows(np.arange(len(self.begin) - 1), of_run).reshape(self.shape)

    def faces(self) -> Faces:
        """The components on the faces of the block."""
        depth, height, _ = _as_volume_shape(self.shape)
        rows = np.arange(depth * height).reshape(depth, height)
        planes = [(rows[0], rows[-1]), (rows[:, 0], rows[:, -1])][3 - len(self.shape) :]
        faces = [tuple(self._rows(plane, self.of_run) for plane in pair) for pair in planes]
        first, last = self.begin[:-1], self.begin[1:] - 1
        first = first + (self.ends[first] == 0)  # no background before the first object
        faces.append((self.of_run[first], self.of_run[last]))
        sizes = [self.shape[:axis] + self.shape[axis + 1 :] for axis in range(len(self.shape))]
        return [(a.reshape(n), b.reshape(n)) for (a, b), n in zip(faces, sizes, strict=True)]

    def reach_into(self, mask: np.ndarray | None) -> np.ndarray:
        """Whether each component has pixels of a mask of the block."""
        found = np.zeros(self.count + 1, bool)
        if mask is not None and mask.any():
            found[self.painted()[mask]] = True
        return found[1:]

    def areas_px(self) -> np.ndarray:
        """Pixels (int64) of each component."""
        return np.asarray(sums_of_runs.areas(self.begin, self.ends, self.of_run, self.count))

    def are_objects(self) -> np.ndarray:
        """Whether each component is of the mask, not of its background."""
        return np.asarray(runs.are_objects(self.begin, self.of_run, self.count))

    def _rows(self, rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Some rows as an image of numbers of their runs."""
        return np.asarray(runs.painted(self.begin, self.ends, numbers, rows, self.shape[-1]))


def find_components(mask: np.ndarray, how: Labelling) -> Components:
    """Components of a block of 1 to 3 axes: of the mask, and of its background for holes.

    Those of the mask join as `connectivity` says, those of the background by edges.
    """
    volume = _as_volume(np.ascontiguousarray(mask, bool)).view(np.uint8)
    begin, ends = runs.of_mask(volume)
    of_run: Ints = np.zeros(len(ends), "int32" if len(ends) < 2**31 else "int64")
    rows = _rows_back(mask.ndim)
    count = runs.into_components(
        begin, ends, volume.shape[1], rows, how.connectivity, how.fill_holes, of_run
    )
    return Components(count, mask.shape, begin, ends, of_run)


def touching_components(components: Components, connectivity: int) -> np.ndarray:
    """Pairs (background, object) of components that touch in a block, from 0: (N, 2).

    Some come more than once.
    """
    found = runs.touching(
        components.begin,
        components.ends,
        components.of_run,
        components.count,
        _as_volume_shape(components.shape)[1],
        _rows_back(len(components.shape)),
        connectivity,
    )
    return np.asarray(found)


def distinct_pairs(pairs: np.ndarray, count: int) -> np.ndarray:
    """Pairs (N, 2) of numbers below `count`, each once."""
    return np.stack(np.divmod(np.unique(pairs @ (count, 1)), max(count, 1)), axis=1)


def sums_of(
    components: Components,
    foreground: np.ndarray | None,
    origin: Sequence[int],
    shape: Sequence[int],
) -> Sums:
    """Sums of the components of a block that starts at `origin` of an image of `shape`.

    Without a foreground its sums are 0.
    """
    axes, count = len(components.shape), components.count
    begin, ends, of_run = components.begin, components.ends, components.of_run
    area, first, start, stop, at = sums_of_runs.sums(
        begin,
        ends,
        of_run,
        count,
        _as_volume_shape(components.shape)[1],
        np.array([0, 0, *origin][-3:], np.int64),
        np.array([1, 1, *shape][-3:], np.int64),
    )
    light = np.zeros(count)
    if foreground is not None:
        if foreground.dtype == np.float16:  # which numba does not have
            foreground = foreground.astype(np.float32)
        pixels = foreground.reshape(-1, foreground.shape[-1])
        light = sums_of_runs.sums_of_pixels(begin, ends, of_run, count, pixels)
    return Sums(area, first, start[:, -axes:], stop[:, -axes:], at[:, -axes:], light)


def labelled_components(labels: np.ndarray) -> Components:
    """What is labelled 1 to n, as components; only `are_objects` is meaningless of them."""
    begin, ends, of_run = runs.of_labels(_as_volume(labels))
    return Components(int(labels.max(initial=0)), labels.shape, begin, ends, of_run)


def no_sums(axes: int) -> Sums:
    """Sums of no components at all."""
    empty = np.zeros((1,) * axes, np.int32)
    return sums_of(labelled_components(empty), empty, (0,) * axes, empty.shape)


def add_up(name: str, values: np.ndarray, of: np.ndarray, count: int) -> np.ndarray:
    """One of the `Sums`, of `count` groups, from that of members; `of` is a member's, from 0."""
    sign = _KEEPS[name]
    total = np.zeros((count, *values.shape[1:]), values.dtype)
    if sign < 0:
        total += np.iinfo(values.dtype).max
    if len(values):
        sums_of_runs.add_up(values.reshape(len(values), -1), of, total.reshape(count, -1), sign)
    return total


def _as_volume(array: np.ndarray) -> np.ndarray:
    """(Y, X) as (1, Y, X)."""
    return array.reshape(_as_volume_shape(array.shape))


def _as_volume_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) * (3 - len(shape)) + shape


@cache
def _rows_back(axes: int) -> np.ndarray:
    """To the rows (z, y) around a row that come before it in raster order, (N, 2)."""
    if axes < 3:
        return np.array([(0, -1)])
    return np.array([(0, -1), (-1, -1), (-1, 0), (-1, 1)])
