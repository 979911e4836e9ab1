"""U-Nets with the encoder of a classifier."""

import pytest

from unetflow.networks.backbone_unet import build


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
