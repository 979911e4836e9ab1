"""Volumes of any kind of file: all planes, in order, with their spacing; bad ones in words."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from unetflow.errors import SlideError
from unetflow.images.picking import planes_of
from unetflow.images.resampling import source_at
from unetflow.images.slide import Slide
from unetflow.images.sources import RawFile, content_of, files_of, has_changed
from unetflow.store.ome import PixelSize, ome_image, write_group

VOLUME = np.random.default_rng(0).integers(0, 255, (11, 30, 40), dtype=np.uint8)
REGION = slice(2, 9), slice(5, 25), slice(10, 40)


def stack(folder: Path) -> Path:
    tifffile.imwrite(folder / "v.tif", VOLUME, photometric="minisblack")
    return folder / "v.tif"


def ome_tiff(folder: Path) -> Path:
    metadata = {"axes": "ZYX", "PhysicalSizeZ": 2.0, "PhysicalSizeY": 0.5, "PhysicalSizeX": 0.5}
    tifffile.imwrite(folder / "v.ome.tif", VOLUME, photometric="minisblack", metadata=metadata)
    return folder / "v.ome.tif"


def imagej(folder: Path) -> Path:
    how = {"imagej": True, "resolution": (2.0, 2.0)}
    metadata = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(folder / "v.tif", VOLUME, metadata=metadata, **how)
    return folder / "v.tif"


def numpy(folder: Path) -> Path:
    np.save(folder / "v.npy", VOLUME)
    return folder / "v.npy"


def hdf5(folder: Path) -> Path:
    with h5py.File(folder / "v.h5", "w") as file:
        file.create_dataset("raw", data=VOLUME).attrs["element_size_um"] = (2.0, 0.5, 0.5)
    return folder / "v.h5:/raw"


def ome_zarr(folder: Path) -> Path:
    group = ome_image("v", ("z", "y", "x"), {"0": [2.0, 0.5, 0.5]}, unit="micrometer")
    write_group(folder / "v.zarr", "", group)
    zarr.create_array(folder / "v.zarr/0", data=VOLUME, chunks=(5, 30, 40))
    return folder / "v.zarr"


def slices(folder: Path) -> Path:
    (folder / "slices").mkdir()
    for z, plane in enumerate(VOLUME):  # by name 10 stands before 9
        tifffile.imwrite(folder / "slices" / f"scan3_z{z + 1}.tif", plane)
    return folder / "slices"


@pytest.mark.parametrize(
    ("write", "knows_its_spacing"),
    [
        (stack, False),
        (ome_tiff, True),
        (imagej, True),
        (numpy, False),
        (hdf5, True),
        (ome_zarr, True),
        (slices, False),
    ],
)
def test_a_volume_is_read_by_region(
    tmp_path: Path, write: Callable[[Path], Path], knows_its_spacing: bool
) -> None:
    with Slide(write(tmp_path), axes="zyx", volume=True) as slide:
        assert slide.levels[0].shape_px == VOLUME.shape
        np.testing.assert_array_equal(slide.read(0, *REGION), VOLUME[REGION][None])
        if knows_its_spacing:
            assert slide.levels[0].pixel_um == pytest.approx((2.0, 0.5, 0.5))
            return
        with pytest.raises(
            SlideError, match=r"along z, y and x is not known.*spacing column, such"
        ):
            source_at(slide, None, None)


def test_a_spacing_may_be_given_in_um_or_as_one_length_to_another(tmp_path: Path) -> None:
    path = numpy(tmp_path)
    for in_um, size in (
        (True, PixelSize((2.0, 0.5, 0.5), "micrometer")),
        (False, PixelSize((2.0, 0.5, 0.5))),
    ):
        with Slide(path, axes="zyx", volume=True, spacing=(2, 0.5, 0.5), in_um=in_um) as slide:
            assert source_at(slide, None, None).size == size


def test_a_volume_is_resampled_along_each_axis(tmp_path: Path) -> None:
    z, y, x = np.ogrid[0:20, 0:40, 0:40]
    np.save(tmp_path / "v.npy", (2.0 * z + y - x).astype(np.float32))
    with Slide(tmp_path / "v.npy", axes="zyx", volume=True, spacing=(1, 0.5, 0.5)) as slide:
        source = source_at(slide, None, (1.0, 1.0, 1.0))
        assert source.shape_px == (20, 20, 20)
        found = source.read((slice(4, 16), slice(4, 16), slice(4, 16)), [])[0]
    z, y, x = np.ogrid[4:16, 4:16, 4:16]
    np.testing.assert_allclose(found, 2 * z + (2 * y + 0.5) - (2 * x + 0.5), atol=1e-4)  # float32


def test_what_is_no_number_is_lost_in_its_plane(tmp_path: Path) -> None:
    pixels = VOLUME.astype(np.float32)
    pixels[3, 4, 5] = np.nan
    np.save(tmp_path / "v.npy", pixels)
    lost: list[Any] = []
    with Slide(tmp_path / "v.npy", axes="zyx", volume=True, spacing=(1, 1, 1)) as slide:
        found = source_at(slide, None, None).read((slice(1, 9), slice(2, 20), slice(0, 40)), lost)
    assert found[0, 2, 2, 5] == 0
    (place,) = lost
    assert (place["planes"], place["rows"], place["columns"]) == ([3, 4], [4, 5], [5, 6])


def missing(folder: Path) -> None:
    (folder / "scan3_z4.tif").unlink()


def twice(folder: Path) -> None:
    tifffile.imwrite(folder / "scan3_z04.tif", VOLUME[3])


def of_another_size(folder: Path) -> None:
    tifffile.imwrite(folder / "scan3_z4.tif", VOLUME[3, :-2])


def of_another_type(folder: Path) -> None:
    tifffile.imwrite(folder / "scan3_z4.tif", VOLUME[3].astype(np.uint16))


def cut_off(folder: Path) -> None:
    (folder / "scan3_z4.tif").write_bytes(b"II*\0 and no more")


def of_another_white(folder: Path) -> None:
    tifffile.imwrite(folder / "scan3_z4.tif", VOLUME[3], photometric="miniswhite")


def of_two_pages(folder: Path) -> None:
    for file in folder.iterdir():
        tifffile.imwrite(file, VOLUME[:2], photometric="minisblack")


def of_two_numbers(folder: Path) -> None:
    (folder / "scan3_z4.tif").rename(folder / "scan4_z4.tif")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (missing, "of its slices 1 to 11 4 is missing. Put every slice there once"),
        (twice, "of its slices 1 to 11 4 is there twice"),
        (of_another_size, "scan3_z1.tif (30x40 px of uint8) and scan3_z4.tif (28x40 px of uint8)"),
        (of_another_type, "scan3_z4.tif (30x40 px of uint16) are not alike"),
        (of_another_white, "scan3_z4.tif (30x40 px of uint8, 0 is white) are not alike"),
        (cut_off, "cannot be opened as an image (ValueError: slice scan3_z4.tif: "),
        (of_two_pages, "its slice scan3_z1.tif holds 2 images along axis"),
        (of_two_numbers, "whose files have no one number that says which slice each is"),
    ],
)
def test_a_folder_that_is_no_whole_volume_is_named(
    tmp_path: Path, damage: Callable[[Path], None], why: str
) -> None:
    folder = slices(tmp_path)
    damage(folder)
    with pytest.raises(SlideError, match=re.escape(why)):
        Slide(folder, volume=True)


def test_slices_whose_0_is_white_are_turned_round_as_a_stack_is(tmp_path: Path) -> None:
    for k, plane in enumerate(VOLUME):
        tifffile.imwrite(tmp_path / f"z{k}.tif", plane, photometric="miniswhite")
    with Slide(tmp_path, volume=True) as slide:
        np.testing.assert_array_equal(slide.read(0, *REGION)[0], 255 - VOLUME[REGION])
        assert "0 is white" in slide.notes[0]


def test_what_macos_leaves_beside_slices_is_none(tmp_path: Path) -> None:
    folder = slices(tmp_path)
    (folder / "._scan3_z4.tif").write_bytes(b"Mac OS X")
    with Slide(folder, volume=True) as slide:
        assert slide.levels[0].shape_px == VOLUME.shape


def test_a_slice_that_does_not_decode_is_named(tmp_path: Path) -> None:
    folder = slices(tmp_path)
    with Slide(folder, volume=True) as slide:
        cut_off(folder)
        with pytest.raises(SlideError, match=r"planes 2 to 9, .*: slice scan3_z4.tif: "):
            slide.read(0, *REGION)


def test_slices_of_a_time_are_those_whose_first_number_it_is(tmp_path: Path) -> None:
    for time in (0, 1):
        for z, plane in enumerate(VOLUME[:3]):
            tifffile.imwrite(tmp_path / f"t{time}_z{z}.tif", plane + np.uint8(time))
    with Slide(tmp_path, volume=True, time=1) as slide:
        whole = slide.read(0, slice(0, 3), slice(0, 30), slice(0, 40))
    np.testing.assert_array_equal(whole[0], VOLUME[:3] + np.uint8(1))
    assert len(files_of(tmp_path)) == 6


def test_of_a_series_of_volumes_the_slices_of_its_time_alone_count(tmp_path: Path) -> None:
    for time in (0, 1):
        for z in range(3):
            (tmp_path / f"t00{time}_z00{z}.tif").write_bytes(b"slice")
    raw: RawFile = {"path": str(tmp_path), "plane": None, "time": 1, "axes": None, "scene": None}
    raw["volume"] = True
    before = content_of(raw)
    own = [tmp_path / f"t001_z00{z}.tif" for z in range(3)]
    assert files_of(tmp_path, time=1, volume=True) == own
    (tmp_path / "t000_z001.tif").write_bytes(b"other")
    (tmp_path / "t002_z000.tif").write_bytes(b"slice")
    assert content_of(raw) == before
    (tmp_path / "t001_z003.tif").write_bytes(b"slice")
    assert has_changed(raw, before)
    own[0].write_bytes(b"other")
    assert content_of({**raw, "time": 2}) != before


@pytest.mark.parametrize(
    ("axes", "why"),
    [
        ("yx", "are no volume, which its dataset asks for (as: volume)"),
        ("tyx", "no axis of planes"),
    ],
)
def test_what_has_no_planes_is_no_volume(tmp_path: Path, axes: str, why: str) -> None:
    np.save(tmp_path / "v.npy", VOLUME if len(axes) > 2 else VOLUME[0])
    with pytest.raises(SlideError, match=re.escape(why)):
        Slide(tmp_path / "v.npy", axes=axes, volume=True)


def test_planes_beside_one_another_are_channels_mirrored_at_the_ends(tmp_path: Path) -> None:
    path = numpy(tmp_path)
    rows, columns = slice(5, 25), slice(10, 40)
    for plane, seen in ((5, [3, 4, 5, 6, 7]), (0, [2, 1, 0, 1, 2]), (10, [8, 9, 10, 9, 8])):
        with Slide(path, axes="zyx", plane=plane, adjacent=2) as slide:
            assert slide.channels == 5
            np.testing.assert_array_equal(slide.read(0, rows, columns), VOLUME[seen, rows, columns])
        with Slide(path, axes="zyx", plane=plane, adjacent=2, as_labels=True) as slide:
            np.testing.assert_array_equal(
                slide.read(0, rows, columns)[0], VOLUME[plane, rows, columns]
            )
    with pytest.raises(SlideError, match=r"has no planes beside one another \(axes YX\), of which"):
        Slide(stack_of_one(tmp_path), adjacent=1)


def stack_of_one(folder: Path) -> Path:
    np.save(folder / "one.npy", VOLUME[0])
    return folder / "one.npy"


def test_some_planes_are_a_volume_where_there_are_more(tmp_path: Path) -> None:
    path = numpy(tmp_path)
    how: dict[str, Any] = {"axes": "zyx", "volume": True, "planes": [3, 8]}
    with Slide(path, **how) as slide:
        assert slide.levels[0].shape_px == (6, 30, 40)
        found = slide.read(0, slice(1, 4), slice(0, 30), slice(0, 40))
    np.testing.assert_array_equal(found[0], VOLUME[4:7])
    np.save(tmp_path / "cut.npy", VOLUME[3:9])  # a truth that has been cut already
    with Slide(tmp_path / "cut.npy", **how, as_labels=True) as slide:
        found = slide.read(0, slice(1, 4), slice(0, 30), slice(0, 40))
    np.testing.assert_array_equal(found[0], VOLUME[4:7])
    with pytest.raises(
        SlideError, match="has planes 0 to 10, but 8 to 11 were asked for. .*planes"
    ):
        Slide(path, **how | {"planes": [8, 11]})


def test_planes_may_lie_along_y_or_x(tmp_path: Path) -> None:
    for cell, wanted in (("y 4-13", VOLUME[:, 4:14]), ("x 0-6", VOLUME[:, :, :7])):
        with Slide(numpy(tmp_path), axes="zyx", volume=True, planes=planes_of(cell)) as slide:
            assert slide.levels[0].shape_px == wanted.shape
            found = slide.read(0, *(slice(1, size) for size in wanted.shape))
        np.testing.assert_array_equal(found[0], wanted[1:, 1:, 1:])
    with pytest.raises(SlideError, match="has planes 0 to 29 along y, but 8 to 30 were asked for"):
        Slide(numpy(tmp_path), axes="zyx", volume=True, planes=[8, 30, 1])
