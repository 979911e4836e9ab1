"""The landscapes that clumps are taken apart on, one for each method of separation.

A landscape lies over the pixels of one object. It is flooded from its highest pixels downwards, and
two basins that meet stay apart if both rise by a number above the place where they meet
(`unetflow.instances.watershed`):

    method     landscape                                           number
    necks      distance to the object's edge [px]                  split_px
    valleys    logit of the foreground + distance to the edge      split_logits
    seeds      foreground, raised where it is above the number     seed_threshold
    border     1 - border head, raised where it is at most that    border_threshold
    distance   distance head [px]                                  split_px

Distances in a volume are in pixels of a plane, whatever lies between planes.

What is raised makes basins of their own, whatever lies between. An object without any seed is left
out, as of a hysteresis; one that the border head takes for border alone stays as it is.
"""

import numpy as np
from scipy import ndimage

from unetflow.instances.separation import Separation
from unetflow.store.heads import DISTANCE_PX

RAISED = 4.0  # above all that is not, by more than any difference of probabilities
PER_PX = 1e-4  # away from a seed: a byte of a probability is worth 39 px
SURE = 0.5 / 255  # of a probability to 0 and 1: half a byte, so that its logit is finite


def heights_of(
    separation: Separation,
    mask: np.ndarray,
    foreground: np.ndarray | None = None,
    head: np.ndarray | None = None,
) -> np.ndarray:
    """The landscape (float64) of an object in its box, which is padded by one pixel.

    `mask` (bool, any number of axes) holds the object alone; `foreground` and `head` are float32 in
    [0, 1], of the box; those that the method does not look at may be None.
    """
    if separation.method in ("necks", "valleys"):
        depth: np.ndarray = ndimage.distance_transform_edt(
            np.pad(mask, 1), sampling=separation.steps
        )
        return depth if separation.method == "necks" else depth + np.pad(_logits(foreground), 1)
    values = np.asarray(foreground if separation.method == "seeds" else head, np.float64)
    if separation.method == "distance":
        return np.pad(values * DISTANCE_PX, 1)
    if separation.method == "seeds":
        return np.pad(_grown(values, mask & (values > separation.number), separation), 1)
    return np.pad(_grown(1 - values, mask & (values <= separation.number), separation), 1)


def rise_of(separation: Separation) -> float:
    """By how much a basin must rise above the place where it meets another."""
    return RAISED / 2 if separation.method in ("seeds", "border") else separation.number


def has_no_seed(
    separation: Separation, mask: np.ndarray, foreground: np.ndarray | None = None
) -> bool:
    """Whether an object is none, because it needs a seed and has none."""
    if separation.method != "seeds":
        return False
    return not bool((np.asarray(foreground)[mask].astype(np.float64) > separation.number).any())


def _grown(values: np.ndarray, seeds: np.ndarray, separation: Separation) -> np.ndarray:
    """Values with the seeds raised; of equal ones those that are nearer to a seed are higher."""
    if not seeds.any():
        return values
    away_px = ndimage.distance_transform_edt(~seeds, sampling=separation.steps)
    return np.asarray(np.where(seeds, RAISED, values - PER_PX * away_px))


def _logits(foreground: np.ndarray | None) -> np.ndarray:
    probability = np.clip(np.asarray(foreground, np.float64), SURE, 1 - SURE)
    return np.asarray(np.log(probability / (1 - probability)))
