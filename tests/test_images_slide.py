"""Opening image files: drawn ones with known pixels, and real ones where they are at hand."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from unetflow.errors import SlideError
from unetflow.images.slide import Slide
from unetflow.images.whole import read_whole

ALL = slice(None, None)
STACK = np.random.default_rng(0).integers(0, 255, (3, 40, 50), dtype=np.uint8)


def whole(slide: Slide) -> np.ndarray:
    height, width = slide.levels[0].shape_px
    return slide.read(0, slice(0, height), slice(0, width))


LABELS = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3), np.ones((20, 20), np.uint8))
OPAQUE = np.full_like(LABELS, 255)
PAINTED = np.where(LABELS > 2, OPAQUE, 0)  # a mask by its transparency alone


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(
    ("gray", "transparency", "wanted"),
    [
        (LABELS, OPAQUE, LABELS),
        (OPAQUE, PAINTED, PAINTED),
        (LABELS * (PAINTED > 0), PAINTED, LABELS * (PAINTED > 0)),
    ],
    ids=["opaque", "white paint on nothing", "on a transparent ground"],
)
@pytest.mark.parametrize("colours", [1, 3])
def test_what_is_transparent_is_no_label(
    tmp_path: Path,
    suffix: str,
    colours: int,
    gray: np.ndarray,
    transparency: np.ndarray,
    wanted: np.ndarray,
) -> None:
    pixels = np.stack([*[gray] * colours, transparency], axis=-1)
    path = tmp_path / f"l.{suffix}"
    if suffix == "png":
        imagecodecs.imwrite(path, pixels)
    else:
        tifffile.imwrite(
            path,
            pixels,
            photometric="rgb" if colours == 3 else "minisblack",
            planarconfig="contig",
            extrasamples=["unassalpha"],
        )
    with Slide(path, as_labels=True) as slide:
        np.testing.assert_array_equal(whole(slide)[0], wanted)
    np.testing.assert_array_equal(read_whole(path), wanted)


@pytest.mark.parametrize("gray", [OPAQUE, LABELS], ids=["soft edges", "what was erased"])
def test_numbers_that_may_be_there_or_not_are_refused(tmp_path: Path, gray: np.ndarray) -> None:
    transparency = PAINTED.copy()
    transparency[20, 20] = 100 if gray is OPAQUE else 255
    path = tmp_path / "l.png"
    imagecodecs.imwrite(path, np.stack([gray] * 3 + [transparency], axis=-1))
    with pytest.raises(SlideError, match="may be there or not: save it without transparency"):
        read_whole(path)
    with (
        Slide(path, as_labels=True) as slide,
        pytest.raises(SlideError, match="may be there or not: save it without transparency"),
    ):
        whole(slide)


def test_a_plane_of_a_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", STACK, photometric="minisblack")
    with Slide(tmp_path / "s.tif", plane=2) as slide:
        assert slide.channels == 1
        np.testing.assert_array_equal(whole(slide), STACK[2:])


def test_a_stack_without_a_plane_says_how_to_choose_one(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", STACK, photometric="minisblack")
    with pytest.raises(SlideError, match="stack of 3 images .* plane column to 0 to 2"):
        Slide(tmp_path / "s.tif")
    with pytest.raises(SlideError, match="without plane 3"):
        Slide(tmp_path / "s.tif", plane=3)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colour_comes_as_channels_first(tmp_path: Path, planar: str) -> None:
    pixels = STACK if planar == "separate" else STACK.transpose(1, 2, 0)
    tifffile.imwrite(tmp_path / "c.tif", pixels, photometric="rgb", planarconfig=planar)
    with Slide(tmp_path / "c.tif") as slide:
        assert slide.channels == 3
        np.testing.assert_array_equal(whole(slide), STACK)


def test_png_in_gray_and_colour(tmp_path: Path) -> None:
    imagecodecs.imwrite(tmp_path / "g.png", STACK[0])
    imagecodecs.imwrite(tmp_path / "c.png", np.ascontiguousarray(STACK.transpose(1, 2, 0)))
    with Slide(tmp_path / "g.png") as gray, Slide(tmp_path / "c.png") as colour:
        np.testing.assert_array_equal(whole(gray), STACK[:1])
        np.testing.assert_array_equal(whole(colour), STACK)


def write_pyramid(path: Path) -> None:
    with tifffile.TiffWriter(path, ome=True) as tiff:
        options = {"tile": (16, 16), "photometric": "minisblack"}
        metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
        tiff.write(STACK[0], subifds=1, metadata=metadata, **options)
        tiff.write(STACK[0][::2, ::2], subfiletype=1, **options)


@pytest.mark.parametrize("name", ["i.tif", "i.jpg"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 99])
def test_an_image_that_some_programs_turn_says_so(
    tmp_path: Path, name: str, orientation: int
) -> None:
    image, exif = Image.fromarray(np.eye(16, 24, dtype=np.uint8)), Image.Exif()
    exif[274] = orientation
    image.save(tmp_path / name, exif=exif)
    with Slide(tmp_path / name) as slide:
        assert slide.levels[0].shape_px == (16, 24)  # as it is stored
        said = [note for note in slide.odd if f"its orientation is {orientation}:" in note]
        assert len(said) == (orientation in (3, 6))
        assert slide.notes == slide.odd


def test_levels_know_their_resolution(tmp_path: Path) -> None:
    write_pyramid(tmp_path / "p.ome.tif")
    with Slide(tmp_path / "p.ome.tif") as slide:
        assert [level.shape_px for level in slide.levels] == [(40, 50), (20, 25)]
        assert [level.mpp for level in slide.levels] == [0.5, 1.0]
        np.testing.assert_array_equal(
            slide.read(1, slice(3, 9), slice(4, 20))[0], STACK[0][::2, ::2][3:9, 4:20]
        )


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.tif").write_text("not an image")
    with pytest.raises(SlideError, match=r"t\.tif: cannot be opened as an image"):
        Slide(tmp_path / "t.tif")
    with pytest.raises(SlideError, match="there is no such file"):
        Slide(tmp_path / "gone.tif")


def test_a_truncated_file_is_an_error_of_ours(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", STACK[0], compression="zlib")
    content = (tmp_path / "s.tif").read_bytes()
    for size in range(0, len(content), 97):
        (tmp_path / "cut.tif").write_bytes(content[:size])
        with pytest.raises(SlideError, match=r"cut\.tif"), Slide(tmp_path / "cut.tif") as slide:
            whole(slide)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_picture_that_is_cut_off_is_one_line_and_never_filled_with_gray(
    tmp_path: Path, ending: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 70), dtype=np.uint8)
    imagecodecs.imwrite(tmp_path / f"i.{ending}", noise)
    content = (tmp_path / f"i.{ending}").read_bytes()
    assert Slide(tmp_path / f"i.{ending}").levels[0].shape_px == (90, 70)
    for size in range(1, len(content) - 20, 211):
        (tmp_path / f"cut.{ending}").write_bytes(content[:size])
        with (
            pytest.raises(SlideError, match=rf"cut\.{ending}: cannot be (open|decod)ed") as told,
            Slide(tmp_path / f"cut.{ending}") as slide,
        ):
            whole(slide)
        assert "\n" not in str(told.value)  # no line of each decoder that was tried


@pytest.mark.parametrize(
    ("name", "shape_px", "mpp"),
    [
        ("CMU-1-Small-Region.svs", (2967, 2220), 0.499),
        ("TCGA-CR-7395.svs", (3567, 4443), None),
        ("hamamatsu-DAPI.ndpi", (4864, 3968), 0.228),
    ],
)
def test_real_slides(
    real_data: Path, name: str, shape_px: tuple[int, int], mpp: float | None
) -> None:
    with Slide(real_data / "slides" / name) as slide:
        assert slide.levels[0].shape_px == shape_px
        assert slide.levels[0].mpp == (mpp and pytest.approx(mpp, abs=1e-3))
        assert slide.read(0, slice(100, 130), slice(200, 240)).shape == (3, 30, 40)


@pytest.mark.parametrize("name", ["not-a-tiff.svs", "unreadable.svs", "zero-height.tif"])
def test_real_broken_slides_are_named(real_data: Path, name: str) -> None:
    path = real_data / "slides" / "broken" / name
    with pytest.raises(SlideError, match=name), Slide(path) as slide:
        whole(slide)
