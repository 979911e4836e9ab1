"""What of an image is annotated, and where its objects lie, as training asks for it."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from conftest import write_prepared

from unetflow.labels.places import part_of, places_of_objects
from unetflow.store.ome import PixelSize, image_axes, ome_image, write_group
from unetflow.store.shards import Layout, open_array

SIZE = 600


def store_in(folder: Path, ignored: np.ndarray) -> Path:
    """A store of two levels, the second every other pixel of the first."""
    labels = np.zeros(ignored.shape, np.uint32)
    store = write_prepared(folder, "a", labels[None].astype(np.uint8), labels, ignored)
    zarr.create_array(str(store / "labels/ignore/1"), data=ignored[::2, ::2].astype(np.uint8))
    return store


def test_a_part_is_known_by_its_pixels_and_on_a_coarser_level_by_cells(tmp_path: Path) -> None:
    ignored = np.ones((SIZE, SIZE), np.uint8)
    ignored[100:140, 500:560] = 0
    store = store_in(tmp_path, ignored)
    fine, coarse = part_of(store, SIZE), part_of(store, SIZE // 2)
    assert fine is not None and coarse is not None
    assert fine.cell_px == (1, 1) and coarse.cell_px == (2, 2)
    assert fine.pixels == coarse.pixels == 40 * 60
    np.testing.assert_array_equal(fine.corners_NA, np.argwhere(ignored == 0))
    np.testing.assert_array_equal(coarse.corners_NA, np.argwhere(ignored[::2, ::2] == 0) * 2)


def test_an_image_without_ignored_pixels_is_annotated_as_a_whole(tmp_path: Path) -> None:
    assert part_of(store_in(tmp_path, np.zeros((SIZE, SIZE), np.uint8)), SIZE) is None


def test_of_many_cells_some_stand_for_all_in_every_row_and_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignored = np.zeros((SIZE, SIZE), np.uint8)
    ignored[:, 500:] = 1
    monkeypatch.setattr("unetflow.labels.places.MOST", 5000)  # each 60th: 5 * 12 = 60
    part = part_of(store_in(tmp_path, ignored), SIZE)
    assert part is not None
    assert part.pixels == SIZE * 500 and len(np.unique(part.corners_NA, axis=0)) == 5000
    in_blocks = np.bincount(part.corners_NA[:, 0] // 60 * 10 + part.corners_NA[:, 1] // 50)
    assert in_blocks.min() > 25 and in_blocks.max() < 75  # 50 each
    assert len(np.unique(part.corners_NA[:, 1])) > 490


def sparse_volume(folder: Path) -> tuple[Path, np.ndarray]:
    """A store of cubes with two annotated planes, of which no coarser level has one."""
    shape = (40, 300, 300)
    ignored, labels = np.ones(shape, np.uint8), np.zeros(shape, np.uint32)
    ignored[[11, 25]] = 0
    labels[11, 40:60, 250:280], labels[25, 200:210, 5:9] = 1, 2
    store = folder / "a.ome.zarr"
    size = PixelSize((1.0, 1.0, 1.0))
    levels = {"0": [1.0, 1, 1, 1], "1": [1.0, 2, 2, 2], "2": [1.0, 4, 4, 4]}
    write_group(store, "", ome_image("a", image_axes(size), levels, unit=None))
    for name, array in (("ignore", ignored), ("truth", labels)):
        for level in range(3):
            step = (slice(None, None, 2**level),) * 3
            coarse = array[step]
            layout = Layout(coarse.shape, str(array.dtype), ("z", "y", "x"))
            stored = open_array(store, f"labels/{name}/{level}", layout, decided_by={})
            for index in stored.missing():
                stored.write(index, coarse[stored.region(index)])
    return store, labels


def test_planes_that_are_annotated_alone_are_found_wherever_they_lie(tmp_path: Path) -> None:
    store, labels = sparse_volume(tmp_path)
    part = part_of(store, 2048)
    assert part is not None and part.cell_px == (1, 1, 1)
    assert part.pixels == 2 * 300 * 300
    assert len(part.corners_NA) == 100_000 and {*part.corners_NA[:, 0].tolist()} == {11, 25}
    assert abs(np.mean(part.corners_NA[:, 0] == 11) - 0.5) < 1e-4
    places = places_of_objects(store, 2048)
    assert sorted(places.tolist()) == np.argwhere(labels != 0).tolist()
