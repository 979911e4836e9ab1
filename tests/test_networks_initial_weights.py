"""Random filters without their means."""

import pytest
import torch
from torch import nn

from unetflow.networks import build
from unetflow.networks.initial_weights import centre_filters


def test_filters_have_no_mean_and_the_variance_of_he() -> None:
    torch.manual_seed(0)
    network = build("unet", in_channels=3, num_classes=2, base_channels=4, depth=2)
    others = {
        name: weights.clone()
        for name, weights in network.state_dict().items()
        if weights.ndim != 4 or weights.shape[2:] != (3, 3)
    }
    centre_filters(network)
    filters = [layer.weight.detach().flatten(1) for layer in convolutions_3x3(network)]
    assert len(filters) == 10  # two a level, on the way down, at the bottom and on the way up
    for each in filters:
        inputs = each.shape[1]
        assert each.mean(dim=1).abs().max().item() < 1e-6  # a sum of up to 288 of float32
        variance = each.var(dim=1, correction=0)
        assert variance.min().item() == pytest.approx(2 / inputs, rel=1e-5)
        assert variance.max().item() == pytest.approx(2 / inputs, rel=1e-5)
    found = network.state_dict()
    assert all(torch.equal(found[name], weights) for name, weights in others.items())


def test_filters_of_zeros_stay_zeros() -> None:
    layer = nn.Conv2d(3, 2, 3)
    nn.init.zeros_(layer.weight[0])
    centre_filters(layer)
    assert not layer.weight[0].any()
    assert layer.weight[1].var(correction=0).item() == pytest.approx(2 / 27, rel=1e-5)


def convolutions_3x3(network: nn.Module) -> list[nn.Conv2d]:
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return [layer for layer in layers if layer.kernel_size == (3, 3)]
