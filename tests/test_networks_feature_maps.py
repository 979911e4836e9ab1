"""The maps of a network are those that its layers make."""

import pytest
import torch
from torch import nn

from unetflow import networks
from unetflow.networks.feature_maps import feature_maps


def test_maps_of_a_unet_are_those_of_the_paper() -> None:
    network = networks.build("unet", depth=4, base_channels=64)
    maps = feature_maps(network, 1, (572, 572))
    # figure 1 of Ronneberger et al. 2015: channels and sides, the pooled ones among them
    assert [(each["channels"], each["size_px"][0]) for each in maps] == [
        *((1, 572), (64, 570), (64, 568), (64, 284), (128, 282), (128, 280)),
        *((128, 140), (256, 138), (256, 136), (256, 68), (512, 66), (512, 64)),
        *((512, 32), (1024, 30), (1024, 28)),
        *((512, 56), (1024, 56), (512, 54), (512, 52)),
        *((256, 104), (512, 104), (256, 102), (256, 100)),
        *((128, 200), (256, 200), (128, 198), (128, 196)),
        *((64, 392), (128, 392), (64, 390), (64, 388), (2, 388)),
    ]
    met = [each for each in maps if each["made_by"] == "concatenated"]
    assert [maps[each["of"][0]]["size_px"][0] for each in met] == [64, 136, 280, 568]
    assert [each["step_px"] for each in met] == [8, 4, 2, 1]


def test_maps_that_are_made_alike_are_counted() -> None:
    network = networks.build("unet_padded", depth=1, base_channels=4)
    size = next(px for px in range(40, 200) if fits(network, px))
    maps = feature_maps(network, 1, (size, size))
    told = [(each["made_by"], each["count"], each["step_px"]) for each in maps]
    assert told[:4] == [
        ("image", 1, 1),
        ("convolution 3x3", 2, 1),
        ("max pooling 2x2", 1, 2),
        ("convolution 3x3", 2, 2),
    ]


def fits(network: nn.Module, px: int) -> bool:
    try:
        with torch.no_grad():
            network(torch.zeros(1, 1, px, px))
    except ValueError:
        return False
    return True


def test_a_network_that_cannot_be_traced_is_not_drawn(caplog: pytest.LogCaptureFixture) -> None:
    class ByValue(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image if image.sum().item() > 0 else -image

    assert feature_maps(ByValue(), 1, (8, 8)) == []
    assert "cannot be traced" in caplog.text
