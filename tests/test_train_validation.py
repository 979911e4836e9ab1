"""Validation: sums of whole images, and the scores of them."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from predicting import network_of
from waits import waits

from unetflow.networks import geometry_of
from unetflow.predict.forward import tile_logits
from unetflow.train.patches import TrainingImage
from unetflow.train.validation import _tiling, validation_scores, validation_sums


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


def test_tiles_without_a_pixel_that_counts_are_not_predicted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a slide with one rectangle annotated a validation would take longer than the training."""
    network, predicted = network_of(depth=1), []
    target = np.random.default_rng(1).integers(0, 2, (1024, 1024)).astype(np.uint8)
    weight = np.zeros(target.shape, np.float32)
    weight[300:400, 10:200] = 1

    def noted(network: Any, tile_BCHW: torch.Tensor) -> torch.Tensor:
        predicted.append(tile_BCHW)
        return tile_logits(network, tile_BCHW)

    def sums(rows: slice) -> torch.Tensor:
        image = TrainingImage(
            target[None, rows].astype(np.float32),
            lambda region: (target[rows][region], weight[rows][region]),
            np.zeros((0, 2), np.int32),
        )
        return validation_sums(network, [image], device="cpu", precision="fp32")

    monkeypatch.setattr("unetflow.train.validation.tile_logits", noted)
    whole = sums(slice(0, 1024))
    assert len(predicted) == 1  # of 16
    assert whole[1] == 100 * 190
    torch.testing.assert_close(sums(slice(256, 512)), whole)


def test_a_gpu_is_not_waited_for_at_every_tile() -> None:
    network = network_of(depth=1)

    def image(side: int) -> TrainingImage:
        target, weight = np.zeros((side, side), np.uint8), np.ones((side, side), np.float32)
        return TrainingImage(
            np.zeros((1, side, side), np.float32),
            lambda region: (target[region], weight[region]),
            np.zeros((0, 2), np.int32),
        )

    def count(side: int) -> int:
        images = [image(side)]
        return waits(lambda: validation_sums(network, images, device="cpu", precision="fp32"))

    assert count(200) == count(600), "of one tile, and of nine"


@pytest.mark.parametrize(
    ("base_channels", "depth", "planes", "write_px"),
    [
        (4, 1, 200, (128, 128, 128)),
        (16, 2, 200, (64, 64, 64)),  # 1.7 GB
        (16, 3, 200, (32, 32, 32)),
        (8, 2, 12, (12, 128, 128)),
    ],
)
def test_tiles_of_volumes_are_as_large_as_memory_allows(
    base_channels: int, depth: int, planes: int, write_px: tuple[int, ...]
) -> None:
    geometry = geometry_of("unet3d", base_channels=base_channels, depth=depth)
    assert _tiling(geometry, (planes, 500, 500)).write_px == write_px
    assert _tiling(geometry_of("unet"), (50, 50)).write_px == (256, 256)
