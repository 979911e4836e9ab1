"""Membranes of volumes that are not in memory: the same scores, and each chunk decoded once."""

import math
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from unetflow.evaluate import image_scores
from unetflow.evaluate.image_scores import Truth, score_foreground
from unetflow.evaluate.scoring import Row
from unetflow.instances.whole_image import label_instances
from unetflow.labels.dataset import Dataset
from unetflow.store.arrays import Key, StoredArray
from unetflow.store.ome import PixelSize, image_axes, ome_image, write_group
from unetflow.store.shards import Layout, open_array
from unetflow.tiles.regions import touched

SHAPE = 6, 150, 20  # three chunks along y, two shards
CHUNKS = 3


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the truth of some cells and a foreground that nearly is right."""
    folder = tmp_path_factory.mktemp("membranes") / "i.ome.zarr"
    size = PixelSize.square(0.5, 3)
    axes = image_axes(size)
    write_group(folder, "", ome_image("i", axes, {"0": [1, *size.scale]}, unit=size.unit))
    _, y, x = np.indices(SHAPE)
    cells = (1 + y // 10 * 2 + x // 10).astype(np.uint32)
    noise = np.random.default_rng(0).integers(0, 90, SHAPE)
    wall = (y % 10 == 0) | (x % 10 == 0)
    arrays = {
        "labels/truth/0": (cells, axes[1:]),
        "labels/ignore/0": ((x == 3).astype(np.uint8), axes[1:]),
        "foreground": ((np.where(wall, 0, 160) + noise).astype(np.uint8)[None], axes),
    }
    for name, (pixels, names) in arrays.items():
        layout = Layout(pixels.shape, str(pixels.dtype), names)
        array = open_array(folder, name, layout, decided_by={})
        for index in array.missing():
            array.write(index, pixels[array.region(index)])
    return folder


def membranes(store: Path) -> list[Row]:
    """Rows of the metrics that need whole membranes."""
    truth = Truth(store, Dataset("interior", ("cell",)))
    foreground = truth.foreground_of(store)
    return list(chain(*image_scores._membrane_rows(truth, foreground, [0.3, 0.5], None)))


def test_chunks_of_a_large_volume_are_decoded_once_for_all_their_planes(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, read = Counter[str](), StoredArray.__getitem__

    def counted(array: StoredArray, key: Key) -> np.ndarray:
        region = [each for each in array._inside(key) if isinstance(each, slice)]
        decoded[str(array.path.relative_to(store))] += len(touched(region, array.chunks))
        return read(array, key)

    in_memory = membranes(store)
    monkeypatch.setattr(image_scores, "VOLUME_PX", 0)
    monkeypatch.setattr(StoredArray, "__getitem__", counted)
    assert membranes(store) == in_memory
    assert decoded["foreground"] == decoded["labels/ignore/0"] == CHUNKS
    # of what lies beside a shard a plane is read to separate what touches: two chunks again
    assert decoded["labels/truth/0"] <= CHUNKS + 2


def test_the_planes_of_a_slab_are_scored_as_images_of_their_own(store: Path) -> None:
    truth = Truth(store, Dataset("interior", ("cell",)))
    foreground = truth.foreground_of(store)
    rows = score_foreground(truth, foreground, [0.5], label_instances)
    found = next(row for row in rows if row.metric == "warping_error")
    assert found.variant == "by slices"
    assert found.sums["n"] == math.prod(SHAPE)
