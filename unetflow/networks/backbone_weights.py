"""Weights of a backbone from a file that the user has: safetensors, or a PyTorch state dict."""

import pickle
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from unetflow.errors import ModelError
from unetflow.networks.backbone_sizes import BACKBONES
from unetflow.networks.backbones import Backbone, backbone_of

TORCH = (b"PK", b"\x80\x02")  # first bytes of what torch.save writes, now and before 1.6


def load_backbone(backbone: Backbone, path: str | Path) -> None:
    """Take over all weights of a file, those of its classifier aside.

    The names are torchvision's (`BACKBONES`). Where the image has as many channels as the file's
    first convolution, nothing is changed. Else each channel gets the sum of its filters divided by
    the number of channels: a grey image then gives what it gave as three equal channels, and so
    does one of several channels that are equal. Raises ModelError where the file is none, holds
    more than tensors, or is of another network.
    """
    weights = {
        name: tensor
        for name, tensor in read_tensors(path).items()
        if not name.startswith(backbone.classifier)
    }
    own = backbone.state_dict()
    first = weights.get(backbone.first)
    if first is not None and first.ndim == 4 and first.shape[1] != own[backbone.first].shape[1]:
        weights[backbone.first] = of_channels(first, own[backbone.first].shape[1])
    for name, tensor in own.items():  # a counter, which files from before PyTorch 0.4.1 lack
        if name.endswith("num_batches_tracked"):
            weights.setdefault(name, tensor)
    differ = _differences(own, weights)
    if differ:
        raise ModelError(
            f"{path}: is not of this backbone: {differ}. "
            + _fitting(path)
            + "Names must be torchvision's."
        )
    backbone.load_state_dict(weights)


def of_channels(weight: Tensor, channels: int) -> Tensor:
    """Filters (N, 3, H, W) for another number of channels: their sum, in equal parts."""
    return (weight.sum(dim=1, keepdim=True) / channels).repeat(1, channels, 1, 1)


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a file by name; no code in it is run. Raises ModelError where it cannot."""
    if not Path(path).is_file():
        raise ModelError(f"{path}: there is no such file. Name a file of weights.")
    try:
        with Path(path).open("rb") as file:
            of_torch = file.read(2) in TORCH
        if of_torch:
            content = torch.load(path, map_location="cpu", weights_only=True)
        else:
            content = safetensors.torch.load_file(path)
    except (
        *(OSError, EOFError, ValueError, RuntimeError),
        *(pickle.UnpicklingError, safetensors.SafetensorError),
    ) as error:
        why = str(error).partition("\n")[0]
        raise ModelError(
            f"{path}: neither safetensors nor a PyTorch state dict that holds tensors alone "
            f"({why}). Save one with torch.save(network.state_dict(), path), or download it again."
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    ):
        raise ModelError(
            f"{path}: is no state dict, from names to tensors. Save one with "
            "torch.save(network.state_dict(), path)."
        )
    return content


def _differences(own: dict[str, Tensor], given: dict[str, Tensor]) -> str:
    """What a file lacks, has too much, or has in another shape; empty if it fits."""
    shapes = [
        f"{name} {tuple(given[name].shape)}, here {tuple(own[name].shape)}"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    found = {
        "it lacks": [name for name in own if name not in given],
        "it also has": [name for name in given if name not in own],
        "other shapes:": shapes,
    }
    return "; ".join(
        f"{what} {', '.join(names[:3])}" + f" and {len(names) - 3} more" * (len(names) > 3)
        for what, names in found.items()
        if names
    )


def _fitting(path: str | Path) -> str:
    """Which backbone a file is of, as a sentence; if none, what it begins with."""
    given = read_tensors(path)
    for name in BACKBONES:
        with torch.device("meta"):
            backbone = backbone_of(name, 3)
        if _shapes(given, backbone) == _shapes(backbone.state_dict(), backbone):
            return f"It is one of {name}. "
    return f"It begins with {', '.join(list(given)[:3])}. "


def _shapes(weights: dict[str, Tensor], backbone: Backbone) -> dict[str, torch.Size]:
    """Shapes by name, without classifier, counters and what sees the image's channels."""
    return {
        name: tensor.shape
        for name, tensor in weights.items()
        if tensor.ndim and name != backbone.first and not name.startswith(backbone.classifier)
    }
