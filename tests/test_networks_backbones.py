"""Encoders of classifiers: torchvision's names, shapes and numbers, and files of weights."""

import hashlib
import math
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from unetflow.errors import ModelError
from unetflow.networks.backbone_sizes import BACKBONES
from unetflow.networks.backbone_weights import load_backbone, of_channels
from unetflow.networks.backbones import Backbone, backbone_of

# With their classifier, as published by torchvision.
PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "mobilenet_v2": 3_504_872,
    "efficientnet_b0": 5_288_548,
}
# Of torchvision 0.29.1: digest of its names and shapes, their number, and mean and deviation of the
# last features of `wave_image` with the weights `waves`.
TORCHVISION = {
    "resnet18": ("4e568edc4263de83", 120, 19.366423, 26.0881014),
    "resnet34": ("0ecef210a198a3fb", 216, 19.5531108, 26.2665537),
    "resnet50": ("1e375f1394f2e3a3", 318, 28.3309532, 37.1661367),
    "mobilenet_v2": ("71c3ab1432cc4c5d", 312, 2.19170773, 2.55252935),
    "efficientnet_b0": ("beb292d03d41360f", 358, 3.38145912, 4.66385724),
}


def with_classifier(backbone: Backbone) -> dict[str, Tensor]:
    """The state dict of torchvision's whole network: 1000 classes of the last features."""
    layer = "fc" if backbone.classifier == "fc." else "classifier.1"
    classifier = {
        f"{layer}.weight": torch.zeros(1000, backbone.widths[-1]),
        f"{layer}.bias": torch.zeros(1000),
    }
    return backbone.state_dict() | classifier


def waves(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights without chance, in the order of their names, as large as a network needs them."""
    filled = {}
    for number, (name, tensor) in enumerate(sorted(state.items())):
        wave = torch.sin(torch.arange(tensor.numel(), dtype=torch.float64) + number)
        wave = wave.view(tensor.shape)
        if name.endswith("running_var"):
            wave = 1 + wave.abs()
        elif tensor.ndim > 1:
            wave = wave * math.sqrt(4 / tensor[0].numel())
        elif name.endswith("weight"):
            wave = 1 + wave / 2
        else:
            wave = wave / 2
        filled[name] = wave if tensor.ndim else tensor
    return filled


def wave_image() -> Tensor:
    return torch.sin(torch.arange(3 * 64 * 64, dtype=torch.float64) * 0.7).view(1, 3, 64, 64)


@pytest.mark.parametrize("name", BACKBONES)
def test_it_has_the_published_parameters(name: str) -> None:
    with torch.device("meta"):
        backbone = backbone_of(name, 3)
    classifier = (backbone.widths[-1] + 1) * 1000
    assert sum(p.numel() for p in backbone.parameters()) + classifier == PUBLISHED[name]


@pytest.mark.parametrize("name", BACKBONES)
def test_its_names_and_shapes_are_torchvisions(name: str) -> None:
    with torch.device("meta"):
        state = backbone_of(name, 3).state_dict()
    lines = sorted(f"{key} {tuple(tensor.shape)}" for key, tensor in state.items())
    digest = hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()
    assert (digest, len(lines)) == TORCHVISION[name][:2]


def test_some_names_spelled_out() -> None:
    with torch.device("meta"):
        resnet = backbone_of("resnet50", 3).state_dict()
        mobilenet = backbone_of("mobilenet_v2", 3).state_dict()
        efficientnet = backbone_of("efficientnet_b0", 3).state_dict()
    assert resnet["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert resnet["layer4.2.conv3.weight"].shape == (2048, 512, 1, 1)
    assert mobilenet["features.17.conv.1.0.weight"].shape == (960, 1, 3, 3)
    assert efficientnet["features.6.3.block.2.fc1.weight"].shape == (48, 1152, 1, 1)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.slow
def test_its_features_are_torchvisions(name: str) -> None:
    """Strides, paddings, activations and shortcuts, which neither names nor shapes know."""
    backbone = backbone_of(name, 3).double().eval()
    given = with_classifier(backbone)
    filled = waves(given)
    backbone.load_state_dict({key: filled[key] for key in backbone.state_dict()})
    with torch.inference_mode():
        found = backbone(wave_image())
    sizes = [(each.shape[1], each.shape[2], each.shape[3]) for each in found]
    assert sizes == [
        (width, 32 >> level, 32 >> level) for level, width in enumerate(backbone.widths)
    ]
    values = (float(found[-1].mean()), float(found[-1].std()))
    assert values == pytest.approx(TORCHVISION[name][2:], rel=1e-7)  # as many digits as stand there


@pytest.mark.parametrize("kind", ["pth", "safetensors", "before 1.6", "before 0.4.1"])
def test_a_state_dict_of_torchvision_is_loaded(tmp_path: Path, kind: str) -> None:
    source, target = backbone_of("resnet18", 3), backbone_of("resnet18", 3)
    state = with_classifier(source)
    path = tmp_path / "weights"
    if kind == "safetensors":
        safetensors.torch.save_file(state, path)
    elif kind == "before 1.6":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        counted = kind == "before 0.4.1"
        torch.save({k: v for k, v in state.items() if v.ndim or not counted}, path)
    load_backbone(target, path)
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor), name


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_a_grey_image_gives_what_it_gave_as_three_channels(tmp_path: Path, channels: int) -> None:
    coloured = backbone_of("mobilenet_v2", 3).eval()
    torch.save(coloured.state_dict(), tmp_path / "weights.pth")
    other = backbone_of("mobilenet_v2", channels).eval()
    load_backbone(other, tmp_path / "weights.pth")
    grey = torch.randn(1, 1, 32, 32)
    with torch.inference_mode():
        wanted = coloured(grey.repeat(1, 3, 1, 1))[0]
        torch.testing.assert_close(other(grey.repeat(1, channels, 1, 1))[0], wanted)
    assert of_channels(torch.ones(2, 3, 1, 1), channels).shape == (2, channels, 1, 1)


def test_a_file_of_another_backbone_says_of_which(tmp_path: Path) -> None:
    torch.save(with_classifier(backbone_of("resnet34", 3)), tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="it also has layer1.2.* more. It is one of resnet34"):
        load_backbone(backbone_of("resnet18", 1), tmp_path / "weights.pth")


def test_a_file_of_another_network_names_what_it_has(tmp_path: Path) -> None:
    torch.save({"down.weight": torch.zeros(2)}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="lacks conv1.weight.* begins with down.weight.*torchvis"):
        load_backbone(backbone_of("resnet18", 1), tmp_path / "weights.pth")


class Ran:
    """Runs when it is unpickled as pickle does."""

    ran = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return setattr, (Ran, "ran", True)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Ran()}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="tensors alone .*Save one with torch.save"):
        load_backbone(backbone_of("resnet18", 1), tmp_path / "weights.pth")
    assert not Ran.ran


def test_what_holds_no_weights_is_refused(tmp_path: Path) -> None:
    backbone = backbone_of("resnet18", 1)
    (tmp_path / "text").write_text("no weights, but text that is long enough")
    (tmp_path / "empty").touch()
    torch.save([torch.zeros(2)], tmp_path / "list")
    torch.save(backbone.state_dict(), tmp_path / "whole")
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:100_000])
    for name, message in {
        "none": "there is no such file",
        "text": "neither safetensors nor",
        "empty": "neither safetensors nor",
        "cut": "neither safetensors nor",
        "list": "is no state dict",
    }.items():
        with pytest.raises(ModelError, match=message):
            load_backbone(backbone, tmp_path / name)
