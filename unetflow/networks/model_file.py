"""The model file: weights as safetensors (never pickle), with all that is needed to use them."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from unetflow import networks
from unetflow.errors import ModelError
from unetflow.networks.deployed import (
    CHECKSUM,
    ENSEMBLE,
    KEY,
    digest_of_model,
    name_in_ensemble,
    refuse_unreadable,
)
from unetflow.networks.description import Best as Best  # who reads models finds these here
from unetflow.networks.description import ModelDescription as ModelDescription
from unetflow.networks.description import TrainingSummary as TrainingSummary
from unetflow.networks.description import checked_description
from unetflow.networks.network import Network
from unetflow.store.files import write_whole

log = logging.getLogger(__name__)

WEIGHTS_ALONE = "weights"  # what older versions wrote a checksum of
FAULTS = (
    *(OSError, ValueError, KeyError, TypeError),
    *(RuntimeError, MemoryError, safetensors.SafetensorError),
)


def save_model(path: str | Path, network: nn.Module, description: ModelDescription) -> None:
    """Write weights and description by rename; equal content gives equal bytes."""
    weights = {
        name: tensor.detach().to("cpu", torch.float32, memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
    checked = {**description, CHECKSUM: _digest_of(weights, description)}
    metadata = {KEY: json.dumps(checked, sort_keys=True)}
    write_whole(path, safetensors.torch.save(weights, metadata=metadata))


def load_model(path: str | Path) -> tuple[Network, ModelDescription]:
    """Read a model file: the network with its weights, and its description.

    Raises ModelError where the file is no model of unetflow, is damaged, or holds several networks.
    """
    every = load_models(path)
    if len(every) > 1:
        raise ModelError(
            f"{path}: holds {len(every)} networks, whose probabilities are averaged. Name the "
            "model.safetensors of one of their trainings."
        )
    return every[0]


def load_models(path: str | Path) -> list[tuple[Network, ModelDescription]]:
    """The same of a file that may hold several networks, as `deploy.safetensors` of an ensemble."""
    if not Path(path).is_file():
        raise ModelError(
            f"{path}: there is no such file. Name the model.safetensors of a training."
        )
    refuse_unreadable(path)
    try:
        content, weights = _read(path)
        unchecked = _check_digest(content, weights)
        if ENSEMBLE not in content:
            every = [_built(content, weights)]
        else:
            every = [
                _built(each, _weights_of(number, weights))
                for number, each in enumerate(content[ENSEMBLE])
            ]
    except FAULTS as error:
        raise ModelError(
            f"{path}: not a whole model file of unetflow ({error}). Name the model.safetensors of "
            "a training. One that is damaged is made anew, from the last checkpoint, by the "
            "pipeline's command with --forcerun and its path."
        ) from error
    if unchecked:
        log.info("%s: is of an older version, which wrote no checksum of %s", path, unchecked)
    return every


def _built(
    content: dict[str, Any], weights: Mapping[str, torch.Tensor]
) -> tuple[Network, ModelDescription]:
    description = checked_description(content)
    network = networks.build(**description["network"])
    network.heads = tuple(description.get("heads", ()))
    _check_fit(network, weights)
    network.load_state_dict(weights)
    return network, description


def _weights_of(number: int, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those of one network of several, by their names in it."""
    start = name_in_ensemble(number, "")
    return {
        name.removeprefix(start): tensor
        for name, tensor in weights.items()
        if name.startswith(start)
    }


def is_model_file(path: str | Path) -> bool:
    """Whether a file says that it is a model of unetflow; what is in it is not looked at."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return KEY in (file.metadata() or {})
    except FAULTS:
        return False


def _read(path: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The description as it stands in the file, with checksums, and the weights."""
    if not Path(path).stat().st_size:
        raise ValueError("it is empty")
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if KEY not in metadata:
        raise ValueError(f"its metadata have no entry {KEY!r}: it is of another program")
    content = json.loads(metadata[KEY])
    if not isinstance(content, dict):
        raise ValueError(f"its entry {KEY!r} is no description of a model")
    for name, tensor in weights.items():
        if tensor.dtype != torch.float32:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ValueError(f"its weights must be float32, but {name} is {kind}")
    return content, weights


def _check_digest(content: dict[str, Any], weights: dict[str, torch.Tensor]) -> str | None:
    """Take the checksums out; what an older version wrote none of. Raises ValueError."""
    found, of_weights = content.pop(CHECKSUM, None), content.pop(WEIGHTS_ALONE, None)
    if found is not None:
        if found != _digest_of(weights, content):
            raise ValueError("it is damaged: its checksum is another one")
        return None
    if of_weights is None:
        return "weights and description"
    if of_weights != _digest_of(weights):
        raise ValueError("its weights are damaged: their checksum is another one")
    return "the description"


def _check_fit(network: Network, weights: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError where the network has other weights, by name or shape."""
    needed, found = (
        {name: tuple(tensor.shape) for name, tensor in of.items()}
        for of in (network.state_dict(), weights)
    )
    others = [name for name in {**needed, **found} if needed.get(name) != found.get(name)]
    if others:
        raise ValueError(
            f"its weights are not those of its network: {len(others)} of {len({**needed, **found})}"
            f" differ, of which {others[0]} must be {needed.get(others[0], 'left out')}, not "
            f"{found.get(others[0], 'left out')}"
        )


def _digest_of(
    weights: Mapping[str, torch.Tensor], description: Mapping[str, object] | None = None
) -> str:
    """As `digest_of_model`."""
    return digest_of_model({name: of.numpy() for name, of in weights.items()}, description)
