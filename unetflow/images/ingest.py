"""Pixels from a file into a store: read once, compressed and halved while the next are read."""

import json
import shutil
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from unetflow.errors import SlideError
from unetflow.images.ground import Ground
from unetflow.images.intensities import Moments
from unetflow.images.resampling import Lost, Source
from unetflow.progress import progress
from unetflow.store.files import write_whole
from unetflow.store.pyramid import halved
from unetflow.store.shards import Index, ShardedArray

GROUPS_AHEAD = 2  # of four shards, read but not yet written


class Copying:
    """Level 0 from the file, shard by shard, and level 1 from the same pixels while they are here.

    One thread reads; those of the pool compress and write, a few groups of shards behind. Shards
    of nothing but `ground` are taken from its coarse level.
    """

    def __init__(
        self,
        source: Source,
        channels: list[int],
        arrays: list[ShardedArray],
        notes: Path,
        ground: Ground | None,
    ) -> None:
        self._source, self._channels, self._notes = source, channels, notes
        self._ground = ground
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
        if self._ground is not None and not self._ground.tissue.reaches(rows, columns):
            return self._ground.read(rows, columns)
        lost: list[Lost] = []
        block = self._source.read(rows, columns, lost)[self._channels]
        if not np.isfinite(block).all():
            raise SlideError(
                f"{self._source.slide.path}: NaN or infinite pixels between rows {rows.start} and "
                f"{rows.stop}, columns {columns.start} and {columns.stop}. Replace them."
            )
        # noted before the shard is written, so that a run that goes on knows it
        note = self._notes / f"{'.'.join(map(str, index))}.json"
        if lost:
            write_whole(note, json.dumps(lost).encode())
        else:  # what a killed run could not read may be there now
            note.unlink(missing_ok=True)
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
