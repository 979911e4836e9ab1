"""Preparation: whatever the microscope gave becomes sharded OME-Zarr. Truth: `unetflow.truth`."""

import itertools
import json
import logging
import shutil
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.errors import SlideError
from unetflow.moments import Moments
from unetflow.ome import ome_image, write_group
from unetflow.paths import has_changed
from unetflow.progress import progress
from unetflow.pyramid import halved
from unetflow.receipts import RunRecord, write_receipt, write_whole
from unetflow.sampling import Lost, Source, source_at
from unetflow.slides import Slide
from unetflow.stores import Index, Layout, ShardedArray, open_array

log = logging.getLogger(__name__)

AXES = ("c", "y", "x")
GROUPS_AHEAD = 2  # of four shards, read but not yet written
MARK_PX = 64  # side of the squares that an unreadable share is counted in
COARSEST_PX = 512  # a pyramid ends with the first level that is no larger


def prepare_image(
    *,
    path: str | Path,
    fingerprint: str,
    store: str | Path,
    receipt: str | Path,
    plane: int | None,
    time: int | None,
    axes: str | None,
    level: int | None,
    mpp: float | None,
    want_mpp: float | None,
    channels: Sequence[int] | None,
    max_unreadable: float,
    threads: int,
    code: str,
) -> None:
    """Rule prepare_image: the pixels of one image as a pyramid of (C, Y, X), shard by shard.

    The level of the file is the given one, or the image is made at `want_mpp` [um/px], or the
    finest level is taken; `mpp` overrules the resolution in the file; `channels` chooses and
    orders. Places that cannot be read are 0 and stand in the receipt, up to the share
    `max_unreadable` of the image. Raises SlideError.
    """
    record = RunRecord(receipt)
    with Slide(path, plane=plane, time=time, axes=axes, mpp=mpp) as slide:
        source = source_at(slide, level, want_mpp)
        picked = _channels(slide, channels)
        shape_px, source_mpp = source.shape_px, source.mpp
        parameters = {
            "plane": plane,
            "time": time,
            "axes": axes,
            "level": source.level,
            "channels": picked,
            "mpp": source_mpp,
            "shape_px": shape_px,
        }
        decided_by = {"input": fingerprint, "parameters": parameters, "code": code}
        sizes_px = _pyramid(shape_px)
        scales = {
            str(k): [1.0, *(source_mpp * 2**k if source_mpp else 2.0**k,) * 2]
            for k in range(len(sizes_px))
        }
        unit = "micrometer" if source_mpp else None
        write_group(store, "", ome_image(Path(path).name, AXES, scales, unit=unit))
        arrays = [
            open_array(
                store,
                str(k),
                Layout((len(picked), *size_px), str(slide.dtype), AXES),
                decided_by=decided_by,
            )
            for k, size_px in enumerate(sizes_px)
        ]
        copying = _Copying(source, picked, arrays, Path(store) / "unreadable")
        with ThreadPoolExecutor(threads) as pool:
            moments = copying.run(pool)
        unreadable = _check_lost(path, copying.lost(), source, max_unreadable)
        found = [{"shape": level.shape_px, "mpp": level.mpp} for level in slide.levels]
    if has_changed(path, fingerprint):
        raise SlideError(
            f"{path}: was replaced while the run went on. Run the same command again and leave "
            "the file as it is meanwhile."
        )
    with ThreadPoolExecutor(threads) as pool:
        for finer, coarser in itertools.pairwise(arrays[1:]):
            _halve(finer, coarser, pool)
    levels = [
        {"shape": array.array.shape, "mpp": scales[str(k)][1] if source_mpp else None}
        | {"digest": array.content_digest()}
        for k, array in enumerate(arrays)
    ]
    dtype = str(arrays[0].array.dtype)
    write_receipt(
        receipt,
        {
            **{"axes": AXES, "dtype": dtype, "levels": levels, "level": source.level},
            **{"levels_of_file": found, "unreadable": unreadable},
            "pixels": {
                **{"lowest": moments.low.tolist(), "highest": moments.high.tolist()},
                **{"mean": moments.mean.tolist(), "deviation": moments.deviation.tolist()},
            },
        },
    )
    record.write(path=str(path))


def _channels(slide: Slide, channels: Sequence[int] | None) -> list[int]:
    picked = list(channels) if channels else list(range(slide.channels))
    if not all(0 <= channel < slide.channels for channel in picked):
        raise SlideError(
            f"{slide.path}: has channels 0 to {slide.channels - 1}, but the sheet's channels "
            f"column says {' '.join(map(str, picked))}."
        )
    return picked


def _pyramid(shape_px: tuple[int, int]) -> list[tuple[int, int]]:
    sizes = [shape_px]
    while max(sizes[-1]) > COARSEST_PX:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


class _Copying:
    """Level 0 from the file, shard by shard, and level 1 from the same pixels while they are here.

    One thread reads; those of the pool compress and write, a few groups of shards behind.
    """

    def __init__(
        self, source: Source, channels: list[int], arrays: list[ShardedArray], notes: Path
    ) -> None:
        self._source, self._channels, self._notes = source, channels, notes
        self._array, self._coarser = arrays[0], arrays[1] if len(arrays) > 1 else None
        self._missing = set(self._array.missing())
        self._missing_coarser = set(self._coarser.missing()) if self._coarser else set()
        self._moments: dict[Index, Moments] = {}
        if len(self._missing) == len(self._array.shards()):
            shutil.rmtree(notes, ignore_errors=True)

    def run(self, pool: ThreadPoolExecutor) -> Moments:
        """Do what is missing; the moments of all pixels, in the order of the shards."""
        groups: dict[Index, list[Index]] = {}
        for index in self._array.shards():
            groups.setdefault((index[0], index[1] // 2, index[2] // 2), []).append(index)
        waiting: deque[Future[None]] = deque()
        with progress("read", total=len(groups)) as tick:
            for group, members in groups.items():
                blocks = {index: self._block(index) for index in members}
                waiting.append(pool.submit(self._finish, group, blocks))
                if len(waiting) > GROUPS_AHEAD:
                    waiting.popleft().result()
                tick()
            for each in waiting:
                each.result()
        total = Moments()
        for index in self._array.shards():
            total.merge(self._moments[index])
        return total

    def lost(self) -> list[Lost]:
        """What could not be read in any shard, of this run or before."""
        noted = sorted(self._notes.glob("*.json"))
        every = [each for note in noted for each in json.loads(note.read_text())]
        return sorted(every, key=lambda each: (each["rows"], each["columns"]))

    def _block(self, index: Index) -> np.ndarray:
        if index not in self._missing:
            return np.asarray(self._array.array[self._array.region(index)])
        _, rows, columns = self._array.region(index)
        lost: list[Lost] = []
        block = self._source.read(rows, columns, lost)[self._channels]
        if not np.isfinite(block).all():
            raise SlideError(
                f"{self._source.slide.path}: NaN or infinite pixels between rows {rows.start} and "
                f"{rows.stop}, columns {columns.start} and {columns.stop}. Replace them."
            )
        if lost:  # noted before the shard is written, so that a run that goes on knows it
            name = ".".join(map(str, index))
            write_whole(self._notes / f"{name}.json", json.dumps(lost).encode())
        return block

    def _finish(self, group: Index, blocks: dict[Index, np.ndarray]) -> None:
        for index, block in blocks.items():
            if index in self._missing:
                self._array.write(index, block)
            moments = Moments()
            moments.add(block)
            self._moments[index] = moments
        if self._coarser is not None and group in self._missing_coarser:
            rows: dict[int, list[np.ndarray]] = {}
            for (_, row, _), block in blocks.items():
                rows.setdefault(row, []).append(block)
            joined = np.concatenate(
                [np.concatenate(each, axis=2) for each in rows.values()], axis=1
            )
            self._coarser.write(group, halved(joined))


def _check_lost(path: str | Path, lost: list[Lost], source: Source, most: float) -> list[Any]:
    """The unreadable places in pixels of the result. Raises SlideError where they are too many."""
    places = []
    unreadable = np.zeros(tuple(-(-size // MARK_PX) for size in source.shape_px), bool)
    for each in lost:
        rows, columns = source.place(each)
        unreadable[
            rows.start // MARK_PX : -(-rows.stop // MARK_PX),
            columns.start // MARK_PX : -(-columns.stop // MARK_PX),
        ] = True
        ends = {"rows": [rows.start, rows.stop], "columns": [columns.start, columns.stop]}
        places.append({**ends, "why": each["why"]})
    share = float(unreadable.mean())
    if share > most:
        raise SlideError(
            f"{path}: {share:.1%} of it cannot be read ({len(lost)} places, the first at rows "
            f"{lost[0]['rows']}, columns {lost[0]['columns']}: {lost[0]['why']}), more than the "
            f"{most:.1%} that prepare: max_unreadable allows. Copy the file anew, raise the limit, "
            "or take the image out of the sheet."
        )
    if places:
        log.warning("%s: %d unreadable places are filled with 0 and ignored", path, len(places))
    return places


def _halve(finer: ShardedArray, coarser: ShardedArray, pool: ThreadPoolExecutor) -> None:
    """The next level from the one before, shard by shard."""

    def make(index: Index) -> None:
        channels, *region = coarser.region(index)
        doubled = tuple(
            slice(2 * part.start, min(2 * part.stop, size))
            for part, size in zip(region, finer.array.shape[1:], strict=True)
        )
        coarser.write(index, halved(np.asarray(finer.array[(channels, *doubled)])))

    list(pool.map(make, coarser.missing()))
