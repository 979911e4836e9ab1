"""What the package asks of a network: its geometry and a few parts by name, no more."""

import torch
from torch import nn

from unetflow.tiles.geometry import Geometry

IMAGE = 2  # spatial axes
RANDOM = (
    "its forward pass draws random numbers where it does not train, so that it says another thing "
    "each time: drop out by layers (torch.nn.Dropout), or with training=self.training"
)

NO_LOGITS = (
    "it returns probabilities, of which a second softmax would be taken, in training and in "
    "prediction: return logits, without the softmax or sigmoid at the end"
)


class Network(nn.Module):
    """Logits (B, K, H, W) of images (B, C, H, W), smaller by what `geometry` says.

    A module that has the same attributes serves as well.
    """

    geometry: Geometry
    in_channels: int
    last_layer: str  # prefix of its weights in the state dict: with other classes they start anew
    heads: tuple[str, ...] = ()  # what the last of its outputs say, of `unetflow.store.heads`

    @property
    def encoder(self) -> nn.Module:
        """The contracting path, which a training may keep as it is."""
        raise NotImplementedError


def heads_of(network: nn.Module) -> tuple[str, ...]:
    """The heads of a network, or of a module that knows of none."""
    heads: tuple[str, ...] = getattr(network, "heads", ())
    return heads


def channels_last(axes: int) -> torch.memory_format:
    """Channels of a pixel side by side, of images (2 axes) or volumes (3)."""
    return torch.channels_last_3d if axes > IMAGE else torch.channels_last


def not_finite(network: nn.Module) -> str | None:
    """The first of its weights and buffers that holds NaN or infinity, by name; None: none does."""
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            return name
    return None
