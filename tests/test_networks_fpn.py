"""The feature pyramid: levels that are added."""

import pytest
import torch
from padded_networks import (
    image_and_truth,
    parameters_of,
    right_after_training,
    rows_that_differ,
    without_gradient,
)
from torch import nn

from unetflow.networks.fpn import FPN, build


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
    assert parameters_of(build, in_channels=3) == wanted


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
            for lateral, each in zip(network.lateral, network.backbone(image)[1:], strict=True)
        ]
    assert [each.shape[-1] for each in merged] == [16, 8, 4, 2]
    wanted = of[3]
    for level in (2, 1, 0):
        wanted = of[level] + wanted.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        torch.testing.assert_close(merged[level], wanted)


def test_logits_are_as_large_as_the_input() -> None:
    network = small(in_channels=3, num_classes=4).eval()
    for size in ((32, 32), (64, 160)):
        assert network(torch.zeros(2, 3, *size)).shape == (2, 4, *size)
    with pytest.raises(ValueError, match="70 px is not possible along x.* 64 px and 96 px"):
        network(torch.zeros(1, 3, 64, 70))


def test_the_gradient_reaches_all_parameters() -> None:
    assert without_gradient(small(), torch.randn(2, 1, 64, 64)) == []


@pytest.mark.slow
def test_one_image_is_learnt_by_heart() -> None:
    assert right_after_training(small(), *image_and_truth(64), steps=25, rate=3e-3) > 0.95


def test_beyond_what_padding_reaches_a_shift_of_a_step_changes_nothing() -> None:
    # resnet18 sees 435 px in all, half of it before a pixel; the pyramid adds 32 px a convolution
    assert 100 < rows_that_differ(small(), 32, 640) < 450


def test_only_the_last_layer_hangs_on_the_classes_and_the_backbone_is_the_encoder() -> None:
    two, five = small().state_dict(), small(num_classes=5).state_dict()
    differ = {name for name in two if two[name].shape != five[name].shape}
    assert differ == {name for name in two if name.startswith(FPN.last_layer)}
    network = small()
    assert network.encoder is network.backbone


def test_group_normalisation_of_the_head_is_not_seamless() -> None:
    network = small(norm="group", head_channels=48)
    groups = [layer.num_groups for layer in network.modules() if isinstance(layer, nn.GroupNorm)]
    assert groups == [16] * 7  # the most up to 32 that divide 32 and 48
    assert network.why.startswith("group normalisation")
    assert small().why == small(norm=None).why == ""
    assert small(backbone="efficientnet_b0").why.startswith("squeeze and excitation")


def test_an_unknown_option_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no option depth; there are .*pyramid_channels"):
        build(depth=4)
    with pytest.raises(ValueError, match="head_channels is 0"):
        build(head_channels=0)
