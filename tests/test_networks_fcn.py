"""FCN-8s: VGG16 and three scores, added."""

import math

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

from unetflow.networks.fcn import FCN, build

VGG16 = 138_357_544  # as published, with its 1000 classes
SMALL = {"base_channels": 4, "hidden_channels": 16}


def small(**options: object) -> FCN:
    torch.manual_seed(0)
    return build(**SMALL | options)


def test_the_papers_network_has_the_parameters_of_vgg16_and_its_scores() -> None:
    classes = 21
    scores = (256 + 512 + 4096) * classes + 3 * classes
    up = 2 * classes * classes * 4 * 4
    wanted = VGG16 - (4096 * 1000 + 1000) + scores + up
    assert parameters_of(build, in_channels=3, num_classes=classes) == wanted == 134_376_863


def test_logits_are_as_large_as_the_input() -> None:
    network = small(in_channels=3, num_classes=4).eval()
    for size in ((32, 32), (64, 160)):
        assert network(torch.zeros(2, 3, *size)).shape == (2, 4, *size)
    with pytest.raises(ValueError, match="70 px is not possible along x.* 64 px and 96 px"):
        network(torch.zeros(1, 3, 64, 70))


def test_weights_start_as_he_says_and_scores_are_interpolated() -> None:
    network = small(base_channels=32)
    layer = network.levels.get_submodule("2.1.0")
    assert isinstance(layer, nn.Conv2d)
    expected = math.sqrt(2 / (128 * 9))
    assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=0.02)
    scores = torch.randn(1, 2, 6, 6)
    up = network.score["up_8"](scores)
    linear = nn.functional.interpolate(scores, scale_factor=2, mode="bilinear")
    assert torch.allclose(up[..., 1:-1, 1:-1], linear[..., 1:-1, 1:-1], atol=1e-6)


def test_the_gradient_reaches_all_parameters() -> None:
    assert without_gradient(small(dropout=0.0), torch.randn(2, 1, 64, 64)) == []


@pytest.mark.slow
def test_one_image_is_learnt_by_heart() -> None:
    network = small(base_channels=8, hidden_channels=64, dropout=0.0, norm="batch")
    assert right_after_training(network, *image_and_truth(64), steps=80) > 0.97


def test_beyond_what_padding_reaches_a_shift_of_a_step_changes_nothing() -> None:
    # 202 px of VGG16 with its 7x7 (404 in all), and what three interpolations add
    assert 100 < rows_that_differ(small(norm="batch"), 32, 512) < 300


def test_only_the_scores_hang_on_the_classes() -> None:
    two, five = small().state_dict(), small(num_classes=5).state_dict()
    differ = {name for name in two if two[name].shape != five[name].shape}
    assert differ == {name for name in two if name.startswith(FCN.last_layer)}
    assert not any(name.startswith("score.") for name, _ in small().encoder.named_parameters())


def test_an_unknown_option_or_value_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no option depth; there are in_channels, num_classes"):
        build(depth=4)
    with pytest.raises(ValueError, match="norm 'layer' is not known; there are None, batch"):
        build(norm="layer")
    with pytest.raises(ValueError, match="dropout is 1: must lie in"):
        small(dropout=1)
    with pytest.raises(ValueError, match="base_channels is 0 .*1 or more"):
        build(base_channels=0)


def test_statistics_of_a_tile_are_not_seamless() -> None:
    assert small().why == small(norm="batch").why == ""
    for norm in ("instance", "group"):
        assert small(norm=norm).why.startswith(f"{norm} normalisation takes the mean")
