"""The refined foreground of one image into its store: shard by shard, streamed, restartable."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from unetflow.engine.each import for_each
from unetflow.refine.refinement import Refinement
from unetflow.store.chunk_cache import CachedChunks
from unetflow.store.foreground import as_stored
from unetflow.store.names import FOREGROUND, REFINED
from unetflow.store.pixels import Normalised, Pixels
from unetflow.store.shards import Index, Layout, ShardedArray, open_array, read_array
from unetflow.store.tissue_mask import Tissue


@dataclass(frozen=True, slots=True)
class Compared:
    """The image that a CRF compares the pixels of: (C, Y, X), as stored."""

    pixels: Pixels
    mean: Sequence[float]  # of each channel, as the next
    deviation: Sequence[float]

    def cached(self, threads: int, shard_px: int) -> Normalised:
        """Normalised; a channel of one value has no deviation and stays 0."""
        deviation = [value or 1.0 for value in self.deviation]
        intensity = {"mean": list(self.mean), "deviation": deviation}
        return Normalised(CachedChunks(self.pixels, threads, shard_px), intensity)


def refine_store(
    store: str | Path,
    how: Refinement,
    *,
    image: Compared | None,
    tissue: Tissue | None,
    threads: int,
    decided_by: Mapping[str, object],
) -> ShardedArray:
    """Array `refined` of a store with a foreground, of its type and shards.

    A CRF needs the `image`. Outside the tissue, if that is known, it is 0 as the foreground is.
    Finished shards of the same making are kept.
    """
    foreground = read_array(store, FOREGROUND)
    shard_px = foreground.shards[-1]
    layout = Layout(foreground.shape, str(foreground.dtype), ("c", "y", "x"), shard_px)
    decided_by = {**decided_by, "parameters": asdict(how)}
    refined = open_array(store, REFINED, layout, decided_by=decided_by)
    cached = CachedChunks(foreground, threads, shard_px)
    compared = image.cached(threads, shard_px) if image else None

    def finish_shard(index: Index) -> None:
        _, *region = refined.region(index)
        block = as_stored(how.block(cached, compared, tuple(region), tissue), foreground.dtype)
        refined.write(index, block)

    for_each(
        finish_shard,
        cached.in_strips(refined.missing()),
        threads=threads,
        what="refine",
        pixels_of=lambda index: math.prod(
            part.stop - part.start for part in refined.region(index)[1:]
        ),
    )
    return refined
