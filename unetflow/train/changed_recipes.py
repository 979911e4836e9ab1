"""A preset with the changes that a config makes to it."""

import dataclasses
from typing import Any

from unetflow.errors import ConfigError
from unetflow.train.recipes import PRESETS, Recipe

STARTS = ("he", "centred")
OF_OPTIMIZER = {"momentum": "sgd", "weight_decay": "adamw"}  # which the other does not take
LOSS_NAMES = ("cross_entropy", "focal", "dice", "iou")  # `unetflow.train.losses`, which needs torch


def recipe_from(preset: str = "default", **changes: Any) -> Recipe:
    """A preset with some values changed; `augmentation` is a mapping of changes of its own.

    `continue` adds steps to those of the recipe: as many again where it is true, or a list of
    numbers, a part each. All have the schedule anew, from its warm-up on: cosine annealing with
    warm restarts (Loshchilov and Hutter 2017). Raises ConfigError for a name that is not known,
    and for values that do not go together.
    """
    if preset not in PRESETS:
        raise ConfigError(f"recipe: no preset {preset!r}; there are: {', '.join(PRESETS)}")
    base, added = PRESETS[preset], changes.pop("continue", False)
    if unknown := sorted(set(changes.get("loss", ())) - set(LOSS_NAMES)):
        raise ConfigError(
            f"recipe.loss: {', '.join(unknown)} unknown; there are: {', '.join(LOSS_NAMES)}"
        )
    try:
        if "augmentation" in changes:
            changes["augmentation"] = dataclasses.replace(
                base.augmentation, **changes["augmentation"]
            )
        recipe = dataclasses.replace(base, **changes)
        if added:
            parts = (recipe.steps, *([recipe.steps] if added is True else added))
            recipe = dataclasses.replace(recipe, steps=sum(parts), parts=parts)
    except TypeError as error:
        raise ConfigError(f"recipe: {error}") from error
    if recipe.start not in STARTS:
        raise ConfigError(f"recipe.start: {recipe.start!r} unknown; there are: {', '.join(STARTS)}")
    for key, optimizer in OF_OPTIMIZER.items():
        value = getattr(recipe, key)
        if recipe.optimizer != optimizer and value not in (0, getattr(base, key)):
            raise ConfigError(
                f"recipe.{key}: {value:g} is for {optimizer}, but the optimizer is "
                f"{recipe.optimizer}; take {key} out, or set optimizer: {optimizer}"
            )
    if recipe.batch % recipe.accumulate:
        raise ConfigError(
            f"recipe: a batch of {recipe.batch} cannot be taken in accumulate = "
            f"{recipe.accumulate} equal parts; make batch a multiple of it"
        )
    return recipe
