"""Networks together: tiles that memory is enough for, and means of several models."""

import logging
import math
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import needs_gpu, predict
from predicting import all_bytes, ensemble_of, how, job_in, network_of

from unetflow.engine.memory import MIB
from unetflow.errors import ModelError
from unetflow.networks import build
from unetflow.networks.model_file import ModelDescription, load_model, save_model
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.plan import Plan, warning_of_tiles
from unetflow.predict.whole_image import predict_array
from unetflow.store.foreground import read_foreground
from unetflow.store.pixels import Normalised
from unetflow.store.shards import Layout, read_array
from unetflow.tiles.tiling import Tiling
from unetflow.tiles.valid_sizes import valid_input_px


@pytest.mark.parametrize("precision, write_px", [("fp32", 512), ("bf16", 1024)])
def test_tiles_suit_the_precision_where_their_size_is_left_open(
    tmp_path: Path, precision: str, write_px: int
) -> None:
    job = job_in(tmp_path, 8, 1100)
    predict(**job | {"write_px": None, "shard_px": 1024, "precision": precision})
    chosen = read_array(job["store"], "foreground").attrs["unetflow"]["chosen"]
    assert chosen["write_px"] == write_px


def test_tiles_are_no_larger_than_lets_all_threads_have_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ensemble = ensemble_of(network_of(4, base_channels=16))
    usual = partial(ensemble.usual_tiling, how=how("bf16"), held_bytes=0)
    large = ensemble.geometry.tile_bytes((valid_input_px(1024),) * 2, 2)
    monkeypatch.setattr(
        "unetflow.predict.ensemble.available_bytes", lambda: int(2 * large / 0.8) + 8
    )
    found = [usual(1024, most=threads).write_px for threads in (1, 2, 3)]
    assert found == [(1024, 1024), (1024, 1024), (512, 512)]
    assert usual(1536, most=1).write_px == (512, 512)


@pytest.mark.slow
@pytest.mark.parametrize("gpu", [False, pytest.param(True, marks=needs_gpu)])
def test_an_image_after_others_of_its_job_is_as_it_is_alone(
    job: dict[str, Any], tmp_path: Path, gpu: bool
) -> None:
    ensemble = Ensemble.load(job.pop("models"))
    for number, write_px in enumerate((128, 256, 128)):
        own = {"write_px": write_px, "store": tmp_path / f"{number}.ome.zarr", "gpu": gpu}
        predict(ensemble=ensemble, **job | own)
    alone = Ensemble.load([tmp_path / "model.safetensors"])
    predict(ensemble=alone, **job | {"write_px": 128, "gpu": gpu})
    assert all_bytes(tmp_path / "2.ome.zarr") == all_bytes(job["store"])


def test_networks_without_digests_are_in_no_store(job: dict[str, Any]) -> None:
    ensemble = Ensemble([load_model(path) for path in job.pop("models")])
    with pytest.raises(ValueError, match="use Ensemble.load"):
        predict(ensemble=ensemble, **job)


def test_fewer_tiles_together_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(2)
    ensemble, tiling = ensemble_of(network), Tiling.square(network.geometry, 256)
    needed = network.geometry.tile_bytes((valid_input_px(256, 2),) * 2, 4)
    monkeypatch.setattr("unetflow.predict.ensemble.available_bytes", lambda: 4 * needed)
    assert ensemble.tiles_at_once(tiling, how(), 9) == 3  # of 80 % of what is left
    assert ensemble.tiles_at_once(tiling, how(), 8) == 2  # of four threads: three leave two idle
    assert ensemble.tiles_at_once(tiling, how("bf16"), 12) == 6
    assert ensemble.tiles_at_once(tiling, how(), 8, held_bytes=needed) == 1
    assert ensemble.tiles_at_once(tiling, how(), 2) == 2
    assert ensemble.tiles_at_once(tiling, how(device="cuda"), 8) == 8  # one is computed
    granted = ensemble_of(network, memory_mb=math.ceil(2 * needed / MIB))
    assert granted.tiles_at_once(tiling, how(), 8) == 1
    assert granted.tiles_at_once(tiling, how("bf16"), 9) == 3
    monkeypatch.setattr("unetflow.predict.ensemble.available_bytes", lambda: 0)
    assert ensemble.tiles_at_once(tiling, how(), 8) == 1


def test_the_memory_that_is_needed_is_said_before_the_start(
    job: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    predict(**job)
    (said,) = (line for line in caplog.messages if line.startswith("needs "))
    assert re.fullmatch(
        r"needs 0[.]\d\d GB: 1 at once of tile \d+ px, 32 values per px, fp32, cpu", said
    )


@pytest.mark.slow
def test_several_models_are_averaged_each_with_its_own_intensities(
    job: dict[str, Any], tmp_path: Path
) -> None:
    first, description = load_model(job["models"][0])
    torch.manual_seed(9)
    second = build(**description["network"]).eval()
    other: ModelDescription = {**description, "intensity": {"mean": [90.0], "deviation": [30.0]}}
    save_model(tmp_path / "second.safetensors", second, other)
    models = [*job["models"], tmp_path / "second.safetensors"]
    predict(**job | {"models": models, "dtype": "float32"})
    pixels = np.asarray(read_array(job["image"], "0")[:])
    wanted = [
        predict_array(network, Normalised(pixels, of["intensity"]), write_px=256)[1:]
        for network, of in ((first, description), (second, other))
    ]
    found = read_foreground(job["store"])
    np.testing.assert_allclose(found, np.mean(wanted, axis=0), atol=1e-5)


def test_tiles_are_halved_until_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(2)
    ensemble = ensemble_of(network)
    needed = network.geometry.tile_bytes((valid_input_px(256, 2),) * 2, 4)
    monkeypatch.setattr("unetflow.predict.ensemble.available_bytes", lambda: 2 * needed)

    def fitting(write_px: int, precision: str = "fp32") -> tuple[int, ...]:
        tiling = Tiling.square(network.geometry, write_px)
        return ensemble.fitting(tiling, how(precision)).write_px

    assert fitting(256) == (256, 256)
    assert fitting(1024) == (256, 256)
    assert fitting(512, "bf16") == (256, 256)
    assert fitting(1004) == (252, 252)  # 1004, 504, 252
    monkeypatch.setattr("unetflow.predict.ensemble.available_bytes", lambda: 1000)
    with pytest.raises(ModelError, match="not even a tile of 4 px fits into the memory"):
        fitting(64)


def test_smaller_tiles_are_said_where_their_size_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout((1, 600, 600), "uint8", ("c", "y", "x"), shard_px=512)
    for norm in (None, "instance"):
        ensemble = ensemble_of(build("unet_padded", base_channels=2, depth=1, norm=norm).eval())
        plan = partial(ensemble.plan, how(), layout, 256, granted=1, held_bytes=0)
        with monkeypatch.context() as patch:
            assert warning_of_tiles(plan().stored) is None
            tile = Tiling.square(ensemble.geometry, 128)
            needed = ensemble.geometry.tile_bytes(tile.read_px, 4)
            patch.setattr("unetflow.predict.ensemble.available_bytes", lambda n=needed: 2 * n)
            short = plan()
        assert short.write_px == 128
        warning = warning_of_tiles(short.stored)
        if norm is None:
            assert warning is None
        else:
            assert warning is not None and "128 px wide, not 256 px, as memory was short" in warning
            assert Plan.read(short.stored) == short


def test_tiles_of_volumes_are_the_largest_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build("unet3d", in_channels=1, num_classes=2, base_channels=2, depth=1).eval()
    ensemble, geometry = ensemble_of(network), network.geometry
    needed = geometry.tile_bytes([geometry.input_px(64, axis) for axis in range(3)], 4)
    usual = partial(ensemble.usual_tiling, most=4, held_bytes=0)
    for precision in ("fp32", "bf16"):
        assert usual(128, how=how(precision)).write_px == (128, 128, 128)
    assert usual(192, how=how()).write_px == (64, 64, 64)
    monkeypatch.setattr("unetflow.predict.ensemble.available_bytes", lambda: 2 * needed)
    assert ensemble.fitting(usual(128, how=how()), how()).write_px == (64, 64, 64)
