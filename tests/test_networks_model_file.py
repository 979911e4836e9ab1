"""The model file: what comes back from it, and what is refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from damaging import damaged

from unetflow.errors import ModelError
from unetflow.networks import build
from unetflow.networks.model_file import load_model, save_model

OPTIONS: dict[str, Any] = {"in_channels": 1, "num_classes": 2, "base_channels": 2, "depth": 1}
DESCRIPTION: Any = {
    "network": {"name": "unet", **OPTIONS},
    "channels": 1,
    "classes": ["cell"],
    "intensity": {"mean": [1.0], "deviation": [2.0]},
    "mpp": 0.25,
    "truth": "instances",
}
DAMAGES = 300


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(tmp_path / "model.safetensors", build("unet", **OPTIONS), DESCRIPTION)
    return tmp_path / "model.safetensors"


def test_weights_and_description_come_back_and_are_written_to_the_same_bytes(
    model: Path, tmp_path: Path
) -> None:
    network, description = load_model(model)
    assert description == DESCRIPTION
    save_model(tmp_path / "again.safetensors", network, description)
    assert (tmp_path / "again.safetensors").read_bytes() == model.read_bytes()


def test_weights_in_another_precision_and_layout_are_stored_as_float32(
    model: Path, tmp_path: Path
) -> None:
    network, description = load_model(model)
    turned = network.to(torch.float64).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_model(tmp_path / "other.safetensors", turned, description)
    assert (tmp_path / "other.safetensors").read_bytes() == model.read_bytes()


def same(first: Any, second: Any) -> bool:
    """Whether two loaded models have the same description and weights."""
    weights = [network.state_dict() for network, _ in (first, second)]
    return bool(
        first[1] == second[1]
        and weights[0].keys() == weights[1].keys()
        and all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    )


def rewritten(model: Path, description: object, **others: Any) -> None:
    """The model's file as another program would write it, with this as its description."""
    weights = safetensors.torch.load_file(model) | others
    metadata = {"unetflow": json.dumps(description)}
    model.write_bytes(safetensors.torch.save(weights, metadata=metadata))


def test_no_damage_gives_another_model(model: Path) -> None:
    """Of 600 damaged files 9 were loaded with other classes, resolutions or intensities."""
    random, whole, loaded = np.random.default_rng(0), model.read_bytes(), load_model(model)
    header = 8 + int.from_bytes(whole[:8], "little")
    for number in range(DAMAGES):
        content = damaged(whole, random)
        if number % 2:  # half of them in names, shapes and description, which are few bytes
            place = random.integers(header)
            content = whole[:place] + random.bytes(1) + whole[place + 1 :]
        model.write_bytes(content)
        try:
            found = load_model(model)
        except ModelError as error:
            assert "not a whole model file of unetflow" in str(error)
        else:
            assert same(found, loaded)
            json.loads(content[8:header])  # blanks between its words, at most


@pytest.mark.parametrize("place", ["weights", "digest"])
def test_a_turned_bit_of_weights_or_checksum_is_found(model: Path, place: str) -> None:
    content = bytearray(model.read_bytes())
    content[-5 if place == "weights" else content.index(b"digest") + 14] ^= 1
    model.write_bytes(content)
    with pytest.raises(ModelError, match="it is damaged: its checksum is another one"):
        load_model(model)


@pytest.mark.parametrize("weights_checked", [False, True])
def test_models_of_older_versions_are_read_and_that_is_said(
    model: Path, weights_checked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    loaded, description = load_model(model), dict(DESCRIPTION)
    if weights_checked:  # as version 0.1.0 wrote it
        digest = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(safetensors.torch.load_file(model).items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
        description["weights"] = digest.hexdigest()
    rewritten(model, description)
    with caplog.at_level("INFO"):
        assert same(load_model(model), loaded)
    of = "the description" if weights_checked else "weights and description"
    assert f"is of an older version, which wrote no checksum of {of}" in caplog.text
    if weights_checked:
        content = bytearray(model.read_bytes())
        content[-5] ^= 1
        model.write_bytes(content)
        with pytest.raises(ModelError, match="its weights are damaged: their checksum is another"):
            load_model(model)


@pytest.mark.parametrize(
    ("way", "target"),
    [
        ("macenko", {"vectors": [[0.6, 0.7, 0.3], [0.2, 0.9, 0.3]], "most": [1.5, 1.2]}),
        ("reinhard", {"mean": [-1.0, -0.2, 0.0], "deviation": [0.4, 0.1, 0.03]}),
    ],
)
def test_stains_of_a_training_are_whole(model: Path, way: str, target: dict[str, Any]) -> None:
    def described(target: dict[str, Any], way: str = way) -> dict[str, Any]:
        return {"intensity": {**DESCRIPTION["intensity"], "scale": way, "target": target}}

    rewritten(model, DESCRIPTION | described(target))
    assert load_model(model)[1]["intensity"]["target"] == target
    first = next(iter(target))
    for other in (
        described(target, "other"),
        described({**target, "more": [1.0]}),
        described({**target, first: target[first][:1]}),
        described({**target, first: ["x"] * len(target[first])}),
    ):
        rewritten(model, DESCRIPTION | other)
        with pytest.raises(ModelError, match="its intensity must be a finite mean"):
            load_model(model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["cell", "cell"]}, "its classes must be a list of different names"),
        ({"classes": []}, "its classes must be a list of different names"),
        ({"channels": 0}, "its channels must be a whole number above 0, not 0"),
        ({"channels": True}, "its channels must be a whole number above 0, not True"),
        ({"channels": 2}, "its intensity has 1 values of mean, but there are 2 channels"),
        ({"mpp": float("nan")}, "its mpp must be null or a number of um/px above 0, not nan"),
        ({"mpp": "0.25"}, "its mpp must be null or a number of um/px above 0, not '0.25'"),
        ({"intensity": {"mean": [1.0]}}, "its intensity must be a finite mean and a deviation"),
        (
            {"intensity": {"mean": [1.0], "deviation": [0.0]}},
            "its intensity must be a finite mean and a deviation above 0",
        ),
        (
            {"intensity": {"mean": [1.0], "deviation": [1.0], "scale": "local", "px": 0}},
            "its intensity must be a finite mean and a deviation above 0",
        ),
        (
            {"intensity": {"mean": [1.0], "deviation": [1.0], "scale": "macenko", "target": {}}},
            "its intensity must be a finite mean and a deviation above 0",
        ),
        ({"network": {"depth": 1}}, "its network must be a name with options"),
        ({"network": {"name": "unet", "depht": 1}}, "has no option 'depht'; did you mean 'depth'"),
        ({"network": {"name": "unet", "depth": 2}}, r"its weights are not those .* 25 of 26"),
        ({"network": {"name": "vnet"}}, "no network is called 'vnet'"),
        ({"mpp_um": 0.25}, "its description has the unknown key 'mpp_um'"),
    ],
)
def test_descriptions_that_cannot_be_are_refused_in_words(
    model: Path, changes: dict[str, Any], message: str
) -> None:
    rewritten(model, DESCRIPTION | changes)
    with pytest.raises(ModelError, match=f"not a whole model file .*{message}"):
        load_model(model)


def test_models_of_other_programs_are_refused_in_words(model: Path) -> None:
    weights = safetensors.torch.load_file(model)
    for metadata in (None, {"format": "pt"}):
        model.write_bytes(safetensors.torch.save(weights, metadata=metadata))
        with pytest.raises(ModelError, match="no entry 'unetflow': it is of another program"):
            load_model(model)
    rewritten(model, [1, 2])
    with pytest.raises(ModelError, match="its entry 'unetflow' is no description of a model"):
        load_model(model)
    rewritten(model, {name: of for name, of in DESCRIPTION.items() if name != "classes"})
    with pytest.raises(ModelError, match="its description has no classes"):
        load_model(model)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.int64], ids=str)
def test_weights_of_another_type_are_refused_in_words(model: Path, kind: torch.dtype) -> None:
    name, tensor = next(iter(safetensors.torch.load_file(model).items()))
    rewritten(model, DESCRIPTION, **{name: tensor.to(kind)})
    short = str(kind).removeprefix("torch.")
    with pytest.raises(ModelError, match=f"its weights must be float32, but {name} is {short}"):
        load_model(model)


def test_an_empty_file_is_named(model: Path) -> None:
    model.write_bytes(b"")
    with pytest.raises(ModelError, match=r"model.safetensors: not a whole .* \(it is empty\)"):
        load_model(model)


@pytest.mark.parametrize("content", [b"no model", b"\x08\0\0\0\0\0\0\0{}      "])
def test_another_file_is_no_model(model: Path, content: bytes) -> None:
    model.write_bytes(content)
    with pytest.raises(
        ModelError, match=r"not a whole model file .*made anew, from the last checkpoint"
    ):
        load_model(model)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such file. Name the model.safetensors"):
        load_model(tmp_path / "gone.safetensors")
