"""U-Nets with the encoder of a classifier."""

from pathlib import Path

import pytest
import torch
from padded_networks import (
    image_and_truth,
    right_after_training,
    rows_that_differ,
    without_gradient,
)

from unetflow.networks.backbone_unet import BackboneUNet, build
from unetflow.networks.backbones import BACKBONES, backbone_of


def small(**options: object) -> BackboneUNet:
    torch.manual_seed(0)
    return build(**{"backbone": "mobilenet_v2", "base_channels": 4} | options)


@pytest.mark.parametrize("name", BACKBONES)
def test_logits_are_as_large_as_the_input_and_each_parameter_is_reached(name: str) -> None:
    network = small(backbone=name, in_channels=3, num_classes=4)
    assert without_gradient(network, torch.randn(2, 3, 64, 64)) == []
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 3, 32, 96)).shape == (1, 4, 32, 96)


def test_a_size_that_is_no_multiple_of_32_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="100 px is not possible along y.* 96 px and 128 px"):
        small()(torch.zeros(1, 1, 100, 64))
    with pytest.raises(ValueError, match="20 px is not possible along x.* sizes are 32 px"):
        small()(torch.zeros(1, 1, 64, 20))


def test_the_decoder_has_the_layers_of_a_unet() -> None:
    network = small(backbone="resnet18", base_channels=16)
    decoder = sum(
        tensor.numel()
        for name, tensor in network.named_parameters()
        if not name.startswith(("backbone.", "classify."))
    )
    wanted, below = 0, 512
    for width, beside in ((256, 256), (128, 128), (64, 64), (32, 64), (16, 0)):
        up = below * width * 4 + width
        wanted += up + 9 * (width + beside) * width + 9 * width * width + 4 * width
        below = width
    assert decoder == wanted


@pytest.mark.slow
def test_one_image_is_learnt_by_heart() -> None:
    network = small(base_channels=8)
    assert right_after_training(network, *image_and_truth(64), steps=30, rate=3e-3) > 0.97


def test_beyond_what_padding_reaches_a_shift_of_a_step_changes_nothing() -> None:
    # resnet18 sees 435 px in all, half of it before a pixel; the decoder adds some
    assert 100 < rows_that_differ(small(backbone="resnet18"), 32, 640) < 400


def test_means_over_a_tile_are_not_seamless() -> None:
    assert small().why == small(norm=None).why == ""
    assert small(norm="group").why.startswith("group normalisation")
    assert small(backbone="efficientnet_b0").why.startswith("squeeze and excitation")
    assert rows_that_differ(small(backbone="efficientnet_b0"), 32, 128) == 96  # all there are


def test_only_the_last_layer_hangs_on_the_classes_and_the_backbone_is_the_encoder() -> None:
    two, five = small().state_dict(), small(num_classes=5).state_dict()
    differ = {name for name in two if two[name].shape != five[name].shape}
    assert differ == {name for name in two if name.startswith(BackboneUNet.last_layer)}
    network = small()
    assert network.encoder is network.backbone


def test_weights_of_a_file_are_those_of_the_backbone(tmp_path: Path) -> None:
    source = backbone_of("mobilenet_v2", 3)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    network = small(in_channels=3, weights=str(tmp_path / "weights.pth"))
    for name, tensor in source.state_dict().items():
        assert torch.equal(network.backbone.state_dict()[name], tensor)


def test_an_unknown_option_or_backbone_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no option depth; there are .*backbone, base_channels"):
        build(depth=4)
    with pytest.raises(ValueError, match="no backbone is called 'vgg16'; there are: resnet18"):
        build(backbone="vgg16")
