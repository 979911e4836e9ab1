"""One shard of a foreground: tiles read, run and written whole, here or on a worker of a crew."""

import logging
import math
from dataclasses import dataclass
from functools import cached_property

from unetflow.engine.devices import cores, resolve_device, same_bits_each_time, use_threads
from unetflow.engine.distributed import memory_of_worker_mb, threads_of_worker
from unetflow.engine.memory import keep_freed_memory
from unetflow.errors import ModelError
from unetflow.predict.ensemble import READERS, Ensemble
from unetflow.predict.filled_arrays import Filled
from unetflow.predict.plan import Plan
from unetflow.predict.predicted_image import PredictedImage
from unetflow.store.chunk_cache import CachedChunks, bytes_around
from unetflow.store.pixels import Pixels, of_image
from unetflow.store.shards import Index
from unetflow.store.tissue_mask import Tissue

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Tools:
    """What a process finishes shards with."""

    workers: int  # threads that have something to do
    image: CachedChunks
    predicted: PredictedImage


class FinishShard:
    """Finishes shards of one image; `READERS` more threads may than compute at once.

    Sent to a worker it loads the networks there, unless they are.
    """

    def __init__(
        self,
        arrays: Filled,
        ensemble: Ensemble,
        pixels: Pixels,
        tissue: Tissue | None,
        plan: Plan,
        granted: int,
    ) -> None:
        self._arrays, self._ensemble, self._pixels = arrays, ensemble, pixels
        self._tissue, self._plan, self._granted = tissue, plan, granted
        self._foreground = arrays.foreground

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        made_of = self._arrays, self._ensemble, self._pixels, self._tissue, self._plan
        return _on_worker, made_of

    @cached_property
    def tools(self) -> _Tools:
        """Made by the process that is to finish shards, before its threads begin."""
        ensemble, how = self._ensemble, self._plan.inference
        tiling = self._plan.tiling(ensemble.geometry, self._pixels.shape[1:])
        shard_px = self._foreground.array.shards[-1]
        held_bytes = bytes_around(self._pixels, shard_px)
        granted = self._granted // self._plan.threads
        at_once = ensemble.tiles_at_once(tiling, how, granted, held_bytes)
        log.info("needs %s", ensemble.needs(tiling, how, at_once, held_bytes))
        image = CachedChunks(self._pixels, at_once + READERS, shard_px)
        predicted = PredictedImage(
            image,
            [of_image(of["intensity"], self._pixels) for of in ensemble.descriptions],
            self._tissue,
            tiling,
            ensemble.runner(tiling, how, at_once),
            trimmed=how.device == "cpu",  # GPUs have tiles of one size
        )
        return _Tools(at_once + READERS, image, predicted)

    def __call__(self, index: Index) -> None:
        use_threads(self._plan.threads)  # each thread has a number of its own
        _, *inside = self._foreground.region(index)
        region = slice(0, self._arrays.planes), *inside
        block = self.tools.predicted.block(region, self._foreground.array.dtype)
        self._arrays.write(index, block)

    def pixels_of(self, index: Index) -> int:
        """(Y, X) of a shard, or (Z, Y, X)."""
        _, *inside = self._foreground.region(index)
        return math.prod(part.stop - part.start for part in inside)


def _on_worker(
    arrays: Filled, ensemble: Ensemble, pixels: Pixels, tissue: Tissue | None, plan: Plan
) -> FinishShard:
    """Raises ModelError where the worker cannot go on as the array was begun."""
    keep_freed_memory()
    same_bits_each_time()
    device = resolve_device(gpu=plan.device != "cpu")
    tiling = plan.tiling(ensemble.geometry, pixels.shape[1:])
    if device != plan.device or plan.threads > cores() or not ensemble.fits(tiling, plan.inference):
        raise ModelError(
            f"engine: a worker has device {device}, {cores()} cores and "
            f"{memory_of_worker_mb() or 'unlimited'} MB, and {arrays.foreground.path} was begun "
            f"with {plan.stored}. Give all workers the same kind of machine, or end this one."
        )
    finish = FinishShard(arrays, ensemble, pixels, tissue, plan, threads_of_worker())
    assert finish.tools  # once, before the worker's threads begin
    return finish
