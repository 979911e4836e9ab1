"""Validation: sums of whole images, and the scores of them."""

import math

import numpy as np
import pytest
from predicting import network_of

from unetflow.train.patches import TrainingImage
from unetflow.train.validation import validation_scores, validation_sums


def scores_of(weight: float, network: object) -> tuple[float, float]:
    """Loss and IoU of a noisy image with one object, all of whose pixels have this weight."""
    target = np.zeros((70, 90), np.uint8)
    target[10:30, 10:40] = 1
    weights = np.full(target.shape, weight, np.float32)
    image = TrainingImage(
        np.random.default_rng(0).normal(size=(1, *target.shape)).astype(np.float32),
        lambda region: (target[region], weights[region]),
        np.zeros((0, 2), np.int32),
    )
    return validation_scores(
        validation_sums(network, [image], device="cpu", precision="fp32")  # type: ignore[arg-type]
    )


def test_where_everything_is_ignored_loss_and_iou_are_undefined() -> None:
    network = network_of(depth=1)
    (loss, iou), (double, same) = (scores_of(weight, network) for weight in (1.0, 2.0))
    assert loss > 0 and 0 <= iou <= 1
    assert (double, same) == pytest.approx((2 * loss, iou))
    assert all(map(math.isnan, scores_of(0.0, network)))
