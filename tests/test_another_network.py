"""A network of another geometry goes through prediction and training: none of it knows a U-Net."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import predict, train
from predicting import difference, image_of, job_in
from test_stages_train import job_in as training_in

from unetflow import networks
from unetflow.jobs.resources import tiles_mb
from unetflow.networks.initial_weights import start_from
from unetflow.networks.model_file import ModelDescription, load_model, save_model
from unetflow.networks.network import Network
from unetflow.predict.whole_image import predict_array
from unetflow.provenance.receipts import read_receipt
from unetflow.store.foreground import read_foreground
from unetflow.store.pixels import Normalised
from unetflow.store.shards import read_array
from unetflow.tiles.grid import Tile
from unetflow.tiles.mirror import read_mirrored
from unetflow.tiles.tiling import Tiling

HALO_PX = 12


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = EntryPoints([EntryPoint("three", "three_convolutions", networks.GROUP)])
    monkeypatch.setattr(networks, "entry_points", installed.select)


def three(**options: Any) -> Network:
    torch.manual_seed(0)
    return networks.build("three", **options).eval()


def test_the_geometry_is_that_of_the_network() -> None:
    network = three(in_channels=2)
    assert network.geometry == networks.geometry_of("three", in_channels=2)
    assert network.geometry.output_px(24 + 32) == 32
    for size_px in range(26, 40, 2):
        with torch.inference_mode():
            found = network(torch.zeros(1, 2, size_px, 26))
        assert found.shape[2:] == (network.geometry.output_px(size_px), 2)


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 70), (65, 131), (129, 17)])
@pytest.mark.parametrize("write_px", [6, 32])
def test_tiled_equals_whole_for_small_and_odd_images(
    height: int, width: int, write_px: int
) -> None:
    assert difference(three(), image_of(height, width), write_px) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "rows, columns", [((0, 2), ()), ((-1, -3), ()), ((), (0, 2)), ((), (-1, -3))]
)
def test_each_side_of_the_ring_that_is_read_matters(
    rows: tuple[int, ...], columns: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_line_less(image_CYX: Any, tile: Tile) -> torch.Tensor:
        assert all(part.stop - part.start == 32 + 2 * HALO_PX for part in tile.read)
        pixels = read_mirrored(image_CYX, tile.read).copy()
        if rows:
            pixels[:, rows[0]] = pixels[:, rows[1]]
        if columns:
            pixels[:, :, columns[0]] = pixels[:, :, columns[1]]
        return torch.from_numpy(pixels)[None]

    monkeypatch.setattr("unetflow.predict.whole_image.read_tile", one_line_less)
    assert difference(three(), image_of(160, 130), 32) > 1e-5


def stored(job: dict[str, Any], **options: Any) -> tuple[Network, ModelDescription]:
    """The job's model file, now of this network."""
    description: ModelDescription = {
        "network": {"name": "three", **options},
        "classes": ["cell"],
        "channels": 1,
        "intensity": {"mean": [127.0], "deviation": [70.0]},
    }
    network = three(**options)
    save_model(job["models"][0], network, description)
    return load_model(job["models"][0])


@pytest.mark.parametrize("norm", [None, "instance"])
def test_a_model_file_makes_the_stored_foreground(tmp_path: Path, norm: str | None) -> None:
    job = job_in(tmp_path, 300, 641) | {"write_px": 128, "dtype": "float32"}
    network, description = stored(job, norm=norm)
    predict(**job)
    image = Normalised(np.asarray(read_array(job["image"], "0")[:]), description["intensity"])
    found = read_foreground(job["store"])
    for write_px in (128, 1024) if norm is None else (128,):  # others show, where it has seams
        wanted = predict_array(network, image, write_px=write_px)[1:]
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    chosen = read_array(job["store"], "foreground").attrs["unetflow"]["chosen"]
    assert chosen["write_px"] == 128
    assert chosen.get("blended_px") == (None if norm is None else 32)


def test_tiles_that_memory_was_short_for_are_in_the_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_in(tmp_path, 60, 301) | {"write_px": 256}
    geometry = stored(job, norm="instance")[0].geometry
    needed = geometry.tile_bytes(Tiling.square(geometry, 128).read_px, 4)
    monkeypatch.setattr("unetflow.predict.ensemble.available_bytes", lambda: 2 * needed)
    predict(**job)
    receipt = read_receipt(job["receipt"])
    assert "its tiles are 128 px wide, not 256 px, as memory was short" in receipt["tiles"]
    assert receipt["warnings"] == []  # which are of images unlike those of the training


def test_its_tile_is_chosen_where_none_is_wanted(tmp_path: Path) -> None:
    job = job_in(tmp_path, 90, 301) | {"write_px": None, "shard_px": 1024}
    stored(job)
    predict(**job)
    chosen = read_array(job["store"], "foreground").attrs["unetflow"]["chosen"]
    assert chosen["write_px"] == 302  # the smallest that holds the image
    assert tiles_mb(networks.geometry_of("three"), 1) == 2000 + 91  # 1048 px, 2 bytes, 32 values


@pytest.mark.slow
def test_it_learns_and_starts_another_one(tmp_path: Path) -> None:
    first, second = (training_in(tmp_path / name, steps=6) for name in ("first", "second"))
    for job in (first, second):
        job["network"] = {"name": "three"}
        job["recipe"] |= {"tile_px": 66, "validate_every": 3}
    train(**first)
    assert read_receipt(first["receipt"])["best"]["validation_iou"] is not None
    with np.load(first["patches"]) as patches:
        assert patches["image"].shape[2:] == (66, 66)
        assert patches["target"].shape[1:] == (42, 42)
    second["recipe"]["freeze_encoder"] = True
    train(**second | {"pretrained": first["model"]})
    given, found = (load_model(job["model"])[0].state_dict() for job in (first, second))
    kept = {name for name in given if torch.equal(given[name], found[name])}
    assert kept == {name for name in given if name.startswith("down.")}


def test_with_other_classes_its_own_last_layer_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    stored({"models": [path]}, num_classes=2)
    torch.manual_seed(1)
    network = networks.build("three", num_classes=3)
    of: ModelDescription = {
        "network": {"name": "three", "num_classes": 3},
        "classes": ["a", "b"],
        "channels": 1,
        "intensity": {"mean": [0.0], "deviation": [1.0]},
    }
    start_from(path, network, of, freeze=True)
    given = load_model(path)[0].state_dict()
    others = {
        name for name, now in network.state_dict().items() if not torch.equal(now, given[name])
    }
    assert others == {"out.last.weight", "out.last.bias"}
    frozen = {name for name, of in network.named_parameters() if not of.requires_grad}
    assert frozen == {name for name in given if name.startswith("down.")}


def test_a_tile_that_it_cannot_take_is_an_error(tmp_path: Path) -> None:
    job = training_in(tmp_path, steps=1) | {"network": {"name": "three"}}
    job["recipe"] |= {"tile_px": 67}
    with pytest.raises(ValueError, match="input of 67 px .* sizes are 66 px and 68 px"):
        train(**job)
