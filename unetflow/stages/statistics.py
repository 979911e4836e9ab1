"""Rule statistics: intensities and class frequencies of a fold's training part."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NotRequired, TypedDict, TypeVar

import numpy as np

from unetflow.engine.each import in_order
from unetflow.errors import ModelError
from unetflow.images.intensities import Moments, percentiles_of
from unetflow.images.resampling import all_ends, marked
from unetflow.labels.annotation import Annotation
from unetflow.labels.dataset import Dataset
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.provenance.schemas import Unreadable
from unetflow.provenance.shard_lists import Stored, unchanged
from unetflow.store.arrays import StoredArray
from unetflow.store.pixels import LOG, Intensity, logarithms, of_image
from unetflow.store.shards import read_array
from unetflow.store.stains import WAYS, Stains, mean_of, restained, stains_of, suits
from unetflow.tiles.regions import Region, shard_grid, shard_region

Result = TypeVar("Result")
MOST_OF_VARIANCE = 0.99  # that one pixel may make up: all others have a tenth of a deviation then


class Scale(TypedDict):
    """How a network sees pixels where that is not linear."""

    scale: Literal["log", "local", "macenko", "reinhard"]
    px: NotRequired[int]  # side of the surroundings


def write_statistics(
    *,
    images: Sequence[str | Path],
    stored: Sequence[Stored],
    receipt: str | Path,
    dataset: Dataset,
    percentiles: Sequence[float] | None,
    scale: Scale | None = None,
) -> None:
    """Rule statistics: intensities per channel, pixels per class, of training images.

    Images are normalised by mean and deviation or, with `percentiles` (low, high) in percent, by
    the middle of those two values and half their difference, which few bright pixels do not move.
    With the `scale` "log" these are of the pixels' logarithms; with "local" they are what an
    image's own surroundings are compared with (`unetflow.store.surroundings`); with "macenko" and
    "reinhard" of pixels that all have the mean stains of the images (`unetflow.store.stains`),
    which are `target` of the intensity.
    Read shard by shard; pixels are counted after separating what touches, ignored ones left out.
    Places that could not be read, which are 0 in the store, count in no intensity.
    `stored` are the images' stores, with the receipts that tell of pixels and truth.
    Raises ModelError where the images differ in channels, show nothing, or lack a class, and where
    a single pixel would decide the deviation.
    """
    record = RunRecord(receipt)
    with unchanged(*stored):
        _check_channels(images)
        moments = Moments()
        pixels_of_class = np.zeros(len(dataset.classes) + 1, np.int64)
        seen = dict(scale or {}) | _target(images, scale)
        lost = _lost_of(stored)
        for image in images:
            array = read_array(image, "0")
            for found in _of_blocks(array, lost[str(image)], _moments_of(of_image(seen, array))):
                moments.merge(found)
            pixels_of_class += _class_pixels(image, dataset)
        mean, deviation = moments.mean, moments.deviation
        _check_contrast(deviation)
        _check_classes(pixels_of_class, dataset)
        if percentiles is None:
            _check_outliers(moments)
        else:
            low, high = _percentiles(images, lost, moments, percentiles)
            if seen.get("scale") == LOG:
                low, high = np.log1p(low), np.log1p(high)
            mean, deviation = (high + low) / 2, (high - low) / 2
    write_receipt(
        receipt,
        {
            "channels": len(mean),
            "intensity": {
                "mean": mean.tolist(),
                "deviation": deviation.tolist(),
                **seen,
            },
            "class_px": pixels_of_class.tolist(),
            "class_weights": _weights(pixels_of_class).tolist(),
        },
    )
    record.write()


def _lost_of(stored: Sequence[Stored]) -> dict[str, list[Unreadable]]:
    """By store the places of its image that could not be read."""
    lost: dict[str, list[Unreadable]] = defaultdict(list)
    for store, receipt, *_ in stored:
        lost[str(store)] += read_receipt(receipt).get("unreadable", [])
    return lost


def _target(images: Sequence[str | Path], scale: Scale | None) -> dict[str, Stains]:
    """The stains that all images are given, where they are. Raises ModelError."""
    if scale is None or scale["scale"] not in WAYS:
        return {}
    way, every = scale["scale"], []
    for image in images:
        array = read_array(image, "0")
        if not suits(array.shape[0], array.dtype):
            raise ModelError(
                f"{Path(image).name}: has {array.shape[0]} channels of {array.dtype}, but "
                f"intensity: {way} is of red, green and blue of 8 or 16 bits. Choose three in the "
                "sheet's channels column, or set the dataset's intensity to linear."
            )
        if found := stains_of(array, way):
            every.append(found)
    if not every:
        raise ModelError(
            f"no training image has enough stained pixels for intensity: {way}, which is of H&E "
            "on bright ground. Set the dataset's intensity to linear."
        )
    return {"target": mean_of(every)}


def _moments_of(seen: Intensity) -> Callable[[np.ndarray], Moments]:
    """Moments of a block's pixels as they are, of their logarithms, or in other stains."""
    if (way := seen.get("scale")) in WAYS:
        return lambda block: Moments.of(restained(block, way, seen["own"], seen["target"]))
    if way != LOG:
        return Moments.of

    def of_logarithms(block: np.ndarray) -> Moments:
        if (lowest := block.min(initial=0)) < 0:
            raise ModelError(
                f"a pixel of the training images is {lowest:g}, but intensity: log is of numbers "
                "from 0 on. Set the dataset's intensity to linear or local."
            )
        return Moments.of(logarithms(block))

    return of_logarithms


def _check_channels(images: Sequence[str | Path]) -> None:
    channels = {image: read_array(image, "0").shape[0] for image in images}
    if len(set(channels.values())) > 1:
        raise ModelError(
            "the training images have different numbers of channels: "
            + ", ".join(f"{Path(image).name}: {n}" for image, n in channels.items())
            + ". Choose the same number in the sheet's channels column."
        )


def _check_contrast(deviation: np.ndarray) -> None:
    if not (deviation > 0).all() or not math.isfinite(deviation.sum()):
        raise ModelError(
            f"the training images are constant in a channel (deviations {deviation.tolist()}): "
            "there is nothing to learn from it. Choose others in the sheet's channels column."
        )


def _check_outliers(moments: Moments) -> None:
    """Refuse a mean and deviation that one pixel decides: all others would look alike."""
    for channel, (mean, low, high, squares) in enumerate(
        zip(moments.mean, moments.low, moments.high, moments.squares, strict=True)
    ):
        value = max(low, high, key=lambda extreme: abs(extreme - mean))
        if (value - mean) ** 2 > MOST_OF_VARIANCE * squares:
            raise ModelError(
                f"a pixel of {value:g} in channel {channel} of the training images makes up "
                f"{(value - mean) ** 2 / squares:.2%} of the variance of all of them: divided by "
                "that deviation, all others would look alike. Set the dataset's percentiles, such "
                "as [0.1, 99.9], or replace the pixel."
            )


def _check_classes(pixels_of_class: np.ndarray, dataset: Dataset) -> None:
    if not pixels_of_class[1:].all() or (len(dataset.classes) == 1 and not pixels_of_class[0]):
        counted = zip(("background", *dataset.classes), pixels_of_class.tolist(), strict=True)
        raise ModelError(
            "the training truths hold these pixels: "
            + ", ".join(f"{name} {pixels}" for name, pixels in counted)
            + ". A network needs some of each to learn. Check the dataset's truth kind and classes."
        )


def _percentiles(
    images: Sequence[str | Path],
    lost: Mapping[str, Sequence[Unreadable]],
    moments: Moments,
    percentiles: Sequence[float],
) -> tuple[np.ndarray, np.ndarray]:
    """Values of each channel that so many percent of all pixels do not exceed, as float64.

    Raises ModelError where the two are equal.
    """
    arrays = [read_array(image, "0") for image in images]
    places = [lost[str(image)] for image in images]

    def blocks() -> Iterator[np.ndarray]:
        return itertools.chain.from_iterable(
            _of_blocks(array, of, np.asarray) for array, of in zip(arrays, places, strict=True)
        )

    low, high = percentiles_of(
        blocks,
        percentiles,
        dtype=np.result_type(*(array.dtype for array in arrays)),
        channels=len(moments.mean),
        count=moments.count,
    ).astype(np.float64)
    if not (high > low).all():
        raise ModelError(
            f"the {percentiles[0]:g}th and {percentiles[1]:g}th percentiles of the training "
            f"images are equal in a channel ({low.tolist()}, {high.tolist()}). Take others, or "
            "normalise by mean and deviation."
        )
    return low, high


def _weights(pixels_of_class: np.ndarray) -> np.ndarray:
    """w_c: inverse shares of the classes, 1 where they are equal; 0 of a background not there."""
    there = pixels_of_class > 0
    weights = np.zeros(len(pixels_of_class))
    weights[there] = pixels_of_class.sum() / (there.sum() * pixels_of_class[there])
    return weights


def _class_pixels(image: str | Path, dataset: Dataset) -> np.ndarray:
    """Pixels of background and each class in the truth of one image."""
    classes = len(dataset.classes)
    truth = Annotation(image, dataset.kind, classes)

    def counts(region: Region) -> np.ndarray:
        counted = truth.target(region)[np.asarray(truth.ignore[region]) == 0]
        return np.bincount(counted, minlength=classes + 1)

    return sum(_of_shards(truth.labels, counts), np.zeros(classes + 1, np.int64))


def _of_blocks(
    array: StoredArray, lost: Sequence[Unreadable], do: Callable[[np.ndarray], Result]
) -> Iterator[Result]:
    """What is found in the pixels of each shard that could be read, in their order."""
    ends = all_ends(lost, array.ndim - 1)

    def of_shard(region: Region) -> Result:
        pixels, bad = np.asarray(array[region]), marked(ends, region[1:])
        return do(pixels[:, ~bad] if bad.any() else pixels)

    return _of_shards(array, of_shard)


def _of_shards(array: StoredArray, do: Callable[[Region], Result]) -> Iterator[Result]:
    """The same by the region of each shard; the rule has one thread."""
    regions = (
        shard_region(index, array.shape, array.shards)
        for index in shard_grid(array.shape, array.shards)
    )
    return in_order(do, regions, threads=1, ahead=0)
