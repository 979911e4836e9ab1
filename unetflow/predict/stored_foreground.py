"""The foreground of one image into its store: shard by shard, streamed, restartable.

A task reads the tiles of one shard, runs them and writes the shard whole; several are on their way
together. Shape suffixes: C channels, K classes, Y X of a level.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from unetflow.engine.devices import (
    resolve_device,
    resolve_precision,
    same_bits_each_time,
    use_threads,
)
from unetflow.engine.distributed import threads_of_worker
from unetflow.engine.each import crew, for_each
from unetflow.engine.machine import Machine
from unetflow.engine.memory import keep_freed_memory
from unetflow.errors import ModelError, StoreError
from unetflow.predict.ensemble import Ensemble
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
from unetflow.predict.runners import orientations_of
from unetflow.predict.shard_task import FinishShard
from unetflow.store.chunk_cache import CachedChunks, bytes_around
from unetflow.store.names import FOREGROUND
from unetflow.store.ome import PixelSize, image_axes, ome_image, write_group
from unetflow.store.pixels import Pixels
from unetflow.store.shards import Index, Layout, ShardedArray, join_array, open_array
from unetflow.store.tissue_mask import Tissue

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Work:
    """What a job did itself of an image: what it found finished is not in it."""

    computed_px: int = 0  # (Y, X), or (Z, Y, X), of its shards, with what lies outside the tissue
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

    Of a volume (K, Z, Y, X).
    Networks with heads fill array `heads` (J, Y, X) beside it, in the same pass.
    Of `pixels` (C, Y, X) as they are stored. Outside the tissue, if that is known, it is 0 and no
    network is run. Finished shards of the same making are kept. Tiles are smaller than wanted where
    memory is short. What is computed now, rather than kept, is added to `work`. Raises ModelError
    where nothing fits, and where a share cannot be done as the array was begun.
    """
    layout = Layout(
        (len(ensemble.classes), *pixels.shape[1:]),
        options.dtype,
        image_axes(size),
        options.shard_px,
    )
    options.check(len(size.scale))
    decided_by = {**decided_by, "parameters": options.parameters}
    joined = None
    if options.share not in (None, BEGIN):
        foreground = join_array(store, FOREGROUND, layout, decided_by=decided_by)
        joined = filled_with(
            foreground, len(ensemble.heads), store, layout, decided_by, joined=True
        )
        if not _left_to_do(joined, store, options.share, machine):
            return foreground  # no device is needed, or was granted
    ask = helpers.ask if (helpers := crew()) else _here  # who computes, says what it can
    now = ask(partial(_planned, ensemble, pixels, layout, options, machine))

    def can_go_on(begun: Mapping[str, Any]) -> bool:
        return ask(partial(_can_go_on, ensemble, layout.shape[1:], dict(begun), now))

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
        granted = use_threads(machine.threads)
        finish = FinishShard(arrays, ensemble, pixels, tissue, plan, granted)
        here = crew() is None  # else this process may lack the device
        shard_px = foreground.array.shards[-1]
        image = finish.tools.image if here else CachedChunks(pixels, granted, shard_px)
        for_each(
            finish,
            image.in_strips(missing),
            threads=finish.tools.workers if here else granted,
            what="predict",
            pixels_of=finish.pixels_of,
            sendable=True,
        )
        if work is not None:
            work.computing_s += time.monotonic() - started_s
            work.computed_px += sum(map(finish.pixels_of, missing))
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


Result = TypeVar("Result")


def _here(do: Callable[[], Result]) -> Result:
    return do()


def _planned(
    ensemble: Ensemble, pixels: Pixels, layout: Layout, options: PredictOptions, machine: Machine
) -> Plan:
    """How tiles are computed by this process; a worker of a crew has what it has."""
    keep_freed_memory()
    threads, gpu = machine.threads, machine.gpu
    if threads_of_worker():
        threads, gpu = threads_of_worker(), True
    granted = use_threads(threads)
    device = resolve_device(gpu=gpu, require_gpu=machine.require_gpu)
    same_bits_each_time()
    precision = resolve_precision(options.precision, device)
    axes = len(ensemble.geometry.axes)
    how = Inference(device, precision, orientations_of(options.test_time_augmentation, axes))
    held_bytes = bytes_around(pixels, layout.shards[-1])
    return ensemble.plan(how, layout, options.write_px, granted=granted, held_bytes=held_bytes)


def _can_go_on(
    ensemble: Ensemble, shape: tuple[int, ...], begun: Mapping[str, Any], now: Plan
) -> bool:
    """Whether this process can do the rest of an array that was begun so."""
    return can_have(
        Plan.read(begun),
        now,
        lambda plan: ensemble.fits(plan.tiling(ensemble.geometry, shape), now.inference),
    )


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
        write_group(store, "", ome_image(FOREGROUND, image_axes(size), scales, unit=size.unit))
    return foreground
