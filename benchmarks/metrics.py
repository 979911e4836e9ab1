"""Speed and memory of unetflow.metrics beside its peers: python benchmarks/metrics.py --help.

Images are drawn by seeded generators, so every machine scores the same ones. Times are medians of
warm runs (numba has compiled and cached before); peers run on the same arrays in the same process,
py-ctcmetrics in an environment of its own.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from scipy import ndimage
from skimage.metrics import adapted_rand_error as skimage_adapted_rand_error

from unetflow import metrics

CELL_PX = 41  # side of the square that one cell has on average: 10,000 in 4096 x 4096
LARGE_BLOCK_PX = 2048  # of the drawing that a large image repeats, with new numbers each time

CTC_METRICS = """
import json, sys, time
from ctc_metrics.metrics.technical.seg import seg
from ctc_metrics.utils.representations import match
seconds = []
for _ in range(2):
    started = time.perf_counter()
    truth, _, _, _, iou = match(sys.argv[1] + "/truth.tif", sys.argv[1] + "/prediction.tif")
    score = seg([truth], [iou])
    seconds.append(time.perf_counter() - started)
print(json.dumps({"seconds": min(seconds), "seg": score}))
"""


def cells(side_px: int, seed: int = 0) -> np.ndarray:
    """Cells that fill the plane, labelled from 1, with membranes of 0 two pixels wide."""
    random = np.random.default_rng(seed)
    count = round(side_px / CELL_PX)
    grid = (np.indices((count, count)).reshape(2, -1) + 0.5) * side_px / count
    seeds = np.clip(grid + random.normal(0, 5, grid.shape), 0, side_px - 1).astype(int)
    points = np.zeros((side_px, side_px), np.int32)
    points[tuple(seeds)] = np.arange(1, seeds.shape[1] + 1)
    nearest = ndimage.distance_transform_edt(
        points == 0, return_distances=False, return_indices=True
    )
    labels = points[tuple(nearest)]
    touches = ndimage.grey_erosion(labels, 3) != ndimage.grey_dilation(labels, 3)
    return np.where(touches, 0, labels).astype(np.uint32)


def proposal_of(labels: np.ndarray, seed: int = 1) -> np.ndarray:
    """P(interior) as a fair network gives it: blurred, noisy, here and there wrong."""
    random = np.random.default_rng(seed)
    blurred = ndimage.gaussian_filter((labels != 0).astype(np.float32), 1)
    noise = ndimage.gaussian_filter(random.normal(0, 2, labels.shape).astype(np.float32), 2)
    return np.clip(blurred - 0.2 + noise, 0, 1).astype(np.float32)


def prediction_of(labels: np.ndarray, seed: int = 2) -> np.ndarray:
    """Labels with every border moved, every 20th cell missed and every 10th merged into another."""
    random = np.random.default_rng(seed)
    names = np.arange(labels.max() + 1, dtype=np.uint32)
    chosen = random.random(names.size)
    names[chosen < 0.05] = 0
    names[1:][chosen[1:] > 0.9] -= 1
    return np.roll(names[labels], 2, axis=(0, 1))


def timed(call: Callable[[], Any], runs: int) -> tuple[Any, list[float], float]:
    """Result, seconds of each warm run, and seconds of the first call."""
    started = time.perf_counter()
    result = call()
    first = time.perf_counter() - started
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
    return result, seconds, first


def cases(quick: bool) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Name, target, call of each measurement."""
    large_px = 1024 if quick else 2048
    truth, small = cells(large_px), cells(512)
    proposal, small_proposal = proposal_of(truth), proposal_of(small)
    pair, small_pair = (truth, proposal), (small, small_proposal)
    size = f"{large_px}x{large_px}"
    yield f"warping_error, {size}", "0.5 s", lambda: metrics.warping_error(*pair)
    yield (
        "isbi2012_scores, 11 thresholds, 512x512",
        "1 s",
        lambda: metrics.isbi2012_scores(*small_pair),
    )
    yield (
        f"splits_and_mergers, r = 20, {size}",
        "3 s",
        lambda: metrics.splits_and_mergers(*pair, 0.5),
    )
    for thinned in (False, True):
        name = "thinned" if thinned else "unthinned"
        for case, images in (("512x512", small_pair), (size, pair)):
            yield (
                f"V_Rand {name}, {case}",
                "",
                lambda images=images, thinned=thinned: metrics.rand_score(*images, thinned=thinned),
            )
    yield f"V_Info thinned, {size}", "", lambda: metrics.info_score(*pair, thinned=True)
    labels = cells(large_px if quick else 4096)
    predicted = prediction_of(labels)
    size = f"{len(labels)}x{len(labels)}, {labels.max()} objects"
    yield (
        f"adapted Rand error, {size}",
        "0.3 s",
        lambda: metrics.adapted_rand_error(labels, predicted),
    )
    yield (
        f"scikit-image adapted Rand error, {size}",
        "peer",
        lambda: float(skimage_adapted_rand_error(labels, predicted)[0]),
    )
    yield f"SEG, {size}", "0.3 s", lambda: metrics.seg_score(labels, predicted)
    yield f"AJI, {size}", "", lambda: metrics.aggregated_jaccard(labels, predicted)


def measure(quick: bool, runs: int) -> Iterator[str]:
    """Rows of the table of times."""
    yield "| metric | median | lowest to highest | target |"
    yield "| --- | --- | --- | --- |"
    results = {}
    for name, target, call in cases(quick):
        results[name], seconds, _ = timed(call, runs)
        spread = f"{min(seconds):.3f} to {max(seconds):.3f} s"
        yield f"| {name} | {statistics.median(seconds):.3f} s | {spread} | {target} |"
    ours, theirs = (
        next(value for name, value in results.items() if name.startswith(start))
        for start in ("adapted Rand", "scikit-image")
    )
    yield ""
    scores = ", ".join(
        f"{name.split(',')[0]} {value:.4f}"
        for name, value in results.items()
        if isinstance(value, float)
    )
    yield f"Scores of these images: {scores}."
    yield f"Adapted Rand error: ours {ours:.12f}, scikit-image {theirs:.12f}."


def measure_ctc(python: str, runs: int) -> Iterator[str]:
    """SEG of 2048x2048 by py-ctcmetrics in the environment of `python`, and by us."""
    labels = cells(2048)
    predicted = prediction_of(labels)
    with tempfile.TemporaryDirectory() as folder:
        for name, image in (("truth", labels), ("prediction", predicted)):
            tifffile.imwrite(Path(folder) / f"{name}.tif", image.astype(np.uint16))
        command = [python, "-c", CTC_METRICS, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout)
    ours, seconds, _ = timed(lambda: metrics.seg_score(labels, predicted), runs)
    yield f"SEG of 2048x2048, {labels.max()} objects: py-ctcmetrics {theirs['seconds']:.2f} s,"
    yield f"here {statistics.median(seconds):.3f} s; {theirs['seg']:.12f} and {ours:.12f}."


def peak_mb(code: str) -> tuple[float, str]:
    """Peak memory that a piece of code adds to the process, and what it printed (Linux)."""
    script = f"""
import re
import numpy as np
from unetflow import metrics
def status(key):
    return int(re.search(key + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1])
metrics.seg_score([1], [1]), metrics.splits_and_mergers([[1]], [[1]], 0.5)  # load what is compiled
metrics.rand_score([[1]], [[1]], thinned=True)
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
base = status("VmRSS")
{code}
print((status("VmHWM") - base) / 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    *said, peak = done.stdout.splitlines()
    return float(peak), "\n".join(said)


def measure_memory(quick: bool) -> Iterator[str]:
    """Rows of the table of memory: what a call adds at two sizes, inputs included."""
    calls = {
        "warping_error": "metrics.warping_error(t, p)",
        "splits_and_mergers": "metrics.splits_and_mergers(t, p, 0.5)",
        "rand_score, thinned": "metrics.rand_score(t, p, thinned=True)",
        "seg_score": "metrics.seg_score(l, q)",
        "adapted_rand_error": "metrics.adapted_rand_error(l, q)",
    }
    sizes = (512, 1024) if quick else (2048, 4096)
    yield "| metric | " + " | ".join(f"{side}x{side}" for side in sizes) + " |"
    yield "| --- | --- | --- |"
    with tempfile.TemporaryDirectory() as folder:
        for side in sizes:
            labels = cells(side)
            images = {"l": labels, "q": prediction_of(labels), "t": (labels != 0)}
            for name, image in {**images, "p": proposal_of(labels)}.items():
                np.save(Path(folder) / f"{side}{name}.npy", image)
        for name, call in calls.items():
            peaks = []
            for side in sizes:
                needed = [each for each in "tplq" if f"({each}," in call or f", {each}" in call]
                loads = "\n".join(f"{n} = np.load('{folder}/{side}{n}.npy')" for n in needed)
                peaks.append(peak_mb(f"{loads}\n{call}")[0])
            cellsof = " | ".join(
                f"{peak:.0f} MB, {peak * 2**20 / side**2:.0f} B/px"
                for peak, side in zip(peaks, sizes, strict=True)
            )
            yield f"| {name} | {cellsof} |"


def write_large(folder: Path, side_px: int) -> None:
    """A label pair of any size in two sharded Zarr arrays, block by block."""
    block = cells(LARGE_BLOCK_PX)
    for name, image in (("truth", block), ("prediction", prediction_of(block))):
        array = zarr.create_array(
            folder / name,
            shape=(side_px, side_px),
            dtype="uint32",
            chunks=(512, 512),
            shards=(2048, 2048),
            overwrite=True,
        )
        step = int(block.max())
        for number, (y, x) in enumerate(np.ndindex(*(-(-side_px // LARGE_BLOCK_PX),) * 2)):
            rows, columns = (slice(k * LARGE_BLOCK_PX, (k + 1) * LARGE_BLOCK_PX) for k in (y, x))
            shape = array[rows, columns].shape
            named = np.where(image != 0, image + number * step, 0)
            array[rows, columns] = named[: shape[0], : shape[1]].astype(np.uint32)


def measure_large(side_px: int, folder: Path) -> Iterator[str]:
    """Seconds and peak memory of scoring a large label pair from Zarr in one pass."""
    write_large(folder, side_px)
    code = f"""
import time, zarr
started = time.perf_counter()
truth, predicted = (zarr.open_array('{folder}/' + n, mode='r') for n in ('truth', 'prediction'))
table = metrics.contingency(truth, predicted)
counted = time.perf_counter() - started
print(f'{{table.truth_ids.size - 1}} true and {{table.predicted_ids.size - 1}} predicted objects,')
print(f'{{table.pixels.size}} pairs, counted in {{counted:.1f}} s;')
print(f'SEG {{metrics.seg_score(table):.6f}}, DET {{metrics.det_score(table):.6f}},')
print(f'AP at 0.5 {{metrics.average_precision(table):.6f}},')
print(f'PQ {{metrics.panoptic_quality(table).pq:.6f}},')
print(f'AJI {{metrics.aggregated_jaccard(table):.6f}},')
print(f'V_Rand {{metrics.rand_sums(table).score.f:.6f}},')
print(f'VI {{metrics.info_score_of_labels(table).vi:.6f}},')
print(f'IoU {{metrics.pixel_counts_of_regions(table).iou:.6f}};')
print(f'all together {{time.perf_counter() - started:.1f}} s')
"""
    peak, said = peak_mb(code)
    yield f"{side_px} x {side_px} px from Zarr: {said}"
    yield f"peak memory {peak:.0f} MB above the imports."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="warm runs of each, default 5")
    parser.add_argument("--quick", action="store_true", help="small images, to try the program")
    parser.add_argument("--peer-python", help="a Python where py-ctcmetrics is installed")
    parser.add_argument("--large", type=int, metavar="PX", help="score PX x PX from Zarr, as 30000")
    parser.add_argument("--folder", type=Path, help="for the large image; default a temporary one")
    options = parser.parse_args()
    parts = [measure(options.quick, options.runs), measure_memory(options.quick)]
    if options.peer_python:
        parts.append(measure_ctc(options.peer_python, options.runs))
    else:
        parts.append(iter(["py-ctcmetrics: not installed here (--peer-python)."]))
    with tempfile.TemporaryDirectory() as temporary:
        if options.large:
            parts.append(measure_large(options.large, options.folder or Path(temporary)))
        for part in parts:
            for line in part:
                print(line, flush=True)
            print()


if __name__ == "__main__":
    main()
