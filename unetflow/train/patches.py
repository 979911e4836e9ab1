"""Random training patches: patch number n of a seed is always the same one.

So the sampler has no state of its own: a run that goes on from a checkpoint draws what an
undisturbed run would have drawn. Images are held in memory where they fit, else read patch by
patch; the patches are the same. Shape suffixes: A spatial axes, B batch, C channels, J heads, H W
of a patch, Y X of an image; of volumes D H W and Z Y X in their place.
"""

import dataclasses
import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from unetflow.engine.memory import available_bytes
from unetflow.errors import ModelError
from unetflow.labels.annotation import Annotation
from unetflow.labels.heads import REACH_PX, TARGETS
from unetflow.labels.places import Part, part_of, places_of_objects
from unetflow.networks.network import channels_last
from unetflow.store.ome import steps_of
from unetflow.store.pixels import ImageLike, Normalised
from unetflow.store.shards import SHARD_PX, read_array
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.regions import Region, shard_grid, shard_region, side_px, with_halo
from unetflow.train.augment import draw_coordinates, mirrored, sample, vary_gray
from unetflow.train.colour import Colours, vary_colour
from unetflow.train.recipes import Augmentation

log = logging.getLogger(__name__)


BYTES_PER_PX = 5  # of a held image beside 4 per channel: target and weight
SHARE_HELD = 0.5  # of the memory that is left, for images that are held
COARSE_PX = 2048  # side of the level of the truth that objects are looked for in
PART_PX = 4096  # and what is annotated: of a slide of 131,072 px what is 32 px across is found
AHEAD = 3  # batches drawn before they are asked for
Labels = tuple[np.ndarray, np.ndarray]  # target uint8, weight float32, both (H, W)


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """One annotated image, in memory or read by region."""

    image_CYX: ImageLike  # float32, normalised
    labels: Callable[[Region], Labels]  # class: 0 background, 1 to K; weight: 0 on ignored pixels
    objects_NA: np.ndarray  # (row, column) [px] of places in objects, for patches centred on them
    colours: Colours | None = None  # of red, green and blue
    numbers: Callable[[Region], np.ndarray] | None = None  # of the objects, for the heads' targets
    plane_px: float = 1.0  # of a volume: from a plane to the next, in pixels of a plane
    part: Part | None = None  # that is annotated; None: all of it

    @property
    def shape_YX(self) -> tuple[int, ...]:
        """Its size [px], of a volume (Z, Y, X)."""
        return tuple(self.image_CYX.shape[1:])

    @property
    def annotated_px(self) -> float:
        """Its pixels, those that are ignored left out."""
        return float(math.prod(self.shape_YX)) if self.part is None else self.part.pixels

    def held(self) -> "TrainingImage":
        """The same in memory, filled shard by shard: what is made on the way stays small."""
        shape, read_numbers = self.shape_YX, self.numbers
        image_CYX = np.empty(self.image_CYX.shape, np.float32)
        target_YX, weight_YX = np.empty(shape, np.uint8), np.empty(shape, np.float32)
        numbers_YX = None if read_numbers is None else np.empty(shape, np.uint32)
        sides = [side_px(SHARD_PX, len(shape)) for _ in shape]
        for index in shard_grid(shape, sides):
            region = shard_region(index, shape, sides)
            image_CYX[(slice(None), *region)] = self.image_CYX[(slice(None), *region)]
            target_YX[region], weight_YX[region] = self.labels(region)
            if read_numbers is not None and numbers_YX is not None:
                numbers_YX[region] = read_numbers(region)
        return dataclasses.replace(
            self,
            image_CYX=image_CYX,
            labels=lambda region: (target_YX[region], weight_YX[region]),
            numbers=None if numbers_YX is None else numbers_YX.__getitem__,
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Patches for one step; target and weight have the size of the network's output."""

    image_BCHW: Tensor
    target_BHW: Tensor
    weight_BHW: Tensor
    heads_BJHW: Tensor | None = None  # what the heads are asked for, of the same size


class Statistics(TypedDict):
    """Of the training images of a fold."""

    channels: int
    intensity: dict[str, Any]  # as `unetflow.store.pixels.Intensity`
    class_weights: list[float]  # w_c, background first


def open_image(
    image: str | Path,
    weights: str | Path | None,
    statistics: Statistics,
    *,
    kind: str,
    balance: bool,
    heads: Sequence[str] = (),
) -> TrainingImage:
    """One image or volume with truth (touching objects separated) and, if given, its weight map.

    The weight is w_c from the fold's class weights (1 without `balance`) plus the stored
    separation term.
    """
    classes = len(statistics["class_weights"]) - 1
    class_weights = np.asarray(statistics["class_weights"] if balance else [1.0] * (classes + 1))
    truth = Annotation(image, kind, classes)
    term = None if weights is None else read_array(weights, "")

    def labels(region: Region) -> Labels:
        target_HW = truth.target(region)
        weight_HW = class_weights.astype(np.float32)[target_HW]
        if term is not None:
            weight_HW += np.asarray(term[region])
        weight_HW[np.asarray(truth.ignore[region]) != 0] = 0
        return target_HW, weight_HW

    stored = read_array(image, "0")
    steps = steps_of(image, truth.labels.ndim)
    return TrainingImage(
        Normalised(stored, statistics["intensity"]),
        labels,
        places_of_objects(image, COARSE_PX),
        Colours.of(statistics["intensity"], stored.dtype),
        (lambda region: np.asarray(truth.labels[region])) if heads else None,
        steps[0] if steps else 1.0,
        part_of(image, PART_PX),
    )


def hold(images: Sequence[TrainingImage], processes: int = 1) -> list[TrainingImage]:
    """All images in memory if they fit into half of what is left, else as they are.

    Each of the `processes` that train together on this machine holds them.
    """
    needed = processes * sum(
        math.prod(image.shape_YX)
        * (4 * image.image_CYX.shape[0] + BYTES_PER_PX + 4 * (image.numbers is not None))
        for image in images
    )
    left = available_bytes()
    if needed > SHARE_HELD * left:
        log.info(
            "training images need %.1f GB of the %.1f GB that are left: they are read patch by "
            "patch",
            needed / 1e9,
            left / 1e9,
        )
        return list(images)
    return [image.held() for image in images]


def generator(seed: int, *counters: int | str) -> torch.Generator:
    """Random numbers that depend on the seed and the counters alone."""
    text = "/".join(map(str, (seed, *counters)))
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest())
    return torch.Generator().manual_seed(number)


@dataclass(frozen=True, slots=True)
class Drawing:
    """How patches are drawn for a network."""

    seed: int
    input_px: tuple[int, ...]  # what the network sees, along each axis
    geometry: Geometry  # where in it its output lies
    augmentation: Augmentation
    heads: tuple[str, ...] = ()

    @property
    def output(self) -> Region:
        """Where in a patch target and weight lie."""
        return self.geometry.output_region(self.input_px)


def draw_patch(
    images: Sequence[TrainingImage], drawing: Drawing, random: torch.Generator
) -> tuple[Tensor, ...]:
    """One augmented patch: image (C, H, W), target and weight of the network's output.

    Of a network with heads there is a fourth, what they are asked for (J, H, W).

    Images are chosen by annotated area and centres evenly over annotated pixels, up to the border,
    or on an object: of a slide with a few annotated parts all else shows nothing that counts.
    Beyond the image it is mirrored, as in inference, so that no part of an image is seen less often
    than another. Only what the patch shows is read.
    """
    areas = torch.tensor([one.annotated_px for one in images])
    if not areas.any():  # the parts are too small to be found
        areas += 1
    chosen = images[int(torch.multinomial(areas, 1, generator=random))]
    augmentation = drawing.augmentation
    centre = _centre(chosen, augmentation.foreground, random)
    coordinates_AHW = draw_coordinates(
        drawing.input_px, centre, augmentation, random, chosen.plane_px
    )
    coordinates_AHW = mirrored(coordinates_AHW, chosen.shape_YX)
    inner_AHW = coordinates_AHW[:, *drawing.output]
    region, outer_AHW = _within(coordinates_AHW, chosen.shape_YX)
    pixels_CHW = np.ascontiguousarray(chosen.image_CYX[(slice(None), *region)])
    image_CHW = sample(torch.from_numpy(pixels_CHW), outer_AHW, "bilinear")
    region, inner_AHW = _within(inner_AHW, chosen.shape_YX)
    target_HW, weight_HW = chosen.labels(region)
    target, weight = _labels_at(inner_AHW, target_HW, weight_HW)
    if varied := augmentation.of_colour:
        if chosen.colours is None:
            raise ModelError(
                f"recipe.augmentation: {', '.join(varied)} is of colours, but an image is not of "
                "three channels that are read as they are (intensity: linear), of 8 or 16 bits or "
                "floats from 0 to 1. Take it out, or bring the images to such values."
            )
        image_CHW = vary_colour(image_CHW, chosen.colours, augmentation, random)
    patch = vary_gray(image_CHW, augmentation, random), target, weight
    if not drawing.heads:
        return patch
    return *patch, _heads_at(coordinates_AHW, chosen, drawing)


def _heads_at(coordinates_AHW: Tensor, image: TrainingImage, drawing: Drawing) -> Tensor:
    """What the heads are asked for (J, H, W) of the network's output.

    Objects are looked at as far as a target depends on them, or as the patch reaches.
    """
    assert image.numbers is not None
    reach_px = max(REACH_PX[name] for name in drawing.heads)
    wide, inner = with_halo(
        drawing.output, (reach_px,) * len(drawing.output), coordinates_AHW.shape[1:]
    )
    region, wide_AHW = _within(coordinates_AHW[:, *wide], image.shape_YX)
    given = image.numbers(region)
    few = np.unique(np.append(0, given), return_inverse=True)[1][1:]  # 1, 2, ...: float32 has them
    drawn = torch.from_numpy(few.reshape(1, *given.shape).astype(np.float32))
    drawn_HW = sample(drawn, wide_AHW, "nearest")[0].to(torch.int32).numpy()
    targets = [TARGETS[name](drawn_HW)[inner] for name in drawing.heads]
    return torch.from_numpy(np.stack(targets))


def _labels_at(
    coordinates_AHW: Tensor, target_HW: np.ndarray, weight_HW: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Target of the nearest pixel, and the weight between pixels.

    Nothing of an ignored pixel: its own weight is 0, and in the mean of its neighbours it is left
    out. (With the nearest pixel's weight the demo's IoU is lower: benchmarks/results/borders.md.)
    """
    annotated_HW = (weight_HW > 0).astype(np.float32)
    labels = torch.from_numpy(np.stack([target_HW.astype(np.float32), annotated_HW, weight_HW]))
    target, annotated = sample(labels[:2], coordinates_AHW, "nearest")
    share, weight = sample(labels[1:], coordinates_AHW, "bilinear")
    return target.long(), (weight / share).where(annotated > 0, 0)


def _centre(image: TrainingImage, foreground: float, random: torch.Generator) -> Tensor:
    """The centre (row, column) [px] of a patch: anywhere in an annotated pixel, or on an object.

    Pixels reach half a pixel to each side of their coordinate.
    """
    shape = torch.tensor(image.shape_YX)
    share = torch.rand(len(shape), generator=random)
    on_object, which = torch.rand(2, generator=random).tolist()
    if on_object >= foreground or not len(image.objects_NA):
        if image.part is None or not len(image.part.corners_NA):
            return shape * share - 0.5
        corners_NA = image.part.corners_NA
        cell = int(float(torch.rand(1, generator=random)) * len(corners_NA))
        return torch.from_numpy(corners_NA[cell]) + torch.tensor(image.part.cell_px) * share - 0.5
    return torch.from_numpy(image.objects_NA[int(which * len(image.objects_NA))]).float()


def _within(coordinates_AHW: Tensor, shape_YX: Sequence[int]) -> tuple[Region, Tensor]:
    """The region of the image that coordinates in it need, and the coordinates in that region."""
    first = coordinates_AHW.flatten(1).amin(dim=1).floor().int().tolist()
    last = coordinates_AHW.flatten(1).amax(dim=1).ceil().int().tolist()
    region = tuple(
        slice(start, min(stop + 1, size))
        for start, stop, size in zip(first, last, shape_YX, strict=True)
    )
    corner = torch.tensor(first, dtype=torch.float32)
    return region, coordinates_AHW - corner.view(-1, *(1 for _ in shape_YX))


class Batches:
    """The batches of the given steps, drawn ahead in threads of their own; an iterator.

    Of each batch this process draws the patches `numbers`; `pinned` memory is copied to a GPU
    while it computes. `waited_s` is how long the caller waited for a batch, so far.
    """

    def __init__(
        self,
        images: Sequence[TrainingImage],
        steps: range,
        drawing: Drawing,
        *,
        numbers: range,
        workers: int = 1,
        pinned: bool = False,
    ) -> None:
        self._images, self._steps, self._numbers = images, steps, numbers
        self._drawing = drawing
        self._workers, self._pinned = workers, pinned
        self.waited_s = 0.0

    def __iter__(self) -> Iterator[Batch]:
        ahead = max(AHEAD, 2 * self._workers)
        # one thread each: more would wait actively for one another, beside the training
        with ThreadPoolExecutor(
            self._workers, initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            waiting = [pool.submit(self._draw, step) for step in self._steps[:ahead]]
            try:
                for step in self._steps:
                    batch = self._wait(waiting.pop(0))
                    if step + ahead in self._steps:
                        waiting.append(pool.submit(self._draw, step + ahead))
                    yield batch
            finally:
                for each in waiting:
                    each.cancel()

    def _wait(self, drawn: Future[Batch]) -> Batch:
        started_s = time.perf_counter()
        batch = drawn.result()
        self.waited_s += time.perf_counter() - started_s
        return batch

    def _draw(self, step: int) -> Batch:
        seed = self._drawing.seed
        patches = [
            draw_patch(self._images, self._drawing, generator(seed, "patch", step, number))
            for number in self._numbers
        ]
        image_BCHW, *others = (torch.stack(parts) for parts in zip(*patches, strict=True))
        layout = channels_last(image_BCHW.ndim - 2)
        parts = [image_BCHW.contiguous(memory_format=layout), *others]
        if self._pinned:
            parts = [part.pin_memory() for part in parts]
        return Batch(*parts)
