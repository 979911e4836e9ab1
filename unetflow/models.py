"""The model file: weights as safetensors (never pickle), with all that is needed to use them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from unetflow import networks
from unetflow.errors import ModelError
from unetflow.receipts import write_whole

FAR = 3.0  # deviations of the training pixels that an image's mean may be off theirs
TOLERANCE = 0.1  # of a resolution: what a network hardly sees

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
    checked = {**description, "weights": _digest_of(weights)}
    metadata = {KEY: json.dumps(checked, sort_keys=True)}
    write_whole(path, safetensors.torch.save(weights, metadata=metadata))


def load_model(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Read a model file: the network with its weights, and its description.

    Raises ModelError where the file is no model of unetflow, or is damaged.
    """
    if not Path(path).is_file():
        raise ModelError(
            f"{path}: there is no such file. Name the model.safetensors of a training."
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            description: dict[str, Any] = json.loads((file.metadata() or {})[KEY])
        weights = safetensors.torch.load_file(path)
        if description.pop("weights", None) not in (None, _digest_of(weights)):
            raise ValueError("its weights are damaged: their checksum is another one")
        network = networks.build(**description["network"])
        network.load_state_dict(weights)
    except (OSError, KeyError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise ModelError(
            f"{path}: not a whole model file of unetflow ({error}). Delete it and run the same "
            "command again: training goes on from its checkpoint."
        ) from error
    return network, description


def _digest_of(weights: dict[str, torch.Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].numpy().tobytes())
    return digest.hexdigest()


def check_image(
    description: dict[str, Any], channels: int, mpp: float | None, image: str | Path
) -> None:
    """Refuse an image of other channels, or another resolution [um/px] where both are known."""
    check_channels(description, channels, image)
    trained = description.get("mpp")
    if trained and mpp and abs(mpp / trained - 1) > TOLERANCE:
        raise ModelError(
            f"{image}: has {mpp:.4g} um/px, but the model was trained at {trained:.4g}. Set the "
            f"mpp of the image's dataset to {trained:.4g}, and leave its level out: then it is "
            "resampled."
        )


def check_channels(description: dict[str, Any], channels: int, image: str | Path) -> None:
    """Refuse an image with other channels than the model was trained on."""
    if channels != description["channels"]:
        raise ModelError(
            f"{image}: has {channels} channels, but the model was trained on "
            f"{description['channels']}. Choose channels in the sheet's `channels` column."
        )


def other_intensities(description: dict[str, Any], mean_C: Sequence[float]) -> list[str]:
    """Warnings where an image's mean gray values are far from those of the training."""
    of = description["intensity"]
    warnings = []
    for channel, (mean, trained, deviation) in enumerate(
        zip(mean_C, of["mean"], of["deviation"], strict=True)
    ):
        if abs(mean - trained) > FAR * deviation:
            warnings.append(
                f"channel {channel} has a mean of {mean:.4g}, but the model was trained on pixels "
                f"of {trained:.4g} with a deviation of {deviation:.4g}. Where the image is of "
                "another kind (bright ground instead of dark, another stain or bit depth), its "
                "result means nothing."
            )
    return warnings
