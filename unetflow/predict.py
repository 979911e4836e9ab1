"""Overlap-tile inference: the network over images of any size, seamless and restartable.

Source of the strategy: Ronneberger et al. 2015, figure 2; of the exact grid: `unetflow.tiles`.
Shape suffixes: K classes, H W of a tile, Y X of a level.
"""

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from unetflow.ensemble import Ensemble
from unetflow.foreground import END, Share, put_tile, write_foreground, write_foreground_levels
from unetflow.forward import ImageLike, cut, machine_of, read_tile, ready, tiles_for
from unetflow.memory import keep_freed_memory
from unetflow.models import check_image, other_intensities
from unetflow.ome import spatial_scale
from unetflow.receipts import RunRecord, read_receipt, write_receipt
from unetflow.runners import mean_probabilities, turns_of
from unetflow.stores import SHARD_PX, read_array
from unetflow.tiles import squares
from unetflow.tissue import read_tissue

log = logging.getLogger(__name__)


def predict_array(
    network: nn.Module,
    image: ImageLike,
    *,
    write_px: int = 512,
    precision: str = "fp32",
    average: int = 1,
    device: str = "cpu",
) -> np.ndarray:
    """Class probabilities (K, Y, X), float32, of an image (C, Y, X) that is already normalised.

    The result is that of the whole image, mirrored at its borders, in one pass of the network, to
    rounding, for every `write_px` that is a multiple of 2**depth. `average` is 1, 7 or 8: the
    number of flips and rotations of the padded input whose probabilities are averaged.
    Raises ValueError for another `write_px`, `average` or `precision`.
    """
    turns = turns_of(average)
    inferring = ready(network, device=device, precision=precision)
    shape_YX = tuple(image.shape[1:])
    everywhere = tuple(slice(0, size) for size in shape_YX)
    whole_KYX: np.ndarray | None = None
    for tile in tiles_for(network, shape_YX, write_px, everywhere):
        probabilities = mean_probabilities([inferring], [read_tile(image, tile)], turns)
        found_KHW = cut(probabilities.cpu(), tile).numpy()
        if whole_KYX is None:
            whole_KYX = np.zeros((len(found_KHW), *shape_YX), np.float32)
        put_tile(whole_KYX, everywhere, found_KHW, tile, network, write_px, shape_YX)
    if whole_KYX is None:
        raise ValueError(f"an image of shape {tuple(image.shape)} has no pixels")
    return whole_KYX


def predict_store(
    *,
    image: str | Path,
    image_receipt: str | Path,
    ensemble: Ensemble,
    store: str | Path,
    receipt: str | Path,
    code: str,
    threads: int,
    share: Share | None = None,
    **how: Any,
) -> None:
    """Rule predict: the foreground of one image into its store, shard by shard, then the receipt.

    `how` are the options of `write_foreground`. A run that was killed goes on with the shards that
    are missing. Several jobs may do an image: one begins the array (`BEGIN`), each does its
    `share`, one ends it (`END`). An image takes a thread for each 1024 px square, whatever the
    larger ones of its job are granted.
    """
    if len(ensemble.digests) != len(ensemble.descriptions):
        raise ValueError("an array must know the digests of its models: use Ensemble.load")
    record = RunRecord(receipt)
    prepared = read_receipt(image_receipt)
    pixels = read_array(image, "0")
    warnings: dict[str, None] = {}  # in their order, each once
    for description in ensemble.descriptions:
        check_image(description, pixels.shape[0], prepared["levels"][0].get("mpp"), image)
        warnings |= dict.fromkeys(other_intensities(description, prepared["pixels"]["mean"]))
    for warning in warnings:
        log.warning("%s: %s", image, warning)
    scale, unit = spatial_scale(image)
    foreground = write_foreground(
        ensemble,
        pixels,
        store,
        scale=scale,
        unit=unit,
        tissue=read_tissue(image, prepared["tissue"]),
        decided_by={
            "image": prepared["levels"][0]["digest"],
            "tissue": prepared["tissue"] and prepared["tissue"]["digest"],
            "models": ensemble.digests,
            "code": code,
        },
        share=share,
        threads=min(threads, squares(pixels.shape[1:], SHARD_PX)),
        **how,
    )
    content = {
        "shape": foreground.array.shape,
        "dtype": str(foreground.array.dtype),
        "precision": foreground.chosen["precision"],
        "warnings": list(warnings),
    }
    made: dict[str, Any] = {"share": share}
    if share in (None, END):
        made = {"digest": foreground.content_digest()}
        write_foreground_levels(store, foreground, made["digest"], threads, scale=scale, unit=unit)
    write_receipt(receipt, {**content, **made})
    record.write(**foreground.chosen, ended_on=machine_of(foreground.chosen["device"]))


if __name__ == "__main__":
    keep_freed_memory()  # before pandas starts threads
    from unetflow.segment import main

    sys.exit(main())
