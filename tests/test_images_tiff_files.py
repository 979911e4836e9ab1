"""TIFFs of several images, of several files, with resolutions of every kind; 0 that is white."""

import logging
import struct
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from unetflow.errors import SlideError
from unetflow.images.slide import Slide
from unetflow.images.sources import raw_digest
from unetflow.images.tiff_files import files_of_set, open_tiff
from unetflow.images.whole import read_whole

RANDOM = np.random.default_rng(0)
STACK = RANDOM.integers(0, 60000, (4, 40, 50), dtype=np.uint16)
MACRO = RANDOM.integers(0, 255, (16, 20, 3), dtype=np.uint8)


def whole(slide: Slide) -> np.ndarray:
    height, width = slide.levels[0].shape_px
    return slide.read(0, slice(0, height), slice(0, width))


def write_scenes(path: Path, *images: tuple[str, np.ndarray]) -> Path:
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for number, (name, pixels) in enumerate(images):
            size = {"PhysicalSizeX": number + 1, "PhysicalSizeY": number + 1}
            tiff.write(pixels, metadata={"axes": "YX", "Name": name, **size})
    return path


@pytest.mark.parametrize("options", [{"metadata": None}, {}], ids=["bare", "shaped"])
def test_of_several_images_the_largest_is_read_and_the_others_named(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    with tifffile.TiffWriter(tmp_path / "i.tif") as tiff:
        tiff.write(MACRO, photometric="rgb", **options)
        tiff.write(STACK[0], photometric="minisblack", **options)
    with Slide(tmp_path / "i.tif") as slide:
        np.testing.assert_array_equal(whole(slide), STACK[:1])
        assert slide.notes == ("image 1 (40x50 px) is read; not read: 0 (16x20 px)",)
    with Slide(tmp_path / "i.tif", scene="0") as macro:
        np.testing.assert_array_equal(whole(macro), MACRO.transpose(2, 0, 1))
    notes: list[str] = []
    np.testing.assert_array_equal(read_whole(tmp_path / "i.tif", notes), STACK[0])
    assert "not read: 0 (16x20 px)" in notes[0]


def test_scenes_are_chosen_by_number_or_name_and_have_their_resolution(tmp_path: Path) -> None:
    path = write_scenes(tmp_path / "i.ome.tif", ("a", STACK[0]), ("b", STACK[1]), ("c", STACK[2]))
    for number, scene in enumerate("abc"):
        for asked in (scene, str(number)):
            with Slide(path, scene=asked) as slide:
                np.testing.assert_array_equal(whole(slide), STACK[[number]])
                assert slide.levels[0].mpp == number + 1
    with pytest.raises(SlideError, match=r"several images: 0 'a' .* 2 'c' .* sheet's scene column"):
        Slide(path)
    with pytest.raises(SlideError, match="but none is scene d"):
        Slide(path, scene="d")
    alone = write_scenes(tmp_path / "alone.ome.tif", ("a", STACK[0]))
    with Slide(alone, scene="b") as slide:  # a truth, of an image of several scenes
        np.testing.assert_array_equal(whole(slide), STACK[:1])


@pytest.mark.parametrize("options", [{"metadata": None}, {}], ids=["bare", "shaped"])
def test_pages_written_one_by_one_are_a_stack(tmp_path: Path, options: dict[str, Any]) -> None:
    with tifffile.TiffWriter(tmp_path / "i.tif") as tiff:
        for page in STACK:
            tiff.write(page, photometric="minisblack", **options)
    for plane in range(len(STACK)):
        with Slide(tmp_path / "i.tif", plane=plane) as slide:
            np.testing.assert_array_equal(whole(slide), STACK[[plane]])
    with pytest.raises(SlideError, match="stack of 4 images"):
        Slide(tmp_path / "i.tif")
    np.testing.assert_array_equal(read_whole(tmp_path / "i.tif"), STACK)


def test_pages_that_are_stored_in_other_ways_are_planes_in_their_order(tmp_path: Path) -> None:
    ways: list[dict[str, Any]] = [
        {"compression": "zlib"},
        {"rowsperstrip": 8},
        {"compression": "zlib"},
        {"tile": (16, 16)},
    ]
    with tifffile.TiffWriter(tmp_path / "i.tif") as tiff:
        for number, (page, way) in enumerate(zip(STACK, ways, strict=True)):
            tiff.write(page, photometric="minisblack", metadata=None, **way)
            if number == 1:
                tiff.write(MACRO, photometric="rgb", metadata=None)
    for plane in range(len(STACK)):
        with Slide(tmp_path / "i.tif", plane=plane) as slide:
            np.testing.assert_array_equal(whole(slide), STACK[[plane]])
            assert "not read: 1 (16x20 px)" in slide.notes[0]
    np.testing.assert_array_equal(read_whole(tmp_path / "i.tif"), STACK)


def test_an_image_behind_its_thumbnail_is_found(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "i.tif") as tiff:  # as raw files of cameras have it
        tiff.write(STACK[0, ::4, ::4], subifds=1, metadata=None)
        tiff.write(STACK[0], metadata=None)
    with Slide(tmp_path / "i.tif") as slide:
        np.testing.assert_array_equal(whole(slide), STACK[:1])


@pytest.mark.parametrize(
    ("unit", "per_unit", "um"),
    [
        ("um", 1 / 0.325, 0.325),
        ("micron", 1 / 0.325, 0.325),
        ("\\u00B5m", 1 / 0.325, 0.325),
        ("nm", 0.25, 0.004),
        ("mm", 2000.0, 0.5),
        ("cm", 1e4, 1.0),
        ("inch", 50_800.0, 0.5),
        ("inch", 72.0, None),
        ("pixel", 1.0, None),
        (None, 1.0, None),
    ],
)
def test_the_calibration_of_fiji(
    tmp_path: Path, unit: str | None, per_unit: float, um: float | None
) -> None:
    metadata = {"unit": unit} if unit else {}
    resolution = (per_unit, per_unit)
    tifffile.imwrite(
        tmp_path / "i.tif", STACK[0], imagej=True, resolution=resolution, metadata=metadata
    )
    with Slide(tmp_path / "i.tif") as slide:
        assert slide.levels[0].mpp == (um and pytest.approx(um))


@pytest.mark.parametrize(
    ("unit", "um"), [("nm", 1e-3), ("mm", 1e3), ("cm", 1e4), ("µm", 1.0), ("pixel", None)]
)
def test_sizes_of_ome_have_a_unit_for_each_axis(
    tmp_path: Path, unit: str, um: float | None
) -> None:
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": unit, "PhysicalSizeY": 0.25}
    tifffile.imwrite(tmp_path / "i.ome.tif", STACK[0], metadata={"axes": "YX", **sizes})
    with Slide(tmp_path / "i.ome.tif") as slide:
        width = 0.5 * um if um else 0.25  # without a known unit as wide as high
        assert slide.levels[0].pixel_um == pytest.approx((0.25, width))


def test_the_tags_of_a_tiff_have_two_axes(tmp_path: Path) -> None:
    resolution = (1e4 / 0.5, 1e4 / 0.25)  # along x and y
    tifffile.imwrite(tmp_path / "i.tif", STACK[0], resolution=resolution, resolutionunit=3)
    with Slide(tmp_path / "i.tif") as slide:
        assert slide.levels[0].pixel_um == pytest.approx((0.25, 0.5))
        assert slide.levels[0].mpp is None


@pytest.mark.parametrize(
    ("unit", "per_unit", "um"),
    [(2, 101_600, 0.25), (3, 40_000, 0.25), (4, 4000, 0.25), (5, 4, 0.25)],
)
def test_each_unit_of_the_tags_is_known(
    tmp_path: Path, unit: int, per_unit: float, um: float
) -> None:
    resolution = (per_unit, per_unit)
    tifffile.imwrite(tmp_path / "i.tif", STACK[0], resolution=resolution, resolutionunit=unit)
    with Slide(tmp_path / "i.tif") as slide:
        assert slide.levels[0].mpp == um


def test_fiji_may_have_another_unit_along_y(tmp_path: Path) -> None:
    described = {"unit": "um", "yunit": "nm"}
    tifffile.imwrite(
        tmp_path / "i.tif", STACK[0], imagej=True, resolution=(4, 0.004), metadata=described
    )
    with Slide(tmp_path / "i.tif") as slide:
        assert slide.levels[0].pixel_um == (0.25, 0.25)


def test_a_resolution_that_is_no_number_is_not_known(tmp_path: Path) -> None:
    sizes = {"PhysicalSizeX": "0.25", "PhysicalSizeY": "0.25"}
    tifffile.imwrite(tmp_path / "i.ome.tif", STACK[0], metadata={"axes": "YX", **sizes})
    described = description_of(tmp_path / "i.ome.tif")
    for text, mpp in (("0,25", 0.25), ("", None), ("NaN", None)):
        changed = described.replace('"0.25"', f'"{text}"')
        assert changed.count(f'"{text}"') == 2
        tifffile.imwrite(tmp_path / "i.ome.tif", STACK[0], description=changed, metadata=None)
        with Slide(tmp_path / "i.ome.tif") as slide:
            assert slide.levels[0].mpp == mpp
        svs = f"Aperio Image Library v12\r\n50x40|AppMag = 20|MPP = {text}"
        tifffile.imwrite(tmp_path / "i.svs", STACK[0], description=svs, metadata=None)
        with Slide(tmp_path / "i.svs") as slide:
            assert slide.levels[0].mpp == mpp


def lsm_info(**values: float) -> bytes:
    """The header by which Zeiss's LSM describes its image: the fields that matter, 0 elsewhere."""
    layout = {"u4": "I", "i4": "i", "f8": "d", "u2": "H", "i2": "h"}
    values |= {"MagicNumber": 67127628}
    fields = [(name, layout[of]) for name, of in tifffile.TIFF.CZ_LSMINFO if of in layout]
    values["StructureSize"] = struct.calcsize("<" + "".join(of for _, of in fields))
    return b"".join(struct.pack(f"<{of}", values.get(name, 0)) for name, of in fields)


def test_an_lsm_is_a_stack_with_a_thumbnail_of_each_plane(tmp_path: Path) -> None:
    info = lsm_info(
        DimensionX=50,
        DimensionY=40,
        DimensionZ=4,
        DimensionChannels=1,
        DimensionTime=1,
        VoxelSizeX=2e-7,
        VoxelSizeY=2e-7,
    )
    with tifffile.TiffWriter(tmp_path / "i.lsm", byteorder="<") as tiff:
        tags = [(34412, 1, len(info), info, True)]  # of the first page alone
        for plane in STACK:
            tiff.write(plane, photometric="minisblack", metadata=None, extratags=tags)
            tags = []
            tiff.write(MACRO, photometric="rgb", metadata=None, subfiletype=1)
    with Slide(tmp_path / "i.lsm", plane=2) as slide:
        np.testing.assert_array_equal(whole(slide), STACK[[2]])
        assert slide.levels[0].mpp == 0.2
        assert "not read: 1 (16x20 px)" in slide.notes[0]


def description_of(path: Path) -> str:
    with tifffile.TiffFile(path) as tiff:
        return tiff.ome_metadata or ""


def write_set(folder: Path, axis: str, name: str = "") -> list[Path]:
    """An OME-TIFF of two files, each with one of the images along an axis."""
    sizes = {"C": 1, "Z": 1, "T": 1, axis: 2}
    counts = " ".join(f'Size{name}="{size}"' for name, size in sizes.items())
    data = "".join(
        f'<TiffData IFD="0" First{axis}="{k}" PlaneCount="1">'
        f'<UUID FileName="{escape(name)}{k}.ome.tif">urn:uuid:{k}</UUID></TiffData>'
        for k in range(2)
    )
    files = [folder / f"{name}{k}.ome.tif" for k in range(2)]
    for number, file in enumerate(files):
        described = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{number}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            f'DimensionOrder="XYCZT" Type="uint16" SizeX="50" SizeY="40" {counts}>{data}'
            "</Pixels></Image></OME>"
        )
        tifffile.imwrite(file, STACK[number], description=described, metadata=None)
    return files


def test_a_set_of_files_is_read_whole_or_not_at_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = write_set(tmp_path, "C")
    with Slide(first) as slide:
        np.testing.assert_array_equal(whole(slide), STACK[:2])
    assert files_of_set(first) == [second]
    before = raw_digest(first)
    with second.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x07")
    assert raw_digest(first) != before
    second.unlink()
    assert raw_digest(first) != before
    caplog.set_level(logging.CRITICAL)
    with pytest.raises(SlideError, match=r"one of several files, of which 1\.ome\.tif cannot be"):
        Slide(first)
    with pytest.raises(SlideError, match=r"one of several files, of which 1\.ome\.tif cannot be"):
        read_whole(first)


def test_a_set_is_known_whose_names_xml_has_other_letters_for(tmp_path: Path) -> None:
    first, second = write_set(tmp_path, "C", "DAPI & GFP ")
    with Slide(first) as slide:
        np.testing.assert_array_equal(whole(slide), STACK[:2])
    assert files_of_set(first) == [second]


def test_what_is_there_of_a_set_can_be_read(tmp_path: Path) -> None:
    first, second = write_set(tmp_path, "T")
    second.unlink()
    with Slide(first, time=0) as slide:
        np.testing.assert_array_equal(whole(slide), STACK[:1])
    with pytest.raises(SlideError, match=r"1\.ome\.tif cannot be read"):
        Slide(first, time=1)


def test_a_file_that_was_not_written_to_its_end_is_no_set(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tifffile.imwrite(tmp_path / "whole.ome.tif", STACK, metadata={"axes": "ZYX"})
    described = description_of(tmp_path / "whole.ome.tif")
    with tifffile.TiffWriter(tmp_path / "i.ome.tif") as tiff:
        for page in STACK[:3]:
            tiff.write(page, description=described, metadata=None)
            described = ""
    caplog.set_level(logging.CRITICAL)
    with Slide(tmp_path / "i.ome.tif", plane=1) as slide:
        np.testing.assert_array_equal(whole(slide), STACK[[1]])
    with pytest.raises(SlideError, match=r"fewer images than its OME-XML names.* Put there what"):
        Slide(tmp_path / "i.ome.tif", plane=3)
    with pytest.raises(SlideError, match="fewer images than its OME-XML names"):
        read_whole(tmp_path / "i.ome.tif")


def test_a_file_by_itself_may_have_another_name(tmp_path: Path) -> None:
    described = description_of(write_scenes(tmp_path / "i.ome.tif", ("a", STACK[0])))
    own = described.split('UUID="')[1].split('"')[0]
    data = '<TiffData IFD="0" PlaneCount="1"'
    named = f'{data}><UUID FileName="before.ome.tif">{own}</UUID></TiffData>'
    tifffile.imwrite(
        tmp_path / "after.ome.tif",
        STACK[0],
        description=described.replace(f"{data}/>", named),
        metadata=None,
    )
    assert named in description_of(tmp_path / "after.ome.tif")
    assert files_of_set(tmp_path / "after.ome.tif") == []
    with Slide(tmp_path / "after.ome.tif") as slide:
        np.testing.assert_array_equal(whole(slide), STACK[:1])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool"])
def test_where_0_is_white_pixels_are_turned_round_and_labels_are_not(
    tmp_path: Path, dtype: str
) -> None:
    pixels = (STACK[0] % 2).astype(bool) if dtype == "bool" else STACK[0].astype(dtype)
    tifffile.imwrite(tmp_path / "i.tif", pixels, photometric="miniswhite")
    turned = ~pixels
    with Slide(tmp_path / "i.tif") as slide:
        np.testing.assert_array_equal(whole(slide)[0], turned)
        assert "0 is white (WhiteIsZero); the values are turned round" in slide.notes[0]
    with Slide(tmp_path / "i.tif", as_labels=True) as slide:
        np.testing.assert_array_equal(whole(slide)[0], pixels)
        assert "read as they are stored" in slide.notes[0]


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_what_has_no_white_value_is_left_as_it_is_and_said(tmp_path: Path, dtype: str) -> None:
    pixels = (STACK[0] // 2).astype(dtype)
    tifffile.imwrite(tmp_path / "i.tif", pixels, photometric="miniswhite")
    with Slide(tmp_path / "i.tif") as slide:
        np.testing.assert_array_equal(whole(slide)[0], pixels)
        assert "WhiteIsZero); the values are read as they are stored" in slide.notes[0]


@pytest.mark.parametrize(
    ("mode", "how", "note"),
    [
        ("YCbCr", None, "its colours are YCbCr, not RGB"),
        ("CMYK", None, "its colours are CMYK, not RGB"),
        ("LAB", "tiff_deflate", "its colours are CIELab, not RGB"),
        ("RGB", None, ""),
        ("RGB", "jpeg", ""),  # stored as YCbCr, and RGB again by its decoder
    ],
)
def test_other_colours_than_rgb_are_said(
    tmp_path: Path, mode: str, how: str | None, note: str
) -> None:
    colours = Image.new("RGB", (50, 40), (200, 30, 90)).convert(mode)
    colours.save(tmp_path / "i.tif", compression=how)
    with Slide(tmp_path / "i.tif") as slide:
        assert note in " ".join(slide.notes) if note else slide.notes == ()
        if mode == "RGB":
            assert np.abs(whole(slide)[:, 5, 5].astype(int) - [200, 30, 90]).max() <= 2


@pytest.mark.parametrize(
    "layout", [{"tile": (16, 16)}, {"rowsperstrip": 8, "compression": "zlib"}, {"rowsperstrip": 8}]
)
def test_pixels_that_no_tile_or_strip_is_listed_for_are_not_read_as_zeros(
    tmp_path: Path, layout: dict[str, Any]
) -> None:
    tifffile.imwrite(tmp_path / "i.tif", STACK[0], metadata=None, **layout)
    with Slide(tmp_path / "i.tif") as slide:
        np.testing.assert_array_equal(whole(slide), STACK[:1])
    with tifffile.TiffFile(tmp_path / "i.tif", mode="r+") as tiff:
        tiff.pages.first.tags["ImageLength"].overwrite(9000)
    for reader in (Slide, read_whole):
        with pytest.raises(SlideError, match=r"i\.tif.*strips or tiles and its \(9000, \d+\) pix"):
            reader(tmp_path / "i.tif")


def test_complex_numbers_are_refused_in_words(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "i.tif", STACK[0].astype(np.complex64))
    with pytest.raises(SlideError, match=r"holds complex64 values; .* Save what is to be seen"):
        Slide(tmp_path / "i.tif")


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((40, 50), {}),
        ((40, 50), {"tile": (16, 32), "compression": "deflate"}),
        ((40, 50), {"rowsperstrip": 7}),
        ((40, 50, 1), {}),
        ((40, 50, 3), {"photometric": "rgb", "tile": (16, 16)}),
        ((3, 40, 50), {"photometric": "rgb", "planarconfig": "separate", "rowsperstrip": 8}),
        ((4, 40, 50), {"photometric": "minisblack"}),
        ((2, 4, 40, 50), {"photometric": "minisblack", "metadata": {"axes": "ZCYX"}}),
        ((1, 40, 50), {"photometric": "minisblack", "metadata": {"axes": "ZYX"}}),
        ((4, 40, 50, 1), {"metadata": {"axes": "ZYXS"}}),
        ((32, 40, 50), {"volumetric": True, "tile": (16, 16, 16)}),
        ((32, 40, 50, 3), {"volumetric": True, "tile": (16, 16, 16), "photometric": "rgb"}),
        ((40, 1), {}),
    ],
)
def test_a_level_is_described_without_being_opened(
    tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    tifffile.imwrite(tmp_path / "i.tif", RANDOM.integers(0, 255, shape, np.uint8), **options)
    assert_described_as_zarr_does(tmp_path / "i.tif", 1)


def test_coarser_levels_are_described_without_being_opened(tmp_path: Path) -> None:
    fine = RANDOM.integers(0, 255, (3, 64, 96), np.uint8)
    with tifffile.TiffWriter(tmp_path / "i.ome.tif", ome=True) as tiff:
        how = {"photometric": "minisblack", "tile": (16, 32), "metadata": {"axes": "CYX"}}
        tiff.write(fine, subifds=2, **how)
        tiff.write(fine[:, ::2, ::2], subfiletype=1, **how)
        tiff.write(fine[:, ::4, ::4], subfiletype=1, **how | {"tile": (16, 16)})
    assert_described_as_zarr_does(tmp_path / "i.ome.tif", 3)


def assert_described_as_zarr_does(path: Path, levels: int) -> None:
    opened = open_tiff(path, axes=None, scene=None, as_shown=False)
    with tifffile.TiffFile(path) as tiff:
        assert len(opened.levels) == len(tiff.series[0].levels) == levels
        for number, level in enumerate(opened.levels):
            assert ("_array" in vars(level)) == (level.shape[-1] == 1)
            array = zarr.open_array(tiff.series[0].aszarr(level=number), mode="r")
            of = (level.shape, level.chunks, level.dtype, level.ndim)
            assert of == (array.shape, array.chunks, array.dtype, array.ndim)
            np.testing.assert_array_equal(level[(slice(None),) * level.ndim], array[...])
    opened.close()
