"""The foreground of one image into its store: shard by shard, streamed, restartable.

A task reads the tiles of one shard, runs them and writes the shard whole; several are on their way
together. Shape suffixes: C channels, K classes, H W of a tile, Y X of a level.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import dask
import numpy as np
import torch

from unetflow.engine.devices import resolve_device, resolve_precision, use_threads
from unetflow.engine.memory import keep_freed_memory
from unetflow.errors import ModelError, SlideError, StoreError
from unetflow.predict.ensemble import READERS, Ensemble
from unetflow.predict.forward import as_batch, cut
from unetflow.predict.plan import can_have, check_shard_px, choose, warn_of_another_machine
from unetflow.predict.runners import Turns, turns_of
from unetflow.progress import progress
from unetflow.store.chunk_cache import KeptChunks, bytes_around
from unetflow.store.ome import PixelSize, ome_image, write_group
from unetflow.store.pixels import Pixels, normalised
from unetflow.store.pyramid import halved, level_shapes, write_coarser
from unetflow.store.shards import Index, Layout, ShardedArray, join_array, open_array
from unetflow.store.tissue_mask import Tissue
from unetflow.tiles.mirror import read_mirrored
from unetflow.tiles.regions import Region
from unetflow.tiles.tiling import no_more_than_written, put_tile, tiles_for

log = logging.getLogger(__name__)


AXES = ("c", "y", "x")
Share = tuple[int, int]
"""Which shards a job does: every so many-th (of), from this one on (number)."""
BEGIN: Share = (0, 0)  # none: the array is made
END: Share = (-1, 1)  # what is still missing: nothing, where all shares are done


def write_foreground(
    ensemble: Ensemble,
    pixels: Pixels,
    store: str | Path,
    *,
    size: PixelSize,
    tissue: Tissue | None,
    decided_by: dict[str, Any],
    write_px: int | None,
    shard_px: int,
    dtype: str,
    average: int,
    precision: str,
    threads: int,
    gpu: bool,
    require_gpu: bool,
    share: Share | None = None,
) -> ShardedArray:
    """Array `foreground` (K, Y, X) of a store: P(pixel belongs to an object), a plane per class.

    Of `pixels` (C, Y, X) as they are stored; as uint8 255 is 1.0. Outside the tissue, if that is
    known, it is 0 and no network is run. Finished shards of the same making are kept. Tiles write
    `write_px` px, if that is None as many as suit the precision, and fewer where memory is short.
    `share` says which shards are done; without one all of them. Raises ModelError where nothing
    fits, and where a share cannot be done as the array was begun.
    """
    if write_px is not None:
        check_shard_px(shard_px, write_px)
    turns = turns_of(average)
    layout = Layout((len(ensemble.classes), *pixels.shape[1:]), dtype, AXES, shard_px)
    parameters = {"write_px": write_px, "average": average, "precision": precision}
    decided_by = {**decided_by, "parameters": parameters}
    joined = None
    if share not in (None, BEGIN):
        joined = join_array(store, "foreground", layout, decided_by=decided_by)
        if share == END:
            joined.drop_unreadable()
        if not (missing := _of_share(joined, share)):  # no device is needed, or was granted
            return joined
        if share == END and joined.chosen["device"] != "cpu" and not gpu:
            raise StoreError(
                f"{store}: {len(missing)} shards are missing or were damaged, and this job, which "
                "ends the image, has no GPU to do them. Delete the receipts of its parts, "
                f"*of*.json in {Path(store).parent / 'parts'}, and run the same command again: all "
                "others are kept."
            )
    keep_freed_memory()
    device = resolve_device(gpu=gpu, require_gpu=require_gpu)
    torch.backends.cudnn.deterministic = True  # the same shard has the same bits each time
    granted = use_threads(threads)
    now = choose(
        ensemble,
        turns,
        layout,
        write_px,
        device=device,
        precision=resolve_precision(precision, device),
        granted=granted,
        held_bytes=bytes_around(pixels, shard_px),
    )
    fits = partial(ensemble.fits, turns, device=device, precision=now["precision"])
    fitting = partial(can_have, now=now, fits=fits)
    foreground = joined or _begun(store, layout, decided_by, now, fitting, size)
    if missing := _of_share(foreground, share):
        if not fitting(foreground.chosen):
            raise ModelError(
                f"{store}: was begun with {foreground.chosen}, this job has {now}. Give all jobs "
                "of an image the same kind of machine, or set predict: parts to 1."
            )
        warn_of_another_machine(store, foreground.chosen, now)
        _finish(foreground, missing, ensemble, pixels, turns, granted, tissue)
    return foreground


def write_foreground_levels(
    store: str | Path,
    foreground: ShardedArray,
    digest: str,
    threads: int,
    *,
    size: PixelSize,
) -> None:
    """Coarser levels of a finished foreground with this digest, for viewers, and its metadata.

    `size` is that of its pixels; one that was stored before may have been corrected.
    """
    levels = len(level_shapes(foreground.array.shape[1:]))
    names = ["foreground", *(f"foreground_{k}" for k in range(1, levels))]
    write_coarser(
        store,
        foreground,
        "foreground_{}",
        halved,
        axes=AXES,
        decided_by={"foreground": digest},
        threads=threads,
    )
    scales = {name: [1.0, *size.at_level(k)] for k, name in enumerate(names)}
    write_group(store, "", ome_image("foreground", AXES, scales, unit=size.unit))


def _begun(
    store: str | Path,
    layout: Layout,
    decided_by: dict[str, Any],
    now: dict[str, Any],
    can_have: Callable[[Mapping[str, Any]], bool],
    size: PixelSize,
) -> ShardedArray:
    """The array of a foreground, with the shards that it has already."""
    foreground = open_array(
        store,
        "foreground",
        layout,
        decided_by=decided_by,
        chosen=now,
        can_have=can_have,
    )
    if foreground.missing():  # else coarser levels are there too
        scales = {"foreground": [1, *size.scale]}
        write_group(store, "", ome_image("foreground", AXES, scales, unit=size.unit))
    return foreground


def _of_share(foreground: ShardedArray, share: Share | None) -> list[Index]:
    """Shards that this job has to do."""
    if share == BEGIN:
        return []
    number, of = (0, 1) if share in (None, END) else share
    own = set(foreground.shards()[number::of])
    return [index for index in foreground.missing() if index in own]


def _finish(
    foreground: ShardedArray,
    missing: Sequence[Index],
    ensemble: Ensemble,
    pixels: Pixels,
    turns: Turns,
    granted: int,
    tissue: Tissue | None,
) -> None:
    """One Dask task per missing shard: read its tiles, run them, write it whole.

    `READERS` workers more than tiles may be on their way together read or write meanwhile.
    """
    chosen = foreground.chosen
    write_px, threads = chosen["write_px"], chosen["threads"]
    shard_px = foreground.array.shards[-1]
    held_bytes = bytes_around(pixels, shard_px)
    network, dtype = ensemble.network, foreground.array.dtype
    at_once = ensemble.tiles_at_once(chosen, granted // threads, held_bytes)
    workers = at_once + READERS
    image = KeptChunks(pixels, workers, shard_px)
    log.info("needs %s", ensemble.needs(chosen, at_once, held_bytes))
    run = ensemble.runner(chosen, turns, at_once)
    total = sum(_pixels_of(foreground.region(index)) for index in missing)
    with progress("predict", total=total, pixels=True) as tick:

        def finish_shard(index: tuple[int, ...]) -> None:
            use_threads(threads)  # each of Dask's workers has a number of its own
            classes, *region_YX = foreground.region(index)
            region = (region_YX[0], region_YX[1])
            tiles = [
                tile
                for tile in tiles_for(network, image.shape[1:], write_px, region)
                if tissue is None or tissue.reaches(*tile.write)
            ]
            if network.seamless and chosen["device"] == "cpu":  # GPUs have tiles of one size
                tiles = [no_more_than_written(tile, network) for tile in tiles]
            sizes = (classes.stop, *(part.stop - part.start for part in region))
            block = np.zeros(sizes, dtype if network.seamless else np.float32)
            for tile in tiles:
                stored_CHW = _finite(read_mirrored(image, tile.read), tile.write)
                probabilities_KHW = run(
                    [
                        as_batch(normalised(stored_CHW, of["intensity"]))
                        for of in ensemble.descriptions
                    ]
                )
                objects_KHW = _stored(cut(probabilities_KHW, tile)[1:].numpy(), block.dtype)
                put_tile(block, region, objects_KHW, tile, network, write_px, image.shape[1:])
            block = block if network.seamless else _stored(block, dtype)
            if tissue is not None:
                block *= tissue.inside(*region)
            foreground.write(index, block)
            tick(_pixels_of(region))

        in_order = image.in_strips(missing)
        tasks = [  # Dask begins with the last name
            dask.delayed(finish_shard)(index, dask_key_name=f"shard {len(in_order) - number:09d}")
            for number, index in enumerate(in_order)
        ]
        with ThreadPoolExecutor(workers) as pool:  # after an error, what is in work is finished
            dask.compute(*tasks, scheduler="threads", pool=pool)


def _finite(pixels_CYX: np.ndarray, region: Region) -> np.ndarray:
    """The pixels as they are. Raises SlideError where one is no number: it would spread."""
    if pixels_CYX.dtype.kind == "f" and not np.isfinite(pixels_CYX).all():
        rows, columns = region
        raise SlideError(
            f"the image has NaN or infinite pixels in or around rows {rows.start} to {rows.stop}, "
            f"columns {columns.start} to {columns.stop}. Replace them and run the command again."
        )
    return pixels_CYX


def _pixels_of(region: Region) -> int:
    """Of a region's last two axes."""
    return math.prod(part.stop - part.start for part in region[-2:])


def _stored(probabilities: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype == np.uint8:
        scaled = probabilities * 255
        return np.rint(scaled, out=scaled).astype(np.uint8)
    return probabilities.astype(dtype)
