"""Every format that is promised, with pixels that are known."""

import warnings
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from unetflow.errors import SlideError
from unetflow.images.slide import Slide

RANDOM = np.random.default_rng(0)
GRAY = RANDOM.integers(0, 255, (48, 64), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 255, (48, 64, 3), dtype=np.uint8)
HYPERSTACK = RANDOM.integers(0, 60000, (3, 4, 2, 48, 64), dtype=np.uint16)  # T Z C Y X


def whole(slide: Slide, level: int = 0) -> np.ndarray:
    height, width = slide.levels[level].shape_px
    return slide.read(level, slice(0, height), slice(0, width))


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("layout", [{}, {"tile": (16, 32)}, {"rowsperstrip": 7}, {"bigtiff": True}])
def test_tiff_of_every_depth_and_layout(tmp_path: Path, dtype: str, layout: dict[str, Any]) -> None:
    pixels = (GRAY.astype(float) - 100).astype(dtype)
    bigtiff = layout.pop("bigtiff", False)
    tifffile.imwrite(tmp_path / "i.tif", pixels, bigtiff=bigtiff, **layout)
    with Slide(tmp_path / "i.tif") as slide:
        assert slide.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(whole(slide), pixels[None])
        part = slide.read(0, slice(5, 30), slice(10, 50))
        np.testing.assert_array_equal(part[0], pixels[5:30, 10:50])


@pytest.mark.parametrize(
    ("compression", "predictor"),
    [("zlib", None), ("zlib", 2), ("lzw", None), ("lzw", 2), ("zstd", None), ("packbits", None)],
)
def test_tiff_of_every_lossless_compression(
    tmp_path: Path, compression: str, predictor: int | None
) -> None:
    tifffile.imwrite(
        tmp_path / "i.tif", COLOUR, compression=compression, predictor=predictor, tile=(16, 16)
    )
    with Slide(tmp_path / "i.tif") as slide:
        np.testing.assert_array_equal(whole(slide), COLOUR.transpose(2, 0, 1))


def test_tiff_in_jpeg_and_jpeg_2000(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    for compression, worst in (("jpeg", 6), ("jpeg2000", 0)):
        tifffile.imwrite(tmp_path / "i.tif", smooth, compression=compression, tile=(16, 16))
        with Slide(tmp_path / "i.tif") as slide:
            assert np.abs(whole(slide)[0].astype(int) - smooth).max() <= worst


@pytest.mark.parametrize("samples", [3, 4])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colour_and_transparency_are_channels(tmp_path: Path, samples: int, planar: str) -> None:
    pixels = RANDOM.integers(0, 255, (samples, 48, 64), dtype=np.uint8)
    stored = pixels if planar == "separate" else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    extra = {"extrasamples": ["unassalpha"]} if samples == 4 else {}
    tifffile.imwrite(tmp_path / "i.tif", stored, photometric="rgb", planarconfig=planar, **extra)
    with Slide(tmp_path / "i.tif") as slide:
        np.testing.assert_array_equal(whole(slide), pixels)


def test_an_ome_tiff_has_time_plane_and_channels_to_choose_from(tmp_path: Path) -> None:
    path = tmp_path / "i.ome.tif"
    metadata = {"axes": "TZCYX", "PhysicalSizeX": 325, "PhysicalSizeXUnit": "nm"}
    tifffile.imwrite(path, HYPERSTACK, metadata=metadata, photometric="minisblack")
    with Slide(path, time=2, plane=1) as slide:
        assert slide.levels[0].mpp == pytest.approx(0.325)
        np.testing.assert_array_equal(whole(slide), HYPERSTACK[2, 1])
    with pytest.raises(SlideError, match="stack of 3 images along axis T, of which none was"):
        Slide(path, plane=1)
    with pytest.raises(
        SlideError, match=r"axis Z, of which none was chosen. Set .* plane column to 0 to 3"
    ):
        Slide(path, time=0)


def test_dots_per_inch_for_printers_are_no_resolution(tmp_path: Path) -> None:
    for dots, mpp in ((72, None), (50_800, 0.5)):
        tifffile.imwrite(tmp_path / "i.tif", GRAY, resolution=(dots, dots), resolutionunit="INCH")
        with Slide(tmp_path / "i.tif") as slide:
            assert slide.levels[0].mpp == mpp


def test_numpy_files_and_their_axes(tmp_path: Path) -> None:
    np.save(tmp_path / "gray.npy", GRAY)
    np.save(tmp_path / "stack.npy", HYPERSTACK)
    with Slide(tmp_path / "gray.npy") as slide:
        np.testing.assert_array_equal(whole(slide), GRAY[None])
    with Slide(tmp_path / "stack.npy", axes="tzcyx", time=1, plane=3) as slide:
        np.testing.assert_array_equal(whole(slide), HYPERSTACK[1, 3])
    with pytest.raises(SlideError, match="Say what they are in the sheet's axes column"):
        Slide(tmp_path / "stack.npy")


def test_numpy_files_run_no_code(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SlideError, match="cannot be opened"):
        Slide(tmp_path / "o.npy")


def test_hdf5_with_axis_order(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "i.h5", "w") as file:
        file.create_dataset("group/raw", data=HYPERSTACK[0], chunks=(1, 1, 16, 16))
    for path in ("i.h5", "i.h5:/group/raw", "i.h5:group/raw"):
        with Slide(tmp_path / path, axes="zcyx", plane=2) as slide:
            np.testing.assert_array_equal(whole(slide), HYPERSTACK[0, 2])
    with h5py.File(tmp_path / "i.h5", "a") as file:
        tagged = file.create_dataset("tagged", data=COLOUR)
        tagged.attrs["axistags"] = '{"axes": [{"key": "y"}, {"key": "x"}, {"key": "c"}]}'
    with Slide(tmp_path / "i.h5:/tagged") as slide:
        np.testing.assert_array_equal(whole(slide), COLOUR.transpose(2, 0, 1))
    with pytest.raises(SlideError, match=r"holds the datasets group/raw, tagged: say which"):
        Slide(tmp_path / "i.h5")
    with pytest.raises(SlideError, match=r"holds no dataset /row, but group/raw, tagged\. Correct"):
        Slide(f"{tmp_path}/i.h5:/row")
    with pytest.raises(SlideError, match=r"holds no dataset /group, but group/raw\. Correct"):
        Slide(f"{tmp_path}/i.h5:/group")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_of_both_versions_with_levels_of_any_name(tmp_path: Path, version: str) -> None:
    store = tmp_path / "i.zarr"
    group = zarr.open_group(store, mode="w", zarr_format=2 if version == "0.4" else 3)
    sharded = {} if version == "0.4" else {"shards": (1, 32, 32)}
    for name, pixels in (("full", HYPERSTACK[0, 0]), ("half", HYPERSTACK[0, 0, :, ::2, ::2])):
        array = group.create_array(
            name, shape=pixels.shape, dtype=pixels.dtype, chunks=(1, 16, 16), **sharded
        )
        array[:] = pixels
    multiscale = {
        "axes": [
            {"name": "c", "type": "channel"},
            *({"name": a, "type": "space", "unit": "nanometer"} for a in "yx"),
        ],
        "datasets": [
            {
                "path": name,
                "coordinateTransformations": [{"type": "scale", "scale": [1, step, step]}],
            }
            for name, step in (("full", 250), ("half", 500))
        ],
    }
    described: dict[str, Any] = {"multiscales": [multiscale]}
    group.attrs.update(described if version == "0.4" else {"ome": {"version": "0.5", **described}})
    with Slide(store) as slide:
        assert [level.mpp for level in slide.levels] == [0.25, 0.5]
        np.testing.assert_array_equal(whole(slide), HYPERSTACK[0, 0])
        np.testing.assert_array_equal(whole(slide, 1), HYPERSTACK[0, 0, :, ::2, ::2])


def test_folders_of_the_cell_tracking_challenge(tmp_path: Path) -> None:
    for folder, names in {
        "01": ["t000.tif", "t007.tif"],
        "01_GT/SEG": ["man_seg007.tif"],
        "02_GT/SEG": ["man_seg_007_012.tif", "man_seg_007_013.tif"],
    }.items():
        (tmp_path / folder).mkdir(parents=True)
        for k, name in enumerate(names):
            tifffile.imwrite(tmp_path / folder / name, GRAY + k)
    with (
        Slide(tmp_path / "01", plane=7) as image,
        Slide(tmp_path / "01_GT/SEG", plane=7) as truth,
        Slide(tmp_path / "02_GT/SEG", time=7, plane=13) as slice_of_volume,
    ):
        np.testing.assert_array_equal(whole(image)[0], GRAY + 1)
        np.testing.assert_array_equal(whole(truth)[0], GRAY)
        np.testing.assert_array_equal(whole(slice_of_volume)[0], GRAY + 1)
    with pytest.raises(SlideError, match="2 TIFF files numbered 0, 7, none of them plane 3. Say"):
        Slide(tmp_path / "01", plane=3)
    with pytest.raises(SlideError, match="of which none was chosen. Say which in the sheet's time"):
        Slide(tmp_path / "01")
    pairs = (
        r"numbered 7 12, 7 13 \(time and plane\), none of them plane 13\. Say which in the sheet"
    )
    with pytest.raises(SlideError, match=pairs):
        Slide(tmp_path / "02_GT/SEG", plane=13)
    with pytest.raises(SlideError, match="neither Zarr nor TIFF files in it. Correct the sheet's"):
        Slide(tmp_path)
    tifffile.imwrite(tmp_path / "01" / "t007.tif", HYPERSTACK[0, :, 0], photometric="minisblack")
    with Slide(tmp_path / "01", time=7, plane=2) as volume:
        np.testing.assert_array_equal(whole(volume)[0], HYPERSTACK[0, 2, 0])


def test_of_frames_of_one_number_none_is_taken_unasked(tmp_path: Path) -> None:
    for k, name in enumerate(["dapi_t01.tif", "gfp_t01.tif", "dapi_t02.tif"]):
        tifffile.imwrite(tmp_path / name, GRAY + k)
    (tmp_path / "._t02.tif").write_bytes(b"of macOS")
    for time, plane in ((1, None), (None, 1), (1, 0)):
        with pytest.raises(SlideError, match=r"same numbers \(dapi_t01.tif, gfp_t01.tif\)\. Name"):
            Slide(tmp_path, time=time, plane=plane)
    with Slide(tmp_path, time=2) as image:
        np.testing.assert_array_equal(whole(image)[0], GRAY + 2)


def test_png_and_jpeg(tmp_path: Path) -> None:
    imagecodecs.imwrite(tmp_path / "i.png", COLOUR)
    smooth = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    imagecodecs.imwrite(tmp_path / "i.jpg", smooth)
    with Slide(tmp_path / "i.png") as png, Slide(tmp_path / "i.jpg") as jpeg:
        np.testing.assert_array_equal(whole(png), COLOUR.transpose(2, 0, 1))
        assert np.abs(whole(jpeg)[0].astype(int) - smooth).max() <= 6


def test_openslide_reads_what_it_alone_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openslide", reason="openslide-python is not installed: an optional extra")
    monkeypatch.setattr("unetflow.images.readers.OPENSLIDE_SUFFIXES", (".svslide",))
    path = tmp_path / "i.svslide"  # a generic tiled TIFF in disguise
    with tifffile.TiffWriter(path) as tiff:
        options: dict[str, Any] = {"tile": (16, 16), "photometric": "rgb", "compression": "zlib"}
        tiff.write(COLOUR, **options)
        tiff.write(COLOUR[::2, ::2], subfiletype=1, **options)
    with Slide(path) as slide:
        assert [level.shape_px for level in slide.levels] == [(48, 64), (24, 32)]
        np.testing.assert_array_equal(whole(slide), COLOUR.transpose(2, 0, 1))
        part = slide.read(1, slice(3, 20), slice(5, 30))
        np.testing.assert_array_equal(part, COLOUR[::2, ::2][3:20, 5:30].transpose(2, 0, 1))


def test_without_openslide_its_formats_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openslide", None)
    (tmp_path / "i.mrxs").write_bytes(b"mirax")
    with pytest.raises(SlideError, match=r"pip install 'unetflow\[slides\]'"):
        Slide(tmp_path / "i.mrxs")


BOMB = "".join(
    f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' if k else '<!ENTITY e0 "boom">' for k in range(12)
)


@pytest.mark.parametrize(
    ("start", "size"),
    [
        ("<?xml version='1.0'?><OME", "<Pixels SizeX='64' broken"),
        (f"<?xml version='1.0'?><!DOCTYPE OME [{BOMB}]><OME", "<Pixels Name='&e11;' "),
    ],
    ids=["not XML", "a bomb of entities"],
)
def test_broken_ome_xml_is_an_error_of_ours_or_read_without_it(
    tmp_path: Path, start: str, size: str
) -> None:
    path = tmp_path / "i.ome.tif"
    xml = (
        f"{start} xmlns='http://www.openmicroscopy.org/Schemas/OME/2016-06'><Image ID='Image:0'>"
        f"{size} DimensionOrder='XYCZT' Type='uint8' SizeX='64' SizeY='48' SizeC='1' SizeZ='1' "
        "SizeT='1'><TiffData/></Pixels></Image></OME>"
    )
    tifffile.imwrite(path, GRAY, description=xml, metadata=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Slide(path) as slide:
                np.testing.assert_array_equal(whole(slide)[0], GRAY)
        except SlideError as error:
            assert "i.ome.tif: cannot be opened" in str(error)


def test_a_real_ome_zarr_whose_level_is_named_2(real_data: Path) -> None:
    store = real_data / "ome-zarr" / "6001240_labels_v0.5.zarr"
    with Slide(store, plane=118) as slide:
        assert (slide.channels, slide.levels[0].shape_px) == (2, (68, 67))
        assert slide.levels[0].mpp == pytest.approx(1.4416, abs=1e-4)
        array = zarr.open_array(store / "2", mode="r")
        np.testing.assert_array_equal(whole(slide), array[:, 118])
    labels = next((store / "labels").glob("*/zarr.json")).parent
    with Slide(labels, plane=118) as truth:
        assert truth.levels[0].shape_px == (275, 271)


@pytest.mark.parametrize("name", ["bigtiff-zstd-10000x5000.tif", "gray-10000x5000.tif"])
def test_real_large_tiffs(real_data: Path, name: str) -> None:
    with Slide(real_data / "slides" / name) as slide:
        assert slide.levels[0].shape_px == (5000, 10000)
        assert slide.read(0, slice(4000, 4100), slice(9000, 9100)).shape[1:] == (100, 100)
