"""The model file: what comes back from it, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from unetflow.errors import ModelError
from unetflow.networks import build
from unetflow.networks.model_file import load_model, save_model

OPTIONS: dict[str, Any] = {"in_channels": 1, "num_classes": 2, "base_channels": 2, "depth": 1}
DESCRIPTION: Any = {
    "network": {"name": "unet", **OPTIONS},
    "channels": 1,
    "classes": ["cell"],
    "intensity": {"mean": [1.0], "deviation": [2.0]},
}


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


def test_a_flipped_bit_of_the_weights_is_found(model: Path) -> None:
    content = bytearray(model.read_bytes())
    content[-5] ^= 1
    model.write_bytes(content)
    with pytest.raises(ModelError, match="its weights are damaged: their checksum is another one"):
        load_model(model)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\0\0\0\0\0\0\0{}      "])
def test_another_file_is_no_model(model: Path, content: bytes) -> None:
    model.write_bytes(content)
    with pytest.raises(
        ModelError, match=r"not a whole model file .*made anew, from the last checkpoint"
    ):
        load_model(model)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such file. Name the model.safetensors"):
        load_model(tmp_path / "gone.safetensors")
