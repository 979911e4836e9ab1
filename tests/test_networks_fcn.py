"""FCN-8s: VGG16 and three scores, added."""

import math

import pytest
import torch
from torch import nn

from unetflow.networks.fcn import build
from unetflow.networks.walk import on_no_device

VGG16 = 138_357_544  # as published, with its 1000 classes


def test_the_papers_network_has_the_parameters_of_vgg16_and_its_scores() -> None:
    classes = 21
    scores = (256 + 512 + 4096) * classes + 3 * classes
    up = 2 * classes * classes * 4 * 4
    wanted = VGG16 - (4096 * 1000 + 1000) + scores + up
    network = on_no_device(lambda: build(in_channels=3, num_classes=classes))
    assert sum(weights.numel() for weights in network.parameters()) == wanted == 134_376_863


def test_weights_start_as_he_says_and_scores_are_interpolated() -> None:
    network = build(base_channels=32, hidden_channels=16)
    layer = network.encoder.get_submodule("2.0.2")
    assert isinstance(layer, nn.Conv2d)
    expected = math.sqrt(2 / (128 * 9))
    assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=0.02)
    scores = torch.randn(1, 2, 6, 6)
    up = network.score["up_8"](scores)
    linear = nn.functional.interpolate(scores, scale_factor=2, mode="bilinear")
    assert torch.allclose(up[..., 1:-1, 1:-1], linear[..., 1:-1, 1:-1], atol=1e-6)
