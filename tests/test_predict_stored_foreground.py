"""The stored foreground: shard by shard, the same after any kill, for any shares of jobs."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from conftest import needs_gpu, predict, taken
from predicting import all_bytes, finished_shards, flip_a_byte, image_of, job_in, run_in_process
from torch import nn

from unetflow.engine.each import for_each
from unetflow.engine.machine import Machine
from unetflow.errors import ModelError, SlideError, StoreError
from unetflow.networks import build
from unetflow.networks.model_file import load_model, save_model
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.plan import BEGIN, END, PredictOptions
from unetflow.predict.stored_foreground import write_foreground
from unetflow.predict.whole_image import predict_array
from unetflow.provenance.receipts import read_receipt
from unetflow.store.chunk_cache import CachedChunks
from unetflow.store.foreground import read_foreground
from unetflow.store.ome import PixelSize
from unetflow.store.pixels import Normalised
from unetflow.store.pyramid import halved
from unetflow.store.shards import ShardedArray, read_array


@pytest.mark.slow
def test_the_stored_foreground_is_that_of_the_whole_array(job: dict[str, Any]) -> None:
    predict(**job)
    network, description = load_model(job["models"][0])
    pixels = np.random.default_rng(1).integers(0, 255, (1, 1300, 1500), dtype=np.uint8)
    wanted = predict_array(network, Normalised(pixels, description["intensity"]), write_px=512)
    # uint8 rounds to the nearest of 255 steps, and tiles of another size differ in their last bits.
    assert np.abs(read_foreground(job["store"]) - wanted[1:]).max() < 0.5 / 255 + 1e-5


@pytest.mark.parametrize("scale", [{"scale": "log"}, {"scale": "local", "px": 48}])
def test_a_network_that_sees_pixels_otherwise_has_no_seams_either(
    tmp_path: Path, scale: dict[str, Any]
) -> None:
    job = job_in(tmp_path, 300, 530)
    path = job["models"][0]
    network, description = load_model(path)
    description["intensity"] |= scale
    save_model(path, network, description)
    predict(**job | {"dtype": "float32"})
    pixels = np.asarray(read_array(job["image"], "0")[:])
    wanted = predict_array(network, Normalised(pixels, description["intensity"]), write_px=512)[1:]
    np.testing.assert_allclose(read_foreground(job["store"]), wanted, atol=1e-5)
    linear = description["intensity"] | {"scale": "linear"}
    other = predict_array(network, Normalised(pixels, linear), write_px=512)[1:]
    assert np.abs(other - wanted).max() > 1e-3


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


def test_a_damaged_foreground_is_named_and_done_again(job: dict[str, Any]) -> None:
    predict(**job)
    whole = all_bytes(job["store"])
    flip_a_byte(job["store"] / "foreground/c/0/1/2")
    with pytest.raises(StoreError, match="foreground: damaged at"):
        read_foreground(job["store"])
    predict(**job)
    assert all_bytes(job["store"]) == whole


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), r"the network holds NaN or infinity \(contracting.0.0.weight, in fp32\)"),
        (float("-inf"), "the network holds NaN or infinity"),  # which a ReLU makes 0
        (3e38, "gives NaN in rows 0 to 256, columns 0 to 256: .* weights are far too large"),
    ],
)
def test_a_network_without_numbers_is_an_error_and_not_an_empty_image(
    job: dict[str, Any], value: float, message: str
) -> None:
    (path,) = job["models"]
    network, description = load_model(path)
    with torch.no_grad():
        next(network.parameters()).view(-1)[:40] = value
    save_model(path, network, description)
    with pytest.raises(ModelError, match=message):
        predict(**job)
    assert not job["receipt"].exists()


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


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
@pytest.mark.parametrize(
    ("shard_px", "threads", "each", "together"), [(512, 2, 1, 2), (2048, 2, 2, 1), (512, 1, 1, 1)]
)
@pytest.mark.slow
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
