"""The model file that goes elsewhere: the weights of a training, and how objects are made.

`model.safetensors` stays as the training wrote it. `deploy.safetensors` has the same weights and
description, with what the validation images chose: one file gives the same objects on another
machine. Of networks whose probabilities are averaged it has all. No torch in here.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import safetensors
import safetensors.numpy

from unetflow.errors import ModelError
from unetflow.store.files import digest_of_file, write_whole

KEY = "unetflow"  # of the metadata: of several keys the order would not be the same each time
CHECKSUM = "digest"  # of weights and description
DEPLOYED = "deployed"
ENSEMBLE = "ensemble"  # in place of a description those of several networks
FAULTS = (OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError)


class Deployed(TypedDict):
    """What was chosen for a model, beside its weights."""

    of: str  # digest of the model file that the weights are of
    thresholds: dict[str, float]  # by class
    labelling: dict[str, Any]  # options of `unetflow.instances.label_instances`
    test_time_augmentation: int
    smooth_px: float | None
    crf: NotRequired[dict[str, float]]  # of `refine`; not there without one


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


def write_deployed(
    models: Sequence[str | Path], path: str | Path, chosen: Mapping[str, Any]
) -> None:
    """Write a model file with what was chosen (`Deployed` without `of`) to `path`, by rename.

    Equal content gives equal bytes. Raises ModelError where one of the `models` is no model file.
    """
    every = [_read(model) for model in models]
    for model, (content, _) in zip(models, every, strict=True):
        content.pop(CHECKSUM, None)
        of = content.get(DEPLOYED, {}).get("of") or digest_of_file(model)  # of the training's file
        content[DEPLOYED] = {"of": of, **chosen}
    if len(every) == 1:
        content, weights = every[0]
    else:
        content = {ENSEMBLE: [each for each, _ in every]}
        weights = {
            name_in_ensemble(k, name): array
            for k, (_, of_one) in enumerate(every)
            for name, array in of_one.items()
        }
    content[CHECKSUM] = digest_of_model(weights, content)
    metadata = {KEY: json.dumps(content, sort_keys=True)}
    write_whole(path, safetensors.numpy.save(weights, metadata=metadata))


def name_in_ensemble(number: int, name: str) -> str:
    """Of the weights of a network, in the file of several."""
    return f"{number}.{name}"


def _read(model: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a model file says, and its weights. Raises ModelError."""
    refuse_unreadable(model)
    try:
        with safetensors.safe_open(model, framework="np") as file:
            content = json.loads(file.metadata()[KEY])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FAULTS as error:
        raise ModelError(
            f"{model}: not a whole model file of unetflow ({error}). Run the same command with "
            "--forcerun and its path: it is made anew, from the last checkpoint."
        ) from error
    return content, weights


def refuse_unreadable(path: str | Path) -> None:
    """Raise ModelError for a file that is there and cannot be opened: safetensors finds none."""
    try:
        Path(path).open("rb").close()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        pass
    except OSError as error:
        raise ModelError(f"{path}: could not be read ({error.strerror}). Mend that.") from error


def read_deployed(path: str | Path) -> Deployed | None:
    """What was chosen for a model; None where nothing was, or the file is no model.

    Whether it is whole is not looked at: `unetflow.networks.model_file.load_model` does that.
    Raises ModelError where it cannot be read: defaults would take the place of what was chosen.
    """
    refuse_unreadable(path)
    try:
        with safetensors.safe_open(path, framework="np") as file:
            content = json.loads(file.metadata()[KEY])
            first = content.get(ENSEMBLE, [content])[0]  # in that all are alike
            found: Deployed | None = first.get(DEPLOYED)
    except (*FAULTS, AttributeError, IndexError):
        return None
    return found
