"""The rules by which `network: auto` and `recipe: auto` are chosen; docs/training.md states them.

From sizes of objects and images, annotated pixels, memory, and the time that there is.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unetflow.jobs.resources import training_mb
from unetflow.networks import geometry_of

LARGE_PX = 60.0  # diameter from which a network has four poolings in place of three
OUTPUT_PX = {False: 276, True: 512}  # side that a patch gives at most, without and with a GPU
BASE_CHANNELS = {False: 16, True: 32}
LEAST_BASE = 4
MOST_BATCH = 16
ROUNDS = 50  # of all annotated pixels: more steps than show them so often are not proposed
FEW_STEPS, LEAST_STEPS = 1000, 200  # of few pixels, and of little time
VALIDATIONS = 6
FOR_VALIDATION = 0.1  # of the time
MB = 1e6

Chosen = Mapping[str, tuple[Any, str]]
"""Of each key its value and why."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at; sizes at the resolution that the dataset wants."""

    diameter_px: float  # of the annotated objects, the median; 0 where there are none
    side_px: float  # the shorter of an image, the median
    annotated_px: float  # of all training images of a fold
    has_gpu: bool
    free_bytes: float


def choose_network(facts: Facts) -> Chosen:
    """A U-Net, deep enough for the objects, as wide as the machine takes."""
    depth = 4 if facts.diameter_px > LARGE_PX else 3
    base = BASE_CHANNELS[facts.has_gpu]
    why = "with a GPU" if facts.has_gpu else "without a GPU; 32 or 64 with one"
    while base > LEAST_BASE and _takes_bytes(facts, depth, base) > facts.free_bytes:
        base //= 2
        why = f"what fits into {facts.free_bytes / 2**30:.0f} GiB of memory"
    return {
        "name": ("unet", ""),
        "base_channels": (base, why),
        "depth": (depth, f"objects are {facts.diameter_px:.0f} px across (the median)"),
        "dropout": (0, ""),
    }


def choose_recipe(
    facts: Facts,
    network: Mapping[str, Any],
    budget_min: float,
    step_s: Callable[[Mapping[str, Any]], float],
) -> Chosen:
    """Patch, batch and steps; `step_s` tells by a trial what a step of a recipe takes.

    Raises ValueError for a network that does not take squares of images.
    """
    geometry = geometry_of(**network)
    if len(geometry.axes) != 2:
        raise ValueError("it is of volumes, whose recipe is not chosen by a rule")
    most_px = OUTPUT_PX[facts.has_gpu]
    wanted_px = max(1, int(min(most_px, facts.side_px)) - geometry.step_px[0] + 1)
    tile_px = geometry.input_px(wanted_px)
    output_px = geometry.output_px(tile_px)
    batch = min(MOST_BATCH, max(1, round((most_px / output_px) ** 2)))
    found: dict[str, tuple[Any, str]] = {
        "tile_px": (tile_px, f"input of the network; gives {output_px} px, as the images allow"),
        "batch": (batch, f"patches a step; the largest would give {most_px} px"),
    }
    seconds = step_s({key: value for key, (value, _) in found.items()})
    in_time = int(60 * budget_min * (1 - FOR_VALIDATION) / seconds)
    enough = math.ceil(ROUNDS * facts.annotated_px / (batch * output_px**2))
    steps = max(LEAST_STEPS, min(in_time, max(FEW_STEPS, enough)) // 100 * 100)
    if steps > in_time:
        why = f"the fewest; at {seconds:.2g} s a step they take longer than {budget_min:g} min"
    elif in_time < max(FEW_STEPS, enough):
        why = f"what {budget_min:g} min allow, at {seconds:.2g} s a step on this machine"
    else:
        why = f"{ROUNDS} times all annotated pixels, or {FEW_STEPS}; {seconds:.2g} s a step"
    every = max(20, math.ceil(steps / VALIDATIONS / 20) * 20)
    return {
        **found,
        "steps": (steps, why),
        "validate_every": (every, ""),
        "loss": ({"cross_entropy": 1, "dice": 1}, ""),
        "ema": (0.99, "a running mean of the weights is validated and kept"),
        "augmentation": ({"elastic_px": 5, "contrast": 0.3}, ""),
    }


def _takes_bytes(facts: Facts, depth: int, base_channels: int) -> float:
    """Memory of a training of the largest patch, about."""
    geometry = geometry_of("unet", depth=depth, base_channels=base_channels)
    side = geometry.input_px(int(min(OUTPUT_PX[facts.has_gpu], max(1, facts.side_px))))
    return MB * training_mb(geometry, tile_px=[side, side], patches=1, on_gpu=facts.has_gpu)
