"""U-Nets with the encoder of a classifier."""

from pathlib import Path
from typing import Any

import pytest
import torch

from unetflow import networks
from unetflow.errors import ModelError
from unetflow.networks.backbone_unet import build
from unetflow.networks.backbones import backbone_of
from unetflow.networks.initial_weights import start_from
from unetflow.networks.model_file import ModelDescription, save_model


def test_the_decoder_has_the_layers_of_a_unet() -> None:
    network = build(backbone="resnet18", base_channels=16)
    decoder = sum(
        tensor.numel()
        for name, tensor in network.named_parameters()
        if not name.startswith(("encoder.", "classify."))
    )
    wanted, below = 0, 512
    for width, beside in ((256, 256), (128, 128), (64, 64), (32, 64), (16, 0)):
        up = below * width * 4 + width
        wanted += up + 9 * (width + beside) * width + 9 * width * width + 4 * width
        below = width
    assert decoder == wanted


def test_an_unknown_option_or_backbone_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match="no option 'depth'; there are .*backbone, norm, base_channels"
    ):
        build(depth=4)
    with pytest.raises(ValueError, match="backbone 'vgg16' is not known; there are resnet18"):
        build(backbone="vgg16")


@pytest.mark.parametrize("name", ["backbone_unet", "fpn"])
@pytest.mark.slow
def test_it_starts_from_weights_of_its_backbone_or_a_model(tmp_path: Path, name: str) -> None:
    source = backbone_of("mobilenet_v2", 3)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    network = networks.build(name, backbone="mobilenet_v2", in_channels=3)
    options: dict[str, Any] = {"backbone": "mobilenet_v2", "in_channels": 3}
    description: ModelDescription = {
        "network": {"name": name, **networks.options_of(name, **options)},
        "channels": 3,
        "classes": ["cell"],
        "intensity": {"mean": [0.0] * 3, "deviation": [1.0] * 3},
    }
    start_from(tmp_path / "weights.pth", network, description, freeze=True)
    for key, tensor in source.state_dict().items():
        assert torch.equal(network.encoder.state_dict()[key], tensor)
    assert not any(weights.requires_grad for weights in network.encoder.parameters())
    save_model(tmp_path / "model.safetensors", network, description)
    again = networks.build(name, **options)
    start_from(tmp_path / "model.safetensors", again, description, freeze=False)
    for key, tensor in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor)
    with pytest.raises(ModelError, match="is not of this backbone.* It is one of mobilenet_v2"):
        start_from(
            tmp_path / "weights.pth",
            networks.build(name, backbone="resnet18"),
            description,
            freeze=False,
        )
