"""A file as one array: every format, in memory or as it lies, and what is refused in words."""

from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from unetflow.errors import SlideError
from unetflow.images.whole import read_whole
from unetflow.store.ome import ome_image, write_group

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 60000, (24, 30), dtype=np.uint16)
STACK = RANDOM.integers(0, 60000, (5, 24, 30), dtype=np.uint16)
SMALL = LABELS.astype(np.uint8)


def is_read(path: Path | str, wanted: np.ndarray) -> None:
    """The file holds these pixels, in memory."""
    found = read_whole(path)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == wanted.dtype


@pytest.mark.parametrize(
    "layout", [{}, {"bigtiff": True}, {"tile": (16, 16), "compression": "zlib"}, {"imagej": True}]
)
@pytest.mark.parametrize("pixels", [LABELS, STACK], ids=["image", "stack"])
def test_a_tiff_is_read_with_all_its_pages(
    tmp_path: Path, layout: dict[str, Any], pixels: np.ndarray
) -> None:
    tifffile.imwrite(tmp_path / "i.tif", pixels, photometric="minisblack", **layout)
    is_read(tmp_path / "i.tif", pixels)


def test_of_a_pyramid_the_finest_level_is_read(tmp_path: Path) -> None:
    metadata = {"axes": "ZCYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
    with tifffile.TiffWriter(tmp_path / "i.ome.tif", ome=True) as tiff:
        options: dict[str, Any] = {"photometric": "minisblack", "tile": (16, 16)}
        tiff.write(STACK[:, None], subifds=1, metadata=metadata, **options)
        tiff.write(STACK[:, None, ::2, ::2], subfiletype=1, **options)
    is_read(tmp_path / "i.ome.tif", STACK)


def test_numpy_files_of_any_number_of_axes(tmp_path: Path) -> None:
    for pixels in (LABELS, STACK, STACK[None, :, None]):
        np.save(tmp_path / "i.npy", pixels)
        is_read(tmp_path / "i.npy", pixels.squeeze())


def test_a_dataset_of_hdf5_with_its_axes_in_any_order(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "i.h5", "w") as file:
        file.create_dataset("group/labels", data=STACK, chunks=(1, 8, 8))
        tagged = file.create_dataset("tagged", data=STACK.transpose(2, 1, 0)[..., None])
        keys = ", ".join(f'{{"key": "{axis}"}}' for axis in "xyzc")
        tagged.attrs["axistags"] = f'{{"axes": [{keys}]}}'
    is_read(f"{tmp_path / 'i.h5'}:/group/labels", STACK)
    is_read(f"{tmp_path / 'i.h5'}:tagged", STACK)
    with pytest.raises(
        SlideError, match=r"i\.h5: it holds the datasets group/labels, tagged: say which"
    ):
        read_whole(tmp_path / "i.h5")


def test_zarr_is_handed_on_unread_unless_an_axis_goes(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", data=STACK, chunks=(1, 8, 8))
    found = read_whole(tmp_path / "a")
    assert isinstance(found, zarr.Array)
    np.testing.assert_array_equal(found[:], STACK)
    zarr.create_array(tmp_path / "b", data=LABELS[None], chunks=(1, 8, 8))
    is_read(tmp_path / "b", LABELS)


@pytest.mark.parametrize("axes", ["zyx", None])
def test_of_an_ome_zarr_the_first_level_listed_is_handed_on(
    tmp_path: Path, axes: str | None
) -> None:
    store = tmp_path / "i.ome.zarr"
    levels = {"full": [1.0, 1, 1], "half": [1.0, 2, 2]}
    write_group(store, "", ome_image("i", ("z", "y", "x"), levels, unit=None))
    if axes is None:  # as before version 0.3
        group = zarr.open_group(store)
        ome: Any = group.attrs["ome"]
        del ome["multiscales"][0]["axes"]
        group.attrs["ome"] = ome
    for name, pixels in (("full", STACK), ("half", STACK[:, ::2, ::2])):
        zarr.create_array(store / name, data=pixels, chunks=(1, 8, 8))
    found = read_whole(store)
    assert isinstance(found, zarr.Array)
    np.testing.assert_array_equal(found[:], STACK)
    zarr.open_group(store / "labels", mode="w")
    with pytest.raises(SlideError, match=r"no OME-Zarr image or label image and empty"):
        read_whole(store / "labels")
    zarr.create_array(store / "labels" / "nuclei", data=STACK)
    with pytest.raises(SlideError, match=r"no OME-Zarr image .* and holds labels/nuclei"):
        read_whole(store / "labels")


def test_a_folder_of_numbered_tiffs_is_a_stack_in_their_order(tmp_path: Path) -> None:
    for number in range(5):
        tifffile.imwrite(tmp_path / f"mask{(1, 2, 9, 10, 100)[number]}.tif", STACK[number])
    is_read(tmp_path, STACK)
    tifffile.imwrite(tmp_path / "t010.tif", STACK[0])
    with pytest.raises(SlideError, match=r"mask10\.tif and t010\.tif have the same number"):
        read_whole(tmp_path)
    (tmp_path / "t010.tif").unlink()
    tifffile.imwrite(tmp_path / "mask011.tif", STACK[0, :7])
    with pytest.raises(SlideError, match=r"mask011\.tif is uint16 of shape \(7, 30\), mask1\.tif"):
        read_whole(tmp_path)


def test_gray_of_png_and_jpeg(tmp_path: Path) -> None:
    imagecodecs.imwrite(tmp_path / "i.png", LABELS)
    is_read(tmp_path / "i.png", LABELS)
    Image.fromarray(SMALL > 100).save(tmp_path / "1.png")
    is_read(tmp_path / "1.png", SMALL > 100)
    smooth = np.add.outer(np.arange(24), np.arange(30)).astype(np.uint8)
    imagecodecs.imwrite(tmp_path / "i.jpg", smooth)
    assert np.abs(read_whole(tmp_path / "i.jpg").astype(int) - smooth).max() <= 6


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colour_with_equal_channels_is_gray_and_other_colour_refused(
    tmp_path: Path, channels: int
) -> None:
    colour = np.stack([SMALL] * channels, axis=-1)
    if channels in (2, 4):
        colour[..., -1] = 255  # opaque
    path = tmp_path / "i.png"
    imagecodecs.imwrite(path, colour)
    is_read(path, SMALL)
    if channels == 2:
        return
    colour[3, 4, 1] += 1
    imagecodecs.imwrite(path, colour)
    with pytest.raises(SlideError, match=r"i\.png: it holds 3 channels that differ"):
        read_whole(path)
    tifffile.imwrite(tmp_path / "i.tif", colour[..., :3], photometric="rgb")
    with pytest.raises(SlideError, match=r"i\.tif: it holds 3 channels that differ"):
        read_whole(tmp_path / "i.tif")


def test_of_a_palette_the_indices_are_read(tmp_path: Path) -> None:
    indexed = Image.fromarray(SMALL, mode="P")
    indexed.putpalette(RANDOM.integers(0, 255, 768, dtype=np.uint8).tobytes())
    indexed.save(tmp_path / "i.png")
    is_read(tmp_path / "i.png", SMALL)


@pytest.mark.parametrize("name", ["i.tif", "i.png", "i.npy", "i.h5", "i.jpg", "i.txt"])
@pytest.mark.parametrize("content", [b"", b"no image"])
def test_what_is_no_image_is_named_in_words(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SlideError, match=rf"{name}: cannot be read \(.*Readable are TIFF"):
        read_whole(tmp_path / name)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match=r"nowhere\.h5:/a: there is no such file"):
        read_whole(f"{tmp_path / 'nowhere.h5'}:/a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SlideError, match="a folder with neither Zarr in it nor numbered TIFFs"):
        read_whole(tmp_path / "empty")
