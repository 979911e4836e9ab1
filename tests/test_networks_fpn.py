"""The feature pyramid: levels that are added."""

import torch
from torch import nn

from unetflow.networks import geometry_of
from unetflow.networks.fpn import FPN, build
from unetflow.networks.walk import on_no_device


def small(**options: object) -> FPN:
    torch.manual_seed(0)
    given = {"backbone": "resnet18", "pyramid_channels": 16, "head_channels": 8}
    return build(**given | options)


def test_it_has_the_layers_of_the_papers() -> None:
    """Four laterals of 1x1, four of 3x3; 1, 1, 2 and 3 convolutions to 1/4; the classes."""
    resnet50 = 25_557_032 - 2_049_000  # without its classifier
    lateral = (256 + 512 + 1024 + 2048) * 256 + 4 * 256
    smooth = 4 * (256 * 256 * 9 + 256)
    head = 4 * 256 * 128 * 9 + (0 + 0 + 1 + 2) * 128 * 128 * 9 + 7 * 2 * 128
    wanted = resnet50 + lateral + smooth + head + 128 * 2 + 2
    network = on_no_device(lambda: build(in_channels=3))
    assert sum(weights.numel() for weights in network.parameters()) == wanted


def test_levels_are_added() -> None:
    network = small().eval()
    image = torch.randn(1, 1, 64, 64)
    merged: list[torch.Tensor] = []
    for layer in network.smooth:
        layer.register_forward_pre_hook(lambda _, given: merged.append(given[0]))
    with torch.inference_mode():
        network(image)
        of = [
            lateral(each)
            for lateral, each in zip(network.lateral, network.encoder(image)[1:], strict=True)
        ]
    assert [each.shape[-1] for each in merged] == [16, 8, 4, 2]
    wanted = of[3]
    for level in (2, 1, 0):
        wanted = of[level] + wanted.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        torch.testing.assert_close(merged[level], wanted)


def test_group_normalisation_of_the_head_is_not_seamless() -> None:
    network = small(norm="group", head_channels=48)
    groups = [layer.num_groups for layer in network.modules() if isinstance(layer, nn.GroupNorm)]
    assert groups == [16] * 7  # the most up to 32 that divide 32 and 48
    assert geometry_of("fpn", norm="group").why.startswith("group normalisation")
    assert geometry_of("fpn").seamless
    assert geometry_of("fpn", backbone="efficientnet_b0").why.startswith("squeeze and excitation")
