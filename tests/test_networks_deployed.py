"""The model file that goes elsewhere: the same weights, and how objects are made."""

import argparse
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from unetflow import networks
from unetflow.commands.predict_chosen import InstanceOptions, chosen_options
from unetflow.errors import ModelError
from unetflow.networks.deployed import Deployed, read_deployed, write_deployed
from unetflow.networks.description import read_description
from unetflow.networks.model_file import ModelDescription, load_model, save_model
from unetflow.predict.ensemble import Ensemble
from unetflow.store.files import digest_of_file

CHOSEN: dict[str, Any] = {
    "thresholds": {"cell": 0.4},
    "labelling": {"min_area_px": 9, "fill_holes": True, "connectivity": 2, "separate": "valleys"},
    "test_time_augmentation": 8,
    "smooth_px": None,
}
NOTHING = argparse.Namespace()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network: dict[str, Any] = {
        "name": "unet",
        "in_channels": 1,
        "num_classes": 2,
        "base_channels": 2,
        "depth": 1,
    }
    description: ModelDescription = {
        "network": network,
        "channels": 1,
        "classes": ["cell"],
        "intensity": {"mean": [1.0], "deviation": [2.0]},
        "mpp": 0.5,
    }
    save_model(tmp_path / "model.safetensors", networks.build(**network), description)
    return tmp_path / "model.safetensors"


def test_it_has_the_weights_the_description_and_what_was_chosen(model: Path) -> None:
    before = model.read_bytes()
    deployed = model.with_name("deploy.safetensors")
    write_deployed([model], deployed, CHOSEN)
    assert model.read_bytes() == before
    (one, of_one), (other, of_other) = load_model(model), load_model(deployed)
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, other.state_dict()[name])
    assert of_other.pop("deployed") == {"of": digest_of_file(model), **CHOSEN}
    assert of_other == of_one
    assert read_deployed(deployed) == {"of": digest_of_file(model), **CHOSEN}
    again = model.with_name("again.safetensors")
    write_deployed([model], again, CHOSEN)
    assert again.read_bytes() == deployed.read_bytes()


def test_predictions_of_both_files_have_one_digest_whatever_was_chosen(model: Path) -> None:
    paths = [model.with_name(f"{k}.safetensors") for k in range(2)]
    for path, threshold in zip(paths, (0.4, 0.6), strict=True):
        write_deployed([model], path, CHOSEN | {"thresholds": {"cell": threshold}})
    digests = {digest for path in (model, *paths) for digest in Ensemble.load([path]).digests}
    assert digests == {digest_of_file(model)}


def test_of_networks_that_are_averaged_one_file_has_all(model: Path) -> None:
    other = model.with_name("other.safetensors")
    network, description = load_model(model)
    with torch.no_grad():
        next(network.parameters()).add_(1)
    save_model(other, network, description)
    deployed = model.with_name("deploy.safetensors")
    write_deployed([model, other], deployed, CHOSEN)
    by_files, by_one = Ensemble.load([model, other]), Ensemble.load([deployed])
    assert by_one.digests == by_files.digests == [digest_of_file(model), digest_of_file(other)]
    for one, same in zip(by_one.networks, by_files.networks, strict=True):
        for name, weights in same.state_dict().items():
            assert torch.equal(one.state_dict()[name], weights)
    chosen = read_deployed(deployed)
    assert chosen is not None and chosen["thresholds"] == CHOSEN["thresholds"]
    with pytest.raises(ModelError, match="it holds several networks, which are for one image"):
        read_description(deployed)
    with pytest.raises(ModelError, match="holds 2 networks, whose probabilities are averaged"):
        load_model(deployed)
    content = bytearray(deployed.read_bytes())
    content[-5] ^= 1
    deployed.write_bytes(content)
    with pytest.raises(ModelError, match="its checksum is another one"):
        Ensemble.load([deployed])


def test_a_damaged_file_is_told(model: Path) -> None:
    deployed = model.with_name("deploy.safetensors")
    write_deployed([model], deployed, CHOSEN)
    damaged = deployed.read_bytes().replace(b"0.4", b"0.7")
    deployed.write_bytes(damaged)
    with pytest.raises(ModelError, match="its checksum is another one"):
        load_model(deployed)
    with pytest.raises(ModelError, match="not a whole model file"):
        write_deployed([model.with_name("none")], deployed, CHOSEN)


def test_what_was_chosen_is_not_lost_where_a_file_cannot_be_read_just_now(
    model: Path,
) -> None:
    deployed = model.with_name("deploy.safetensors")
    write_deployed([model], deployed, CHOSEN)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        for read in (read_deployed, load_model):
            with pytest.raises(ModelError, match=r"could not be read \(Too many open files\)"):
                read(deployed)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert read_deployed(deployed) is not None


def test_what_is_no_deployed_file_says_nothing(model: Path) -> None:
    assert read_deployed(model) is None
    assert read_deployed(model.with_name("none")) is None
    text = model.with_name("text")
    text.write_text("no model")
    assert read_deployed(text) is None


def test_values_by_hand_win_then_the_files_then_defaults() -> None:
    deployed: Deployed = {"of": "", **CHOSEN}  # type: ignore[typeddict-item]
    assert chosen_options(NOTHING, None).instances == InstanceOptions()
    found = chosen_options(argparse.Namespace(min_area_px=3, fill_holes=False), deployed)
    assert found.instances == InstanceOptions(
        {"cell": 0.4}, min_area_px=3, fill_holes=False, connectivity=2, separate="valleys"
    )
    assert found.instances.thresholds(["cell"]) == {"cell": 0.4}
    assert found.test_time_augmentation == 8
    assert found.said == [
        "by hand: min_area_px 3, fill_holes off",
        "chosen on the validation images: connectivity 2, separate valleys, threshold of cell 0.4, "
        "test_time_augmentation 8",
    ]
    (usual,) = chosen_options(NOTHING, None).said
    assert usual.startswith(
        "defaults: threshold 0.5, min_area_px 0, fill_holes off, separate necks"
    )
    by_hand = chosen_options(argparse.Namespace(threshold=0.7), deployed).instances
    assert by_hand.thresholds(["cell", "other"]) == {"cell": 0.7, "other": 0.7}
