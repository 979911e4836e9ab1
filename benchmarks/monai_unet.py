"""MONAI's U-Net as a network of the config, a peer trained and calibrated as ours are.

    network: {name: benchmarks.monai_unet, base_channels: 16}

run from the project's root with PYTHONPATH=. Needs MONAI: pip install --no-deps monai==1.6.1
"""

from monai.networks.nets import UNet
from torch import nn


def build(
    in_channels: int = 1,
    num_classes: int = 2,
    base_channels: int = 16,
    depth: int = 4,
    residual_units: int = 2,
    norm: str = "batch",
) -> nn.Module:
    """Strided convolutions down, transposed ones up, residual units, as MONAI's tutorials do."""
    network: nn.Module = UNet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=num_classes,
        channels=[base_channels * 2**level for level in range(depth + 1)],
        strides=[2] * depth,
        num_res_units=residual_units,
        norm=norm,
    )
    return network
