"""Rule prepare_image: whatever the microscope gave becomes sharded OME-Zarr."""

import itertools
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetflow.errors import ReplacedError, SlideError
from unetflow.images.ground import Coarse, Ground
from unetflow.images.in_file import ImageInFile, Wanted, open_slide, source_of
from unetflow.images.ingest import Copying
from unetflow.images.intensities import Moments
from unetflow.images.resampling import Lost, Source, ends_of, lost_at
from unetflow.images.slide import Slide
from unetflow.images.sources import (
    Chosen,
    RawFile,
    chosen_of,
    has_changed,
    raw_digest,
    replaced,
)
from unetflow.images.staging import content_as_read, staged
from unetflow.images.tissue_finding import COARSE, THRESHOLD, coarse_level, find_tissue
from unetflow.provenance.receipts import write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.schemas import Unreadable
from unetflow.provenance.shard_lists import write_shard_list
from unetflow.store.levels import level_factors, level_shapes
from unetflow.store.names import TISSUE
from unetflow.store.ome import image_axes, ome_image, write_group
from unetflow.store.pyramid import clear_levels, halve, halved
from unetflow.store.rendering import channels_of_pixels, write_rendering
from unetflow.store.shards import Layout, ShardedArray, clear, open_array
from unetflow.store.tissue_mask import write_tissue
from unetflow.tiles.regions import PLANE, side_px, sides_of

log = logging.getLogger(__name__)


KEPT_SHARE = 0.02  # of the pixels of an image whose file is read again
MARKS = 2048  # along the longer side of an image: squares (or cubes) of an unreadable share


def prepare_image(
    *,
    raw: RawFile,
    wanted: Wanted,
    store: str | Path,
    receipt: str | Path,
    keep: bool = True,
    max_unreadable: float,
    threads: int,
    code: str,
    scratch: str | None = None,
) -> None:
    """Rule prepare_image: the pixels of one image as a pyramid of (C, Y, X), shard by shard.

    Of a volume (C, Z, Y, X). The level of the file is the given one, or the image is made at what
    is `wanted`, or the finest level is taken. What lies outside the tissue is taken from a coarse
    level of the file, if it has one, and not predicted. Places that cannot be read are 0 and stand
    in the receipt, up to the share `max_unreadable` of the image. The file is copied to `scratch`
    before it is read, if that is given. Without `keep` coarse levels alone stay in the store, what
    `first_kept` says of them; prediction reads the file then. Raises SlideError.
    """
    record = RunRecord(receipt)
    path, tissue = raw["path"], wanted["tissue"]
    with staged(raw, scratch) as near, open_slide(near, wanted) as slide:
        _log_reading(slide)
        content = content_as_read(raw, near)
        digest_of_mask = _digest_of_mask(tissue)
        source, picked = source_of(slide, wanted)
        ground = _ground(source, picked, tissue)
        parameters = _parameters(chosen_of(raw), source, picked, ground)
        decided_by = {"input": content.digest, "parameters": parameters, "code": code}
        name = Path(path).name
        arrays = _open_pyramid(store, name, source, len(picked), decided_by)
        image = ImageInFile(source, picked, ground)
        copying = Copying(image, arrays, Path(store) / "unreadable")
        moments = copying.run(threads)
        unreadable = _check_lost(path, copying.lost(), source, max_unreadable)
        levels_of_file = [
            {"shape": level.shape_px, "pixel_um": level.pixel_um} for level in slide.levels
        ]
    if has_changed(raw, content):
        for array in arrays:
            clear(array.path)
        raise ReplacedError(replaced(path))
    for finer, coarser in itertools.pairwise(arrays[1:]):
        halve(finer, coarser, halved, threads)
    kept = ground.tissue if ground else tissue and find_tissue(tissue, _coarse(arrays), source)
    described = _described(arrays, source)
    first = 0 if keep else _leave_coarse(store, name, source, arrays)
    levels = [str(k) for k in range(first, len(arrays))]
    if kept:
        write_tissue(store, kept)
        levels.append(TISSUE)
    of_pixels = _described_pixels(moments)
    write_rendering(store, channels_of_pixels(of_pixels, str(arrays[0].array.dtype)))
    write_receipt(
        receipt,
        {
            "sources": {"path": content.digest, "tissue": digest_of_mask},
            "axes": image_axes(source.size),
            "dtype": str(arrays[0].array.dtype),
            "levels": described,
            "first_level": first,
            "level": source.level,
            "levels_of_file": levels_of_file,
            "not_applied": slide.not_applied,
            "odd": slide.odd,
            "unreadable": unreadable,
            "tissue": kept.described() if kept else None,
            "pixels": of_pixels,
            "shards": write_shard_list(receipt, store, levels),
        },
    )
    record.write(path=str(path))


def _leave_coarse(
    store: str | Path, name: str, source: Source, arrays: Sequence[ShardedArray]
) -> int:
    """Take the fine levels of a store away; the first that stays."""
    first = first_kept([array.array.shape for array in arrays])
    write_group(store, "", _metadata(name, source, first))
    for array in arrays[:first]:
        clear(array.path)
    return first


def _digest_of_mask(tissue: str | None) -> str | None:
    return None if tissue in (None, THRESHOLD) else raw_digest(str(tissue))


def _log_reading(slide: Slide) -> None:
    """Say what of a file is not read, or not as it may be expected."""
    for note in slide.notes:
        log.info("%s: %s", slide.path, note)
    for name in slide.not_applied:
        log.warning(
            "%s: the %s of its row does not apply to it, and counts for the truth alone",
            slide.path,
            name,
        )


def _parameters(
    chosen: Chosen, source: Source, channels: Sequence[int], ground: Ground | None
) -> dict[str, object]:
    """What decides the pixels, beside the file and the code."""
    parameters: dict[str, object] = {
        **chosen,
        "level": source.level,
        "channels": channels,
        "mpp": source.mpp,
        "shape_px": source.shape_px,
        "tissue": ground and ground.tissue.described()["digest"],
    }
    if len(source.shape_px) > PLANE:
        parameters["spacing"] = [*source.size.scale]  # which planes are halved hangs on it
    return parameters


def _described_pixels(moments: Moments) -> dict[str, list[float]]:
    """Of each channel what its pixels are like, for the receipt."""
    return {
        "lowest": moments.low.tolist(),
        "highest": moments.high.tolist(),
        "mean": moments.mean.tolist(),
        "deviation": moments.deviation.tolist(),
    }


def _described(arrays: Sequence[ShardedArray], source: Source) -> list[dict[str, object]]:
    """Of each level its shape, its digest and its resolution, for the receipt."""
    size, described = source.size, []
    for array, factors in zip(arrays, level_factors(source.shape_px, size.scale), strict=True):
        of: dict[str, object] = {
            "shape": array.array.shape,
            "digest": array.content_digest(),
            "mpp": source.mpp and source.mpp * factors[-1],
        }
        if len(source.shape_px) > PLANE:
            of |= {"spacing": size.at_level(factors), "unit": size.unit}
        described.append(of)
    return described


def _open_pyramid(
    store: str | Path, name: str, source: Source, channels: int, decided_by: Mapping[str, object]
) -> list[ShardedArray]:
    """The arrays of all levels, finest first, each half of the one before, and their metadata."""
    axes, dtype = image_axes(source.size), str(source.slide.dtype)
    sizes_px = level_shapes(source.shape_px, source.size.scale)
    write_group(store, "", _metadata(name, source, 0))
    clear_levels(store, "{}", len(sizes_px))
    return [
        open_array(store, str(k), Layout((channels, *size_px), dtype, axes), decided_by=decided_by)
        for k, size_px in enumerate(sizes_px)
    ]


def _metadata(name: str, source: Source, first: int) -> dict[str, Any]:
    """Of an image with its levels from this one on."""
    size = source.size
    factors = level_factors(source.shape_px, size.scale)
    scales = {str(k): [1.0, *size.at_level(of)] for k, of in enumerate(factors) if k >= first}
    return ome_image(name, image_axes(size), scales, unit=size.unit)


def first_kept(shapes: Sequence[Sequence[int]]) -> int:
    """The finest level that takes, with all coarser ones, `KEPT_SHARE` of the pixels at most.

    Or the coarsest, as a picture needs one.

    >>> first_kept([(3, 4096, 4096), (3, 2048, 2048), (3, 1024, 1024), (3, 512, 512)])
    3
    """
    pixels = [math.prod(shape) for shape in shapes]
    small = (k for k in range(len(pixels)) if sum(pixels[k:]) <= KEPT_SHARE * pixels[0])
    return next(small, len(pixels) - 1)


def _ground(source: Source, channels: list[int], tissue: str | Path | None) -> Ground | None:
    """What need not be read at full resolution: what is not tissue, if the file has it coarser."""
    coarse = coarse_level(source, channels) if tissue else None
    if not tissue or not coarse:
        return None
    return Ground(find_tissue(tissue, coarse, source), coarse, source.shape_px)


def _coarse(arrays: Sequence[ShardedArray]) -> Coarse:
    """The coarsest level of a prepared image that still shows small things."""
    array = arrays[min(len(arrays), COARSE[1].bit_length() - 1) - 1].array
    return Coarse(
        lambda rows, columns: np.asarray(array[:, rows, columns]),
        (array.shape[1], array.shape[2]),
    )


def _named(place: Lost) -> str:
    ends = zip(sides_of(len(ends_of(place))), ends_of(place), strict=True)
    return ", ".join(f"{side} {of}" for side, of in ends)


def _check_lost(
    path: str | Path, lost: list[Lost], source: Source, most: float
) -> list[Unreadable]:
    """The unreadable places in pixels of the result. Raises SlideError where they are too many."""
    if not lost:
        return []
    places: list[Unreadable] = []
    mark_px = -(-max(source.shape_px) // side_px(MARKS, len(source.shape_px)))
    unreadable = np.zeros(tuple(-(-size // mark_px) for size in source.shape_px), bool)
    for each in lost:
        place = source.place(each)
        marks = tuple(slice(of.start // mark_px, -(-of.stop // mark_px)) for of in place)
        unreadable[marks] = True
        places.append(lost_at(place, each["why"]))
    share = float(unreadable.mean())
    if share > most:
        raise SlideError(
            f"{path}: {share:.1%} of it cannot be read ({len(lost)} places, the first at "
            f"{_named(lost[0])}: {lost[0]['why']}), more than the "
            f"{most:.1%} that prepare: max_unreadable allows. Copy the file anew, raise the limit, "
            "or take the image out of the sheet."
        )
    log.warning("%s: %d unreadable places are filled with 0 and ignored", path, len(places))
    return places
