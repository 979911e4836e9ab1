"""Training recipes: the paper's, to the letter, and the default."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from unetflow.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is varied, and how far; zeros and False switch a thing off."""

    elastic_px: float = 10.0  # deviation of the displacements on the grid
    elastic_grid: int = 3  # nodes of the grid along each axis, spread over the patch
    rotate: bool = True  # by any angle
    flip: bool = True
    zoom: float = 0.0  # log-uniform between 1/(1 + zoom) and 1 + zoom
    brightness: float = 0.1  # deviation, in deviations of the image
    contrast: float = 0.1  # deviation of the factor's logarithm
    noise: float = 0.0  # deviation of Gaussian noise, in deviations of the image


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides how a network is trained."""

    tile_px: int  # input of the network
    batch: int  # patches per step
    steps: int
    optimizer: str  # sgd or adamw
    learning_rate: float
    momentum: float  # of sgd
    weight_decay: float  # of adamw
    schedule: str  # constant, or cosine: to 0 after a linear start over the first 5 %
    class_balance: bool  # w_c from class frequencies, or 1
    precision: str  # auto, fp32 or bf16
    validate_every: int  # steps
    seed: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)


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
        augmentation=Augmentation(zoom=0.1, contrast=0.2, brightness=0.2, noise=0.05),
    ),
}


def recipe_from(preset: str = "default", **changes: Any) -> Recipe:
    """A preset with some values changed; `augmentation` is a mapping of changes of its own.

    Raises ConfigError for a name that is not known.
    """
    if preset not in PRESETS:
        raise ConfigError(f"recipe: no preset {preset!r}; there are: {', '.join(PRESETS)}")
    base = PRESETS[preset]
    try:
        if "augmentation" in changes:
            changes["augmentation"] = dataclasses.replace(
                base.augmentation, **changes["augmentation"]
            )
        return dataclasses.replace(base, **changes)
    except TypeError as error:
        raise ConfigError(f"recipe: {error}") from error
