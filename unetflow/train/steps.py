"""How far a step goes: the learning rate, and the optimizer of a recipe."""

import math

import torch
from torch import nn

from unetflow.train.recipes import Recipe


def learning_rate(recipe: Recipe, step: int) -> float:
    """Learning rate of a step (0 is the first)."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    warm_up = max(1, recipe.steps // 20)
    if step < warm_up:
        return recipe.learning_rate * (step + 1) / warm_up
    share = (step - warm_up) / max(1, recipe.steps - warm_up)
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
