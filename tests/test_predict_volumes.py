"""A volume that goes over several shards along z: the same as the whole, and after a loss."""

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unetflow.engine.machine import Machine
from unetflow.instances.labelled_store import label_store
from unetflow.instances.whole_image import label_instances
from unetflow.networks import build
from unetflow.networks.network import Network
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.plan import PredictOptions
from unetflow.predict.stored_foreground import write_foreground
from unetflow.predict.whole_image import predict_array
from unetflow.store.foreground import read_foreground
from unetflow.store.ome import PixelSize, image_axes
from unetflow.store.pixels import normalised
from unetflow.store.shards import Layout, ShardedArray, open_array, read_array

SHAPE = 150, 10, 12
SEAM = 64  # shards of the foreground are 64 px deep, those of labels 128 px
INTENSITY = {"mean": [100.0], "deviation": [40.0]}
LABELLING: dict[str, Any] = {"min_area_px": 4, "fill_holes": True, "connectivity": 1}
SPLIT: dict[str, Any] = LABELLING | {"split_px": 0.5}
SIZE = PixelSize.square(0.5, 3)


def network() -> Network:
    torch.manual_seed(1)
    return build("unet3d", base_channels=2, depth=1).eval()


def drawn() -> np.ndarray:
    """Noise (C, Z, Y, X) that is smooth along z, so that what is bright goes through seams."""
    noise = np.random.default_rng(2).normal(size=(SHAPE[0] + 8, *SHAPE[1:]))
    smooth = np.add.reduce([noise[k : k + SHAPE[0]] for k in range(9)])
    return np.asarray(np.clip(100 + 25 * smooth, 0, 255).astype(np.uint8)[None])


@cache
def whole() -> np.ndarray:
    """The foreground (Z, Y, X) of the whole volume as one tile."""
    found = predict_array(network(), normalised(drawn(), INTENSITY), write_px=SHAPE[0])
    return np.asarray(found[1])


def threshold() -> float:
    """Above it a fifth of the pixels hangs together in many objects, half of them would in one."""
    return float(np.quantile(whole(), 0.8))


def predict(folder: Path) -> ShardedArray:
    """The foreground into a store, what is missing of it."""
    pixels = open_array(folder / "i.ome.zarr", "0", LAYOUT, decided_by={})
    for index in pixels.missing():
        pixels.write(index, drawn()[pixels.region(index)])
    description: Any = {"network": {}, "classes": ["cell"], "channels": 1, "intensity": INTENSITY}
    return write_foreground(
        Ensemble([(network(), description)]),
        pixels.array,
        folder / "f.ome.zarr",
        size=SIZE,
        tissue=None,
        decided_by={},
        options=PredictOptions(shard_px=8 * SEAM, dtype="float32", precision="fp32"),
        machine=Machine(threads=1, gpu=False, require_gpu=False),
    )


LAYOUT = Layout((1, *SHAPE), "uint8", image_axes(SIZE))


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deep")
    predict(folder)
    return folder


def label(folder: Path, labelling: dict[str, Any]) -> ShardedArray:
    of = partial(label_store, threads=1, decided_by={}, table=folder / "o.parquet")
    return of(folder / "f.ome.zarr", {"cell": threshold()}, labelling)[0]


def test_a_foreground_in_shards_along_z_is_that_of_the_whole(predicted: Path) -> None:
    array = read_array(predicted / "f.ome.zarr", "foreground")
    assert array.shards[1] == SEAM
    found, wanted = read_foreground(predicted / "f.ome.zarr")[0], whole()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    # mirrored at a seam, as if there were no planes behind it, it is another one there
    cut = predict_array(network(), normalised(drawn()[:, :SEAM], INTENSITY), write_px=SEAM)[1]
    assert np.abs(cut[-1] - wanted[SEAM - 1]).max() > 1e-3


@pytest.mark.parametrize("labelling", [LABELLING, SPLIT], ids=["whole", "split"])
def test_labels_stitched_along_z_are_those_of_a_single_pass(
    predicted: Path, labelling: dict[str, Any]
) -> None:
    array = label(predicted, labelling).array
    foreground = read_foreground(predicted / "f.ome.zarr")[0]
    wanted = label_instances(foreground, threshold=threshold(), **labelling)
    np.testing.assert_array_equal(array[:], wanted)
    seam = array.shards[0]
    assert seam < SHAPE[0]
    before, behind = wanted[seam - 1], wanted[seam]
    assert ((before == behind) & (before != 0)).any()  # objects go through it
    assert wanted.max() > 5


def test_shards_along_z_that_were_lost_are_made_again_to_the_same_bytes(predicted: Path) -> None:
    for make in (partial(predict, predicted), partial(label, predicted, LABELLING)):
        made = make()
        files = sorted(file for file in (made.path / "c").rglob("*") if file.is_file())
        before, digest = [file.read_bytes() for file in files], made.content_digest()
        assert len(files) > 1
        del made
        for file in files[1:]:
            file.unlink()
        assert make().content_digest() == digest
        assert [file.read_bytes() for file in files] == before
