"""Rule predict: what it refuses, what stands in its receipt, what reaches the store."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import predict
from predicting import PIXELS, flip_a_byte, job_in, network_of
from torch import nn

from unetflow.engine.devices import cores, resolve_precision
from unetflow.errors import ModelError, StoreError
from unetflow.networks.model_file import load_model, save_model
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.store.foreground import read_foreground
from unetflow.store.ome import PixelSize, ome_image, pixel_size, write_group
from unetflow.store.shards import read_array


@pytest.mark.parametrize("has_bf16", [True, False])
def test_precision_is_what_was_wanted_or_what_the_processor_has(
    has_bf16: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("unetflow.engine.devices._processor_has_bf16", lambda: has_bf16)
    monkeypatch.setattr("unetflow.engine.devices._say_once", logging.warning)
    assert resolve_precision("bf16", "cpu") == "bf16"
    assert ("no instructions for bf16 are known" in caplog.text) is not has_bf16
    assert resolve_precision("fp32", "cpu") == "fp32"
    assert resolve_precision("auto", "cpu") == ("bf16" if has_bf16 else "fp32")
    assert resolve_precision("auto", "mps") == "fp32"


@pytest.mark.skipif(cores() < 2, reason="one core")
def test_a_small_image_takes_one_thread_whatever_its_job_is_granted(tmp_path: Path) -> None:
    job = job_in(tmp_path, 300, 400)
    predict(**job | {"threads": 2})
    assert read_array(job["store"], "foreground").attrs["unetflow"]["chosen"]["threads"] == 1


def test_the_run_record_counts_what_this_run_computed(job: dict[str, Any]) -> None:
    """All of 1300x1500 px, then one shard of 512 px that was gone, then nothing."""
    record = job["receipt"].with_suffix(".run.json")
    predict(**job)
    found = read_receipt(record)
    assert found["computed_px"] == 1300 * 1500
    assert 0 < found["computing_s"] < found["seconds"]
    assert found["peak_mib"] > 50  # PyTorch alone has more
    assert "gpu_peak_mib" not in found
    (job["store"] / "foreground/c/0/1/1").unlink()
    predict(**job)
    assert read_receipt(record)["computed_px"] == 512 * 512
    predict(**job)
    found = read_receipt(record)
    assert (found["computed_px"], found["computing_s"]) == (0, 0.0)


@pytest.mark.slow
def test_another_model_starts_the_array_anew(job: dict[str, Any]) -> None:
    predict(**job)
    before = read_foreground(job["store"])
    network, description = load_model(job["models"][0])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    save_model(job["models"][0], network, description)
    predict(**job)
    assert not np.array_equal(read_foreground(job["store"]), before)


def test_what_cannot_be_is_an_error_with_its_remedy(job: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="shard_px = 768 px is no multiple of write_px = 512 px"):
        predict(**job | {"shard_px": 768, "write_px": 512})
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="require_gpu is true, but PyTorch finds no GPU"):
            predict(**job | {"gpu": True, "require_gpu": True})
    job["models"][0].write_bytes(b"no model")
    with pytest.raises(ModelError, match="not a whole model file of unetflow"):
        predict(**job)


def test_a_model_of_other_channels_is_refused(job: dict[str, Any]) -> None:
    network = network_of(3, in_channels=3)
    _, description = load_model(job["models"][0])
    description["network"]["in_channels"] = description["channels"] = 3
    description["intensity"] = {"mean": [100.0] * 3, "deviation": [40.0] * 3}
    save_model(job["models"][0], network, description)
    with pytest.raises(ModelError, match="has 1 channels, but the model was trained on 3"):
        predict(**job)


def test_a_damaged_shard_of_the_image_is_named(job: dict[str, Any]) -> None:
    flip_a_byte(job["image"] / "0/c/0/1/0")
    with pytest.raises(StoreError, match=r"i.ome.zarr/0: damaged at .*Delete the receipt"):
        predict(**job)
    assert len(read_array(job["store"], "foreground").attrs) == 1  # begun, and to be gone on with


def test_a_damaged_model_is_found_by_its_checksum(job: dict[str, Any]) -> None:
    content = bytearray(job["models"][0].read_bytes())
    content[-100] ^= 0x01  # the last bit of a weight
    job["models"][0].write_bytes(content)
    with pytest.raises(ModelError, match="damaged: its checksum"):
        predict(**job)


def test_a_model_file_is_the_same_to_the_byte_and_comes_back(tmp_path: Path) -> None:
    network = network_of(2)
    description: Any = {
        "network": {
            "name": "unet",
            "base_channels": 4,
            "depth": 2,
            "in_channels": 1,
            "num_classes": 2,
        },
        "channels": 1,
        "classes": ["cell"],
        "intensity": {"mean": [100.0], "deviation": [40.0]},
        "mpp": 0.5,
    }
    for name in ("a", "b"):
        save_model(tmp_path / name, network, description)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    loaded, found = load_model(tmp_path / "a")
    assert found == description
    assert isinstance(loaded, nn.Module)
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_a_corrected_resolution_reaches_the_store(job: dict[str, Any]) -> None:
    predict(**job)
    shard = job["store"] / "foreground" / "c" / "0" / "1" / "1"
    made = shard.stat().st_mtime_ns
    levels = {"0": [1, 0.25, 0.25]}
    write_group(job["image"], "", ome_image("i", ("c", "y", "x"), levels, unit="micrometer"))
    predict(**job)
    assert pixel_size(job["store"]) == PixelSize((0.25, 0.25), "micrometer")
    assert shard.stat().st_mtime_ns == made


def test_an_image_of_another_kind_is_in_the_receipt(job: dict[str, Any]) -> None:
    predict(**job)
    assert read_receipt(job["receipt"])["warnings"] == []
    prepared = read_receipt(job["image_receipt"])
    write_receipt(job["image_receipt"], prepared | {"pixels": PIXELS | {"mean": [12700.0]}})
    predict(**job)
    (warning,) = read_receipt(job["receipt"])["warnings"]
    assert "has a mean of 1.27e+04, but the model was trained on pixels of 127" in warning


@pytest.mark.parametrize(("highest", "warnings"), [(1.0, 1), (0.0, 0), (40.0, 0)])
def test_an_image_scaled_to_fractions_is_in_the_receipt(
    job: dict[str, Any], highest: float, warnings: int
) -> None:
    """One that is empty is not: nothing is in it."""
    prepared = read_receipt(job["image_receipt"])
    values = PIXELS | {"mean": [highest / 2], "lowest": [0.0], "highest": [highest]}
    write_receipt(job["image_receipt"], prepared | {"pixels": values})
    predict(**job)
    told = read_receipt(job["receipt"])["warnings"]
    assert len(told) == warnings
    assert all("has pixels of 0 to 1 alone" in each and "all alike" in each for each in told)


@pytest.mark.parametrize("extreme", [{"highest": [3e17]}, {"lowest": [-80_000.0]}])
def test_a_pixel_that_drowns_its_surroundings_is_in_the_receipt(
    job: dict[str, Any], extreme: dict[str, list[float]]
) -> None:
    prepared = read_receipt(job["image_receipt"])
    write_receipt(job["image_receipt"], prepared | {"pixels": PIXELS | extreme})
    predict(**job)
    (warning,) = read_receipt(job["receipt"])["warnings"]
    assert "has a pixel of " in warning and "Around such pixels the result means nothing" in warning
