"""The foreground of one image into its store: shard by shard, streamed, restartable.

A task reads the tiles of one shard, runs them and writes the shard whole; several are on their way
together. Shape suffixes: C channels, K classes, Y X of a level.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unetflow.engine.devices import resolve_device, resolve_precision, use_threads
from unetflow.engine.each import for_each
from unetflow.engine.machine import Machine
from unetflow.engine.memory import keep_freed_memory
from unetflow.errors import ModelError, StoreError
from unetflow.predict.ensemble import READERS, Ensemble
from unetflow.predict.filled_arrays import Filled, filled_with
from unetflow.predict.plan import (
    BEGIN,
    END,
    Inference,
    Plan,
    PredictOptions,
    Share,
    can_have,
    warn_of_another_machine,
)
from unetflow.predict.predicted_image import PredictedImage
from unetflow.predict.runners import orientations_of
from unetflow.store.chunk_cache import CachedChunks, bytes_around
from unetflow.store.foreground_levels import AXES
from unetflow.store.names import FOREGROUND
from unetflow.store.ome import PixelSize, ome_image, write_group
from unetflow.store.pixels import Pixels, of_image
from unetflow.store.shards import Index, Layout, ShardedArray, join_array, open_array
from unetflow.store.tissue_mask import Tissue
from unetflow.tiles.regions import Region

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Work:
    """What a job did itself of an image: what it found finished is not in it."""

    computed_px: int = 0  # (Y, X) of its shards, with what lies outside the tissue
    computing_s: float = 0.0  # from the first tile that was read to the last shard written


def write_foreground(
    ensemble: Ensemble,
    pixels: Pixels,
    store: str | Path,
    *,
    size: PixelSize,
    tissue: Tissue | None,
    decided_by: Mapping[str, object],
    options: PredictOptions,
    machine: Machine,
    work: Work | None = None,
) -> ShardedArray:
    """Array `foreground` (K, Y, X) of a store: P(pixel belongs to an object), a plane per class.

    Networks with heads fill array `heads` (J, Y, X) beside it, in the same pass.
    Of `pixels` (C, Y, X) as they are stored. Outside the tissue, if that is known, it is 0 and no
    network is run. Finished shards of the same making are kept. Tiles are smaller than wanted where
    memory is short. What is computed now, rather than kept, is added to `work`. Raises ModelError
    where nothing fits, and where a share cannot be done as the array was begun.
    """
    layout = Layout(
        (len(ensemble.classes), *pixels.shape[1:]), options.dtype, AXES, options.shard_px
    )
    decided_by = {**decided_by, "parameters": options.parameters}
    joined = None
    if options.share not in (None, BEGIN):
        foreground = join_array(store, FOREGROUND, layout, decided_by=decided_by)
        joined = filled_with(
            foreground, len(ensemble.heads), store, layout, decided_by, joined=True
        )
        if not _left_to_do(joined, store, options.share, machine):
            return foreground  # no device is needed, or was granted
    keep_freed_memory()
    how, granted = _resolved(options, machine), use_threads(machine.threads)
    held_bytes = bytes_around(pixels, options.shard_px)
    now = ensemble.plan(how, layout, options.write_px, granted=granted, held_bytes=held_bytes)

    def can_go_on(begun: Mapping[str, Any]) -> bool:
        return can_have(
            Plan.read(begun), now, lambda plan: ensemble.fits(plan.tiling(ensemble.geometry), how)
        )

    arrays = joined or filled_with(
        _begun(store, layout, decided_by, now, can_go_on, size),
        len(ensemble.heads),
        store,
        layout,
        decided_by,
        joined=False,
    )
    foreground = arrays.foreground
    if missing := _of_share(arrays, options.share):
        if not can_go_on(foreground.chosen):
            raise ModelError(
                f"{store}: was begun with {foreground.chosen}, this job has {now.stored}. Give all "
                "jobs of an image the same kind of machine, or set predict: parts to 1."
            )
        plan = Plan.read(foreground.chosen)
        warn_of_another_machine(store, plan, now)
        started_s = time.monotonic()
        _finish(arrays, missing, ensemble, pixels, tissue, plan, granted)
        if work is not None:
            work.computing_s += time.monotonic() - started_s
            work.computed_px += sum(_pixels_of(foreground.region(index)) for index in missing)
    return foreground


def _left_to_do(
    arrays: Filled, store: str | Path, share: Share | None, machine: Machine
) -> list[Index]:
    """Shards of its share that a job has to do of an array that another has begun.

    Raises StoreError where they need a GPU and the job, which ends the array, has none.
    """
    if share == END:
        arrays.drop_unusable()
    missing = _of_share(arrays, share)
    if missing and share == END and arrays.foreground.chosen["device"] != "cpu" and not machine.gpu:
        raise StoreError(
            f"{store}: {len(missing)} shards are missing or were damaged, and this job, which ends "
            "the image, has no GPU to do them. Delete the receipts of its parts, *of*.json in "
            f"{Path(store).parent / 'parts'}, and run the same command again: all others are kept."
        )
    return missing


def _of_share(arrays: Filled, share: Share | None) -> list[Index]:
    """Shards that this job has to do."""
    if share == BEGIN:
        return []
    number, of = (0, 1) if share in (None, END) else share
    own = set(arrays.foreground.shards()[number::of])
    return [index for index in arrays.missing() if index in own]


def _resolved(options: PredictOptions, machine: Machine) -> Inference:
    """How tiles are computed on this machine."""
    device = resolve_device(gpu=machine.gpu, require_gpu=machine.require_gpu)
    torch.backends.cudnn.deterministic = True  # the same shard has the same bits each time
    precision = resolve_precision(options.precision, device)
    return Inference(device, precision, orientations_of(options.test_time_augmentation))


def _begun(
    store: str | Path,
    layout: Layout,
    decided_by: Mapping[str, object],
    now: Plan,
    can_go_on: Callable[[Mapping[str, Any]], bool],
    size: PixelSize,
) -> ShardedArray:
    """The array of a foreground, with the shards that it has already."""
    foreground = open_array(
        store,
        FOREGROUND,
        layout,
        decided_by=decided_by,
        chosen=now.stored,
        can_have=can_go_on,
    )
    if foreground.missing():  # else coarser levels are there too
        scales = {FOREGROUND: [1, *size.scale]}
        write_group(store, "", ome_image(FOREGROUND, AXES, scales, unit=size.unit))
    return foreground


def _finish(
    arrays: Filled,
    missing: Sequence[Index],
    ensemble: Ensemble,
    pixels: Pixels,
    tissue: Tissue | None,
    plan: Plan,
    granted: int,
) -> None:
    """Each missing shard: read its tiles, run them, write it whole.

    `READERS` workers more than tiles may be on their way together read or write meanwhile.
    """
    how, tiling = plan.inference, plan.tiling(ensemble.geometry)
    foreground = arrays.foreground
    shard_px = foreground.array.shards[-1]
    held_bytes = bytes_around(pixels, shard_px)
    at_once = ensemble.tiles_at_once(tiling, how, granted // plan.threads, held_bytes)
    workers = at_once + READERS
    image = CachedChunks(pixels, workers, shard_px)
    log.info("needs %s", ensemble.needs(tiling, how, at_once, held_bytes))
    run = ensemble.runner(tiling, how, at_once)
    intensities = [of_image(of["intensity"], pixels) for of in ensemble.descriptions]
    trimmed = how.device == "cpu"  # GPUs have tiles of one size
    predicted = PredictedImage(image, intensities, tissue, tiling, run, trimmed)

    def finish_shard(index: Index) -> None:
        use_threads(plan.threads)  # each worker has a number of its own
        _, *inside = foreground.region(index)
        region = slice(0, arrays.planes), *inside
        arrays.write(index, predicted.block(region, foreground.array.dtype))

    for_each(
        finish_shard,
        image.in_strips(missing),
        threads=workers,
        what="predict",
        pixels_of=lambda index: _pixels_of(foreground.region(index)),
    )


def _pixels_of(region: Region) -> int:
    """Of a region's last two axes."""
    return math.prod(part.stop - part.start for part in region[-2:])
