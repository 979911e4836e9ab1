"""What a fold's training part is like: intensities and class frequencies, from nothing else."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unetflow.errors import ModelError
from unetflow.labels import separate_touching
from unetflow.moments import Moments
from unetflow.receipts import RunRecord, write_receipt
from unetflow.stores import read_array
from unetflow.tiles import shard_grid, shard_region, with_halo


def write_statistics(*, images: Sequence[str | Path], receipt: str | Path) -> None:
    """Rule statistics: mean and deviation per channel, pixels per class, of training images.

    Read shard by shard; classes are background and objects after separating what touches, ignored
    pixels left out. Raises ModelError where the images differ in channels or show nothing.
    """
    record = RunRecord(receipt)
    channels = {image: read_array(image, "0").shape[0] for image in images}
    if len(set(channels.values())) > 1:
        raise ModelError(
            "the training images have different numbers of channels: "
            + ", ".join(f"{Path(image).name}: {n}" for image, n in channels.items())
            + ". Choose the same number in the sheet's channels column."
        )
    moments = Moments()
    pixels_of_class = np.zeros(2, np.int64)
    for image in images:
        pixels = read_array(image, "0")
        for index in shard_grid(pixels.shape, pixels.shards):
            region = shard_region(index, pixels.shape, pixels.shards)
            moments.add(np.asarray(pixels[region]))
        pixels_of_class += _class_pixels(image)
    mean, deviation = moments.mean, moments.deviation
    if not (deviation > 0).all() or not math.isfinite(deviation.sum()):
        raise ModelError(
            f"the training images are constant in a channel (deviations {deviation.tolist()}): "
            "there is nothing to learn from it. Choose others in the sheet's channels column."
        )
    if not pixels_of_class.all():
        raise ModelError(
            f"the training truths hold {pixels_of_class[0]} background and {pixels_of_class[1]} "
            "object pixels: a network needs both to learn. Check the dataset's truth kind."
        )
    write_receipt(
        receipt,
        {
            "channels": len(mean),
            "intensity": {"mean": mean.tolist(), "deviation": deviation.tolist()},
            "class_px": pixels_of_class.tolist(),
            "class_weights": (pixels_of_class.sum() / (2 * pixels_of_class)).tolist(),
        },
    )
    record.write()


def _class_pixels(image: str | Path) -> np.ndarray:
    """Pixels of background and objects in one truth, with a halo of 1 px for what touches."""
    truth, ignore = read_array(image, "labels/truth/0"), read_array(image, "labels/ignore/0")
    total = np.zeros(2, np.int64)
    for index in shard_grid(truth.shape, truth.shards):
        region = shard_region(index, truth.shape, truth.shards)
        wide, inner = with_halo(region, (1, 1), truth.shape)
        objects = separate_touching(truth[wide])[inner] != 0
        counted = objects[ignore[region] == 0]
        total += (len(counted) - int(counted.sum()), int(counted.sum()))
    return total
