"""The registry: every network has the geometry that is said without building it."""

import subprocess
import sys
from typing import Any

import pytest
import torch

from unetflow.networks import NETWORKS, build, changed_options, geometry_of, module_of

OPTIONS: list[dict[str, Any]] = [
    {},
    {"depth": 1, "base_channels": 3},
    {"depth": 3, "base_channels": 2, "dropout": 0.1, "norm": "batch"},
    {"depth": 2, "base_channels": 5, "norm": "instance", "in_channels": 3, "num_classes": 4},
    {"depth": 6, "base_channels": 1, "norm": None},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_geometry_is_that_of_the_network(options: dict[str, Any]) -> None:
    network = build("unet", **options)
    assert network.geometry == geometry_of("unet", **options)
    height, width = network.geometry.smallest_input_px
    width += network.geometry.step_px[1]
    with torch.inference_mode():
        found = network.eval()(torch.zeros(1, network.in_channels, height, width))
    sizes = [network.geometry.output_px(size, axis) for axis, size in enumerate((height, width))]
    assert list(found.shape[2:]) == sizes


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.slow
def test_a_network_names_its_encoder_and_its_last_layer(name: str) -> None:
    network = build(name, num_classes=2)
    others = build(name, num_classes=5).state_dict()
    every = network.state_dict()
    other = {key for key in every if every[key].shape != others[key].shape}
    assert other == {key for key in every if key.startswith(network.last_layer)}
    encoder = {id(weights) for weights in network.encoder.parameters()}
    assert encoder < {id(weights) for weights in network.parameters()}


def test_geometries_are_known_without_pytorch() -> None:
    program = (
        "import sys, unetflow.networks as n; n.geometry_of('unet', depth=2); n.module_of('unet');"
        " assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_network_lists_those_there_are() -> None:
    for ask in (build, geometry_of, module_of):
        with pytest.raises(
            ValueError,
            match="no network is called 'unot'; there are: .*, unet, unet3d, unet_padded",
        ):
            ask("unot")


def test_changed_options_are_those_unlike_the_defaults() -> None:
    given: dict[str, Any] = {"base_channels": 12, "depth": 4, "dropout": 0}
    assert changed_options("unet", **given) == {"base_channels": 12, "dropout": 0}
    assert changed_options("sliding_window", kernels=[4, 5, 4, 4]) == {}  # a tuple by default
