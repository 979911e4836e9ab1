"""How far a step goes: the learning rate, the optimizer of a recipe, the mean of the weights."""

import math

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from unetflow.train.recipes import Recipe


def learning_rate(recipe: Recipe, step: int) -> float:
    """Learning rate of a step (0 is the first)."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    first, steps = recipe.part_of(step)
    step, warm_up = step - first, max(1, steps // 20)
    if step < warm_up:
        return recipe.learning_rate * (step + 1) / warm_up
    share = (step - warm_up) / max(1, steps - warm_up)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def optimizer_for(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Of the weights that are not frozen."""
    trained = [weights for weights in network.parameters() if weights.requires_grad]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            trained, lr=recipe.learning_rate, momentum=recipe.momentum, fused=True
        )
    return torch.optim.AdamW(
        trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )


@torch.no_grad()
def update_mean(averaged: AveragedModel, network: nn.Module, decay: float, *, first: bool) -> None:
    """The running mean of the weights after one more step; buffers are those of the network.

    `AveragedModel` does the same by itself, and copies its count of steps to the GPU for it, which
    waits until all before is done.
    """
    mean = averaged.module
    for kept, weights in zip(mean.parameters(), network.parameters(), strict=True):
        kept.lerp_(weights, 1.0 if first else 1 - decay)
    for statistics, buffer in zip(mean.buffers(), network.buffers(), strict=True):
        statistics.copy_(buffer)
    averaged.n_averaged += 1
