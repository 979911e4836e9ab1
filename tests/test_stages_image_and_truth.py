"""An image and its truth in files of other kinds: each is read by the axes that it has."""

from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from prepared import prepare, truth

from unetflow.errors import SlideError
from unetflow.provenance.receipts import read_receipt
from unetflow.store.shards import read_array

BLOCKS = np.kron(np.arange(10, dtype=np.uint8).reshape(2, 5), np.ones((20, 10), np.uint8))


def stored(store: Path) -> np.ndarray:
    return np.asarray(read_array(store, "labels/truth/0")[:])


def test_a_flat_truth_serves_one_plane_of_a_stack(tmp_path: Path) -> None:
    labels = np.zeros((40, 50), np.uint16)
    labels[5:20, 5:30] = 7
    stack = np.random.default_rng(0).integers(0, 255, (3, 40, 50), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack")
    store = prepare(tmp_path, path=tmp_path / "s.tif", plane=2)
    truth(tmp_path, labels, plane=2)
    np.testing.assert_array_equal(read_array(store, "0")[0], stack[2])
    np.testing.assert_array_equal(stored(store), labels)


def test_labels_of_an_array_lack_the_channels_of_their_image(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).integers(0, 255, (2, 3, 40, 50), dtype=np.uint8)
    labels = np.stack([BLOCKS, BLOCKS[::-1], BLOCKS[:, ::-1]])
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["raw"], file["labels"] = raw, labels
    chosen: dict[str, Any] = {"axes": "czyx", "plane": 1}
    store = prepare(tmp_path, path=f"{tmp_path}/v.h5:/raw", **chosen)
    truth(tmp_path, labels, path=f"{tmp_path}/v.h5:/labels", **chosen)
    np.testing.assert_array_equal(read_array(store, "0")[:], raw[:, 1])
    np.testing.assert_array_equal(stored(store), labels[1])


@pytest.mark.parametrize("saved", ["palette", "equal channels", "with transparency"])
def test_numbers_that_were_saved_as_colours_are_numbers(tmp_path: Path, saved: str) -> None:
    if saved == "palette":
        image = Image.fromarray(BLOCKS, mode="P")
        image.putpalette(bytes(range(255, -1, -1)) * 3)
        image.save(tmp_path / "t.png")
    else:
        channels = 3 if saved == "equal channels" else 4
        colours = np.repeat(BLOCKS[..., None], channels, axis=-1)
        colours[..., 3:] = 255
        imagecodecs.imwrite(tmp_path / "t.png", colours)
    store = prepare(tmp_path, np.zeros((40, 50), np.uint8))
    truth(tmp_path, BLOCKS, path=tmp_path / "t.png")
    np.testing.assert_array_equal(stored(store), BLOCKS)


@pytest.mark.parametrize("kind", ["interior", "classes"])
def test_of_one_bit_the_mask_is_1_as_in_a_tiff(tmp_path: Path, kind: str) -> None:
    Image.fromarray(BLOCKS > 0).save(tmp_path / "t.png")
    store = prepare(tmp_path, np.zeros((40, 50), np.uint8))
    truth(tmp_path, BLOCKS, path=tmp_path / "t.png", kind=kind)
    np.testing.assert_array_equal(stored(store) > 0, BLOCKS > 0)


def test_what_of_a_truth_is_not_read_stands_in_its_receipt(tmp_path: Path) -> None:
    prepare(tmp_path, np.zeros((40, 50), np.uint8))
    with tifffile.TiffWriter(tmp_path / "t.tif") as tiff:
        tiff.write(BLOCKS[::4, ::4], photometric="miniswhite", metadata=None)
        tiff.write(BLOCKS, photometric="miniswhite", metadata=None)
    truth(tmp_path, BLOCKS, path=tmp_path / "t.tif")
    receipt = read_receipt(tmp_path / "t.json")
    assert receipt["warnings"][0].startswith("image 1 (40x50 px) is read; not read: 0 (10x13 px)")
    assert receipt["warnings"][1] == (
        "its 0 is white (WhiteIsZero); the values are read as they are stored"
    )


def test_colours_are_no_numbers(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 9, (40, 50, 3), dtype=np.uint8)
    imagecodecs.imwrite(tmp_path / "t.png", colours)
    prepare(tmp_path, np.zeros((40, 50), np.uint8))
    with pytest.raises(
        SlideError, match=r"t\.png: it holds 3 channels that differ, colours perhaps"
    ):
        truth(tmp_path, colours[..., 0], path=tmp_path / "t.png")
