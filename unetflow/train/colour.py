"""Colours of RGB patches varied: amounts of stain, hue and saturation.

Sources: Tellez et al. 2019 (Med. Image Anal. 58, jitter in the space of stains), Ruifrok and
Johnston 2001 (optical densities of haematoxylin and eosin). C is red, green, blue; patches are
(C, H, W), of volumes (C, D, H, W).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unetflow.store.stains import CHANNELS, WAYS, suits
from unetflow.train.recipes import Augmentation

# Optical densities in red, green and blue of one amount of haematoxylin and of eosin; what neither
# explains is the residual, at right angles to both.
HAEMATOXYLIN = (0.650, 0.704, 0.286)
EOSIN = (0.072, 0.990, 0.105)
DARKEST = 1 / 255  # of full brightness: counts are never 0 in a logarithm


@dataclass(frozen=True, slots=True)
class Colours:
    """What turns normalised pixels of an image into its colours, 0 to 1."""

    mean: tuple[float, ...]  # of each channel, as `unetflow.store.pixels.Intensity`
    deviation: tuple[float, ...]
    peak: float  # of the type of its pixels: 255, 65,535, or 1 of floats

    @classmethod
    def of(cls, intensity: dict[str, Any], dtype: np.dtype) -> "Colours | None":
        """None where the pixels are no linear red, green and blue, or nothing says what is white.

        Of 8 and 16 bits that is the highest value, of floats 1: a mean above is of another range.
        """
        mean, deviation = tuple(intensity["mean"]), tuple(intensity["deviation"])
        if len(mean) != CHANNELS or intensity.get("scale") not in (None, *WAYS):
            return None
        if suits(len(mean), dtype):
            return cls(mean, deviation, float(np.iinfo(dtype).max))
        return cls(mean, deviation, 1.0) if dtype.kind == "f" and max(mean) <= 1 else None

    def seen(self, image_CHW: Tensor) -> Tensor:
        """Colours of normalised pixels."""
        mean_C11, deviation_C11 = self._columns(image_CHW)
        return (image_CHW * deviation_C11 + mean_C11).clamp(0, 1)

    def normalised(self, colours_CHW: Tensor) -> Tensor:
        """Normalised pixels of colours."""
        mean_C11, deviation_C11 = self._columns(colours_CHW)
        return (colours_CHW.clamp(0, 1) - mean_C11) / deviation_C11

    def _columns(self, like_CHW: Tensor) -> tuple[Tensor, Tensor]:
        mean_C11, deviation_C11 = (
            _column(torch.tensor(values, device=like_CHW.device), like_CHW) / self.peak
            for values in (self.mean, self.deviation)
        )
        return mean_C11, deviation_C11


def vary_colour(
    image_CHW: Tensor, colours: Colours, augmentation: Augmentation, random: torch.Generator
) -> Tensor:
    """The same patch in other stains, hue and saturation; normalised pixels in and out."""
    seen_CHW = colours.seen(image_CHW)
    if augmentation.stain > 0:
        factor, shift = (2 * torch.rand(2, CHANNELS, generator=random) - 1).to(seen_CHW.device)
        seen_CHW = stained(seen_CHW, 1 + augmentation.stain * factor, augmentation.stain * shift)
    turn, log_factor = torch.rand(1, generator=random), torch.randn(1, generator=random)
    if augmentation.hue > 0 or augmentation.saturation > 0:
        seen_CHW = turned(
            seen_CHW,
            augmentation.hue * (2 * float(turn) - 1),
            math.exp(augmentation.saturation * float(log_factor)),
        )
    return colours.normalised(seen_CHW)


def stained(seen_CHW: Tensor, factor_S: Tensor, shift_S: Tensor) -> Tensor:
    """Colours with other amounts of haematoxylin, eosin and the residual: factor * amount + shift.

    An amount of 1 is an optical density (natural logarithm) of length 1.
    """
    of_stains_SC, device = stain_vectors(), seen_CHW.device
    density_CHW = -torch.log((seen_CHW + DARKEST) / (1 + DARKEST))
    to_stains_CS = torch.linalg.inv(of_stains_SC).to(device)
    amounts_SHW = torch.einsum("cs,c...->s...", to_stains_CS, density_CHW)
    amounts_SHW = amounts_SHW * _column(factor_S, seen_CHW) + _column(shift_S, seen_CHW)
    density_CHW = torch.einsum("sc,s...->c...", of_stains_SC.to(device), amounts_SHW)
    return (torch.exp(-density_CHW) * (1 + DARKEST) - DARKEST).clamp(0, 1)


def stain_vectors() -> Tensor:
    """Optical densities (S, C) of haematoxylin, eosin and the residual, each of length 1."""
    two_SC = torch.tensor([HAEMATOXYLIN, EOSIN], dtype=torch.float32)
    residual_C = torch.linalg.cross(two_SC[0], two_SC[1])
    vectors_SC = torch.cat([two_SC, residual_C[None]])
    return torch.nn.functional.normalize(vectors_SC, dim=1)


def turned(seen_CHW: Tensor, hue: float, saturation: float) -> Tensor:
    """Colours turned by `hue` (1 is once around) about the gray axis, their distance to it scaled.

    What is gray stays as it is, and so does the mean of red, green and blue.
    """
    angle = 2 * math.pi * hue
    along = torch.full((CHANNELS, CHANNELS), 1 / CHANNELS)
    across = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    rotation = math.cos(angle) * (torch.eye(CHANNELS) - along) + math.sin(angle) * across
    matrix = (along + saturation * rotation).to(seen_CHW.device)
    return torch.einsum("dc,c...->d...", matrix, seen_CHW).clamp(0, 1)


def _column(values_C: Tensor, like_CHW: Tensor) -> Tensor:
    """A value for each channel of a patch."""
    return values_C.view(-1, *(1 for _ in like_CHW.shape[1:]))
