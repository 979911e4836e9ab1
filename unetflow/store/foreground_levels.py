"""Coarser levels of a finished foreground, and what its store says of its images."""

from pathlib import Path

from unetflow.store.levels import level_factors
from unetflow.store.names import FOREGROUND
from unetflow.store.ome import PixelSize, image_axes, ome_image, read_attributes, write_group
from unetflow.store.pyramid import halved, write_coarser
from unetflow.store.shards import ShardedArray


def write_foreground_levels(
    store: str | Path,
    foreground: ShardedArray,
    digest: str,
    threads: int,
    *,
    size: PixelSize,
) -> list[str]:
    """Coarser levels of a finished foreground with this digest, for viewers, and its metadata.

    Returns the names of the arrays of all levels, finest first. One that is refined is a second
    image of the store, behind the one that the network gives.
    `size` is that of its pixels; one that was stored before may have been corrected.
    """
    name = foreground.path.name
    levels, axes = level_factors(foreground.array.shape[1:], size.scale), image_axes(size)
    names = [name, *(f"{name}_{k}" for k in range(1, len(levels)))]
    write_coarser(
        store,
        foreground,
        f"{name}_{{}}",
        halved,
        axes=axes,
        decided_by={name: digest},
        threads=threads,
        spacing=size.scale,
    )
    scales = {
        path: [1.0, *size.at_level(factors)] for path, factors in zip(names, levels, strict=True)
    }
    attributes = ome_image(name, axes, scales, unit=size.unit)
    if name != FOREGROUND:
        images = [read_attributes(store), attributes]
        first, second = (of["ome"]["multiscales"][0] for of in images)
        attributes["ome"]["multiscales"] = [first, second]
    write_group(store, "", attributes)
    return names
