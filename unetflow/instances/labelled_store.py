"""Instances of a stored foreground, block by block, into its store, with a table of the objects."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.components.objects_of_image import AHEAD, Objects, draw_objects, find_objects
from unetflow.components.pieces_of_block import Labelling, Sums
from unetflow.engine.each import in_order
from unetflow.errors import StoreError
from unetflow.instances.clumps import PartsDrawing, PartsOfBlock, find_parts
from unetflow.instances.separation import Separation
from unetflow.instances.table import write_objects
from unetflow.labels.encoding import UINT32_MAX
from unetflow.store.arrays import StoredArray
from unetflow.store.foreground import as_probability
from unetflow.store.layout import spatial_axes
from unetflow.store.levels import level_factors
from unetflow.store.names import FOREGROUND, HEADS, INSTANCES, UNSPLIT, of_labels
from unetflow.store.ome import pixel_size, steps_of, write_labels
from unetflow.store.pyramid import every_second, write_coarser
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

    (Y, X), or (Z, Y, X) of a volume.
    `thresholds` are by class. Of several classes that are above theirs a pixel belongs to the one
    with the highest foreground, and a hole is filled if it holds nothing of another class. The ids
    of each class are consecutive, class after class. Images of any size are labelled block by
    block, to the same numbers. The table is written as Parquet, to the path
    `table`, and as CSV beside it; its columns are `unetflow.instances.table.COLUMNS`.
    """
    foreground, heads = read_array(store, foreground_array), _heads(store, labelling)
    size = pixel_size(store)
    layout = Layout(foreground.shape[1:], "uint32", spatial_axes(len(size.scale)))
    levels = level_factors(layout.shape, size.scale)
    write_labels(store, INSTANCES, size, levels=levels)
    steps = steps_of(store, len(size.scale))
    parameters = {"thresholds": dict(thresholds), **labelling}
    if steps is not None:
        parameters["steps"] = steps
    decided_by = {**decided_by, "parameters": parameters}
    array = open_array(store, of_labels(INSTANCES), layout, decided_by=decided_by)
    unsplit = partial(open_array, store, UNSPLIT, layout, decided_by=decided_by)
    of = (foreground, array, unsplit, heads, thresholds, labelling, steps)
    sums, made = _label(*of, threads=threads)
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
    steps: tuple[float, ...] | None,
    *,
    threads: int,
) -> tuple[list[Sums], dict[str, dict[str, Any]]]:
    """Write the array; the sums of its objects, class by class, and what is said of each class.

    `unsplit` opens the array of what is to be taken apart, `heads` (H, Y, X) are
    needed by some methods; `steps` are those of `Separation`.
    """
    simply = {name: labelling[name] for name in Labelling._fields if name in labelling}
    how = Labelling(**simply)
    classes = _Classes(foreground, list(thresholds.values()))
    objects = classes.find(array.array.shards, how, threads)
    sums = [of.sums for of in objects]
    made = _described(thresholds, sums)
    first_ids = [of["first_id"] for of in made.values()]
    separation = Separation.of(labelling, steps)
    whole = array if separation is None else unsplit()
    drawn = ((index, [of.numbers_in(index) for of in objects]) for index in whole.missing())
    _write(_Draw(classes, whole, how, first_ids), drawn, threads)
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
    apart = ((index, parts.in_block(index)) for index in array.missing())
    _write(_DrawParts(array, parts.drawing), apart, threads)
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
    """The pixels of each class of a stored foreground (K, Y, X), block by block.

    A hole that holds pixels of another class is none, so that no pixel is in holes of two classes.
    """

    def __init__(self, foreground: StoredArray, thresholds: Sequence[float]) -> None:
        self._foreground, self._thresholds = foreground, thresholds
        # of each stored byte, whether it is above; other types are compared one by one
        bytes_ = as_probability(np.arange(256, dtype=np.uint8)).astype(np.float64)
        self._above = [bytes_ > threshold for threshold in thresholds]

    def find(self, block: tuple[int, ...], how: Labelling, threads: int) -> list[Objects]:
        """The objects of all classes."""
        shape = self._foreground.shape[1:]
        return [
            find_objects(partial(self._read, number), shape, block, how, threads, sendable=True)
            for number in range(len(self._thresholds))
        ]

    def _read(
        self, number: int, region: Region
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Mask (Y, X) of a class, its foreground as it is stored, and the mask of all others."""
        above, stored_KYX = self.masks(region)
        others = above[:number] + above[number + 1 :]
        return above[number], stored_KYX[number], np.any(others, axis=0) if others else None

    def masks(self, region: Region) -> tuple[list[np.ndarray], np.ndarray]:
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


@dataclass(frozen=True, slots=True)
class _Draw:
    """Ids of the objects of all classes into a block, given what each class's components are."""

    classes: _Classes
    array: ShardedArray
    how: Labelling
    first_ids: Sequence[int]

    def __call__(self, block: tuple[Index, list[np.ndarray]]) -> None:
        index, numbers = block
        region = self.array.region(index)
        labels_YX = np.zeros([part.stop - part.start for part in region], np.uint32)
        above, _ = self.classes.masks(region)
        for first_id, mask_YX, of_class in zip(self.first_ids, above, numbers, strict=True):
            numbers_YX = draw_objects(mask_YX, of_class, self.how)
            own = numbers_YX != 0
            labels_YX[own] = numbers_YX[own] + np.uint32(first_id - 1)
        self.array.write(index, labels_YX)


@dataclass(frozen=True, slots=True)
class _DrawParts:
    """Numbers of the parts of objects into a block."""

    array: ShardedArray
    drawing: PartsDrawing

    def __call__(self, block: tuple[Index, PartsOfBlock]) -> None:
        index, parts = block
        self.array.write(index, self.drawing.block(self.array.region(index), parts))


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


def _write(
    do: Callable[[tuple[Index, Any]], None],
    blocks: Iterable[tuple[Index, Any]],
    threads: int,
) -> None:
    """Each block, with what its drawing needs of the whole, which is looked up when it is due."""
    for _ in in_order(do, blocks, threads=threads, ahead=AHEAD * threads, sendable=True):
        pass
