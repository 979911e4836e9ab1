"""A folder of masks, an object each, as a label image."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unetflow.errors import SlideError
from unetflow.images.slide import Slide

SHAPE_PX = (30, 40)


def write_mask(folder: Path, name: str, rows: slice, columns: slice, value: int = 255) -> None:
    mask = np.zeros(SHAPE_PX, np.uint8)
    mask[rows, columns] = value
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / name, mask)


def read(folder: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    with Slide(folder, as_labels=True) as slide:
        assert slide.levels[0].shape_px == SHAPE_PX
        return slide.read(0, slice(0, 30), slice(0, 40))[0], slide.notes


def test_files_are_numbered_by_name_and_the_last_of_two_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    write_mask(folder, "a.tif", slice(0, 10), slice(0, 10))
    write_mask(folder, "b.tif", slice(5, 15), slice(5, 15), value=1)
    write_mask(folder, "c.tif", slice(20, 25), slice(20, 25))
    write_mask(folder, "d.tif", slice(19, 26), slice(19, 26))
    write_mask(folder, "e.tif", slice(0, 0), slice(0, 0))
    labels, notes = read(folder)
    assert {n: int((labels == n).sum()) for n in np.unique(labels)[1:]} == {1: 75, 2: 100, 4: 49}
    assert notes == (
        "1 masks show nothing",
        "50 pixels lie in several masks: they are of the last",
        "1 objects are covered by later masks, lost",
    )


def test_what_macos_leaves_beside_masks_is_none(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks", "a.tif", slice(0, 10), slice(0, 10))
    (tmp_path / "masks" / "._a.tif").write_bytes(b"Mac OS X")
    labels, _ = read(tmp_path / "masks")
    assert np.unique(labels).tolist() == [0, 1]


def test_masks_that_do_not_overlap_are_read_without_a_word(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks", "a.tif", slice(0, 10), slice(0, 10))
    assert read(tmp_path / "masks")[1] == ()


def test_what_is_no_mask_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    with pytest.raises(SlideError, match=r"masks: it is a folder with neither Zarr nor masks"):
        read(folder)
    write_mask(folder, "a.tif", slice(0, 10), slice(0, 10))
    labels = np.arange(1200, dtype=np.uint16).reshape(SHAPE_PX)
    tifffile.imwrite(folder / "b.tif", labels)
    with pytest.raises(SlideError, match=r"b\.tif holds the values 0, 1, 2.*0 and one other value"):
        read(folder)
    tifffile.imwrite(folder / "b.tif", np.zeros((3, 4), np.uint8))
    with pytest.raises(SlideError, match=r"mask b\.tif is 3x4 px, a\.tif 30x40 px"):
        read(folder)
    (folder / "b.tif").write_bytes(b"II*\0 no more")
    with pytest.raises(SlideError, match=r"b\.tif: cannot be read"):
        read(folder)
    (folder / "b.tif").rename(folder / "0.tif")
    with pytest.raises(SlideError, match=r"0\.tif: cannot be read"):
        read(folder)


def test_a_mask_that_was_blurred_is_refused(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks", "a.tif", slice(0, 10), slice(0, 10))
    mask = np.zeros(SHAPE_PX, np.uint8)
    tifffile.imwrite(tmp_path / "masks" / "b.tif", mask, compression="jpeg")
    with pytest.raises(SlideError, match=r"mask b\.tif is compressed as JPEG"):
        read(tmp_path / "masks")
