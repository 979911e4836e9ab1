"""Every network of the registry keeps to what all must: one check a test, options of each kind."""

from pathlib import Path
from typing import Any

import pytest
import torch
from waits import waits

from unetflow.errors import ModelError
from unetflow.networks import NETWORKS, build, declared_of, geometry_of, options_of
from unetflow.networks.initial_weights import start_from
from unetflow.networks.model_file import ModelDescription, load_model, save_model
from unetflow.networks.walk import on_no_device, walk
from unetflow.predict import network_checks
from unetflow.predict.forward import ready
from unetflow.predict.runners import ORIENTATIONS, mean_probabilities
from unetflow.tiles.geometry import Geometry

SMALL: dict[str, Any] = {"base_channels": 4, "depth": 2}
SMALL_OF: dict[str, dict[str, Any]] = {  # those that have other options
    "multires_unet": {"base_channels": 8, "depth": 2},
    "backbone_unet": {"base_channels": 4, "backbone": "resnet18"},
    "fpn": {"pyramid_channels": 8, "head_channels": 8, "backbone": "resnet18"},
    "fcn": {"base_channels": 4, "hidden_channels": 16},
    "sliding_window": {"base_channels": 4, "hidden_channels": 8, "kernels": [4, 3], "top_px": 3},
    "unetr": {
        **{"base_channels": 4, "hidden_channels": 24, "layers": 4, "heads": 2},
        "size_px": 64,
    },
    "unet3d": {"base_channels": 2, "depth": 1},
}
OF_IMAGES = [name for name in NETWORKS if geometry_of(name).axes == ("y", "x")]
CASES: list[tuple[str, dict[str, Any]]] = [
    ("unet", {"kernel_size": 5, "convolutions": 1, "up": "interpolated", "merge": "add"}),
    ("unet", {"activation": "gelu", "norm": "batch", "convolutions": 3, "up": "interpolated"}),
    ("unet_padded", {"up": "interpolated", "kernel_size": 5, "activation": "silu", "norm": None}),
    ("unet_padded", {"norm": "group", "dropout": 0.1}),
    ("residual_unet", {"norm": None, "activation": "elu"}),
    ("attention_unet", {"norm": "instance", "activation": "leaky_relu"}),
    ("multires_unet", {"norm": None, "alpha": 2.0}),
    ("backbone_unet", {"backbone": "mobilenet_v2", "norm": None}),
    ("backbone_unet", {"backbone": "efficientnet_b0"}),
    ("fpn", {"norm": "group"}),
    ("fcn", {"norm": "batch", "dropout": 0.0}),
    ("sliding_window", {"way": "naive"}),
    ("unetr", {"norm": "instance"}),
    ("unet3d", {"depth": 2, "flat": 1, "norm": None}),
]
OF_VOLUMES: dict[str, dict[str, Any]] = {  # those that take volumes, too, with small options
    "unet_padded": {"base_channels": 4, "depth": 1},
    "residual_unet": {"base_channels": 4, "depth": 1},
    "attention_unet": {"base_channels": 4, "depth": 2},
    "multires_unet": {"base_channels": 4, "depth": 1},
    "unetr": {"base_channels": 2, "hidden_channels": 12, "layers": 4, "heads": 2, "size_px": 32},
}
CASES += [(name, {**options, "axes": 3}) for name, options in OF_VOLUMES.items()]
CASES += [("unet_padded", {"base_channels": 4, "depth": 1, "axes": 3, "up": "interpolated"})]


def small(name: str) -> dict[str, Any]:
    """Options of a network that takes little."""
    return SMALL_OF.get(name, SMALL)


OFTEN = (
    "unet",
    "unet3d",
    "unet_padded",
    "unetr",
    "sliding_window",
)  # a network of each kind; all by test-more
EVERY = [name if name in OFTEN else pytest.param(name, marks=pytest.mark.more) for name in NETWORKS]
CHECKS = {key: of for key, of in network_checks.CHECKS.items() if key != "learns_one_image"}


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_network(check: network_checks.Check, name: str) -> None:
    check(name, **small(name))


@pytest.mark.more
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_network_of_options(
    check: network_checks.Check, name: str, options: dict[str, Any]
) -> None:
    check(name, **small(name) | options)


@pytest.mark.parametrize("name", [name for name in OF_VOLUMES if name != "unetr"])
@pytest.mark.slow
def test_tiles_of_volumes_make_what_the_whole_makes(name: str) -> None:
    network_checks.tiled_is_whole(name, **OF_VOLUMES[name], axes=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_network_learns_one_image(name: str) -> None:
    network_checks.learns_one_image(name, **small(name))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.slow
def test_a_cuda_graph_can_hold_a_tile(name: str) -> None:
    """No value is asked for on the way: a capture would break off there."""
    network = ready(build(name, **small(name)), device="cpu", precision="bf16")
    axes = range(len(network.geometry.axes))
    tile = torch.zeros(1, 1, *(network.geometry.input_px(32, axis) for axis in axes))
    assert waits(lambda: mean_probabilities([network], [tile], ORIENTATIONS[:3])) == 0


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.slow
def test_by_its_defaults_the_geometry_is_that_of_the_layers(name: str) -> None:
    network_checks.geometry_is_computed(name)


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in NETWORKS), *CASES], ids=str)
def test_geometry_is_said_of_the_options_alone(name: str, options: dict[str, Any]) -> None:
    every = small(name) | options
    assert build(name, **every).geometry == geometry_of(name, **every)


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("unet", {}, 31_030_658),  # figure 1
        ("unet_padded", {"in_channels": 3}, 31_037_698),  # as popular programs print
        ("attention_unet", {}, 32_069_637),
        ("residual_unet", {"in_channels": 3}, 8_221_058),
        # 19,069,955 in the paper, of convolutions alone: without the norms of 2,336 channels and
        # the biases of up-convolutions to 896
        ("unet3d", {"in_channels": 3, "num_classes": 3}, 19_069_955 + 2 * 2_336 + 896),
    ],
)
def test_parameters(name: str, options: dict[str, Any], parameters: int) -> None:
    network = on_no_device(lambda: build(name, **options))
    assert sum(weights.numel() for weights in network.parameters()) == parameters


def test_the_residual_networks_3x3_convolutions_have_the_7_8_million_of_its_paper() -> None:
    network = on_no_device(lambda: build("residual_unet", in_channels=3))
    layers = [each for each in network.modules() if isinstance(each, torch.nn.Conv2d)]
    weights = sum(each.weight.numel() for each in layers if each.kernel_size == (3, 3))
    assert round(weights / 1e6, 1) == 7.8


def test_multiply_adds_are_those_counted_by_hand() -> None:
    network = on_no_device(lambda: build("unet", base_channels=2, depth=1))
    found = walk(network, 1, network.geometry.smallest_input_px)
    first, below = 9 * (1 * 2 + 2 * 2), 9 * (2 * 4 + 4 * 4) / 4
    up, last = 4 * 4 * 2 / 4, 9 * (4 * 2 + 2 * 2) + 2 * 2
    assert found.multiply_adds == first + below + up + last


@pytest.mark.parametrize(
    ("option", "given", "message"),
    [
        ("width", 3, "network unet has no option 'width'; there are in_channels, num_classes"),
        ("kernel", 3, "no option 'kernel'; did you mean 'kernel_size'?"),
        ("kernel_size", 4, "kernel_size 4 is not known; there are 3, 5, 7, 9 and 11"),
        ("depth", 9, "depth is 9: must be a whole number, 1 to 8"),
        ("merge", "sum", "merge 'sum' is not known; there are concatenate and add"),
        ("norm", True, "norm True is not known; there are None, batch, instance and group"),
        ("dropout", 1, r"dropout is 1: must lie in \[0, 1\)"),
    ],
)
def test_an_option_that_is_not_possible_is_refused(option: str, given: Any, message: str) -> None:
    for ask in (build, geometry_of, options_of):
        with pytest.raises(ValueError, match=message):
            ask("unet", **{option: given})


def test_a_halo_that_is_too_small_or_too_large_breaks_the_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = declared_of("unet_padded")
    assert said is not None
    true = said(**SMALL).geometry()

    def with_halo(halo_px: int) -> None:
        made = Geometry(
            true.axes, true.step_px, *((halo_px,) * 2,) * 2, (2 * halo_px + 4,) * 2, 32.0
        )
        monkeypatch.setattr(said, "geometry", lambda self: made)

    with_halo(true.before_px[0] - true.step_px[0])
    with pytest.raises(ModelError, match="its zero padding shows; enlarge the halo"):
        network_checks.geometry_is_computed("unet_padded", **SMALL)
    with pytest.raises(ModelError, match=r"tiles of \(32, 32\) px differ from one pass"):
        network_checks.tiled_is_whole("unet_padded", **SMALL)
    with_halo(true.before_px[0] + true.step_px[0])
    network_checks.tiled_is_whole("unet_padded", **SMALL)
    with pytest.raises(ModelError, match="says before_px = .* correct `geometry`"):
        network_checks.geometry_is_computed("unet_padded", **SMALL)


def test_a_model_file_without_the_newer_options_is_read_and_starts_a_training(
    tmp_path: Path,
) -> None:
    old: dict[str, Any] = {"name": "unet", "in_channels": 1, "num_classes": 2, **SMALL}
    description: ModelDescription = {
        "network": old | {"dropout": 0.5, "norm": None},  # all there were
        "channels": 1,
        "classes": ["cell"],
        "intensity": {"mean": [0.0], "deviation": [1.0]},
    }
    path = tmp_path / "model.safetensors"
    save_model(path, build(**old), description)
    given, _ = load_model(path)
    names = given.state_dict().keys()
    assert {"contracting.0.0.weight", "up.1.bias", "expanding.0.2.weight"} <= names
    now = description | {"network": {"name": "unet", **options_of(**old)}}
    torch.manual_seed(1)
    network = build(**old)
    start_from(path, network, now, freeze=False)
    assert all(torch.equal(given.state_dict()[key], network.state_dict()[key]) for key in names)
    other = now | {"network": {"name": "unet", **options_of(**old, kernel_size=5)}}
    with pytest.raises(ModelError, match=r"another kernel_size \(3, here 5\)"):
        start_from(path, network, other, freeze=False)
