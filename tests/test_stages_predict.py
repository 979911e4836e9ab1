"""Tiling does not show; a killed prediction goes on; averaging turns the network's input."""

import json
import logging
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from conftest import needs_gpu, predict, taken
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from unetflow.engine.devices import cores, resolve_precision
from unetflow.engine.each import for_each
from unetflow.engine.machine import Machine
from unetflow.engine.memory import MIB
from unetflow.errors import ModelError, SlideError, StoreError
from unetflow.networks import build
from unetflow.networks.model_file import ModelDescription, load_model, save_model
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.plan import BEGIN, END, Inference, Plan, PredictOptions, can_have
from unetflow.predict.runners import ORIENTATIONS
from unetflow.predict.stored_foreground import write_foreground
from unetflow.predict.whole_image import predict_array
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.records import record_of
from unetflow.store.chunk_cache import CachedChunks
from unetflow.store.foreground import read_foreground
from unetflow.store.ome import PixelSize, ome_image, pixel_size, write_group
from unetflow.store.pixels import Normalised
from unetflow.store.pyramid import halved
from unetflow.store.shards import Layout, ShardedArray, open_array, read_array
from unetflow.tiles.grid import Tile
from unetflow.tiles.mirror import read_mirrored
from unetflow.tiles.tiling import Tiling
from unetflow.tiles.valid_sizes import halo_px, valid_input_px


def network_of(depth: int = 4, base_channels: int = 4, in_channels: int = 1) -> Any:
    torch.manual_seed(depth)
    return build("unet", in_channels=in_channels, base_channels=base_channels, depth=depth).eval()


def image_of(height: int, width: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(channels, height, width)).astype(np.float32)


@torch.inference_mode()
def whole_logits(network: Any, image_CYX: np.ndarray) -> torch.Tensor:
    """The network over the whole mirrored image in one pass, in our memory format."""
    height, width = image_CYX.shape[1:]
    halos = network.geometry.before_px
    sizes = [network.geometry.input_px(n, axis) for axis, n in enumerate((height, width))]
    region = tuple(slice(-halo, n - halo) for halo, n in zip(halos, sizes, strict=True))
    padded = torch.from_numpy(read_mirrored(image_CYX, region))[None]
    inferring = network.to(memory_format=torch.channels_last)
    logits: torch.Tensor = inferring(padded.contiguous(memory_format=torch.channels_last))
    return logits[0, :, :height, :width]


def difference(network: Any, image_CYX: np.ndarray, write_px: int) -> float:
    """Largest difference between tiled and whole, of the log odds, over the largest |logit|.

    Log odds are a difference of two logits; the logarithms of both probabilities keep their digits.
    """
    logits = whole_logits(network, image_CYX).double()
    tiled = torch.from_numpy(predict_array(network, image_CYX, write_px=write_px)).double()
    odds = tiled[1].log() - tiled[0].log()
    return float((odds - (logits[1] - logits[0])).abs().max() / logits.abs().max())


@pytest.mark.slow
@pytest.mark.parametrize("write_px", [512, 1024])
def test_tiled_equals_whole_on_1500_by_1300(write_px: int) -> None:
    # 1e-5 of the largest |logit| is the law; both sides are fp32, channels last, same threads.
    assert difference(network_of(), image_of(1500, 1300), write_px) < 1e-5


@pytest.mark.slow
def test_batch_normalisation_obeys_the_law() -> None:
    network = build("unet", base_channels=4, depth=2, norm="batch")
    torch.manual_seed(0)
    network.train()(torch.randn(2, 1, 60, 60))  # its statistics are those of the training
    assert difference(network.eval(), image_of(200, 150), 64) < 1e-5


@pytest.mark.slow
def test_the_law_notices_when_the_outermost_ring_really_read_is_mirrored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def one_ring_less(image_CYX: Any, tile: Tile) -> torch.Tensor:
        # Of the 516 px that the network returns 512 are kept: it really reads 92 px before the
        # write region and 92 after it. Both outermost rows and columns become their mirrors.
        pixels = read_mirrored(image_CYX, tile.read).copy()
        last = 92 + (tile.write[0].stop - tile.write[0].start) + 92 - 1
        right = 92 + (tile.write[1].stop - tile.write[1].start) + 92 - 1
        pixels[:, 0], pixels[:, last] = pixels[:, 2], pixels[:, last - 2]
        pixels[:, :, 0], pixels[:, :, right] = pixels[:, :, 2], pixels[:, :, right - 2]
        return torch.from_numpy(pixels)[None]

    monkeypatch.setattr("unetflow.predict.whole_image.read_tile", one_ring_less)
    assert difference(network_of(), image_of(1500, 1300), 512) > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 70), (65, 200), (129, 17)])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_tiled_equals_whole_for_small_and_odd_images(height: int, width: int, depth: int) -> None:
    assert difference(network_of(depth), image_of(height, width), write_px=64) < 1e-5


@pytest.mark.slow
@given(st.integers(1, 100), st.integers(1, 100), st.sampled_from([1, 2, 3]), st.integers(0, 6))
@settings(deadline=None, max_examples=20)
def test_tiled_equals_whole_for_any_size_and_write_region(
    height: int, width: int, depth: int, steps: int
) -> None:
    write_px = (32 // 2**depth + steps) * 2**depth
    assert difference(network_of(depth), image_of(height, width), write_px) < 1e-5


def test_channels_are_kept_apart_and_probabilities_sum_to_one() -> None:
    found = predict_array(network_of(2, in_channels=3), image_of(40, 50, channels=3), write_px=32)
    assert found.shape == (2, 40, 50)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=1e-6)


def test_a_write_region_off_the_poolings_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="multiples of 16 px.*384 px and 400 px"):
        predict_array(network_of(), image_of(9, 9), write_px=388)


def test_averaging_is_the_mean_over_orientations_of_the_padded_input() -> None:
    network, image = network_of(2), image_of(32, 32)
    assert len(set(ORIENTATIONS)) == 8
    by_hand = []
    halo, size = halo_px(2), valid_input_px(32, 2)
    padded = torch.from_numpy(read_mirrored(image, (slice(-halo, size - halo),) * 2))[None]
    with torch.inference_mode():
        for flip in (False, True):
            for quarters in range(4):
                turned = torch.rot90(padded.flip(-2) if flip else padded, quarters, (-2, -1))
                output = network(turned).softmax(1)[0]
                output = torch.rot90(output, -quarters, (-2, -1))
                by_hand.append(output.flip(-2) if flip else output)
    found = predict_array(network, image, write_px=32, average=8)
    wanted = torch.stack(by_hand).mean(0)[:, :32, :32].numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    seven = predict_array(network, image, write_px=32, average=7)
    np.testing.assert_allclose(seven, torch.stack(by_hand[:7]).mean(0)[:, :32, :32], atol=1e-6)


def test_averages_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="over 5 flips and rotations is not possible; there are 1"):
        predict_array(network_of(1), image_of(9, 9), write_px=32, average=5)


def test_bf16_stays_within_its_rounding() -> None:
    network, image = network_of(2), image_of(40, 40)
    exact = predict_array(network, image, write_px=64)
    rough = predict_array(network, image, write_px=64, precision="bf16")
    assert 0 < np.abs(exact - rough).max() < 0.05  # 8 bits of mantissa through 11 layers
    with pytest.raises(ValueError, match="precision 'fp8' is not known"):
        predict_array(network, image, write_px=64, precision="fp8")


def test_the_network_given_is_not_changed() -> None:
    network = network_of(1).train()
    predict_array(network, image_of(9, 9), write_px=32, precision="bf16")
    assert network.training
    assert next(network.parameters()).dtype == torch.float32


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


def test_normalising_uses_each_channels_own_mean() -> None:
    image = np.stack([np.full((2, 2), 3.0), np.full((2, 2), 8.0)])
    found = Normalised(image, {"mean": [1.0, 2.0], "deviation": [2.0, 3.0]})
    np.testing.assert_array_equal(found[:, 0:1, 0:1].ravel(), [1.0, 2.0])


def ensemble_of(network: Any, memory_mb: int | None = None) -> Ensemble:
    description: Any = {}
    return Ensemble([(network, description)], memory_mb=memory_mb)


def how(precision: str = "fp32", device: str = "cpu") -> Inference:
    return Inference(device, precision, ORIENTATIONS[:1])


# Whole jobs: one image store and one model in a folder


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    """Arguments of `predict_store` for a 1300x1500 image, three by three shards of 512 px."""
    return job_in(tmp_path, 1300, 1500)


def job_in(tmp_path: Path, height_px: int, width_px: int) -> dict[str, Any]:
    pixels = np.random.default_rng(1).integers(0, 255, (1, height_px, width_px), dtype=np.uint8)
    axes = ("c", "y", "x")
    write_group(
        tmp_path / "i.ome.zarr", "", ome_image("i", axes, {"0": [1, 0.5, 0.5]}, unit="micrometer")
    )
    array = open_array(
        tmp_path / "i.ome.zarr", "0", Layout(pixels.shape, "uint8", axes), decided_by={}
    )
    for index in array.missing():
        array.write(index, pixels[array.region(index)])
    prepared = {"levels": [{"digest": "of the image"}], "tissue": None, "pixels": {"mean": [127.0]}}
    write_receipt(tmp_path / "i.json", prepared)
    description: Any = {
        "network": {
            "name": "unet",
            "base_channels": 4,
            "depth": 3,
            "in_channels": 1,
            "num_classes": 2,
        },
        "classes": ["cell"],
        "channels": 1,
        "intensity": {"mean": [127.0], "deviation": [70.0]},
    }
    save_model(tmp_path / "model.safetensors", network_of(3), description)
    return {
        "image": tmp_path / "i.ome.zarr",
        "image_receipt": tmp_path / "i.json",
        "models": [tmp_path / "model.safetensors"],
        "store": tmp_path / "p" / "i.ome.zarr",
        "receipt": tmp_path / "p" / "i.json",
        "write_px": 256,
        "shard_px": 512,
        "dtype": "uint8",
        "test_time_augmentation": 1,
        "precision": "fp32",
        "threads": 1,
        "gpu": False,
        "require_gpu": False,
        "code": "c",
    }


def test_the_stored_foreground_is_that_of_the_whole_array(job: dict[str, Any]) -> None:
    predict(**job)
    network, description = load_model(job["models"][0])
    pixels = np.random.default_rng(1).integers(0, 255, (1, 1300, 1500), dtype=np.uint8)
    wanted = predict_array(network, Normalised(pixels, description["intensity"]), write_px=512)
    # uint8 rounds to the nearest of 255 steps, and tiles of another size differ in their last bits.
    assert np.abs(read_foreground(job["store"]) - wanted[1:]).max() < 0.5 / 255 + 1e-5


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
def test_no_more_is_read_than_the_end_of_an_image_needs(tmp_path: Path) -> None:
    job = job_in(tmp_path, 300, 530)
    ensemble = Ensemble.load(job.pop("models"))
    given: list[tuple[int, ...]] = []
    (network,) = ensemble.networks
    hook = network.register_forward_hook(
        lambda _, inputs, found: given.append(tuple(sorted(inputs[0].shape[2:])))
    )
    predict(ensemble=ensemble, **job | {"test_time_augmentation": 8, "dtype": "float32"})
    # rows 256 + 44, columns 256 + 256 + 18, each with its halo, in eight orientations
    assert set(given) == {(348, 348), (132, 348), (108, 348), (108, 132)}
    hook.remove()
    pixels = np.asarray(read_array(job["image"], "0")[:])
    image = Normalised(pixels, ensemble.descriptions[0]["intensity"])
    wanted = predict_array(network, image, write_px=256, average=8)[1:]
    np.testing.assert_allclose(read_foreground(job["store"]), wanted, atol=1e-5)


@pytest.mark.skipif(cores() < 2, reason="one core")
def test_a_small_image_takes_one_thread_whatever_its_job_is_granted(tmp_path: Path) -> None:
    job = job_in(tmp_path, 300, 400)
    predict(**job | {"threads": 2})
    assert read_array(job["store"], "foreground").attrs["unetflow"]["chosen"]["threads"] == 1


def test_viewers_find_coarser_levels(job: dict[str, Any]) -> None:
    predict(**job)
    ome = zarr.open_group(job["store"], mode="r").attrs["ome"]["multiscales"][0]["datasets"]
    found = {of["path"]: of["coordinateTransformations"][0]["scale"] for of in ome}
    assert found == {
        "foreground": [1, 0.5, 0.5],
        "foreground_1": [1, 1, 1],
        "foreground_2": [1, 2, 2],
    }
    finer = np.asarray(read_array(job["store"], "foreground")[:])
    for name in ("foreground_1", "foreground_2"):
        finer = halved(finer)
        np.testing.assert_array_equal(read_array(job["store"], name)[:], finer)
    assert finer.shape == (1, 325, 375)


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".run.json")
    }


def finished_shards(store: Path) -> dict[Path, int]:
    """When each was written; a shard being written has a suffix until it is whole."""
    shards = (store / "foreground" / "c" / "0").glob("*/*")
    return {path: path.stat().st_mtime_ns for path in shards if path.suffix == ""}


def run_in_process(job: dict[str, Any], *, slowly: bool) -> "subprocess.Popen[bytes]":
    program = (
        "import json, sys, time, unetflow.predict.runners as r\n"
        "from conftest import predict\n"
        "one = r.tile_logits\n"
        "def slow(*args):\n    time.sleep(0.2)\n    return one(*args)\n"
        f"r.tile_logits = slow if {slowly} else one\n"
        "predict(**json.loads(sys.argv[1]))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(job, default=str)], cwd=Path(__file__).parent
    )


@pytest.mark.slow
def test_kill_9_at_any_moment_keeps_finished_shards_and_the_same_bytes(
    job: dict[str, Any], tmp_path: Path
) -> None:
    undisturbed = {**job, "store": tmp_path / "u" / "i.ome.zarr", "receipt": tmp_path / "u/i.json"}
    predict(**undisturbed)
    kept: dict[Path, int] = {}
    for wanted in (3, 5):
        process = run_in_process(job, slowly=True)
        while len(finished_shards(job["store"])) < wanted and process.poll() is None:
            time.sleep(0.01)
        assert process.poll() is None, "finished before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        now = finished_shards(job["store"])
        assert {path: now[path] for path in kept} == kept
        assert len(now) >= wanted
        kept = now
        assert not job["receipt"].exists()
    assert run_in_process(job, slowly=False).wait() == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert all_bytes(tmp_path / "p") == all_bytes(tmp_path / "u")


@needs_gpu
def test_on_a_gpu_the_foreground_is_that_of_the_cpu_and_restarts_give_the_same_bytes(
    job: dict[str, Any], tmp_path: Path
) -> None:
    predict(**job | {"dtype": "float32"})
    wanted = read_foreground(job["store"])
    there = {**job, "dtype": "float32", "gpu": True, "threads": 4, "store": tmp_path / "g.ome.zarr"}
    predict(**there)
    np.testing.assert_allclose(read_foreground(there["store"]), wanted, atol=1e-4)
    before = all_bytes(there["store"])
    shards = sorted((there["store"] / "foreground/c/0").glob("*/*"))
    for shard in shards[::2]:
        shard.unlink()
    predict(**there)
    assert all_bytes(there["store"]) == before


@pytest.mark.slow
def test_a_network_that_is_not_seamless_is_blended_the_same_for_any_shards(
    job: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, description = load_model(job["models"][0])
    description["network"]["norm"] = "instance"
    network = build(**description["network"]).eval()
    save_model(job["models"][0], network, description)
    predict(**job | {"dtype": "float32"})
    assert "Tiles overlap by 128 px and are blended" in caplog.text
    found = read_foreground(job["store"])
    pixels = Normalised(np.asarray(read_array(job["image"], "0")[:]), description["intensity"])
    wanted = predict_array(network, pixels, write_px=256)[1:]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    large = {**job, "shard_px": 1024, "store": tmp_path / "large.ome.zarr", "dtype": "float32"}
    predict(**large)
    np.testing.assert_allclose(read_foreground(large["store"]), found, atol=1e-5)
    steps = np.abs(np.diff(found[0], axis=1)).mean(axis=0)
    assert steps[255::256].max() < 1.3 * np.median(steps)  # no edge where tiles meet


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
    save_model(job["models"][0], network, description)
    with pytest.raises(ModelError, match="has 1 channels, but the model was trained on 3"):
        predict(**job)


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)


def test_a_damaged_shard_of_the_image_is_named(job: dict[str, Any]) -> None:
    flip_a_byte(job["image"] / "0/c/0/1/0")
    with pytest.raises(StoreError, match=r"i.ome.zarr/0: damaged at .*Delete the receipt"):
        predict(**job)
    assert len(read_array(job["store"], "foreground").attrs) == 1  # begun, and to be gone on with


def test_a_damaged_foreground_is_named_and_done_again(job: dict[str, Any]) -> None:
    predict(**job)
    whole = all_bytes(job["store"])
    flip_a_byte(job["store"] / "foreground/c/0/1/2")
    with pytest.raises(StoreError, match="foreground: damaged at"):
        read_foreground(job["store"])
    predict(**job)
    assert all_bytes(job["store"]) == whole


def test_a_damaged_model_is_found_by_its_checksum(job: dict[str, Any]) -> None:
    content = bytearray(job["models"][0].read_bytes())
    content[-100] ^= 0x01  # the last bit of a weight
    job["models"][0].write_bytes(content)
    with pytest.raises(ModelError, match="damaged: their checksum"):
        predict(**job)


def test_nan_in_an_image_is_an_error_and_not_a_result(job: dict[str, Any], tmp_path: Path) -> None:
    pixels = image_of(600, 700)
    pixels[0, 595, 20] = np.nan
    before = set(threading.enumerate())
    with pytest.raises(SlideError, match="NaN .*rows 512 to 600, columns 0 to 256"):
        write_foreground(
            Ensemble.load(job["models"]),
            pixels,
            tmp_path / "n.ome.zarr",
            size=PixelSize((1, 1)),
            tissue=None,
            decided_by={},
            options=taken(PredictOptions, job),
            machine=taken(Machine, job),
        )
    workers = [of.name for of in set(threading.enumerate()) - before]
    assert not [name for name in workers if "ThreadPool" in name]  # what was in work is finished


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
        "classes": ["cell"],
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


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
@pytest.mark.parametrize(
    ("shard_px", "threads", "each", "together"), [(512, 2, 1, 2), (2048, 2, 2, 1), (512, 1, 1, 1)]
)
def test_each_job_runs_with_the_threads_it_was_granted(
    job: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    shard_px: int,
    threads: int,
    each: int,
    together: int,
) -> None:
    seen, running, counting = set(), [0], threading.Lock()

    def noted(network: nn.Module, tile_BCHW: torch.Tensor) -> torch.Tensor:
        with counting:
            running[0] += 1
        time.sleep(0.02)
        with counting:
            seen.add((torch.get_num_threads(), running[0]))
            running[0] -= 1
        return torch.zeros(1, 2, 260, 260)

    monkeypatch.setattr("unetflow.predict.runners.tile_logits", noted)
    predict(**job | {"threads": threads, "shard_px": shard_px})
    assert {threads for threads, _ in seen} == {each}
    assert max(running for _, running in seen) == together


def test_the_number_of_threads_does_not_change_the_bytes(
    job: dict[str, Any], tmp_path: Path
) -> None:
    predict(**job)
    two = {
        **job,
        "threads": 2,
        "store": tmp_path / "t/i.ome.zarr",
        "receipt": tmp_path / "t/i.json",
    }
    predict(**two)
    assert all_bytes(tmp_path / "t") == all_bytes(tmp_path / "p")


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


def test_shards_are_done_strip_by_strip(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    write = ShardedArray.write

    def noted(self: ShardedArray, index: Any, block: np.ndarray) -> None:
        if self.path.name == "foreground":
            done.append(index)
        write(self, index, block)

    monkeypatch.setattr(ShardedArray, "write", noted)
    monkeypatch.setattr(
        CachedChunks, "in_strips", lambda self, shards: sorted(shards, key=lambda at: at[::-1])
    )
    monkeypatch.setattr(
        "unetflow.predict.stored_foreground.for_each",
        lambda do, items, *, threads, **shown: for_each(do, items, threads=1),
    )
    predict(**job)
    assert len(done) == 9
    assert done == sorted(done, key=lambda at: at[::-1])


@pytest.mark.slow
@pytest.mark.parametrize("finished", [True, False])
def test_another_precision_begins_the_array_anew(
    job: dict[str, Any], caplog: pytest.LogCaptureFixture, finished: bool
) -> None:
    caplog.set_level(logging.INFO)
    predict(**job)
    if not finished:
        (job["store"] / "foreground" / "c" / "0" / "0" / "0").unlink()
    predict(**job | {"precision": "bf16"})
    assert "starting anew, because of another parameters" in caplog.text
    assert read_receipt(job["receipt"])["precision"] == "bf16"


@pytest.mark.slow
def test_shares_in_any_order_make_the_bytes_of_one_job(job: dict[str, Any], tmp_path: Path) -> None:
    alone = {**job, "store": tmp_path / "a" / "i.ome.zarr", "receipt": tmp_path / "a/i.json"}
    predict(**alone)
    with pytest.raises(StoreError, match="cannot be joined, because it is not there"):
        predict(**job, share=(0, 2))
    predict(**job | {"receipt": tmp_path / "begun.json"}, share=BEGIN)
    shards = job["store"] / "foreground" / "c" / "0"
    for number in (1, 0):
        receipt = tmp_path / f"{number}.json"
        predict(**job | {"receipt": receipt}, share=(number, 2))
        assert read_receipt(receipt)["share"] == [number, 2]
        assert len(list(shards.glob("*/*"))) == (4 if number else 9)
    # what ends it is granted no GPU, as it needs none
    predict(**job | {"gpu": False, "require_gpu": True}, share=END)
    assert all_bytes(tmp_path / "p") == all_bytes(tmp_path / "a")


def test_the_job_that_ends_an_image_does_what_was_damaged(
    job: dict[str, Any], tmp_path: Path
) -> None:
    predict(**job | {"receipt": tmp_path / "begun.json"}, share=BEGIN)
    predict(**job | {"receipt": tmp_path / "0.json"}, share=(0, 1))
    before = all_bytes(job["store"] / "foreground")
    shard = job["store"] / "foreground" / "c" / "0" / "1" / "1"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 255
    shard.write_bytes(content)
    zarr_json = job["store"] / "foreground" / "zarr.json"
    as_begun = zarr_json.read_text()
    zarr_json.write_text(as_begun.replace('"device": "cpu"', '"device": "cuda"'))
    with pytest.raises(
        StoreError, match="1 shards are missing .* Delete the receipts of its parts"
    ):
        predict(**job | {"gpu": False, "require_gpu": True}, share=END)
    zarr_json.write_text(as_begun)
    predict(**job, share=END)
    assert all_bytes(job["store"] / "foreground") == before
    # where nothing is missing it needs no GPU, not even to say on what it ran
    zarr_json.write_text(as_begun.replace('"device": "cpu"', '"device": "cuda"'))
    predict(**job | {"gpu": False, "require_gpu": True}, share=END)


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
    write_receipt(job["image_receipt"], prepared | {"pixels": {"mean": [12700.0]}})
    predict(**job)
    (warning,) = read_receipt(job["receipt"])["warnings"]
    assert "has a mean of 1.27e+04, but the model was trained on pixels of 127" in warning


def test_another_processor_is_said(
    job: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(**job)
    (job["store"] / "foreground" / "c" / "0" / "1" / "1").unlink()
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "another")
    predict(**job)
    assert re.search(r"was begun with processor \w+ and goes on with another", caplog.text)
    record = read_receipt(record_of(Path(job["receipt"])))
    assert record["ended_on"]["processor"] == "another" != record["processor"]


@pytest.mark.slow
@pytest.mark.parametrize("damaged", ["", "\0\0\0", "{}"])
def test_metadata_that_a_power_loss_damaged_are_written_anew(
    job: dict[str, Any], damaged: str
) -> None:
    predict(**job)
    root = job["store"] / "zarr.json"
    whole = root.read_bytes()
    root.write_text(damaged)
    predict(**job)
    assert root.read_bytes() == whole


def test_a_share_of_another_making_is_refused_and_clears_nothing(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(**job)
    with pytest.raises(StoreError, match="cannot be joined, because of another code"):
        predict(**job | {"code": "other"}, share=(0, 2))
    missing = job["store"] / "foreground" / "c" / "0" / "0" / "0"
    missing.unlink()
    monkeypatch.setattr(
        "unetflow.predict.stored_foreground.resolve_precision", lambda wanted, device: "bf16"
    )
    with pytest.raises(ModelError, match="Give all jobs of an image the same kind of machine"):
        predict(**job, share=END)
    assert len(list((job["store"] / "foreground" / "c" / "0").glob("*/*"))) == 8


def test_what_another_machine_began_is_continued_where_it_can_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unetflow.predict.plan.cores", lambda: 2)
    now = Plan("cpu", "fp32", 512, 1, "AVX2", "2.9", threads=1)

    def fits(plan: Plan) -> bool:
        return plan.write_px in (256, 1024)

    assert can_have(replace(now, threads=2, write_px=256), now, fits)
    assert can_have(replace(now, write_px=1024), now, fits)
    assert can_have(replace(now, processor="AVX512", pytorch="2.10"), now, fits)
    for other in (
        replace(now, device="cuda"),
        replace(now, precision="bf16"),
        replace(now, threads=3),
        replace(now, write_px=2048),
    ):
        assert not can_have(other, now, fits)


@pytest.mark.parametrize("blended_px", [None, 64])
def test_a_plan_is_stored_as_arrays_have_always_had_it(blended_px: int | None) -> None:
    plan = Plan("cpu", "bf16", 256, 8, "AVX512", "2.13.0", threads=2, blended_px=blended_px)
    begin = ["device", "precision", "memory_format", "write_px", "average", "processor", "PyTorch"]
    assert list(plan.stored) == [*begin, *(["blended_px"] if blended_px else []), "threads"]
    assert plan.stored["average"] == 8
    assert Plan.read(json.loads(json.dumps(plan.stored))) == plan
    assert len(plan.inference.orientations) == 8


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
