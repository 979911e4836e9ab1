"""PNG and JPEG: their header when they are opened, their pixels, all at once, when one is read."""

import io
import math
import struct
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import imagecodecs
import numpy as np

from unetflow.images.opened import ORIENTATION, Opened

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
SAMPLES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # of a PNG, by its colour type
PALETTE = 3  # as a colour type
BIT_DEPTH = 24  # a byte of a PNG
OTHERS = ("PNG", "BMP", "GIF", "WEBP")  # that Pillow reads here: its EPS would run a program
MOST_SEGMENTS = 10_000  # before the pixels: cameras write a hundred
FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # marks of JPEG that tell the size
CODECS = {0xC3: "ljpeg", 0xF7: "jpegls"}  # of JPEG by such a mark; others are "jpeg8"
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
# Pixels that a byte of a file can be of: deflate makes 1,032 bytes of one, of 8 pixels each; JPEG
# has a bit for a block of 64 pixels, and less where its coding is arithmetic.
MOST_OF = {PNG: 1032 * 8, JPEG: 64 * 8 * 16}
COPIES = 3  # of its pixels that a decoder holds which makes them in passes, or hands on copies


class Header(NamedTuple):
    """What a file says of its pixels before they are decoded."""

    shape: tuple[int, ...]  # (Y, X) or (Y, X, S)
    dtype: np.dtype
    codec: str  # of imagecodecs
    copies: int = 1


class Picture:
    """A file that is decoded whole when a pixel of it is read, and kept."""

    def __init__(self, file: Path, header: Header, decode: Callable[[bytes], np.ndarray]) -> None:
        self.shape, self.dtype = header.shape, header.dtype
        self.ndim = len(self.shape)
        pixels_bytes = int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize
        self.peak_bytes = header.copies * pixels_bytes + file.stat().st_size
        self._file, self._decode = file, decode

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        return self._pixels[key]

    @cached_property
    def _pixels(self) -> np.ndarray:
        pixels = self._decode(self._file.read_bytes())
        if self.dtype == bool:
            pixels = pixels != 0
        if (pixels.shape, pixels.dtype) != (self.shape, self.dtype):
            raise ValueError(
                f"its header says {self.dtype} of shape {self.shape}, its pixels are "
                f"{pixels.dtype} of {pixels.shape}"
            )
        return pixels


def open_picture(file: Path, *, as_shown: bool) -> Opened:
    """A PNG or a JPEG, or BMP, GIF or WebP under such a name. Raises ValueError for none of them.

    `as_shown`: of a palette its colours, of one bit 255, else indices, and true.
    """
    with file.open("rb") as opened:
        beginning = opened.read(len(PNG))
        if beginning.startswith(JPEG):
            beginning = JPEG
        if beginning == PNG:
            header = _header_of_png(opened, as_shown=as_shown)
        elif beginning == JPEG:
            header = _header_of_jpeg(opened)
        else:
            header = None
    if header is None:
        header, decode = _of_pillow(file, as_shown=as_shown)
    else:
        decode = partial(_decoded, codec=header.codec)
    if not as_shown and _is_of_bits(file):
        header = header._replace(dtype=np.dtype(bool), copies=header.copies + 1)
    if beginning in MOST_OF and header.codec != "jpegls":  # which has runs of any length
        _check_length(file.stat().st_size, header.shape, MOST_OF[beginning])
    picture = Picture(file, header, decode)
    orientation = _orientation(file) if beginning == JPEG else 1
    return Opened([picture], "YXS"[: picture.ndim], [None], orientation=orientation)


def _orientation(file: Path) -> int:
    """What Exif says of a JPEG, as cameras and phones write it."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # no pixel is decoded
    try:
        with Image.open(file, formats=["JPEG"]) as image:
            value = image.getexif().get(ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError, struct.error):  # Pillow knows it not, or no Exif
        return 1
    return int(value) if value in range(1, 9) else 1


def _header_of_png(opened: BinaryIO, *, as_shown: bool) -> Header | None:
    """None for a palette whose indices are wanted."""
    ihdr = _exactly(opened, 25)
    if ihdr[4:8] != b"IHDR":
        raise ValueError("it is a PNG without a header")
    width, height = (int.from_bytes(ihdr[at : at + 4], "big") for at in (8, 12))
    depth, colour = ihdr[16], ihdr[17]
    if colour not in SAMPLES:
        raise ValueError(f"its colour type is {colour}, which no PNG has")
    if colour == PALETTE and not as_shown:
        return None
    samples = SAMPLES[colour] + (colour in (0, 2, PALETTE) and _is_transparent(opened))
    shape = (height, width) if samples == 1 else (height, width, samples)
    return Header(shape, np.dtype("uint16" if depth == 16 else "uint8"), "png")


def _is_of_bits(file: Path) -> bool:
    """Whether it is a PNG of one bit a sample."""
    with file.open("rb") as opened:
        header = opened.read(BIT_DEPTH + 1)
    return header.startswith(PNG) and header[BIT_DEPTH] == 1


def _is_transparent(opened: BinaryIO) -> bool:
    """Whether a PNG names what is transparent: it then has a sample more."""
    for _ in range(MOST_SEGMENTS):
        chunk = _exactly(opened, 8)
        if chunk[4:] in (b"tRNS", b"IDAT", b"IEND"):
            return chunk[4:] == b"tRNS"
        opened.seek(int.from_bytes(chunk[:4], "big") + 4, io.SEEK_CUR)
    raise ValueError(f"it has no pixels in its first {MOST_SEGMENTS} chunks")


def _header_of_jpeg(opened: BinaryIO) -> Header:
    opened.seek(len(JPEG))
    for _ in range(MOST_SEGMENTS):
        before, mark = _exactly(opened, 2)
        if before != 0xFF:
            raise ValueError("it is a JPEG whose parts do not follow one another")
        if mark == 0xFF:  # filling
            opened.seek(-1, io.SEEK_CUR)
            continue
        if mark in WITHOUT_LENGTH:
            continue
        length = int.from_bytes(_exactly(opened, 2), "big")
        if mark in FRAMES:
            of = _exactly(opened, 6)
            height, width = (int.from_bytes(of[at : at + 2], "big") for at in (1, 3))
            shape = (height, width) if of[5] == 1 else (height, width, of[5])
            dtype = np.dtype("uint8" if of[0] <= 8 else "uint16")
            copies = COPIES if mark in PROGRESSIVE else 1
            return Header(shape, dtype, CODECS.get(mark, "jpeg8"), copies)
        opened.seek(length - 2, io.SEEK_CUR)
    raise ValueError(f"it has no frame in its first {MOST_SEGMENTS} segments")


def _check_length(size_bytes: int, shape: tuple[int, ...], most_px: int) -> None:
    """Raise ValueError for a file that no compression makes as short as it is.

    What lacks would be decoded for minutes, and then be an error or gray.
    """
    if math.prod(shape[:2]) > most_px * size_bytes:
        raise ValueError(
            f"it is cut off or its header is damaged: it has {size_bytes} bytes for "
            f"{shape[0]}x{shape[1]} px"
        )


def _exactly(opened: BinaryIO, count: int) -> bytes:
    found = opened.read(count)
    if len(found) < count:
        raise ValueError("it is cut off in its header")
    return found


def _decoded(content: bytes, codec: str) -> np.ndarray:
    """Raises ValueError for a JPEG that is cut off: its decoder fills with gray what is lacking."""
    if content.startswith(JPEG) and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise ValueError("it is cut off: a JPEG ends with a mark, and this one does not")
    return np.asarray(imagecodecs.imread(content, codec=codec))


def _of_pillow(file: Path, *, as_shown: bool) -> tuple[Header, Callable[[bytes], np.ndarray]]:
    """A palette's indices, which Pillow alone hands out, and other formats."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # the job asks for what it takes
    with Image.open(file, formats=OTHERS) as image:
        size, mode = image.size, image.mode
        if mode not in ("L", "RGB", "RGBA") and (as_shown or mode != "P"):
            mode = "RGBA" if "transparency" in image.info else "RGB"
    samples = Image.getmodebands(mode)

    def decode(content: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(content), formats=OTHERS) as image:
            return np.asarray(image if image.mode == mode else image.convert(mode))

    shape = (size[1], size[0]) if samples == 1 else (size[1], size[0], samples)
    return Header(shape, np.dtype(np.uint8), "", COPIES), decode
