"""Random training patches: patch number n of a seed is always the same one.

So the sampler has no state of its own: a run that goes on from a checkpoint draws what an
undisturbed run would have drawn. Shape suffixes: B batch, C channels, H W of a patch, Y X.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unetflow.annotation import Annotation
from unetflow.augment import draw_coordinates, sample, vary_gray
from unetflow.forward import Normalised
from unetflow.recipes import Augmentation
from unetflow.stores import read_array


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """One annotated image in memory."""

    image_CYX: Tensor  # float32, normalised
    target_YX: Tensor  # int64 class: 0 background, 1 to K objects
    weight_YX: Tensor  # float32, 0 on ignored pixels


@dataclass(frozen=True, slots=True)
class Batch:
    """Patches for one step; target and weight have the size of the network's output."""

    image_BCHW: Tensor
    target_BHW: Tensor
    weight_BHW: Tensor


def load_image(
    image: str | Path,
    weights: str | Path | None,
    statistics: dict[str, Any],
    *,
    kind: str,
    balance: bool,
) -> TrainingImage:
    """Read one image with truth (touching objects separated) and, if given, its weight map.

    The weight is w_c from the fold's class weights (1 without `balance`) plus the stored
    separation term.
    """
    pixels_CYX = Normalised(read_array(image, "0"), statistics["intensity"])[:]
    class_weights = statistics["class_weights"]
    truth = Annotation(image, kind, len(class_weights) - 1)
    target_YX = truth.target(tuple(slice(0, n) for n in truth.labels.shape)).astype(np.int64)
    if not balance:
        class_weights = [1.0] * len(class_weights)
    weight_YX = np.asarray(class_weights, np.float32)[target_YX]
    if weights is not None:
        weight_YX = weight_YX + np.asarray(read_array(weights, "")[:])
    weight_YX[np.asarray(truth.ignore[:]) != 0] = 0
    return TrainingImage(*map(torch.from_numpy, (pixels_CYX, target_YX, weight_YX)))


def generator(seed: int, *counters: int | str) -> torch.Generator:
    """Random numbers that depend on the seed and the counters alone."""
    text = "/".join(map(str, (seed, *counters)))
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest())
    return torch.Generator().manual_seed(number)


def draw_patch(
    images: Sequence[TrainingImage],
    *,
    input_px: int,
    output_px: int,
    augmentation: Augmentation,
    random: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """One augmented patch: image (C, H, W) of `input_px`, target and weight of `output_px`.

    Images are chosen by area, places evenly, so that the output lies in the image where it fits.
    """
    areas = torch.tensor([float(one.target_YX.numel()) for one in images])
    chosen = images[int(torch.multinomial(areas, 1, generator=random))]
    sizes = torch.tensor(chosen.target_YX.shape, dtype=torch.float32)
    free = (sizes - output_px).clamp(min=0)
    centre = (sizes - 1) / 2 + free * (torch.rand(2, generator=random) - 0.5)
    coordinates_2HW = draw_coordinates(input_px, centre, augmentation, random)
    margin = (input_px - output_px) // 2
    inner_2HW = coordinates_2HW[:, margin : margin + output_px, margin : margin + output_px]
    image_CHW = sample(chosen.image_CYX, coordinates_2HW, "bilinear")
    target_HW = sample(chosen.target_YX[None].float(), inner_2HW, "nearest")[0].long()
    weight_HW = sample(chosen.weight_YX[None], inner_2HW, "bilinear")[0]
    return vary_gray(image_CHW, augmentation, random), target_HW, weight_HW


def draw_batches(
    images: Sequence[TrainingImage],
    steps: range,
    *,
    seed: int,
    batch: int,
    input_px: int,
    output_px: int,
    augmentation: Augmentation,
) -> Iterator[Batch]:
    """The batches of the given steps, drawn ahead in a thread of their own."""

    def draw(step: int) -> Batch:
        patches = [
            draw_patch(
                images,
                input_px=input_px,
                output_px=output_px,
                augmentation=augmentation,
                random=generator(seed, "patch", step, number),
            )
            for number in range(batch)
        ]
        return Batch(*(torch.stack(parts) for parts in zip(*patches, strict=True)))

    ahead = 3
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = [pool.submit(draw, step) for step in steps[:ahead]]
        for step in steps:
            batch_now = waiting.pop(0).result()
            if step + ahead in steps:
                waiting.append(pool.submit(draw, step + ahead))
            yield batch_now
