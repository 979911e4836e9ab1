"""MultiResUNet: blocks, Res paths and parameters of the paper."""

import pytest
import torch
from torch import nn

from unetflow.networks.multires_unet import MultiResBlock, build
from unetflow.networks.sizes.multires_unet import MultiResUNetOptions

PUBLISHED = 7_262_750  # table 3 of the paper: three channels, one class


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
    ours = sum(weights.numel() for weights in network.parameters())
    assert ours + statistics - without_scale + last == PUBLISHED


@pytest.mark.parametrize(("filters", "wanted"), [(32, [8, 17, 26]), (512, [142, 284, 427])])
def test_a_block_shares_out_alpha_times_the_filters_of_a_unet(
    filters: int, wanted: list[int]
) -> None:
    shares = MultiResUNetOptions(base_channels=filters).shares(0)
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


def test_what_gives_a_block_without_filters_is_refused() -> None:
    with pytest.raises(ValueError, match=r"blocks of \[0, 1, 1\] filters.* larger base"):
        build(base_channels=2)
    with pytest.raises(ValueError, match="alpha is 'x'"):
        build(alpha="x")
    with pytest.raises(ValueError, match="no option 'width'; there are .*alpha, norm"):
        build(width=4)
