"""Instances of a stored foreground, block by block, into its store, with a table of the objects."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.components.objects_of_image import Objects, find_objects
from unetflow.components.pieces_of_block import Labelling, Sums
from unetflow.engine.each import for_each
from unetflow.errors import StoreError
from unetflow.instances.clumps import find_parts
from unetflow.instances.separation import Separation
from unetflow.instances.table import write_objects
from unetflow.labels.encoding import UINT32_MAX
from unetflow.store.arrays import StoredArray
from unetflow.store.foreground import as_probability
from unetflow.store.names import FOREGROUND, HEADS, INSTANCES, UNSPLIT, of_labels
from unetflow.store.ome import pixel_size, write_labels
from unetflow.store.pyramid import every_second, level_factors, write_coarser
from unetflow.store.shards import Index, Layout, ShardedArray, clear, open_array, read_array
from unetflow.tiles.regions import Region

log = logging.getLogger(__name__)


def label_store(
    store: str | Path,
    thresholds: Mapping[str, float],
    labelling: Mapping[str, Any],
    *,
    table: str | Path,
    threads: int,
    decided_by: Mapping[str, object],
    foreground_array: str = FOREGROUND,
) -> tuple[ShardedArray, dict[str, dict[str, Any]]]:
    """Array `labels/instances` of a store with a foreground, and what is said of each class.

    `thresholds` are by class. Of several classes that are above theirs a pixel belongs to the one
    with the highest foreground, and a hole is filled if it holds nothing of another class. The ids
    of each class are consecutive, class after class. Images of any size are labelled block by
    block, to the same numbers. The table is written as Parquet, to the path
    `table`, and as CSV beside it; its columns are `unetflow.instances.table.COLUMNS`.
    """
    foreground, heads = read_array(store, foreground_array), _heads(store, labelling)
    size = pixel_size(store)
    layout = Layout(foreground.shape[1:], "uint32", ("y", "x"))
    levels = level_factors(layout.shape, size.scale)
    write_labels(store, INSTANCES, size, levels=levels)
    decided_by = {**decided_by, "parameters": {"thresholds": dict(thresholds), **labelling}}
    array = open_array(store, of_labels(INSTANCES), layout, decided_by=decided_by)
    unsplit = partial(open_array, store, UNSPLIT, layout, decided_by=decided_by)
    sums, made = _label(foreground, array, unsplit, heads, thresholds, labelling, threads=threads)
    clear(Path(store) / UNSPLIT)
    write_coarser(
        store,
        array,
        of_labels(INSTANCES, "{}"),
        every_second,
        axes=layout.axes,
        decided_by=decided_by,
        threads=threads,
        spacing=size.scale,
    )
    highest = 255 if foreground.dtype == np.uint8 else 1
    rows = [(name, of["first_id"], own) for (name, of), own in zip(made.items(), sums, strict=True)]
    write_objects(table, rows, size, highest=highest)
    log.info("%s: %s", store, made)
    return array, made


def _label(
    foreground: StoredArray,
    array: ShardedArray,
    unsplit: Callable[[], ShardedArray],
    heads: StoredArray | None,
    thresholds: Mapping[str, float],
    labelling: Mapping[str, Any],
    *,
    threads: int,
) -> tuple[list[Sums], dict[str, dict[str, Any]]]:
    """Write the array; the sums of its objects, class by class, and what is said of each class.

    `unsplit` opens the array of what is to be taken apart, `heads` (H, Y, X) are
    needed by some methods.
    """
    simply = {name: labelling[name] for name in Labelling._fields if name in labelling}
    classes = _Classes(foreground, list(thresholds.values()), array.array.shards)
    sums = classes.find(Labelling(**simply), threads)
    made = _described(thresholds, sums)
    first_ids = [of["first_id"] for of in made.values()]
    separation = Separation.of(labelling)
    whole = array if separation is None else unsplit()
    _write(whole, lambda index: _draw(classes, first_ids, whole.region(index)), threads)
    if separation is None:
        return sums, made
    parts = find_parts(
        whole.array,
        foreground,
        sums,
        array.array.shards,
        separation,
        labelling["connectivity"],
        labelling["min_area_px"],
        head_HYX=heads,
        threads=threads,
    )
    made = _described(thresholds, parts.sums)
    _write(array, parts.draw, threads)
    return parts.sums, made


def _heads(store: str | Path, labelling: Mapping[str, Any]) -> StoredArray | None:
    """The heads of a store (H, Y, X), None where none is needed. Raises StoreError."""
    separation = Separation.of(labelling)
    if separation is None or separation.head is None:
        return None
    if not (Path(store) / HEADS).exists():
        raise StoreError(
            f"{store}: has no array {HEADS}, as its network has no head, but separate is "
            f"{separation.method!r}, which needs one. Train with `head: {separation.method}`, or "
            "choose necks, valleys or seeds."
        )
    return read_array(store, HEADS)


class _Classes:
    """The pixels and the objects of each class of a stored foreground (K, Y, X), block by block.

    A hole that holds pixels of another class is none, so that no pixel is in holes of two classes.
    """

    def __init__(
        self, foreground: StoredArray, thresholds: Sequence[float], block: tuple[int, ...]
    ) -> None:
        self._foreground, self._thresholds, self._block = foreground, thresholds, block
        # of each stored byte, whether it is above; other types are compared one by one
        bytes_ = as_probability(np.arange(256, dtype=np.uint8)).astype(np.float64)
        self._above = [bytes_ > threshold for threshold in thresholds]
        self._found: list[Objects] = []

    def find(self, how: Labelling, threads: int) -> list[Sums]:
        """The objects of all classes; returns their sums, class by class."""
        shape = self._foreground.shape[1:]
        self._found = [
            find_objects(partial(self._read, number), shape, self._block, how, threads)
            for number in range(len(self._thresholds))
        ]
        return [objects.sums for objects in self._found]

    def drawn(self, region: Region) -> Iterator[np.ndarray]:
        """Of each class the numbers (uint32) of its objects in a block."""
        index = tuple(part.start // size for part, size in zip(region, self._block, strict=True))
        above, _ = self._masks(region)
        for mask_YX, objects in zip(above, self._found, strict=True):
            yield objects.draw(index, mask_YX)

    def _read(
        self, number: int, region: Region
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Mask (Y, X) of a class, its foreground as it is stored, and the mask of all others."""
        above, stored_KYX = self._masks(region)
        others = above[:number] + above[number + 1 :]
        return above[number], stored_KYX[number], np.any(others, axis=0) if others else None

    def _masks(self, region: Region) -> tuple[list[np.ndarray], np.ndarray]:
        """Masks of all classes, which exclude one another, and the foreground as it is stored."""
        stored_KYX = np.asarray(self._foreground[(slice(None), *region)])
        if stored_KYX.dtype == np.uint8:
            above = [table[plane] for table, plane in zip(self._above, stored_KYX, strict=True)]
        else:
            above = [
                plane.astype(np.float64) > threshold  # as the metrics binarise
                for plane, threshold in zip(stored_KYX, self._thresholds, strict=True)
            ]
        if len(above) > 1:
            highest_YX = (stored_KYX * above).argmax(axis=0)
            above = [mask_YX & (highest_YX == k) for k, mask_YX in enumerate(above)]
        return above, stored_KYX


def _described(thresholds: Mapping[str, float], sums: Sequence[Sums]) -> dict[str, dict[str, Any]]:
    """Of each class: its threshold, how many instances of which area in all, and the first id."""
    made, first = {}, 1
    for (name, threshold), own in zip(thresholds.items(), sums, strict=True):
        count = len(own.first)
        made[name] = {
            "threshold": threshold,
            "instances": count,
            "first_id": first,
            "area_px": int(own.area_px.sum()),
        }
        first += count
    if first - 1 > UINT32_MAX:
        raise StoreError(f"{first - 1} instances do not fit uint32: raise min_area_px")
    return made


def _write(array: ShardedArray, draw: Callable[[Index], np.ndarray], threads: int) -> None:
    for_each(lambda index: array.write(index, draw(index)), array.missing(), threads=threads)


def _draw(classes: _Classes, first_ids: Sequence[int], region: Region) -> np.ndarray:
    """Ids of the objects of all classes in a block."""
    labels_YX = np.zeros([part.stop - part.start for part in region], np.uint32)
    for first_id, numbers_YX in zip(first_ids, classes.drawn(region), strict=True):
        own = numbers_YX != 0
        labels_YX[own] = numbers_YX[own] + np.uint32(first_id - 1)
    return labels_YX
