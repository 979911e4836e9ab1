"""Speed and memory of weight maps and of preparation: python benchmarks/preparation.py --help.

Ratios to what the libraries alone take, in the same run, since machines are noisy. Linux only: peak
memory is read from /proc.
"""

import argparse
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from scipy import ndimage

from unetflow.labels.encoding import separate_touching
from unetflow.provenance.receipts import write_receipt
from unetflow.stages.prepare_image import prepare_image
from unetflow.stages.weights import write_weights
from unetflow.store.shards import Layout, open_array
from unetflow.weights.separation import reach_px, weight_map

TILE_PX = 512
DRAWN_PX = 2048  # of the drawing that large label images repeat, with new numbers each time


def cells(side_px: int, pitch_px: int) -> np.ndarray:
    """Round objects on a jittered grid, many of them near to the next."""
    random = np.random.default_rng(0)
    count = round(side_px / pitch_px)
    centres = (np.indices((count, count)).reshape(2, -1) + 0.5) * pitch_px
    centres = np.clip(centres + random.normal(0, 2, centres.shape), 0, side_px - 1).astype(int)
    points = np.zeros((side_px, side_px), np.uint32)
    points[tuple(centres)] = np.arange(1, centres.shape[1] + 1)
    distance, nearest = ndimage.distance_transform_edt(points == 0, return_indices=True)
    return np.where(distance < 0.42 * pitch_px, points[tuple(nearest)], 0).astype(np.uint32)


def by_definition(labels: np.ndarray) -> np.ndarray:
    """The separation term by one distance transform per object, stacked and sorted."""
    separated = separate_touching(labels)
    numbers = np.unique(separated)[1:]
    distances = np.stack([ndimage.distance_transform_edt(separated != n) for n in numbers])
    both = np.sort(distances, axis=0)[:2].sum(axis=0)
    near = (separated == 0) & (both <= reach_px(10, 5))
    return np.where(near, 10 * np.exp(-(both**2) / 50), 0)


def seconds_of(call: Callable[[], Any], runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return times


def in_words(times: list[float]) -> str:
    return f"{statistics.median(times):.4f} s ({min(times):.4f} to {max(times):.4f})"


def measure_weights(runs: int) -> Iterator[str]:
    small, large = cells(512, 23), cells(4096, 41)
    ours = weight_map(small)
    worst = np.abs(ours - 1 - by_definition(small)).max()
    definition = seconds_of(lambda: by_definition(small), 1)
    yield f"weight map, 512x512, {small.max()} objects, one thread: " + in_words(
        seconds_of(lambda: weight_map(small), runs)
    )
    yield f"  one transform per object: {definition[0]:.2f} s; largest difference {worst:.1e}"
    for threads in (1, 2):
        yield f"weight map, 4096x4096, {large.max()} objects, {threads} threads: " + in_words(
            seconds_of(lambda threads=threads: weight_map(large, threads=threads), runs)
        )
    yield "  one transform of scipy.ndimage of that image: " + in_words(
        seconds_of(lambda: ndimage.distance_transform_edt(large == 0), 2)
    )


def measure_large_weights(side_px: int, folder: Path) -> Iterator[str]:
    """The stored map of a label image larger than memory, shard by shard."""
    drawn = cells(DRAWN_PX, 41)
    for name, dtype in (("truth", "uint32"), ("ignore", "uint8")):
        layout = Layout((side_px, side_px), dtype, ("y", "x"))
        array = open_array(folder / "i.zarr", f"labels/{name}/0", layout, decided_by={})
        for number, index in enumerate(array.missing()):
            rows, columns = array.region(index)
            part = drawn[rows.start % DRAWN_PX :, columns.start % DRAWN_PX :]
            part = part[: rows.stop - rows.start, : columns.stop - columns.start]
            named = np.where(part != 0, part + number * int(drawn.max()), 0)
            array.write(index, (named if name == "truth" else 0 * part).astype(dtype))
    write_receipt(folder / "t.json", {"digest": "d"})
    reset_peak()
    started = time.perf_counter()
    write_weights(
        truth=folder / "i.zarr",
        truth_receipt=folder / "t.json",
        store=folder / "w.zarr",
        receipt=folder / "w.json",
        kind="instances",
        weighting={"w0": 10, "sigma_px": 5},
        threads=2,
        code="",
    )
    elapsed = time.perf_counter() - started
    yield (
        f"weight map, {side_px}x{side_px} from Zarr to Zarr: {elapsed:.1f} s, "
        f"{side_px**2 / elapsed / 1e6:.1f} Mpx/s, peak memory {peak_mb():.0f} MB"
    )


def write_slide(path: Path, side_px: int) -> None:
    """A pyramidal RGB TIFF in JPEG tiles, as scanners write them."""
    random = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(random.normal(size=(2048, 2048, 3)), (3, 3, 0))
    grain = random.normal(0, 3, smooth.shape)
    drawn = np.clip(200 + 600 * smooth + grain, 0, 255).astype(np.uint8)

    def tiles(size_px: int) -> Iterator[np.ndarray]:
        for y, x in np.ndindex(*(-(-size_px // TILE_PX),) * 2):
            top, left = y * TILE_PX % 2048, x * TILE_PX % 2048
            yield np.ascontiguousarray(drawn[top : top + TILE_PX, left : left + TILE_PX])

    options: dict[str, Any] = {
        **{"tile": (TILE_PX, TILE_PX), "photometric": "rgb", "dtype": np.uint8},
        **{"compression": "jpeg", "compressionargs": {"level": 85}},
    }
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(tiles(side_px), shape=(side_px, side_px, 3), subifds=1, **options)
        small = side_px // 4
        tiff.write(tiles(small), shape=(small, small, 3), subfiletype=1, **options)


def bare_loop(path: Path, store: Path, side_px: int) -> None:
    """The same tiles decoded and compressed, with nothing else."""
    layout = Layout((3, side_px, side_px), "uint8", ("c", "y", "x"))
    array = open_array(store, "0", layout, decided_by={})
    with tifffile.TiffFile(path) as tiff:
        pixels = zarr.open_array(tiff.series[0].aszarr(level=0), mode="r")
        for index in array.missing():
            _, rows, columns = array.region(index)
            array.write(index, np.ascontiguousarray(np.moveaxis(pixels[rows, columns], -1, 0)))


def measure_preparation(side_px: int, folder: Path) -> Iterator[str]:
    path = folder / "slide.tif"
    write_slide(path, side_px)
    started = time.perf_counter()
    bare_loop(path, folder / "bare.zarr", side_px)
    bare = time.perf_counter() - started
    reset_peak()
    started = time.perf_counter()
    prepare_image(
        raw={
            "path": str(path),
            "plane": None,
            "time": None,
            "axes": None,
            "scene": None,
        },
        wanted={"level": None, "mpp": None, "want_mpp": None, "channels": None, "tissue": None},
        store=folder / "o.zarr",
        receipt=folder / "o.json",
        max_unreadable=0.01,
        threads=2,
        code="",
    )
    whole = time.perf_counter() - started
    size_mb = path.stat().st_size / 1e6
    yield f"preparation of {side_px}x{side_px} RGB, JPEG tiles, {size_mb:.0f} MB: {whole:.1f} s,"
    yield f"  {side_px**2 / whole / 1e6:.1f} Mpx/s, peak memory {peak_mb():.0f} MB; the bare loop"
    yield f"  {bare:.1f} s: {bare / whole:.0%} of its rate (with pyramid, statistics, digests)"


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="warm runs of the small ones")
    parser.add_argument("--weights", type=int, default=30000, metavar="PX", help="default 30000")
    parser.add_argument("--slides", type=int, nargs="*", default=[10000, 20000], metavar="PX")
    options = parser.parse_args()
    parts = [measure_weights(options.runs)]
    folders = [Path(tempfile.mkdtemp()) for _ in range(1 + len(options.slides))]
    parts += [
        measure_preparation(side_px, folder)
        for side_px, folder in zip(options.slides, folders[1:], strict=True)
    ]
    parts.append(measure_large_weights(options.weights, folders[0]))
    try:
        for part in parts:
            for line in part:
                print(line, flush=True)
    finally:
        for folder in folders:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
