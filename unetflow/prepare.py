"""Preparation: whatever the microscope gave becomes sharded OME-Zarr. Truth: `unetflow.truth`."""

import itertools
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.errors import SlideError
from unetflow.moments import Moments
from unetflow.ome import ome_image, write_group
from unetflow.paths import has_changed
from unetflow.progress import progress
from unetflow.receipts import RunRecord, write_receipt, write_whole
from unetflow.sampling import Lost, Source, source_at
from unetflow.slides import Slide
from unetflow.stores import Layout, ShardedArray, open_array

log = logging.getLogger(__name__)

AXES = ("c", "y", "x")
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
        lost = _copy(source, picked, arrays[0], Path(store) / "unreadable")
        unreadable = _check_lost(path, lost, source, max_unreadable)
        found = [{"shape": level.shape_px, "mpp": level.mpp} for level in slide.levels]
    if has_changed(path, fingerprint):
        raise SlideError(
            f"{path}: was replaced while the run went on. Run the same command again and leave "
            "the file as it is meanwhile."
        )
    for finer, coarser in itertools.pairwise(arrays):
        _halve(finer, coarser)
    levels = [
        {"shape": array.array.shape, "mpp": scales[str(k)][1] if source_mpp else None}
        | {"digest": array.content_digest()}
        for k, array in enumerate(arrays)
    ]
    moments = Moments()
    for index in arrays[0].shards():
        moments.add(np.asarray(arrays[0].array[arrays[0].region(index)]))
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


def _copy(source: Source, channels: list[int], array: ShardedArray, notes: Path) -> list[Lost]:
    """Read all missing shards; what could not be read in any of them, of this run or before.

    What a shard lost is noted before the shard is written, so that a run that goes on knows it.
    """
    missing = array.missing()
    if len(missing) == len(array.shards()):
        shutil.rmtree(notes, ignore_errors=True)
    with progress("read", total=len(missing)) as tick:
        for index in missing:
            _, rows, columns = array.region(index)
            lost: list[Lost] = []
            block = source.read(rows, columns, lost)[channels]
            if not np.isfinite(block).all():
                raise SlideError(
                    f"{source.slide.path}: NaN or infinite pixels between rows {rows.start} and "
                    f"{rows.stop}, columns {columns.start} and {columns.stop}. Replace them."
                )
            if lost:
                write_whole(notes / f"{'.'.join(map(str, index))}.json", json.dumps(lost).encode())
            array.write(index, block)
            tick()
    noted = sorted(notes.glob("*.json"))
    every = [each for note in noted for each in json.loads(note.read_text())]
    return sorted(every, key=lambda each: (each["rows"], each["columns"]))


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


def _halve(finer: ShardedArray, coarser: ShardedArray) -> None:
    """The next level: means of 2x2 pixels, the last row or column alone where the size is odd."""
    for index in coarser.missing():
        channels, *region = coarser.region(index)
        doubled = tuple(
            slice(2 * part.start, min(2 * part.stop, size))
            for part, size in zip(region, finer.array.shape[1:], strict=True)
        )
        block = np.asarray(finer.array[(channels, *doubled)])
        odd = [(0, size % 2) for size in block.shape[1:]]
        block = np.pad(block, [(0, 0), *odd], mode="edge").astype(np.float64)
        mean = block.reshape(len(block), block.shape[1] // 2, 2, block.shape[2] // 2, 2)
        halved = mean.mean(axis=(2, 4))
        if np.issubdtype(coarser.array.dtype, np.integer):
            halved = np.rint(halved)
        coarser.write(index, halved.astype(coarser.array.dtype))
