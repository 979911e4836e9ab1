"""The model file: weights as safetensors (never pickle), with all that is needed to use them."""

import hashlib
import json
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import safetensors
import safetensors.torch
import torch
from torch import nn

from unetflow import networks
from unetflow.errors import ModelError
from unetflow.networks.network import Network
from unetflow.store.files import write_whole

# One metadata key: the order of several is not the same from one writing to the next.
KEY = "unetflow"


class Best(TypedDict):
    """The validation whose weights were kept; of a training without one its last step."""

    step: int
    validation_iou: float | None
    validation_loss: NotRequired[float]


class TrainingSummary(TypedDict):
    """How a training went."""

    best: Best
    steps: int
    precision: str  # each that was used
    training_images: int
    validation_images: int


class ModelDescription(TypedDict):
    """All that is needed to use a model, and where it is from, if it is from a training."""

    network: dict[str, Any]  # its name and options: of each network others
    channels: int
    classes: list[str]  # without background
    intensity: dict[str, list[float]]  # mean and deviation of each channel
    truth: NotRequired[str]  # the kind of the dataset
    mpp: NotRequired[float | None]
    recipe: NotRequired[dict[str, Any]]
    code: NotRequired[str]
    training: NotRequired[TrainingSummary]


def save_model(path: str | Path, network: nn.Module, description: ModelDescription) -> None:
    """Write weights and description by rename; equal content gives equal bytes."""
    weights = {
        name: tensor.detach().to("cpu", torch.float32, memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
    checked = {**description, "weights": _digest_of(weights)}
    metadata = {KEY: json.dumps(checked, sort_keys=True)}
    write_whole(path, safetensors.torch.save(weights, metadata=metadata))


def load_model(path: str | Path) -> tuple[Network, ModelDescription]:
    """Read a model file: the network with its weights, and its description.

    Raises ModelError where the file is no model of unetflow, or is damaged.
    """
    if not Path(path).is_file():
        raise ModelError(
            f"{path}: there is no such file. Name the model.safetensors of a training."
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            content: dict[str, Any] = json.loads((file.metadata() or {})[KEY])
        weights = safetensors.torch.load_file(path)
        if content.pop("weights", None) not in (None, _digest_of(weights)):
            raise ValueError("its weights are damaged: their checksum is another one")
        description = cast(ModelDescription, content)
        network = networks.build(**description["network"])
        network.load_state_dict(weights)
    except (OSError, KeyError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise ModelError(
            f"{path}: not a whole model file of unetflow ({error}). Name the model.safetensors of "
            "a training. One that is damaged is made anew, from the last checkpoint, by the "
            "pipeline's command with --forcerun and its path."
        ) from error
    return network, description


def _digest_of(weights: dict[str, torch.Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].numpy().tobytes())
    return digest.hexdigest()
