"""Write synthetic images and slides with their truth to files: a demo data set with exact truth.

Every file is written under another name beside its own and then renamed: a killed job never leaves
half a file. It holds only what follows from the arguments, so it is the same to the byte each time.
"""

import hashlib
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.demo.planes import BLOCK_PX, draw_labels, draw_region
from unetflow.store.files import renamed_at_end

_ZLIB: dict[str, object] = {"compression": "zlib", "compressionargs": {"level": 6}}
_BIGTIFF_BYTES = 2**31  # before compression; offsets of a plain TIFF have 32 bits


class DemoPaths(TypedDict):
    """What `write_demo` writes to."""

    image_paths: list[Path]
    truth_paths: list[Path]
    slide_path: Path
    slide_truth_path: Path


def write_demo(
    *,
    image_paths: Sequence[str | Path],
    truth_paths: Sequence[str | Path],
    slide_path: str | Path,
    slide_truth_path: str | Path,
    seed: int,
    image_px: int = 512,
    slide_px: int = 4096,
    mpp: float = 0.5,
) -> None:
    """Write square images, a square slide and the truth of each.

    Each shows a place of its own, given by the seed and the file's name alone: one more training
    image changes no other file, and no cell is in two of them.
    """
    if len(image_paths) != len(truth_paths):
        raise ValueError(
            f"writing a demo set: {len(image_paths)} image_paths and {len(truth_paths)} "
            "truth_paths; each image needs one truth file. Give lists of the same length and order."
        )
    names = [Path(path).name for path in (*image_paths, slide_path)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"writing a demo set: two files are named {twice}; the name decides what is drawn, so "
            "they would be equal. Give each file a name of its own."
        )
    for image_path, truth_path in zip(image_paths, truth_paths, strict=True):
        write_image_pair(
            image_path,
            truth_path,
            shape=(image_px, image_px),
            seed=seed_of(image_path, seed=seed),
            mpp=mpp,
        )
    slide_seed = seed_of(slide_path, seed=seed)
    write_slide(slide_path, slide_truth_path, shape=(slide_px, slide_px), seed=slide_seed, mpp=mpp)


def demo_paths(
    data_dir: str | Path, *, training: int = 16, validation: int = 2, test: int = 4
) -> DemoPaths:
    """Path arguments of `write_demo` for the usual names: train_00.tif, train_00_truth.tif, ..."""
    counts = {"train": training, "validation": validation, "test": test}
    stems = [f"{split}_{i:02}" for split, count in counts.items() for i in range(count)]
    return {
        "image_paths": [Path(data_dir) / f"{stem}.tif" for stem in stems],
        "truth_paths": [Path(data_dir) / f"{stem}_truth.tif" for stem in stems],
        "slide_path": Path(data_dir) / "slide.ome.tif",
        "slide_truth_path": Path(data_dir) / "slide_truth.tif",
    }


def seed_of(path: str | Path, *, seed: int) -> int:
    """Seed of a file of a demo set: 63 bits from the set's seed and the name without folders."""
    digest = hashlib.sha256(f"{seed} {Path(path).name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def write_image_pair(
    image_path: str | Path,
    truth_path: str | Path,
    *,
    shape: tuple[int, int],
    seed: int,
    origin: tuple[int, int] = (0, 0),
    mpp: float = 0.5,
) -> None:
    """Write the (Y, X) region at origin (row, column) [px] as a TIFF and its labels as another.

    The labels are uint16 where they fit, which more viewers open, else uint32.
    """
    rows, columns = (slice(start, start + size) for start, size in zip(origin, shape, strict=True))
    image, labels = draw_region(rows, columns, seed=seed)
    if labels.max() < 2**16:
        labels = labels.astype(np.uint16)
    for path, pixels in ((truth_path, labels), (image_path, image)):
        with renamed_at_end(path) as partial:
            tifffile.imwrite(partial, pixels, metadata=None, **_ZLIB, **_resolution(mpp))


def write_slide(
    path: str | Path,
    truth_path: str | Path,
    *,
    shape: tuple[int, int] = (4096, 4096),
    seed: int,
    mpp: float = 0.5,
) -> None:
    """Write the (Y, X) region at (0, 0) as a pyramidal OME-TIFF, its labels as a tiled uint32 TIFF.

    A pixel of a level is the rounded mean of 2 x 2 px of the level before; there are three further
    levels, and more while the longer side is above 512 px. The truth has level 0 only. Memory does
    not grow with the slide: it is drawn tile by tile, and the lower levels wait in unnamed files
    beside it, a third of its pixels.
    """
    if min(shape) < 8:
        raise ValueError(
            f"{path}: a slide of {shape} px has no three further levels; take 8 px or more."
        )
    with (
        renamed_at_end(truth_path) as partial,
        tifffile.TiffWriter(partial, bigtiff=_needs_bigtiff(shape, 4)) as tiff,
    ):
        labels = (draw_labels(*place, seed=seed) for place in _places(shape))
        _write_level(tiff, labels, shape, np.uint32, mpp, metadata=None)
    with (
        renamed_at_end(path) as partial,
        tifffile.TiffWriter(partial, ome=True, bigtiff=_needs_bigtiff(shape, 2)) as tiff,
    ):
        _write_pyramid(tiff, Path(path), shape, seed, mpp)


def _write_pyramid(
    tiff: tifffile.TiffWriter, path: Path, shape: tuple[int, int], seed: int, mpp: float
) -> None:
    levels = _lower_levels(shape, path.parent)
    metadata = {
        "axes": "YX",
        "Name": f"synthetic cells, seed {seed}",
        "PhysicalSizeX": mpp,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": mpp,
        "PhysicalSizeYUnit": "µm",
        # a name-based UUID: tifffile's own holds the time
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, f"unetflow synthetic {seed} {shape} {mpp}")),
    }
    first = (draw_region(*place, seed=seed)[0] for place in _places(shape))
    tiles = _halved_into(levels[0], first, shape)
    _write_level(tiff, tiles, shape, np.uint8, mpp, subifds=len(levels), metadata=metadata)
    for k, level in enumerate(levels, start=1):
        tiles = (np.asarray(level[place]) for place in _places(level.shape))
        if k < len(levels):
            tiles = _halved_into(levels[k], tiles, level.shape)
        _write_level(tiff, tiles, level.shape, np.uint8, mpp * 2**k, subfiletype=1)


def _write_level(
    tiff: tifffile.TiffWriter,
    tiles: Iterator[NDArray[np.uint8]] | Iterator[NDArray[np.uint32]],
    shape: tuple[int, ...],
    dtype: type,
    mpp: float,
    **options: object,
) -> None:
    tiff.write(
        tiles,
        shape=shape,
        dtype=dtype,
        tile=(BLOCK_PX, BLOCK_PX),
        photometric="minisblack",
        maxworkers=1,
        **_ZLIB,
        **_resolution(mpp),
        **options,
    )


def _lower_levels(shape: tuple[int, int], folder: Path) -> list[NDArray[np.uint8]]:
    """Levels 1, 2, ... in unnamed files, which the system removes when nobody holds them."""
    levels: list[NDArray[np.uint8]] = []
    while len(levels) < 3 or max(shape) > BLOCK_PX:
        shape = (shape[0] // 2, shape[1] // 2)
        with tempfile.TemporaryFile(dir=folder) as file:
            levels.append(np.memmap(file, np.uint8, "w+", shape=shape))
    return levels


def _halved_into(
    coarser: NDArray[np.uint8], tiles: Iterator[NDArray[np.uint8]], shape: tuple[int, ...]
) -> Iterator[NDArray[np.uint8]]:
    """The tiles of a level, each put into the next coarser level on its way.

    Before the tile is handed out, since tifffile never asks for what comes after the last one.
    """
    for (rows, columns), tile in zip(_places(shape), tiles, strict=True):
        _halve(tile, coarser[_half(rows), _half(columns)])
        yield tile


def _places(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the tiles of a level, row by row; the last ones end with the level."""
    for row in range(0, shape[0], BLOCK_PX):
        for column in range(0, shape[1], BLOCK_PX):
            yield (
                slice(row, min(row + BLOCK_PX, shape[0])),
                slice(column, min(column + BLOCK_PX, shape[1])),
            )


def _half(part: slice) -> slice:
    return slice(part.start // 2, part.stop // 2)


def _halve(finer: NDArray[np.uint8], coarser: NDArray[np.uint8]) -> None:
    """Put the rounded means of 2 x 2 px into `coarser`; an odd last row or column is in none."""
    rows, columns = coarser.shape
    fours = finer[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).astype(np.uint16)
    coarser[:] = (fours.sum(axis=(1, 3), dtype=np.uint16) + 2) // 4


def _needs_bigtiff(shape: tuple[int, int], bytes_per_pixel: int) -> bool:
    return shape[0] * shape[1] * bytes_per_pixel >= _BIGTIFF_BYTES


def _resolution(mpp: float) -> dict[str, object]:
    return {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
