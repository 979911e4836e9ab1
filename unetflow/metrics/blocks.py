"""Counting over images larger than memory: Dask blocks of Zarr arrays, pooled exactly.

Counts are integers and positions of first appearance are kept, so that the pooled result is that
of the whole array to the last bit, whatever the blocks.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeGuard

import dask
import dask.array as da
import numpy as np
from numpy.typing import ArrayLike

from unetflow.arguments import array_of
from unetflow.metrics.checks import IntArray
from unetflow.metrics.pairs import Pairs, count_pairs, merge_pairs

BLOCK_PX = 2**22  # pixels of a block, at least one chunk: 32 MB of a pair of uint32
MERGE_AT_ONCE = 16


class Image(Protocol):
    """NumPy, Zarr and Dask arrays."""

    @property
    def shape(self) -> tuple[int, ...]: ...


class Chunked(Image, Protocol):
    """Zarr arrays, and Dask arrays, of which each axis has the sizes of its chunks."""

    @property
    def chunks(self) -> tuple[object, ...]: ...


def is_chunked(array: object) -> TypeGuard[Chunked]:
    """Whether an array is read block by block: Zarr and Dask arrays are, NumPy arrays are not."""
    return getattr(array, "chunks", None) is not None and hasattr(array, "shape")


def pairs_of_blocks(truth: ArrayLike, predicted: ArrayLike, ignore: ArrayLike | None) -> Pairs:
    """The pairs of two label images of one shape, counted block by block."""
    names = "truth_labels", "predicted_labels", "ignore"
    images: list[Image] = [
        image if is_chunked(image) else array_of(image, name)
        for image, name in zip((truth, predicted, ignore), names, strict=True)
        if image is not None
    ]
    parts = [
        dask.delayed(_count_block, pure=False)(corner, images[0].shape, *blocks)
        for corner, blocks in blocks_of(images)
    ]
    while len(parts) > 1:  # a tree, so that tables are merged while others are counted
        parts = [
            dask.delayed(merge_pairs, pure=False)(parts[start : start + MERGE_AT_ONCE])
            for start in range(0, len(parts), MERGE_AT_ONCE)
        ]
    pairs: Pairs = dask.compute(*parts, scheduler=scheduler_for(images))[0]
    return pairs


def scheduler_for(images: Sequence[Image]) -> str | None:
    """Whom Dask gives blocks of these images to: whom it is set to, or to threads of this process.

    To those where one is in memory: it would be sent with each block.
    """
    return None if all(map(is_chunked, images)) else "threads"


def blocks_of(images: Sequence[Image]) -> Iterator[tuple[tuple[int, ...], list[object]]]:
    """Blocks of several images of one shape, side by side: where each starts, and Dask's tasks."""
    shape = images[0].shape
    for image in images[1:]:
        if image.shape != shape:
            raise ValueError(
                f"one image has shape {shape} and another {image.shape}: must be the same image. "
                "Crop or pad one of them."
            )
    if math.prod(shape) == 0:
        raise ValueError(f"the images have shape {shape}: there is no pixel to score.")
    chunked = [image for image in images if is_chunked(image)]
    block = _block_shape(chunked[0]) if chunked else shape
    tasks = [_as_dask(image, block).to_delayed() for image in images]
    for index in np.ndindex(tasks[0].shape):
        corner = tuple(i * side for i, side in zip(index, block, strict=True))
        yield corner, [task[index] for task in tasks]


def positions_in_image(
    positions: IntArray,
    block: tuple[int, ...],
    corner: tuple[int, ...],
    shape: tuple[int, ...],
) -> IntArray:
    """Raster positions in a block as raster positions in the image."""
    within = np.unravel_index(positions, block)
    return np.ravel_multi_index(
        tuple(w + c for w, c in zip(within, corner, strict=True)), shape
    ).astype(np.int64)


def _count_block(
    corner: tuple[int, ...],
    shape: tuple[int, ...],
    truth: np.ndarray,
    predicted: np.ndarray,
    ignore: np.ndarray | None = None,
) -> Pairs:
    pairs = count_pairs(truth, predicted, ignore)
    return pairs._replace(first=positions_in_image(pairs.first, truth.shape, corner, shape))


def _block_shape(image: Chunked) -> tuple[int, ...]:
    """Whole chunks (of Zarr: shards), as many along the last axes as make up `BLOCK_PX`."""
    if isinstance(image, da.Array):
        chunk = image.chunksize
    else:
        chunk = getattr(image, "shards", None) or image.chunks
    block = [min(side, whole) for side, whole in zip(chunk, image.shape, strict=True)]
    for axis in reversed(range(len(block))):
        times = max(1, BLOCK_PX // math.prod(block))
        block[axis] = min(block[axis] * times, image.shape[axis])
    return tuple(block)


def _as_dask(image: Image, block: tuple[int, ...]) -> da.Array:
    if isinstance(image, da.Array):
        return image.rechunk(block)
    return da.from_array(image, chunks=block, name=False)
