"""MultiResUNet: blocks, Res paths and parameters of the paper."""

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

from unetflow.networks.multires_unet import MultiResBlock, MultiResUNet, build, shares_of

PUBLISHED = 7_262_750  # table 3 of the paper: three channels, one class
SMALL = {"base_channels": 8, "depth": 2}


def small(**options: object) -> MultiResUNet:
    torch.manual_seed(0)
    return build(**SMALL | options)


def test_it_has_the_parameters_of_the_paper() -> None:
    """It counts means and variances, too, and no scale right after a convolution."""
    with torch.device("meta"):
        network = build(in_channels=3, num_classes=1)
    norms = {
        name: layer.num_features
        for name, layer in network.named_modules()
        if isinstance(layer, nn.BatchNorm2d)
    }
    with_scale = sum(
        width for name, width in norms.items() if ".inner." in name or ".outer." in name
    )
    statistics = 2 * sum(norms.values())
    without_scale = sum(norms.values()) - with_scale
    last = 3 - 1  # a normalisation of one class instead of a bias
    ours = parameters_of(build, in_channels=3, num_classes=1)
    assert ours + statistics - without_scale + last == PUBLISHED


@pytest.mark.parametrize(("filters", "wanted"), [(32, [8, 17, 26]), (512, [142, 284, 427])])
def test_a_block_shares_out_alpha_times_the_filters_of_a_unet(
    filters: int, wanted: list[int]
) -> None:
    shares = shares_of(filters, 1.67)
    assert shares == wanted
    exact = [1.67 * filters * share for share in (1 / 6, 1 / 3, 1 / 2)]
    assert all(abs(a - b) < 1.3 for a, b in zip(shares, exact, strict=True))
    block = MultiResBlock(3, shares, None)
    kernels = 9 * (3 * shares[0] + shares[0] * shares[1] + shares[1] * shares[2])
    shortcut = 3 * sum(shares)
    biases = 2 * sum(shares)  # of the row and of the shortcut
    assert sum(p.numel() for p in block.parameters()) == kernels + shortcut + biases


def test_res_paths_are_shorter_the_deeper_they_are() -> None:
    with torch.device("meta"):
        network = build()
    paths = [path for path in network.paths if isinstance(path, nn.Sequential)]
    assert [len(path) for path in paths] == [4, 3, 2, 1]


def test_logits_are_as_large_as_the_input() -> None:
    network = small(in_channels=3, num_classes=4).eval()
    for size in ((4, 8), (36, 64)):
        assert network(torch.zeros(2, 3, *size)).shape == (2, 4, *size)
    with pytest.raises(ValueError, match="6 px is not possible along y.* 4 px and 8 px"):
        network(torch.zeros(1, 3, 6, 8))


@pytest.mark.parametrize("norm", [None, "batch"])
def test_the_gradient_reaches_all_parameters(norm: str | None) -> None:
    assert without_gradient(small(norm=norm), torch.randn(2, 1, 32, 32)) == []


@pytest.mark.slow
def test_one_image_is_learnt_by_heart() -> None:
    assert right_after_training(small(), *image_and_truth(64), steps=40, rate=1e-2) > 0.97


def test_beyond_what_padding_reaches_a_shift_of_a_step_changes_nothing() -> None:
    # three 3x3 a block: 3 + 6 + 12 down, 6 + 3 up; Res paths add 2 at most beside that
    assert 10 < rows_that_differ(small(), 4, 128) <= 36


def test_only_the_last_layer_hangs_on_the_classes() -> None:
    two, five = small().state_dict(), small(num_classes=5).state_dict()
    differ = {name for name in two if two[name].shape != five[name].shape}
    assert differ == {name for name in two if name.startswith(MultiResUNet.last_layer)}


def test_what_gives_a_block_without_filters_is_refused() -> None:
    with pytest.raises(ValueError, match=r"blocks of \[0, 1, 1\] filters.* larger base"):
        build(base_channels=2)
    with pytest.raises(ValueError, match="alpha is 'x'"):
        build(alpha="x")
    with pytest.raises(ValueError, match="no option width; there are .*alpha, norm"):
        build(width=4)
