"""What a network starts from: random filters, or the weights of a model file."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unetflow import networks
from unetflow.errors import ModelError
from unetflow.networks.model_file import ModelDescription, is_model_file, load_model
from unetflow.networks.network import Network

log = logging.getLogger(__name__)


@torch.no_grad()
def centre_filters(network: nn.Module) -> None:
    """Take from each filter of more than one pixel its mean, and make its variance 2/N.

    N is its number of weights. What is drawn at random has a mean, too, and as the features after
    a ReLU have one, each layer adds more of it: without normalisation layers, which the paper's
    network does not have, the first features hardly differ from place to place, and training stays
    on a plateau for hundreds of steps. Later the filters may have any mean. Filters that are made
    alike in all their weights, such as zeros at the end of a residual unit, stay as they are.
    """
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.Conv3d) or layer.groups > 1:
            continue
        if math.prod(layer.kernel_size) > 1:
            made = layer.weight.flatten(1)
            filters = made - made.mean(dim=1, keepdim=True)
            deviation = filters.std(dim=1, keepdim=True, correction=0)
            filters *= math.sqrt(2 / filters.shape[1]) / deviation
            layer.weight.copy_(filters.where(deviation > 0, made).view_as(layer.weight))


def start_from(
    path: str | Path, network: Network, description: ModelDescription, *, freeze: bool
) -> None:
    """Take over the weights of a model file, all but the last layer where classes or heads differ.

    An encoder with a method `load_weights` takes files of others, too: of a backbone its weights.
    `freeze` keeps those of the encoder as they are. Raises ModelError where the network
    or the channels are others.
    """
    load_weights = getattr(network.encoder, "load_weights", None)
    if load_weights and not is_model_file(path):
        load_weights(path)
        log.info("%s: weights of the encoder; all else starts anew", path)
    else:
        _start_from_model(path, network, description)
    if freeze:
        for tensor in network.encoder.parameters():
            tensor.requires_grad_(False)


def _start_from_model(path: str | Path, network: Network, description: ModelDescription) -> None:
    given, of = load_model(path)
    check_network(path, description["network"], of["network"])
    weights = given.state_dict()
    others = [
        f"{what} ({theirs})"
        for what, own, theirs in (
            ("classes", description["classes"], of["classes"]),
            ("heads", description.get("heads", []), of.get("heads", [])),
        )
        if own != theirs
    ]
    if others:
        log.info("%s: other %s: the last layer starts anew", path, " and ".join(others))
        last = network.last_layer
        weights = {name: of for name, of in weights.items() if not name.startswith(last)}
        own = network.state_dict()
        for name, tensor in weights.items():  # of a user's own, whose last layer is guessed
            if tensor.shape != own[name].shape:
                raise ModelError(
                    f"{path}: has other {' and '.join(others)}, and {last!r} is taken for the "
                    f"last layer, but {name} is {tuple(tensor.shape)} there, "
                    f"{tuple(own[name].shape)} here. Name the last layer in the network's class "
                    f'(last_layer = "{name.removeprefix("inner.").rpartition(".")[0]}."), or leave '
                    "pretrained out."
                )
    network.load_state_dict(weights, strict=False)


def check_network(
    path: str | Path, given: Mapping[str, object], of_file: Mapping[str, object]
) -> None:
    """Raise ModelError where a model's network is another in more than classes and dropout.

    Options that were not there yet when the file was written have their defaults.
    """
    own, theirs = _complete(given), _complete(of_file)
    differ = sorted(
        key
        for key in own.keys() | theirs.keys()
        if key not in ("num_classes", "dropout") and own.get(key) != theirs.get(key)
    )
    if differ:
        raise ModelError(
            f"{path}: was trained with another "
            + ", ".join(f"{key} ({theirs.get(key)}, here {own.get(key)})" for key in differ)
            + ". Give the experiment's network the same, or another model file."
        )


def _complete(network: Mapping[str, Any]) -> dict[str, Any]:
    """Name and options of a network, with the defaults of those that are not given."""
    return {"name": network["name"], **networks.options_of(**network)}
