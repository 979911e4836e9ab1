"""Files of every kind, damaged at random, and read by every way in: what comes out.

Case `number` is the same file each time. `benchmarks/damaged_files.py` reads thousands of them, the
suite some.
"""

import gzip
import json
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import imagecodecs
import numpy as np
import tifffile
import zarr
from numpy.random import Generator
from PIL import Image

from unetflow.errors import UnetflowError
from unetflow.images.polygons import read_polygons, tissue_areas
from unetflow.images.resampling import picked_channels, read_or_mark, source_at
from unetflow.images.slide import Slide
from unetflow.images.sources import raw_digest
from unetflow.images.whole import read_whole
from unetflow.labels.reading import Meaning, label_reader
from unetflow.store.ome import ome_image, write_group

SEED = 20
SHAPE = (48, 64)
GRAY = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
MOST_PX = 1024  # side of what is read at once, as of a shard


class Outcome(NamedTuple):
    """What came of one way to read a file."""

    way: str
    result: str  # "read", "SlideError" and others of ours; else the exception, with "!" before it
    why: str = ""


def write_tiff(path: Path, **options: Any) -> None:
    tifffile.imwrite(path, GRAY, photometric="minisblack", **options)


def write_pages(path: Path) -> None:
    with tifffile.TiffWriter(path, ome=".ome" in path.name) as file:
        for pixels in (GRAY[:10], GRAY, GRAY[:, :20]):
            file.write(pixels, photometric="minisblack")


def write_pyramid(path: Path) -> None:
    colour = np.stack([GRAY] * 3, axis=-1)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        options: dict[str, Any] = {"photometric": "rgb", "tile": (16, 16), "compression": "jpeg"}
        file.write(colour, subifds=1, **options)
        file.write(colour[::2, ::2], subfiletype=1, **options)


def write_palette(path: Path) -> None:
    image = Image.fromarray(GRAY)
    image = image.convert("P")
    image.putpalette(bytes(range(256)) * 3)
    image.save(path)


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        raw = file.create_dataset("raw", data=GRAY, chunks=(16, 16), compression="gzip")
        raw.attrs["element_size_um"] = [0.5, 0.5]


def write_virtual(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("inner")["part"] = GRAY
        layout = h5py.VirtualLayout(SHAPE, "u1")
        layout[:] = h5py.VirtualSource(".", "inner/part", SHAPE)
        file.create_virtual_dataset("raw", layout)


def write_zarr(path: Path) -> None:
    scales = {"0": [0.5, 0.5], "1": [1.0, 1.0]}
    write_group(path, "", ome_image("i", ("y", "x"), scales, unit="micrometer"))
    zarr.create_array(path / "0", data=GRAY, chunks=SHAPE)
    zarr.create_array(path / "1", data=GRAY[::2, ::2], chunks=(8, 8), shards=(24, 32))


def polygons() -> bytes:
    """As QuPath writes them: cells with a nucleus, a region around, a child."""
    features = []
    for k in range(4):
        ring = [[k, 1], [k + 20, 1], [k + 20.5, 30], [k + 5, 33], [k, 1]]
        geometry = {"type": "Polygon", "coordinates": [ring], "plane": {"z": 0, "t": 0}}
        properties = {
            "objectType": "cell",
            "classification": {"name": "cell", "color": [1, 2, 3]},
            "childObjects": [{"type": "Feature", "geometry": geometry}] if k == 2 else [],
        }
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


ZLIB: dict[str, Any] = {"compression": "zlib", "predictor": 2}
OME: dict[str, Any] = {"metadata": {"axes": "YX", "PhysicalSizeX": 0.5}, "compression": "lzw"}
FIJI: dict[str, Any] = {"imagej": True, "resolution": (4.0, 4.0), "metadata": {"unit": "nm"}}
WRITERS: dict[str, Callable[[Path], object]] = {
    "plain.tif": write_tiff,
    "tiled.tif": partial(write_tiff, tile=(16, 16), **ZLIB),
    "strip.tif": partial(write_tiff, rowsperstrip=48, compression="zlib"),
    "fiji.tif": partial(write_tiff, **FIJI),
    "named.ome.tif": partial(write_tiff, **OME),
    "pages.tif": write_pages,
    "scenes.ome.tif": write_pages,
    "pyramid.tif": write_pyramid,
    "i.png": lambda path: imagecodecs.imwrite(path, GRAY),
    "palette.png": write_palette,
    "i.jpg": lambda path: imagecodecs.imwrite(path, GRAY),
    "progressive.jpg": lambda path: Image.fromarray(GRAY).save(path, progressive=True),
    "i.npy": lambda path: np.save(path, GRAY),
    "i.h5": write_hdf5,
    "virtual.h5": write_virtual,
    "i.zarr": write_zarr,
    "i.geojson": lambda path: path.write_bytes(polygons()),
    "i.geojson.gz": lambda path: path.write_bytes(gzip.compress(polygons(), mtime=0)),
}
KINDS = tuple(WRITERS)


def outcomes_of(number: int, folder: Path) -> tuple[str, list[Outcome]]:
    """The kind of a case, and what came of each way to read it."""
    rng = np.random.default_rng([SEED, number])
    kind = KINDS[number % len(KINDS)]
    path = folder / kind
    write_damaged(path, rng)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the libraries, about what they find
            return kind, [_outcome(way, read, path) for way, read in ways_into(kind)]
    finally:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _outcome(way: str, read: Callable[[Path], object], path: Path) -> Outcome:
    try:
        read(path)
    except UnetflowError as error:
        kind = type(error).__name__
        return Outcome(way, kind if path.name in str(error) else f"!{kind} without the file's name")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return Outcome(way, f"!{type(error).__name__}", str(error)[:200])
    return Outcome(way, "read")


def write_damaged(path: Path, rng: Generator) -> None:
    """A file of its kind, one to three damages in it."""
    if path.suffix == ".zarr":
        WRITERS[path.name](path)
        inside = [file for file in sorted(path.rglob("*")) if file.is_file()]
        path = inside[rng.integers(len(inside))]
        content = path.read_bytes()
    else:
        content = whole_bytes(path.name, path.parent)
    within = rng.random() < 0.5  # what is checked by sums is damaged before they are made
    if within and path.suffix == ".gz":
        content = gzip.decompress(content)
    is_text = content[:1] == b"{"  # of which most damages leave no JSON
    for _ in range(rng.integers(1, 4)):
        damage = word if is_text and rng.random() < 0.6 else DAMAGES[rng.integers(len(DAMAGES))]
        content = damage(content, rng)
    if within and path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    if within and path.suffix == ".png":
        content = with_sums(content)
    path.write_bytes(content)


def with_sums(content: bytes) -> bytes:
    """A PNG whose chunks, as far as there are any, have the checksums of their data."""
    changed, at = bytearray(content), 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        changed[end : end + 4] = zlib.crc32(content[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(changed[: len(content)])


@cache
def whole_bytes(kind: str, folder: Path) -> bytes:
    WRITERS[kind](folder / kind)
    return (folder / kind).read_bytes()


def flip(content: bytes, rng: Generator) -> bytes:
    changed = bytearray(content)
    for at in rng.integers(len(content), size=rng.integers(1, 9)) if content else ():
        changed[at] ^= int(rng.integers(1, 256))
    return bytes(changed)


def cut(content: bytes, rng: Generator) -> bytes:
    return content[: rng.integers(len(content) + 1)]


def blank(content: bytes, rng: Generator) -> bytes:
    """A piece of zeros, as a disk or a copy that broke off leaves it."""
    start, stop = sorted(rng.integers(len(content) + 1, size=2))
    return content[:start] + bytes(stop - start) + content[stop:]


def moved(content: bytes, rng: Generator) -> bytes:
    """A piece once more, at another place."""
    start, stop, to = (int(at) for at in rng.integers(len(content) + 1, size=3))
    return content[:to] + content[min(start, stop) : max(start, stop)] + content[to:]


NUMBERS = (0, 1, 2**7, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def number(content: bytes, rng: Generator) -> bytes:
    """A large or small number where a header may have one."""
    size = int(rng.choice([1, 2, 4, 8]))
    within = min(len(content), 512) if rng.random() < 0.7 else len(content)
    at = int(rng.integers(within + 1))
    value: int = NUMBERS[rng.integers(len(NUMBERS))] % 256**size
    written = value.to_bytes(size, "little")
    return content[:at] + (written if rng.random() < 0.5 else written[::-1]) + content[at + size :]


WORDS = (
    *(b"0", b"-1", b"0.5", b"3", b"65536", b"2147483648", b"99999999999999999999", b"1e999"),
    *(b"NaN", b"null", b"true", b'""', b"[]", b"{}", b"[[[]]]", b"../x", b"/etc/passwd"),
)


def word(content: bytes, rng: Generator) -> bytes:
    """Another word where text has a number or a name."""
    found = list(_words_in(content))
    if not found:
        return flip(content, rng)
    start, stop = found[rng.integers(len(found))]
    return content[:start] + WORDS[rng.integers(len(WORDS))] + content[stop:]


def _words_in(content: bytes) -> Iterator[tuple[int, int]]:
    start = None
    for at, byte in enumerate(content + b" "):
        if byte < 128 and chr(byte).isalnum():
            start = at if start is None else start
        elif start is not None:
            yield start, at
            start = None


DAMAGES = (flip, flip, cut, blank, moved, number, number, word)


def ways_into(kind: str) -> list[tuple[str, Callable[[Path], object]]]:
    """The ways by which the pipeline and the commands read a file."""
    if ".geojson" in kind:
        return [("truth", draw_polygons), ("tissue", find_tissue)]
    ways: list[tuple[str, Callable[[Path], object]]]
    ways = [("image", read_image), ("truth", read_labels), ("score", read_whole)]
    if kind == "virtual.h5":  # of its datasets the one that points to the other
        return [(way, partial(read_raw, read)) for way, read in ways]
    return ways


def read_raw(read: Callable[[Path], object], path: Path) -> None:
    read(Path(f"{path}:/raw"))


def read_image(path: Path) -> None:
    """As preparation does: the first and last shard of each level."""
    raw_digest(path)
    with Slide(path) as slide:
        source = source_at(slide, None, None)
        picked_channels(slide, None)
        for level, each in enumerate(slide.levels[:4]):
            for region in corners(each.shape_px):
                read_or_mark(slide, level, region, [])
        for region in corners(source.shape_px):
            source.read(region, [])


def read_labels(path: Path) -> None:
    with Slide(path, as_labels=True) as slide:
        size = slide.levels[0].shape_px
        if max(size) > 8 * MOST_PX:  # of the size of no image here: refused before it is read
            return
        read = label_reader(slide, [size], size, Meaning("instances"))
        for rows, columns in corners(size):
            read(rows, columns)


def corners(size_px: tuple[int, ...]) -> list[tuple[slice, slice]]:
    first = tuple(slice(0, min(size, MOST_PX)) for size in size_px)
    last = tuple(slice(max(0, size - MOST_PX), size) for size in size_px)
    return [(part[0], part[1]) for part in ([first, last] if first != last else [first])]


def draw_polygons(path: Path) -> None:
    found = read_polygons(path, classes=["cell"], size_px=SHAPE, shape_px=SHAPE)
    found.draw(slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    found.lost()


def find_tissue(path: Path) -> None:
    tissue_areas(path, size_px=SHAPE, shape_px=SHAPE)
