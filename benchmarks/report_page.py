"""The report of many images: its size, and seconds to build and to open: --help has the options.

Draws the results that a run of so many test images leaves (scores, receipts, pictures as the job of
an image makes them), writes the report, and opens it in chromium from its file. Beside it, tiles of
one slide. What is measured is the report's own job, not the jobs of the images.
"""

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from drawn_results import (  # noqa: E402
    FOLDER,
    draw_tested,
    draw_training,
    files_of_run,
    receipts_of_stages,
    table_of_scores,
    table_of_stacks,
    write_pixels,
)

from unetflow.provenance.receipts import read_receipt, write_receipt  # noqa: E402
from unetflow.report.figures.thumbnails import object_panels, thumbnail  # noqa: E402
from unetflow.stages.integrity import INTEGRITY_COLUMNS  # noqa: E402
from unetflow.stages.outcome import COLUMNS as OUTCOME_COLUMNS  # noqa: E402
from unetflow.stages.report import write_report  # noqa: E402
from unetflow.store.levels import level_shapes  # noqa: E402
from unetflow.store.ome import ome_image, write_group  # noqa: E402

SIDE_PX, OBJECTS = 256, 60  # of an image
WORST = 12  # objects of an image, as the job of an image draws


def cells(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture with noise (1, Y, X), and discs in it (Y, X)."""
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    labels = np.zeros((SIDE_PX, SIDE_PX), np.uint32)
    centres = random.integers(0, SIDE_PX, (OBJECTS, 2))
    for number, (y, x) in enumerate(centres, start=1):
        labels[(rows - y) ** 2 + (columns - x) ** 2 < random.integers(30, 120)] = number
    pixels = 60 + 110 * (labels > 0) + random.normal(0, 18, labels.shape)
    return pixels.clip(0, 255).astype(np.uint8)[None], labels


def pictures(folder: Path, names: list[str], different: int) -> Iterator[dict[str, Any]]:
    """What the jobs of the images leave; of so many different images, taken in turn."""
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(different):
        pixels, labels = cells(random)
        uri, size = thumbnail(pixels, [(labels, {})])
        panels = [object_panels(pixels[:, :64, :64], *[(labels[:64, :64], {})] * 2)] * WORST
        drawn.append((uri, size, panels))
    for number, name in enumerate(names):
        uri, size, panels = drawn[number % different]
        worst = [
            {
                "of_class": "cell",
                "kind": "merged",
                "wrong_px": 90 + (number * 7 + at) % 400,
                "top_px": 8 * at,
                "left_px": at,
                "side_px": 64,
                "panels": panel,
            }
            for at, panel in enumerate(panels)
        ]
        receipt = folder / FOLDER.replace("predictions", "pictures") / f"{name}.json"
        matched = {"of_class": "cell", "iou": 0.5, "found": 40, "annotated": 60, "predicted": 55}
        write_receipt(
            receipt,
            {
                "size_px": [SIDE_PX, SIDE_PX],
                "um_per_px": 0.5,
                "thumbnail": uri,
                "thumbnail_px": list(size),
                "objects": 50 + number % 20,
                "area_px": 9000 + number,
                "kinds": {"found": 40, "merged": 8, "missed": 2},
                "matched": [matched],
                "sizes": [{"kind": "found", "least_px": 64, "objects": 40}],
                "warnings": ["its gray values are unlike"] if number % 50 == 0 else [],
                "worst": worst,
                "worst_px": [128, 128],
                "crops": [{"of_class": "cell", "truth": {"3": "missed"}, "predicted": {}}],
            },
        )
        shown = {"image": name, "split": "test", "pictures": str(receipt)}
        yield {"experiment": "net", "fold": "0", **shown}


def tables(folder: Path, names: list[str]) -> None:
    """Scores, data and outcome of all images."""
    random = np.random.default_rng(1)
    of_one = table_of_scores()
    of_one = of_one[of_one["image"] == "a"]
    moved = [
        of_one.assign(image=name, value=(of_one["value"] - 0.2 * random.random()).clip(0))
        for name in names
    ]
    (folder / "evaluation").mkdir(parents=True)
    pd.concat(moved).to_csv(folder / "evaluation/metrics.csv", index=False)
    table_of_stacks().to_csv(folder / "evaluation/stacks.csv", index=False)
    of = [{"image": name, "dataset": "cells", "split": "test", "state": "done"} for name in names]
    data = pd.DataFrame(of).drop(columns="state").assign(object_share=0.2, height_px=SIDE_PX)
    data.reindex(columns=list(INTEGRITY_COLUMNS)).to_csv(folder / "integrity.csv", index=False)
    outcome = pd.DataFrame(of).reindex(columns=list(OUTCOME_COLUMNS))
    outcome.to_csv(folder / "outcome.tsv", sep="\t", index=False)


def receipts(folder: Path, names: list[str]) -> None:
    """Receipts of each image with run records; stores of one, which all the others name too."""
    draw_tested(folder, "a")
    stages = ("images", "truth", f"{FOLDER}/foreground", f"{FOLDER}/instances")
    for stage in stages:
        content = read_receipt(folder / stage / "a.json")
        lists = folder / stage / "a.shards.json"
        for name in names:
            write_receipt(folder / stage / f"{name}.json", content)
            write_receipt(folder / stage / f"{name}.run.json", {"seconds": 1.0, "device": "cpu"})
            if lists.exists() and name != "a":
                shutil.copy(lists, folder / stage / f"{name}.shards.json")
    draw_training(folder / "models/net/fold0")
    made = {"threshold": 0.5, "by": "seg"}
    calibration = {"thresholds": [], "instances": {"cell": made}, "images": 2, "warnings": []}
    write_receipt(folder / "calibration/net/fold0.json", calibration)


def run_of(folder: Path, names: list[str]) -> Any:
    files: Any = files_of_run(folder)
    one = files["images"]["a"]
    images = {}
    for name in names:
        own = {
            key: path.replace("/a.json", f"/{name}.json") if isinstance(path, str) else path
            for key, path in one.items()
        }
        images[name] = own
    return {**files, "images": images}


def build(folder: Path, count: int, different: int) -> tuple[Path, float, float]:
    """The report, and the seconds that it took: by the clock, and of the processor."""
    names = ["a", *(f"image-{number:04d}" for number in range(1, count))]
    receipts(folder, names)
    tables(folder, names)
    drawn: Any = list(pictures(folder, names, different))
    run = run_of(folder, names)
    config: Any = {
        "experiments": {"net": {"dataset": "cells", "recipe": {"preset": "default"}}},
        "report": {"title": f"{count} images", "overlays": 4},
    }
    html = folder / "report/index.html"
    started, used = time.perf_counter(), time.process_time()
    write_report(
        config=config,
        runs=[run],
        receipts=receipts_of_stages(folder, [run]),
        pictures=drawn,
        tiles=[],
        scores=folder / "evaluation/metrics.csv",
        stacks=folder / "evaluation/stacks.csv",
        integrity=folder / "integrity.csv",
        outcome=folder / "outcome.tsv",
        repeat={"command": "", "changed": [], "parts": []},
        html=html,
        headline=folder / "report/headline.txt",
        provenance=folder / "provenance.json",
    )
    return html, time.perf_counter() - started, time.process_time() - used


def open_page(html: Path, times: int) -> list[float]:
    """Seconds until the page is loaded, its pictures decoded or not, each time in a new browser."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    found = []
    with sync_playwright() as driver:
        for _ in range(times):
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            started = time.perf_counter()
            page.goto(html.as_uri(), wait_until="load", timeout=120_000)
            page.evaluate("() => new Promise(done => requestAnimationFrame(() => done()))")
            found.append(time.perf_counter() - started)
            browser.close()
    return found


def tile_slide(folder: Path, side_px: int, threads: int) -> tuple[float, float, int]:
    """The tiles of a slide of discs, a pattern repeated: `make`, in a process of its own."""
    random = np.random.default_rng(0)
    pixels, labels = cells(random)
    shape = (side_px, side_px)
    store, prediction = folder / "image.ome.zarr", folder / "predicted.ome.zarr"
    levels = {f"{k}": (1, 2**k / 2, 2**k / 2) for k in range(len(level_shapes(shape)))}
    for each in (store, prediction):
        write_group(each, "", ome_image("i", ("c", "y", "x"), levels, unit="micrometer"))
    for level, (height, width) in enumerate(level_shapes(shape)):
        times = (-(-height // SIDE_PX), -(-width // SIDE_PX))
        wide = np.tile(labels, times)[:height, :width]
        picture = np.tile(pixels[0], times)[None, :height, :width]
        write_pixels(store, f"{level}", picture)
        write_pixels(store, f"labels/truth/{level}", wide)
        write_pixels(prediction, f"labels/instances/{level}", wide)
        name = f"foreground_{level}" if level else "foreground"
        write_pixels(prediction, name, ((wide > 0) * 255).astype(np.uint8)[None])
        del wide, picture
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(make, folder, threads).result()


def make(folder: Path, threads: int) -> tuple[float, float, int]:
    """Seconds by the clock and of the processor, and the peak of the memory [MiB]."""
    from unetflow.stages.tiles import make_tiles

    started, used = time.perf_counter(), time.process_time()
    make_tiles(
        image=folder / "image.ome.zarr",
        prediction=folder / "predicted.ome.zarr",
        foreground="foreground",
        annotated=True,
        stored=[],
        folder=folder / "tiles",
        receipt=folder / "tiles.json",
        threads=threads,
    )
    status = Path("/proc/self/status").read_text()  # ru_maxrss has that of the parent in it
    peak_mib = int(status.split("VmHWM:")[1].split()[0]) // 1024
    return time.perf_counter() - started, time.process_time() - used, peak_mib


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="*", default=[1, 100, 1000])
    parser.add_argument("--different", type=int, default=50, help="images that are drawn")
    parser.add_argument("--opened", type=int, default=3, help="times")
    parser.add_argument("--slide", type=int, nargs="*", default=[], help="side [px]")
    parser.add_argument("--threads", type=int, default=2, help="of the tiles")
    options = parser.parse_args()
    for count in options.images:
        with tempfile.TemporaryDirectory() as folder:
            html, seconds, used = build(Path(folder), count, options.different)
            opened = open_page(html, options.opened)
            found = {
                "images": count,
                "page_mb": round(html.stat().st_size / 1e6, 2),
                "built_s": round(seconds, 1),
                "built_cpu_s": round(used, 1),
                "opened_s": [round(each, 2) for each in opened],
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
            print(json.dumps(found), flush=True)
    for side_px in options.slide:
        with tempfile.TemporaryDirectory() as folder:
            seconds, used, peak_mib = tile_slide(Path(folder), side_px, options.threads)
            made = [path for path in (Path(folder) / "tiles").rglob("*") if path.is_file()]
            found = {
                "slide_px": side_px,
                "threads": options.threads,
                "tiles_s": round(seconds, 1),
                "tiles_cpu_s": round(used, 1),
                "peak_mib": peak_mib,
                "tiles": len(made),
                "tiles_mb": round(sum(path.stat().st_size for path in made) / 1e6, 1),
            }
            print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
