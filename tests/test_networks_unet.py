"""The paper's network, to the layer."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from unetflow.networks import build
from unetflow.networks.blocks import centre
from unetflow.tiles.valid_sizes import halo_px


def test_the_papers_network_has_its_layers_and_parameters() -> None:
    network = build("unet")
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(layers) == 23
    assert sum(p.numel() for p in network.parameters()) == 31_030_658


def test_a_tile_of_572_gives_388() -> None:
    network = build("unet", base_channels=2).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 572, 572)).shape == (1, 2, 388, 388)


@pytest.mark.parametrize(("depth", "base_channels"), [(1, 3), (2, 4), (5, 1)])
def test_any_depth_and_width(depth: int, base_channels: int) -> None:
    network = build("unet", in_channels=3, num_classes=4, base_channels=base_channels, depth=depth)
    size_px = 4 + 2 * halo_px(depth)
    assert network.geometry.before_px == network.geometry.after_px == (halo_px(depth),) * 2
    output = network(torch.zeros(2, 3, size_px, size_px))
    assert output.shape == (2, 4, size_px - 2 * halo_px(depth), size_px - 2 * halo_px(depth))


def test_an_impossible_size_names_the_nearest_valid_ones() -> None:
    with pytest.raises(ValueError, match="570 px .* 556 px and 572 px"):
        build("unet", base_channels=1)(torch.zeros(1, 1, 570, 572))


def test_initial_weights_are_he_normal() -> None:
    network: Any = build("unet", base_channels=16)
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            incoming = layer.in_channels
        elif isinstance(layer, nn.Conv2d):
            incoming = layer.in_channels * math.prod(layer.kernel_size)
        else:
            continue
        expected = math.sqrt(2 / incoming)
        deviation = float(layer.weight.detach().square().mean().sqrt())
        # The standard error of a deviation from n draws is 1 / sqrt(2 n) of it; 5 of them.
        assert abs(deviation / expected - 1) < 5 / math.sqrt(2 * layer.weight.numel())
        assert not layer.bias.detach().any()


def test_dropout_is_active_in_training_only() -> None:
    network = build("unet", base_channels=4, depth=2)
    tile = torch.randn(1, 1, 60, 60)
    assert not torch.equal(network.train()(tile), network(tile))
    assert torch.equal(network.eval()(tile), network(tile))


def test_an_unknown_name_or_option_lists_those_there_are() -> None:
    with pytest.raises(
        ValueError, match="no network is called 'unot'; there are: .*, unet, unet3d, unet_padded"
    ):
        build("unot")
    with pytest.raises(ValueError, match="no option 'width'; there are in_channels"):
        build("unet", width=3)
    with pytest.raises(ValueError, match="dropout is 1.5: must lie in"):
        build("unet", dropout=1.5)


def test_the_crop_keeps_the_layout_of_its_gradient() -> None:
    features = torch.randn(1, 3, 9, 12).to(memory_format=torch.channels_last).requires_grad_()
    cropped = centre(features, 4, 6)
    assert torch.equal(cropped, centre(features.detach(), 4, 6))
    (cropped * cropped).sum().backward()
    assert features.grad is not None
    assert features.grad.is_contiguous(memory_format=torch.channels_last)
    wanted = torch.zeros_like(features)
    wanted[..., 2:6, 3:9] = 2 * cropped.detach()
    torch.testing.assert_close(features.grad, wanted)


@pytest.mark.slow
def test_it_is_compiled_in_one_piece_and_once_for_a_size() -> None:
    """What `torch.compile` traces: without a break, of static shapes, forward and backward."""
    network = build("unet", base_channels=2, depth=1, dropout=0)
    compiled: Any = torch.compile(network, backend="eager", fullgraph=True, dynamic=False)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for seed in range(3):
        image = torch.randn(1, 1, 36, 36, generator=torch.Generator().manual_seed(seed))
        logits = compiled(image)
        torch.testing.assert_close(logits, network(image))
        logits.sum().backward()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] - before == 1
