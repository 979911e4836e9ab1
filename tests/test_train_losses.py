"""Losses: their formulas, ignored pixels, and batches cut in parts."""

import numpy as np
import pytest
import torch

from unetflow.train.changed_recipes import LOSS_NAMES
from unetflow.train.losses import LOSSES, combined_loss


def case(seed: int = 0, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, classes, 6, 7, generator=random)
    target = torch.randint(0, classes, (4, 6, 7), generator=random)
    weight = torch.rand(4, 6, 7, generator=random) + 0.5
    weight[:, 2:4, 1:3] = 0
    return logits, target, weight


def test_the_recipe_knows_every_loss() -> None:
    assert set(LOSS_NAMES) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_their_formulas(name: str) -> None:
    logits, target, weight = case()
    p = logits.double().softmax(1).numpy()
    per_patch = []
    for k in range(4):
        counted = weight[k].numpy() > 0
        true = np.take_along_axis(p[k], target[k].numpy()[None], axis=0)[0]
        if name in ("cross_entropy", "focal"):
            factor = (1 - true) ** 2 if name == "focal" else 1
            loss = -np.log(true) * factor * weight[k].numpy()
            per_patch.append(loss[counted].sum() / counted.sum())
            continue
        found = []
        for c in (1, 2):
            t = (target[k].numpy() == c)[counted]
            q = p[k, c][counted]
            both, areas = (t * q).sum(), t.sum() + q.sum()
            score = (2 * both + 1) / (areas + 1)
            found.append(score if name == "dice" else (both + 1) / (areas - both + 1))
        per_patch.append(1 - np.mean(found))
    assert float(LOSSES[name](logits, target, weight)) == pytest.approx(
        np.mean(per_patch), rel=1e-5
    )


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_count_nowhere_and_parts_make_the_whole(name: str) -> None:
    logits, target, weight = case()
    loss = LOSSES[name]
    whole = loss(logits, target, weight)
    changed, other = logits.clone(), target.clone()
    changed[:, :, 2:4, 1:3] = 50 * torch.randn(4, 3, 2, 2)
    other[:, 2:4, 1:3] = 0
    torch.testing.assert_close(loss(changed, other, weight), whole)
    parts = [loss(*(each[k : k + 2] for each in (logits, target, weight))) for k in (0, 2)]
    torch.testing.assert_close((parts[0] + parts[1]) / 2, whole)
    nothing = loss(logits, target, torch.zeros_like(weight))
    assert float(nothing) == 0


def test_a_sum_of_losses_has_their_factors() -> None:
    values = case()
    wanted = 0.5 * LOSSES["cross_entropy"](*values) + 2 * LOSSES["dice"](*values)
    torch.testing.assert_close(combined_loss({"cross_entropy": 0.5, "dice": 2}, *values), wanted)
