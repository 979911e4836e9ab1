"""Pixels from a file into a store: read once, compressed and halved while the next are read."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from unetflow.engine.each import in_order
from unetflow.images.in_file import ImageInFile
from unetflow.images.intensities import Moments
from unetflow.images.resampling import Lost, ends_of
from unetflow.progress import progress
from unetflow.store.files import write_whole
from unetflow.store.pyramid import halved
from unetflow.store.shards import Index, ShardedArray
from unetflow.tiles.regions import within

GROUPS_AHEAD = 2  # of four shards, of volumes up to eight, read but not yet written
Group = tuple[Index, dict[Index, np.ndarray]]
"""A shard of level 1, and the blocks of the shards of level 0 that it is made of."""


class Copying:
    """Level 0 from the file, shard by shard, and level 1 from the same pixels while they are here.

    The caller's thread reads; others compress and write, a few groups of shards behind.
    """

    def __init__(self, image: ImageInFile, arrays: list[ShardedArray], notes: Path) -> None:
        self._image, self._notes = image, notes
        self._array, self._coarser = arrays[0], arrays[1] if len(arrays) > 1 else None
        self._factors = self._halved_by()
        self._missing = set(self._array.missing())
        self._missing_coarser = set(self._coarser.missing()) if self._coarser else set()
        if len(self._missing) == len(self._array.shards()):
            shutil.rmtree(notes, ignore_errors=True)

    def run(self, threads: int) -> Moments:
        """Do what is missing; the moments of all pixels, in the order of the shards."""
        groups: dict[Index, list[Index]] = {}
        for index in self._array.shards():
            group = tuple(k // factor for k, factor in zip(index, self._factors, strict=True))
            groups.setdefault(group, []).append(index)
        moments: dict[Index, Moments] = {}
        read = self._read(groups.items())
        with progress("read", total=len(groups)) as tick:
            for found in in_order(self._finish, read, threads=threads, ahead=GROUPS_AHEAD):
                moments |= found
                tick()
        total = Moments()
        for index in self._array.shards():
            total.merge(moments[index])
        return total

    def lost(self) -> list[Lost]:
        """What could not be read in any shard, of this run or before."""
        noted = sorted(self._notes.glob("*.json"))
        every = [each for note in noted for each in json.loads(note.read_text())]
        return sorted(every, key=ends_of)

    def _halved_by(self) -> tuple[int, ...]:
        """Along each axis 2 where level 1 is half of level 0, else 1."""
        whole = self._array.array.shape
        if self._coarser is None:
            return (1, *(2 for _ in whole[1:]))
        halves = self._coarser.array.shape
        return tuple(2 if half < size else 1 for size, half in zip(whole, halves, strict=True))

    def _read(self, groups: Iterable[tuple[Index, list[Index]]]) -> Iterator[Group]:
        for group, members in groups:
            yield group, {index: self._block(index) for index in members}

    def _block(self, index: Index) -> np.ndarray:
        if index not in self._missing:
            return np.asarray(self._array.array[self._array.region(index)])
        _, *region = self._array.region(index)
        lost: list[Lost] = []
        block = self._image.read(tuple(region), lost)
        # noted before the shard is written, so that a run that goes on knows it
        note = self._notes / f"{'.'.join(map(str, index))}.json"
        if lost:
            write_whole(note, json.dumps(lost).encode())
        else:  # what a killed run could not read may be there now
            note.unlink(missing_ok=True)
        return block

    def _finish(self, read: Group) -> dict[Index, Moments]:
        """Write a group of shards and the one that they halve to; the moments of each."""
        group, blocks = read
        found: dict[Index, Moments] = {}
        for index, block in blocks.items():
            if index in self._missing:
                self._array.write(index, block)
            found[index] = Moments.of(block)
        if self._coarser is not None and group in self._missing_coarser:
            self._coarser.write(group, halved(self._joined(blocks), self._factors))
        return found

    def _joined(self, blocks: Mapping[Index, np.ndarray]) -> np.ndarray:
        """The shards of a group as one block."""
        regions = [self._array.region(index) for index in blocks]
        whole = tuple(
            slice(min(part.start for part in parts), max(part.stop for part in parts))
            for parts in zip(*regions, strict=True)
        )
        dtype = self._array.array.dtype
        joined = np.empty([part.stop - part.start for part in whole], dtype)
        for region, block in zip(regions, blocks.values(), strict=True):
            joined[within(region, whole)] = block
        return joined
