"""The model file that goes elsewhere: the weights of a training, and how objects are made.

`model.safetensors` stays as the training wrote it. `deploy.safetensors` has the same weights and
description, with what the validation images chose: one file gives the same objects on another
machine. No torch in here.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import safetensors
import safetensors.numpy

from unetflow.errors import ModelError
from unetflow.store.files import digest_of_file, write_whole

KEY = "unetflow"  # of the metadata: of several keys the order would not be the same each time
CHECKSUM = "digest"  # of weights and description
DEPLOYED = "deployed"
FAULTS = (OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError)


class Deployed(TypedDict):
    """What was chosen for a model, beside its weights."""

    of: str  # digest of the model file that the weights are of
    thresholds: dict[str, float]  # by class
    labelling: dict[str, Any]  # options of `unetflow.instances.label_instances`
    test_time_augmentation: int
    smooth_px: float | None


def digest_of_model(
    weights: Mapping[str, np.ndarray], description: Mapping[str, object] | None = None
) -> str:
    """Of all that is in a model file; without a description of weights alone, as of old."""
    digest = hashlib.blake2b(digest_size=16)
    if description is not None:
        shapes = {name: list(array.shape) for name, array in weights.items()}
        digest.update(json.dumps([description, shapes], sort_keys=True).encode())
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].tobytes())
    return digest.hexdigest()


def write_deployed(model: str | Path, path: str | Path, chosen: Mapping[str, Any]) -> None:
    """Write a model file with what was chosen (`Deployed` without `of`) to `path`, by rename.

    Equal content gives equal bytes. Raises ModelError where `model` is no model file.
    """
    try:
        with safetensors.safe_open(model, framework="np") as file:
            content = json.loads(file.metadata()[KEY])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FAULTS as error:
        raise ModelError(
            f"{model}: not a whole model file of unetflow ({error}). Run the same command with "
            "--forcerun and its path: it is made anew, from the last checkpoint."
        ) from error
    content.pop(CHECKSUM, None)
    of = content.get(DEPLOYED, {}).get("of") or digest_of_file(model)  # of the training's file
    content[DEPLOYED] = {"of": of, **chosen}
    content[CHECKSUM] = digest_of_model(weights, content)
    metadata = {KEY: json.dumps(content, sort_keys=True)}
    write_whole(path, safetensors.numpy.save(weights, metadata=metadata))


def read_deployed(path: str | Path) -> Deployed | None:
    """What was chosen for a model; None where nothing was, or the file is no model.

    Whether it is whole is not looked at: `unetflow.networks.model_file.load_model` does that.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            found: Deployed | None = json.loads(file.metadata()[KEY]).get(DEPLOYED)
    except (*FAULTS, AttributeError):
        return None
    return found
