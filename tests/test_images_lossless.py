"""Which files may have other values than were saved, by what is in them."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from unetflow.images.lossless import lossy_compression

LABELS = np.kron(np.arange(16, dtype=np.uint8).reshape(4, 4), np.ones((37, 41), np.uint8))


@pytest.mark.parametrize("tile", [None, (64, 64)])
@pytest.mark.parametrize(
    ("how", "found"),
    [
        ({}, None),
        ({"compression": "lzw"}, None),
        ({"compression": "zlib", "predictor": True}, None),
        ({"compression": "jpeg"}, "JPEG"),
        ({"compression": "jpeg2000", "compressionargs": {"reversible": True}}, None),
        (
            {"compression": "jpeg2000", "compressionargs": {"reversible": False, "level": 30}},
            "JPEG 2000",
        ),
    ],
)
def test_a_tiff_is_lossy_where_its_values_come_back_changed(
    tmp_path: Path, how: dict[str, Any], found: str | None, tile: tuple[int, int] | None
) -> None:
    path = tmp_path / "labels.tif"
    tifffile.imwrite(path, LABELS, photometric="minisblack", tile=tile, **how)
    assert lossy_compression(path) == found
    assert np.array_equal(tifffile.imread(path), LABELS) == (found is None)


@pytest.mark.parametrize(("how", "found"), [("jpeg", "JPEG"), ("zlib", None)])
def test_a_thumbnail_before_the_image_tells_nothing(
    tmp_path: Path, how: str, found: str | None
) -> None:
    with tifffile.TiffWriter(tmp_path / "labels.tif") as tiff:
        tiff.write(LABELS[::4, ::4], compression="zlib" if found else "jpeg", metadata=None)
        tiff.write(LABELS, compression=how, metadata=None)
    assert lossy_compression(tmp_path / "labels.tif") == found


def test_a_jpeg_is_told_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "labels.png").write_bytes(imagecodecs.jpeg_encode(LABELS))
    assert lossy_compression(tmp_path / "labels.png") == "JPEG"
    (tmp_path / "labels.jpg").write_bytes(imagecodecs.png_encode(LABELS))
    assert lossy_compression(tmp_path / "labels.jpg") is None


def test_of_a_folder_the_first_frame_tells_and_arrays_are_as_they_were_saved(
    tmp_path: Path,
) -> None:
    assert lossy_compression(tmp_path) is None
    tifffile.imwrite(tmp_path / "t000.tif", LABELS, compression="jpeg")
    assert lossy_compression(tmp_path) == "JPEG"
    np.save(tmp_path / "labels.npy", LABELS)
    assert lossy_compression(tmp_path / "labels.npy") is None
