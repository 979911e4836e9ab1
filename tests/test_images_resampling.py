"""Images at the wanted resolution, and places that cannot be read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from unetflow.errors import SlideError
from unetflow.images.asked import COMMAND
from unetflow.images.resampling import Lost, Source, read_or_mark, source_at
from unetflow.images.slide import Slide

RANDOM = np.random.default_rng(0)
SMOOTH = ndimage.gaussian_filter(RANDOM.normal(size=(300, 420)), 6)
SMOOTH = np.rint(127 + 120 * SMOOTH / np.abs(SMOOTH).max()).astype(np.uint8)


@pytest.fixture
def pyramid(tmp_path: Path) -> Path:
    """Levels of 0.5, 1 and 2 um/px."""
    path = tmp_path / "p.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        options: dict[str, Any] = {"tile": (64, 64), "photometric": "minisblack"}
        metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
        tiff.write(SMOOTH, subifds=2, metadata=metadata, **options)
        for step in (2, 4):
            tiff.write(SMOOTH[::step, ::step], subfiletype=1, **options)
    return path


def read(source: Source, rows: slice | None = None, columns: slice | None = None) -> np.ndarray:
    lost: list[Lost] = []
    height, width = source.shape_px
    pixels = source.read((rows or slice(0, height), columns or slice(0, width)), lost)
    assert not lost
    return np.asarray(pixels[0])


def test_the_level_within_tolerance_is_taken_as_it_is(pyramid: Path) -> None:
    with Slide(pyramid) as slide:
        for level, want_mpp in ((None, None), (0, None), (None, 0.5), (None, 0.51)):
            np.testing.assert_array_equal(read(source_at(slide, level, want_mpp)), SMOOTH)
        source = source_at(slide, None, 0.97)
        assert (source.level, source.shape_px, source.mpp) == (1, (150, 210), 1.0)


def test_between_levels_the_next_finer_one_is_resampled(pyramid: Path) -> None:
    with Slide(pyramid) as slide:
        source = source_at(slide, None, 0.75)
        assert (source.level, source.shape_px, source.mpp) == (0, (200, 280), 0.75)
        # the image is smooth: at 1.5 px steps it is its own interpolation
        at = np.meshgrid((np.arange(200) + 0.5) * 1.5 - 0.5, (np.arange(280) + 0.5) * 1.5 - 0.5)
        wanted = ndimage.map_coordinates(SMOOTH.astype(float), at, order=1, mode="nearest").T
        assert np.abs(read(source).astype(float) - wanted).max() < 3  # of 255
        assert source_at(slide, None, 1.5).level == 1


def test_resampling_does_not_depend_on_the_regions(pyramid: Path) -> None:
    with Slide(pyramid) as slide:
        source = source_at(slide, None, 0.83)
        whole = read(source)
        height, width = source.shape_px
        for rows in (slice(0, 61), slice(61, height)):
            for columns in (slice(0, 97), slice(97, width)):
                np.testing.assert_array_equal(read(source, rows, columns), whole[rows, columns])


def test_a_little_finer_is_interpolated_and_far_finer_refused(pyramid: Path) -> None:
    with Slide(pyramid) as slide:
        assert source_at(slide, None, 0.4).shape_px == (375, 525)
        with pytest.raises(SlideError, match="finest level has 0.5 um/px, the dataset wants 0.2"):
            source_at(slide, None, 0.2)
    wrong = r"Use a model .* or set --mpp if the file is wrong"
    with Slide(pyramid, door=COMMAND) as slide, pytest.raises(SlideError, match=wrong):
        source_at(slide, None, 0.2)


def test_missing_and_absurd_resolutions_ask_for_the_sheets_column(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", SMOOTH)
    for mpp, said in ((None, "not known"), (0.0001, "0.1 nm/px"), (200.0, "200 um/px")):
        with Slide(tmp_path / "s.tif", mpp=mpp) as slide:
            with pytest.raises(SlideError, match=rf"{said} .*Set the sheet's mpp column"):
                source_at(slide, None, 0.5)
            assert source_at(slide, None, None).factor == (1, 1)
            with pytest.raises(SlideError, match="has no level 2; .* 0 to 0"):
                source_at(slide, 2, None)


class Damaged(Slide):
    """A file of which some pixels cannot be read; `mends` after it was reopened."""

    bad = (slice(130, 140), slice(600, 610))
    mends = False
    reopened = 0

    def read(self, level: int, *region: slice) -> np.ndarray:
        hit = all(
            part.start < bad.stop and bad.start < part.stop
            for part, bad in zip(region, self.bad, strict=True)
        )
        if hit and not (self.mends and self.reopened):
            raise SlideError("decoder said no")
        return super().read(level, *region)

    def reopen(self) -> None:
        self.reopened += 1
        super().reopen()


LARGE = RANDOM.integers(1, 255, (700, 1000), dtype=np.uint8)


def damaged(folder: Path) -> Damaged:
    tifffile.imwrite(folder / "d.tif", LARGE)
    return Damaged(folder / "d.tif")


def test_an_unreadable_place_is_narrowed_down_and_filled(tmp_path: Path) -> None:
    lost: list[Lost] = []
    with damaged(tmp_path) as slide:
        pixels = read_or_mark(slide, 0, (slice(0, 700), slice(0, 1000)), lost)[0]
        assert slide.reopened == 1
    (place,) = lost
    assert place["why"] == "decoder said no"
    rows, columns = slice(*place["rows"]), slice(*place["columns"])
    assert rows.stop - rows.start <= 256
    assert columns.stop - columns.start <= 256
    assert rows.start <= 130 < 140 <= rows.stop
    assert (pixels[rows, columns] == 0).all()
    pixels[rows, columns] = LARGE[rows, columns]
    np.testing.assert_array_equal(pixels, LARGE)


def test_what_can_be_read_after_reopening_is_not_lost(tmp_path: Path) -> None:
    lost: list[Lost] = []
    with damaged(tmp_path) as slide:
        slide.mends = True
        pixels = read_or_mark(slide, 0, (slice(0, 700), slice(0, 1000)), lost)[0]
    assert not lost
    np.testing.assert_array_equal(pixels, LARGE)


def test_what_is_no_number_does_not_spread_by_resampling(tmp_path: Path) -> None:
    pixels = SMOOTH.astype(np.float32)
    pixels[100, 200] = np.nan
    tifffile.imwrite(
        tmp_path / "n.tif",
        pixels,
        photometric="minisblack",
        resolution=(1e4 / 0.5, 1e4 / 0.5),  # px per cm
        resolutionunit="CENTIMETER",
    )
    lost: list[Lost] = []
    with Slide(tmp_path / "n.tif") as slide:
        source = source_at(slide, None, 1.0)
        found = source.read((slice(0, 150), slice(0, 210)), lost)[0]
        place = source.place(lost[0])
    assert lost == [{"rows": [100, 101], "columns": [200, 201], "why": lost[0]["why"]}]
    assert [(part.start, part.stop) for part in place] == [(48, 53), (98, 103)]
    smooth = ndimage.gaussian_filter(np.nan_to_num(pixels), 0.5, mode="mirror")
    wanted = smooth.reshape(150, 2, 210, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(found, wanted, atol=1e-3)  # of 255, in float32


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "uint32"])
def test_saturated_pixels_stay_bright_when_they_are_resampled(tmp_path: Path, dtype: str) -> None:
    highest = np.iinfo(dtype).max
    np.save(tmp_path / "i.npy", np.full((64, 64), highest, dtype))
    with Slide(tmp_path / "i.npy", mpp=1.0) as slide:
        pixels = source_at(slide, None, 2.0).read((slice(0, 32), slice(0, 32)), [])
    # float32, in which it is done, has 24 bits
    np.testing.assert_allclose(pixels.astype(float), float(highest), rtol=2**-23)


def test_resampled_bits_grow_no_larger(tmp_path: Path) -> None:
    bits = np.zeros((200, 200), bool)
    bits[40:120, 60:100] = True
    np.save(tmp_path / "i.npy", bits)
    with Slide(tmp_path / "i.npy", mpp=0.25) as slide:
        found = read(source_at(slide, None, 1.0))
    assert found.dtype == bool
    wanted = bits[2::4, 2::4].copy()
    wanted[[10, 10, 29, 29], [15, 24, 15, 24]] = found[[10, 10, 29, 29], [15, 24, 15, 24]]
    np.testing.assert_array_equal(found, wanted)  # but for corners, which are rounded


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with damaged(tmp_path) as slide:
        (tmp_path / "d.tif").unlink()
        with pytest.raises(SlideError, match="there is no such file"):
            read_or_mark(slide, 0, (slice(0, 700), slice(0, 1000)), [])
        tifffile.imwrite(tmp_path / "d.tif", LARGE)  # for the end of the block
        slide.reopen()


def test_a_lost_place_lies_where_its_pixels_would_show(pyramid: Path) -> None:
    with Slide(pyramid) as slide:
        lost: Lost = {"rows": [100, 150], "columns": [0, 30], "why": ""}
        assert source_at(slide, None, 0.5).place(lost) == (slice(100, 150), slice(0, 30))
        rows, columns = source_at(slide, None, 0.75).place(lost)
        assert rows.start < 100 / 1.5 < 150 / 1.5 < rows.stop
        assert (columns.start, columns.stop > 20) == (0, True)


def write_wide(path: Path, shape_px: tuple[int, int], pixel_um: tuple[float, float]) -> Path:
    """A slope whose pixels have that height and width."""
    high, wide = pixel_um
    y, x = np.mgrid[: shape_px[0], : shape_px[1]] + 0.5
    pixels = (y * high * 40 + x * wide * 20).astype(np.uint16)
    resolution = (1e4 / wide, 1e4 / high)
    tifffile.imwrite(path, pixels, resolution=resolution, resolutionunit="CENTIMETER")
    return path


def test_pixels_that_are_not_square_are_resampled_to_square_ones(tmp_path: Path) -> None:
    with Slide(write_wide(tmp_path / "i.tif", (300, 200), (0.25, 0.5))) as slide:
        source = source_at(slide, None, 1.0)
        assert (source.shape_px, source.mpp) == ((75, 100), 1.0)
        y, x = np.mgrid[:75, :100] + 0.5
        inner = (slice(5, -5), slice(5, -5))
        off = read(source).astype(float) - (y * 40 + x * 20)
        assert np.abs(off[inner]).max() <= 2
        at_one_side = source_at(slide, None, 0.5)  # that fits one axis only
        assert (at_one_side.shape_px, at_one_side.mpp) == ((150, 200), 0.5)


def test_pixels_that_are_not_square_and_stay_so_are_refused(tmp_path: Path) -> None:
    path = write_wide(tmp_path / "i.tif", (30, 20), (0.008, 0.004))
    with Slide(path) as slide:
        for level in (None, 0):
            with pytest.raises(SlideError, match=r"8 nm high and 4 nm wide, .* dataset's mpp"):
                source_at(slide, level, None)
    with Slide(path, mpp=0.004) as slide:  # whoever knows better
        assert source_at(slide, None, None).shape_px == (30, 20)
    with Slide(write_wide(tmp_path / "n.tif", (30, 20), (0.2500, 0.2505))) as slide:
        assert source_at(slide, None, None).mpp == pytest.approx(0.2505)  # nearly square
