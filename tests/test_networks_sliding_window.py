"""The classifier of patches: one by one, and all at once."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from unetflow.networks.sliding_window import SlidingWindow, build

SMALL: dict[str, Any] = {"base_channels": 6, "hidden_channels": 10, "kernels": [4, 3], "top_px": 2}


def small(**options: Any) -> SlidingWindow:
    torch.manual_seed(0)
    return build(**SMALL | options)


def test_the_papers_network_has_its_maps_and_parameters() -> None:
    """N4: 95, 92, 46, 42, 21, 18, 9, 6 and 3 px; 48 maps, 200 hidden neurons, two classes."""
    network = build()
    sides = []
    for layer in network.features:
        layer.register_forward_hook(lambda *given: sides.append(given[2].shape[-1]))
    assert network.patch_px == 95
    assert network(torch.zeros(1, 1, 95, 95)).shape == (1, 2, 1, 1)
    assert sides[0] == 92
    maps = 48 * (16 + 1) + 48 * (48 * 25 + 1) + 2 * 48 * (48 * 16 + 1)
    fully_connected = 200 * (48 * 9 + 1) + 2 * (200 + 1)
    assert sum(p.numel() for p in network.parameters()) == maps + fully_connected
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.of_patches(torch.zeros(1, 1, 95, 95))
    of_maps = 48 * (92**2 * 16 + 48 * (42**2 * 25 + 18**2 * 16 + 6**2 * 16))
    assert counter.get_total_flops() == 2 * (of_maps + 200 * 48 * 9 + 2 * 200)


@pytest.mark.parametrize(
    "options", [{}, SMALL, {"kernels": [2], "top_px": 1}, {"in_channels": 3, "kernels": [6, 4, 3]}]
)
def test_the_naive_and_the_dense_way_give_the_same_numbers(options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    network = build(**options).eval()
    image = torch.randn(2, network.in_channels, network.patch_px + 4, network.patch_px + 8)
    with torch.inference_mode():
        naive, dense = network.naive(image), network.dense(image)
    assert naive.shape == dense.shape == (2, 2, 5, 9)
    # sums of the same products in another order, in float32
    assert float((naive - dense).abs().max()) < 1e-5 * float(dense.abs().max())
    assert float((naive[..., 1:] - dense[..., :-1]).abs().max()) > 1e-3  # not all alike


def test_a_gradient_is_the_same_both_ways() -> None:
    image = torch.randn(1, 1, 20, 22)
    found = []
    for way in ("naive", "dense"):
        network = small(way=way)
        network(image).square().sum().backward()
        found.append([tensor.grad for tensor in network.parameters() if tensor.grad is not None])
    assert len(found[0]) == len(found[1]) == 8
    for naive, dense in zip(*found, strict=True):
        torch.testing.assert_close(naive, dense, rtol=1e-4, atol=1e-5)


def test_what_has_no_centre_or_is_smaller_than_a_patch_is_refused() -> None:
    with pytest.raises(ValueError, match="a patch of 96 px, .* the first kernel must be even"):
        build(kernels=[5, 5, 4, 4])
    with pytest.raises(ValueError, match="way 'fast' is not known; there are dense and naive"):
        build(way="fast")
    with pytest.raises(ValueError, match="kernels.1. is 0"):
        build(kernels=[4, 0])
    with pytest.raises(ValueError, match="an input of 94 px is not possible along y.* takes 95 px"):
        build()(torch.zeros(1, 1, 94, 99))
    with pytest.raises(ValueError, match="no option 'norm'; there are .*kernels, top_px, way"):
        build(norm="batch")
