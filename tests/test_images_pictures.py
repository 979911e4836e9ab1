"""PNG and JPEG are opened by their header alone; their pixels are what the decoder gives."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from unetflow.errors import SlideError, TooLargeError
from unetflow.images.resampling import read_or_mark
from unetflow.images.slide import Slide
from unetflow.images.whole import read_whole

GRAY = np.random.default_rng(0).integers(0, 255, (20, 30), dtype=np.uint8)
DEEP = GRAY.astype(np.uint16) * 200
BRIGHT = np.stack([GRAY, 255 - GRAY, GRAY // 2], axis=-1)


def saved(mode: str, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(GRAY).convert(mode).save(content, kind, **options)
    return content.getvalue()


PICTURES = {
    **{f"{mode}.png": saved(mode, "PNG") for mode in ("1", "L", "LA", "RGB", "RGBA", "P")},
    "gray with a colour for nothing.png": saved("L", "PNG", transparency=3),
    "colours with one for nothing.png": saved("RGB", "PNG", transparency=(3, 3, 3)),
    "palette with one for nothing.png": saved("P", "PNG", transparency=3),
    "deep.png": imagecodecs.png_encode(DEEP),
    "deep colours.png": imagecodecs.png_encode(np.stack([DEEP] * 3, axis=-1)),
    **{
        f"{mode} {how}.jpg": saved(mode, "JPEG", progressive=how == "progressive")
        for mode in ("L", "RGB", "CMYK")
        for how in ("baseline", "progressive")
    },
    "lossless.jpg": imagecodecs.ljpeg_encode(GRAY),
    "lossless and deep.jpg": imagecodecs.ljpeg_encode(DEEP),
    "12 bit.jpg": imagecodecs.jpeg8_encode(DEEP // 16, bitspersample=12),
    "ls.jpg": imagecodecs.jpegls_encode(GRAY),
    "ls of colours.jpeg": imagecodecs.jpegls_encode(BRIGHT),
    "in truth a TIFF.png": imagecodecs.tiff_encode(GRAY),
    "in truth a JPEG.png": imagecodecs.jpeg8_encode(GRAY),
    "in truth a PNG.jpg": imagecodecs.png_encode(BRIGHT),
    "in truth a BMP.png": saved("RGB", "BMP"),
    "in truth a WebP.jpg": saved("RGB", "WEBP", lossless=True),
}


def decoded(name: str) -> np.ndarray:
    """What the first of all decoders gives that makes something of it."""
    for codec in ("png", "jpegls", "jpeg8", "ljpeg", "tiff", "bmp", "webp"):
        try:
            return np.asarray(imagecodecs.imread(bytes(PICTURES[name]), codec=codec))
        except ValueError:
            continue
    raise AssertionError(name)


@pytest.mark.parametrize("name", PICTURES)
def test_a_header_says_what_the_decoder_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).write_bytes(PICTURES[name])
    pixels = np.atleast_3d(decoded(name))
    with monkeypatch.context() as nothing:
        nothing.setattr(imagecodecs, "imread", None)
        slide = Slide(tmp_path / name)
        assert slide.levels[0].shape_px == GRAY.shape
        assert (slide.channels, slide.dtype) == (pixels.shape[-1], pixels.dtype)
    with slide:
        found = slide.read(0, slice(3, 20), slice(0, 25))
    np.testing.assert_array_equal(found, pixels.transpose(2, 0, 1)[:, 3:20, :25])


@pytest.mark.parametrize("mode", ["1", "P"])
def test_of_one_bit_the_header_says_that_numbers_are_0_and_1(tmp_path: Path, mode: str) -> None:
    ones = GRAY > 99
    image = Image.fromarray(ones)
    if mode == "P":
        image = Image.fromarray(ones.astype(np.uint8))
        image.putpalette([9, 9, 9, 200, 0, 0])
    image.save(tmp_path / "i.png", bits=1)
    with Slide(tmp_path / "i.png", as_labels=True) as slide:
        assert slide.dtype == bool
        found = slide.read(0, slice(0, 20), slice(0, 30))
    assert found.dtype == bool
    np.testing.assert_array_equal(found, ones[None])


def png(height: int, width: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A gray PNG that promises so many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"")))
    )


def huge_png(monkeypatch: pytest.MonkeyPatch, asking: str) -> bytes:
    """A picture of 3.6 GB; the module that asks finds 2 GB free, and nothing may be decoded."""
    monkeypatch.setattr(imagecodecs, "imread", None)
    monkeypatch.setattr(f"{asking}.available_bytes", lambda: 2 * 10**9)
    return png(60_000, 60_000) + bytes(500_000)


def test_a_picture_that_takes_too_much_memory_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "i.png").write_bytes(huge_png(monkeypatch, "unetflow.images.slide"))
    with Slide(tmp_path / "i.png") as slide:
        assert slide.peak_bytes(0) == pytest.approx(3.6e9, rel=1e-3)
        with pytest.raises(
            TooLargeError,
            match=r"i\.png: level 0 \(60000x60000 px\) is decoded whole, which takes 3\.60. GB .*"
            r"there are 2 GB\. Save it as a tiled TIFF",
        ):
            read_or_mark(slide, 0, (slice(0, 9), slice(0, 9)), [])  # nor marks it as unreadable


@pytest.mark.parametrize("side_px", [1, 2000])
def test_a_file_that_is_too_short_for_its_pixels_is_refused_at_once(
    tmp_path: Path, side_px: int
) -> None:
    flat = np.zeros((side_px, side_px), np.uint8)
    files = {
        "i.png": imagecodecs.png_encode(flat, level=9),
        "1.png": saved("1", "PNG", optimize=True),
        "i.jpg": imagecodecs.jpeg8_encode(flat),
        "ls.jpg": imagecodecs.jpegls_encode(flat),
    }
    for name, content in files.items():  # as short as they can be
        (tmp_path / name).write_bytes(content)
        with Slide(tmp_path / name) as slide:
            assert not slide.read(0, slice(0, 1), slice(0, 1)).any() or name == "1.png"
    content = saved("L", "JPEG", progressive=True)
    at = content.index(b"\xff\xc2") + 5  # height and width
    (tmp_path / "i.jpg").write_bytes(content[:at] + b"\xff\xff\xff\x7f" + content[at + 4 :])
    (tmp_path / "i.png").write_bytes(png(60_000, 60_000))
    for name in ("i.jpg", "i.png"):
        with pytest.raises(SlideError, match=rf"{name}: .*bytes for 6\d+x6\d+ px"):
            Slide(tmp_path / name)


def test_a_progressive_jpeg_takes_more_than_its_pixels(tmp_path: Path) -> None:
    peaks = []
    for how in ("baseline", "progressive"):
        (tmp_path / f"{how}.jpg").write_bytes(PICTURES[f"RGB {how}.jpg"])
        with Slide(tmp_path / f"{how}.jpg") as slide:
            peaks.append(slide.peak_bytes(0) - len(PICTURES[f"RGB {how}.jpg"]))
    assert peaks == [GRAY.size * 3, GRAY.size * 3 * 3]


def test_a_damaged_picture_is_tried_twice_not_once_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "i.png").write_bytes(png(3000, 3000) + bytes(2000))
    tried: list[bytes] = []
    decoder = imagecodecs.imread

    def counted(content: bytes, **options: Any) -> Any:
        tried.append(content)
        return decoder(content, **options)

    monkeypatch.setattr(imagecodecs, "imread", counted)
    with (
        Slide(tmp_path / "i.png") as slide,
        pytest.raises(SlideError, match=r"i\.png: cannot be decoded"),
    ):
        read_or_mark(slide, 0, (slice(0, 1024), slice(0, 1024)), [])
    assert len(tried) == 2  # a network drive may have lost it the first time


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        png(4, 4)[:30],
        png(4, 4).replace(b"IHDR", b"IHDX"),
        b"\xff\xd8\xff",
        b"\xff\xd8" + b"\xff\xe0\0\2" * 20_000,
        b"\xff\xd8\0\0",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"no picture",
    ],
)
def test_what_has_no_header_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    for name in ("i.png", "i.jpg"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SlideError, match=rf"{name}: cannot be opened as an image"):
            Slide(tmp_path / name)


def test_pixels_of_another_shape_than_the_header_says_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "i.png").write_bytes(imagecodecs.png_encode(GRAY))
    monkeypatch.setattr(imagecodecs, "imread", lambda *_, **options: GRAY[1:])
    with (
        Slide(tmp_path / "i.png") as slide,
        pytest.raises(SlideError, match=r"its header says uint8 of shape \(20, 30\), its pixels"),
    ):
        slide.read(0, slice(0, 9), slice(0, 9))


def test_a_whole_picture_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "i.png").write_bytes(huge_png(monkeypatch, "unetflow.images.whole"))
    with pytest.raises(TooLargeError, match=r"i\.png: its pixels, of shape \(60000, 60000\), are"):
        read_whole(tmp_path / "i.png")
