"""Heads beside the foreground: one pass, any shards and shares, and objects made with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import predict
from predicting import all_bytes, flip_a_byte, job_in

from unetflow.errors import ModelError, StoreError
from unetflow.instances import label_instances
from unetflow.networks import build
from unetflow.networks.model_file import load_model, save_model
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.forward import as_batch, ready, tile_logits
from unetflow.predict.plan import BEGIN, END
from unetflow.predict.runners import mean_probabilities, orientations_of
from unetflow.predict.whole_image import predict_array
from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.shard_lists import Stored, faults_of
from unetflow.stages.instances import Making, write_instances
from unetflow.store.foreground import read_foreground
from unetflow.store.pixels import Normalised
from unetflow.store.shards import read_array


def headed_job(folder: Path, head: str, size: tuple[int, int] = (300, 330)) -> dict[str, Any]:
    """As `job_in`, of a network with a head."""
    job = job_in(folder, *size)
    _, description = load_model(job["models"][0])
    description["network"] |= {"num_classes": 3, "depth": 2}
    description["heads"] = [head]
    torch.manual_seed(3)
    network = build(**description["network"]).eval()
    save_model(job["models"][0], network, description)
    return job


@pytest.mark.parametrize("head", ["border", "distance"])
def test_heads_are_stored_beside_the_foreground_in_one_pass(tmp_path: Path, head: str) -> None:
    job = headed_job(tmp_path, head) | {"dtype": "float32"}
    predict(**job)
    network, description = load_model(job["models"][0])
    assert network.heads == (head,)
    image = Normalised(np.asarray(read_array(job["image"], "0")[:]), description["intensity"])
    foreground = read_foreground(job["store"])
    np.testing.assert_allclose(foreground, predict_array(network, image)[1:], atol=1e-5)
    heads = read_foreground(job["store"], array="heads")
    assert heads.shape == foreground.shape == (1, 300, 330)
    # the head of a tile, by the network's own output
    tile_BCHW = as_batch(image[:, 48:148, 60:160])  # at steps of the network
    output_HW = tile_logits(ready(network, device="cpu", precision="fp32"), tile_BCHW)[0, -1]
    said_HW = output_HW.sigmoid() if head == "border" else output_HW.clamp(0, 1)
    halo = network.geometry.before_px[0]
    rows, columns = (slice(at + halo, at + halo + said_HW.shape[0]) for at in (48, 60))
    np.testing.assert_allclose(heads[0, rows, columns], said_HW.numpy(), atol=1e-5)
    receipt = read_receipt(job["receipt"])
    assert receipt["heads"] != receipt["digest"]
    assert not list(faults_of(Stored(job["store"], job["receipt"]), thoroughly=True))


def test_what_shards_and_restarts_are_does_not_show(tmp_path: Path) -> None:
    job = headed_job(tmp_path, "border", (600, 700))
    predict(**job)
    whole = all_bytes(job["store"])
    assert len([name for name in whole if name.startswith("heads/c")]) == 4
    (job["store"] / "heads/c/0/1/0").unlink()  # as a kill between the two writings leaves it
    flip_a_byte(job["store"] / "foreground/c/0/0/1")
    flip_a_byte(job["store"] / "heads/c/0/0/0")
    predict(**job)
    assert all_bytes(job["store"]) == whole
    shared = {**job, "store": tmp_path / "s/i.ome.zarr"}
    for number, share in enumerate((BEGIN, (0, 2), (1, 2), END)):
        predict(**{**shared, "share": share, "receipt": tmp_path / f"s/{number}.json"})
    assert all_bytes(shared["store"]) == whole


def test_without_a_head_there_is_no_array_and_an_old_one_is_removed(tmp_path: Path) -> None:
    job = headed_job(tmp_path, "border")
    predict(**job)
    assert (job["store"] / "heads").exists()
    plain = job_in(tmp_path / "plain", 300, 330)
    predict(**{**job, "models": plain["models"]})
    assert not (job["store"] / "heads").exists()
    assert "heads" not in read_receipt(job["receipt"])


def test_orientations_and_networks_are_averaged_of_heads_as_of_classes() -> None:
    networks = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = build("unet", base_channels=2, depth=1, num_classes=4).eval()
        network.heads = ("border", "distance")
        networks.append(network)
    pixels = np.random.default_rng(0).normal(size=(1, 40, 40)).astype(np.float32)
    tile = as_batch(pixels)
    one = orientations_of(1)
    each = [mean_probabilities([of], [tile], one) for of in networks]
    together = mean_probabilities(networks, [tile, tile], one)
    torch.testing.assert_close(together, torch.stack(each).mean(dim=0))
    assert together.shape[0] == 4
    assert together[2:].min() >= 0 and together[2:].max() <= 1
    turned = as_batch(np.rot90(pixels, axes=(1, 2)).copy())
    eight = mean_probabilities(networks[:1], [tile], orientations_of(8))
    of_turned = mean_probabilities(networks[:1], [turned], orientations_of(8))
    torch.testing.assert_close(torch.rot90(eight, dims=(1, 2)), of_turned)


def test_networks_with_other_heads_are_no_ensemble(tmp_path: Path) -> None:
    jobs = [headed_job(tmp_path / head, head) for head in ("border", "distance")]
    with pytest.raises(ModelError, match="must have the same head"):
        Ensemble.load([job["models"][0] for job in jobs])


@pytest.mark.parametrize("head", ["border", "distance"])
@pytest.mark.slow
def test_objects_are_made_with_the_head_of_the_store(tmp_path: Path, head: str) -> None:
    job = headed_job(tmp_path, head)
    predict(**job)
    clean: dict[str, Any] = {"min_area_px": 3, "fill_holes": False, "connectivity": 1}
    number: Any = {"border": {"border_threshold": 0.5}, "distance": {"split_px": 0.5}}[head]
    made: dict[str, Any] = {
        "store": job["store"],
        "foreground_receipt": job["receipt"],
        "calibration": tmp_path / "calibration.json",
        "receipt": tmp_path / "instances.json",
        "table": tmp_path / "objects.parquet",
        "making": Making(["cell"], 0.5, {**clean, "separate": head, **number}),
        "threads": 2,
        "code": "c",
    }
    (tmp_path / "calibration.json").write_text('{"instances": {"cell": {"threshold": 0.5}}}')
    write_instances(**made)
    head_YX = read_foreground(job["store"], array="heads")[0]
    foreground_YX = read_foreground(job["store"])[0]
    wanted = label_instances(foreground_YX, separate=head, head=head_YX, **clean, **number)
    found = np.asarray(read_array(job["store"], "labels/instances/0")[:])
    np.testing.assert_array_equal(found, wanted)
    flip_a_byte(job["store"] / "heads/c/0/0/0")
    (job["store"] / "heads/c/0/0/0").unlink()
    with pytest.raises(StoreError, match="heads: 1 of 1 shards are not there"):
        write_instances(**made)
