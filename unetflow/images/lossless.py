"""Files whose compression changes values: of no use where a value is a number or a name."""

from pathlib import Path

import tifffile

from unetflow.images.frames import tiffs_of
from unetflow.images.sources import split_dataset

JPEG = b"\xff\xd8\xff"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # and BigTIFF
LOSSY = {6: "JPEG", 7: "JPEG", 33007: "JPEG", 34892: "JPEG", 33004: "JPEG 2000"}  # of TIFF's tag
JPEG_2000 = (33003, 33005, 34712)  # lossy or not, as its own header says
CODING_STYLE = b"\xff\x52"  # marker of that header
HEADER_BYTES = 4096


def lossy_compression(path: str | Path) -> str | None:
    """How the pixels of an image file are compressed, where that may have changed their values.

    By the content of the file, not by its name; of a folder of frames that of the first.
    """
    file, _ = split_dataset(path)
    if file.is_dir():
        frames = sorted(tiffs_of(file))
        if not frames:  # a store
            return None
        file = frames[0]
    with file.open("rb") as opened:
        start = opened.read(4)
    if start.startswith(JPEG):
        return "JPEG"
    return _lossy_compression_of_tiff(file) if start in TIFF else None


def _lossy_compression_of_tiff(file: Path) -> str | None:
    with tifffile.TiffFile(file) as tiff:
        page = max(tiff.series, key=lambda series: series.size).keyframe  # no thumbnail before it
        if page.compression in JPEG_2000:
            tiff.filehandle.seek(page.dataoffsets[0])
            header = tiff.filehandle.read(HEADER_BYTES)
            at = header.find(CODING_STYLE)
            # the wavelet is the 12th byte after the marker: 1 is the one that loses nothing
            reversible = at >= 0 and header[at + 13 : at + 14] == b"\1"
            return None if reversible else "JPEG 2000"
        return LOSSY.get(page.compression)
