"""Training recipes: the paper's, to the letter, and the default."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from unetflow.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is varied, and how far; zeros and False switch a thing off."""

    elastic_px: float = 10.0  # deviation of the displacements on the grid
    elastic_z: bool = True  # of volumes: along z too
    elastic_grid: int = 3  # nodes of the grid along each axis, spread over the patch
    rotate: bool = True  # by any angle
    flip: bool = True
    zoom: float = 0.0  # log-uniform between 1/(1 + zoom) and 1 + zoom
    brightness: float = 0.1  # deviation, in deviations of the image
    contrast: float = 0.1  # deviation of the factor's logarithm
    gamma: float = 0.0  # deviation of the exponent's logarithm
    blur_px: float = 0.0  # largest deviation of a Gaussian, evenly between 0 and this
    noise: float = 0.0  # deviation of Gaussian noise, in deviations of the image
    foreground: float = 0.0  # share of the patches that are centred on an object
    stain: float = 0.0  # of RGB: amounts of stain times 1 +- this, and +- this, evenly
    hue: float = 0.0  # of RGB: largest turn of the colours, evenly to both sides; 1 is once around
    saturation: float = 0.0  # of RGB: deviation of the factor's logarithm

    @property
    def of_colour(self) -> list[str]:
        """What is varied and needs red, green and blue."""
        return [name for name in ("stain", "hue", "saturation") if getattr(self, name) > 0]


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides how a network is trained."""

    tile_px: int | Sequence[int]  # input of the network, one side for all axes or one for each
    batch: int  # patches per step, of all GPUs together
    steps: int
    optimizer: str  # sgd or adamw
    learning_rate: float
    momentum: float  # of sgd
    weight_decay: float  # of adamw
    schedule: str  # constant, or cosine: to 0 after a linear warm-up over the first 5 %
    class_balance: bool  # w_c from class frequencies, or 1
    precision: str  # auto, fp32 or bf16
    validate_every: int  # steps
    seed: int = 1
    start: str = "he"  # N(0, sqrt(2/N)), the paper's; or centred: less the mean of each filter
    loss: Mapping[str, float] = field(default_factory=lambda: {"cross_entropy": 1.0})  # factors
    accumulate: int = 1  # parts that the patches of a step are taken in, one after the other
    clip_norm: float | None = None  # of the gradient
    ema: float = 0.0  # decay of the running mean of the weights that is validated and kept
    early_stopping: int | None = None  # validations without a better one that end the training
    freeze_encoder: bool = False  # of a network that starts from a model file
    deterministic: bool = False  # the same bits on a GPU too, at some cost
    augmentation: Augmentation = field(default_factory=Augmentation)
    parts: tuple[int, ...] = ()  # of the steps, each with the schedule anew; empty: one part

    @property
    def ends(self) -> list[int]:
        """Steps that are done at the end of each part."""
        return [*itertools.accumulate(self.parts)] or [self.steps]

    def part_of(self, step: int) -> tuple[int, int]:
        """The first step (from 0 on) of the part that a step is in, and its number of steps."""
        last = next((end for end in self.ends if step < end), self.steps)
        steps = self.parts[self.ends.index(last)] if self.parts else self.steps
        return last - steps, steps

    def shorter(self) -> "Iterator[Recipe]":
        """The trainings that this one may go on from: what they do, it does up to their end."""
        for count in range(len(self.parts) - 1, 0, -1):
            parts = self.parts[:count]
            of = parts if count > 1 else ()
            yield dataclasses.replace(self, steps=sum(parts), parts=of)

    def input_px(self, axes: int) -> tuple[int, ...]:
        """Of the network, along each of its axes. Raises ConfigError where they are others."""
        sides = (self.tile_px,) * axes if isinstance(self.tile_px, int) else tuple(self.tile_px)
        if len(sides) != axes:
            raise ConfigError(
                f"recipe.tile_px: {list(sides)} has {len(sides)} sides, but the network has {axes} "
                "axes; give one number for each of them, or one for all"
            )
        return sides


PRESETS = {
    # Ronneberger et al. 2015, section 3. The paper gives no learning rate, number of steps or
    # gray-value deviations: those are ours.
    "paper": Recipe(
        tile_px=572,
        batch=1,
        steps=40_000,
        optimizer="sgd",
        learning_rate=1e-3,
        momentum=0.99,
        weight_decay=0.0,
        schedule="constant",
        class_balance=True,
        precision="fp32",
        validate_every=1000,
    ),
    "default": Recipe(
        tile_px=572,
        batch=1,
        steps=4000,
        optimizer="adamw",
        learning_rate=1e-3,
        momentum=0.0,
        weight_decay=1e-4,
        schedule="cosine",
        class_balance=True,
        precision="auto",
        validate_every=200,
        start="centred",
        clip_norm=1.0,
        augmentation=Augmentation(zoom=0.1, contrast=0.2, brightness=0.2, noise=0.05),
    ),
}
