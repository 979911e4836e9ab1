"""The model file: weights as safetensors (never pickle), with all that is needed to use them."""

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from unetflow import networks
from unetflow.errors import ModelError
from unetflow.receipts import write_whole

# One metadata key: the order of several is not the same from one writing to the next.
KEY = "unetflow"


def save_model(path: str | Path, network: nn.Module, description: dict[str, Any]) -> None:
    """Write weights and description by rename; equal content gives equal bytes.

    `description` holds at least `network` (name and options), `channels`, `classes` and
    `intensity` (mean and deviation per channel).
    """
    weights = {
        name: tensor.detach().to("cpu", torch.float32, memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
    metadata = {KEY: json.dumps(description, sort_keys=True)}
    write_whole(path, safetensors.torch.save(weights, metadata=metadata))


def load_model(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Read a model file: the network with its weights, and its description.

    Raises ModelError where the file is no model of unetflow.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            description: dict[str, Any] = json.loads((file.metadata() or {})[KEY])
        network = networks.build(**description["network"])
        network.load_state_dict(safetensors.torch.load_file(path))
    except (OSError, KeyError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise ModelError(
            f"{path}: not a model file of unetflow ({error}). Delete it and run the same command "
            "again: training goes on from its checkpoint."
        ) from error
    return network, description


def check_channels(description: dict[str, Any], channels: int, image: str | Path) -> None:
    """Refuse an image with other channels than the model was trained on."""
    if channels != description["channels"]:
        raise ModelError(
            f"{image}: has {channels} channels, but the model was trained on "
            f"{description['channels']}. Choose channels in the sheet's `channels` column."
        )
