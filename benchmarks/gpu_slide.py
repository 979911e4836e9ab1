"""Part 3 of `gpu.py`: a slide from a pyramidal TIFF to instances, seconds by stage."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from gpu_exact import network_of
from gpu_inference import predicted
from gpu_rows import Row, Scale
from prediction import Copying

from unetflow.demo.planes import draw_region
from unetflow.instances.labelled_store import label_store
from unetflow.stages.prepare_image import prepare_image

TILE_PX = 512
GOAL_PX, GOAL_S = 100_000, 120  # a slide in two minutes: 83 Mpx/s
OBJECTS = {"min_area_px": 20, "fill_holes": True, "connectivity": 1, "split_px": None}


def write_pyramid(path: Path, side_px: int) -> None:
    """A gray slide of cells, one drawn block again and again, in compressed tiles."""
    block_px = min(2048, -(-side_px // TILE_PX) * TILE_PX)
    block = draw_region(slice(0, block_px), slice(0, block_px), seed=1)[0]

    def tiles(size_px: int) -> Iterator[np.ndarray]:
        for y, x in np.ndindex(*(-(-size_px // TILE_PX),) * 2):
            top, left = y * TILE_PX % block_px, x * TILE_PX % block_px
            yield block[top : top + TILE_PX, left : left + TILE_PX]

    options: dict[str, Any] = {
        **{"tile": (TILE_PX, TILE_PX), "dtype": block.dtype, "photometric": "minisblack"},
        **{"compression": "zlib", "compressionargs": {"level": 1}},
        **{"maxworkers": os.cpu_count()},
    }
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(tiles(side_px), shape=(side_px, side_px), subifds=1, **options)
        small = side_px // 4
        tiff.write(tiles(small), shape=(small, small), subfiletype=1, **options)


def prepared(folder: Path, threads: int) -> float:
    """Seconds of rule prepare_image."""
    started_s = time.perf_counter()
    unasked = dict.fromkeys(("plane", "time", "axes", "scene"))
    prepare_image(
        raw={"path": str(folder / "slide.tif"), **unasked},
        wanted=dict.fromkeys(("level", "mpp", "want_mpp", "channels", "tissue")),
        store=folder / "i.ome.zarr",
        receipt=folder / "i.json",
        max_unreadable=0.01,
        threads=threads,
        code="",
    )
    return time.perf_counter() - started_s


def labelled(folder: Path, scale: Scale, threads: int) -> tuple[float, int]:
    """Seconds of the instances, and how many: of a foreground that is the image's own cells.

    That of random weights is noise, which no trained network gives.
    """
    before = set(folder.glob("*.ome.zarr"))
    predicted(folder, Copying(), threads, scale)
    (store,) = set(folder.glob("*.ome.zarr")) - before
    started_s = time.perf_counter()
    _, made = label_store(
        store,
        {"cell": 0.6},
        OBJECTS,
        table=folder / "objects.parquet",
        threads=threads,
        decided_by={},
    )
    return time.perf_counter() - started_s, sum(of["instances"] for of in made.values())


def slide(scale: Scale) -> Iterator[Row]:
    """Each stage once, the network's for two widths."""
    side_px, threads = scale.pick(30_000, 500), os.cpu_count() or 1
    size = f"{side_px} x {side_px} px"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started_s = time.perf_counter()
        write_pyramid(folder / "slide.tif", side_px)
        drawn_s = time.perf_counter() - started_s
        size_mb = (folder / "slide.tif").stat().st_size / 1e6
        note = f"{size_mb:.0f} MB, zlib, drawn in {drawn_s:.0f} s"
        prepare_s = prepared(folder, threads)
        yield Row(f"prepare, {size}, from a pyramidal TIFF", prepare_s, "s", note)
        label_s, objects = labelled(folder, scale, threads)
        yield Row(f"instances, {size}", label_s, "s", f"{objects} objects")
        for base in scale.pick((16, 64), (4,)):
            network = network_of(base, scale.pick(4, 2))
            plan, predict_s, _ = predicted(folder, network, threads, scale)
            note = f"{side_px**2 / predict_s / 1e6:.3g} Mpx/s"
            yield Row(f"predict, {size}, base {base}, {plan.precision}", predict_s, "s", note)
            whole_s = prepare_s + predict_s + label_s
            yield Row(f"all stages, {size}, base {base}", whole_s, "s", "one after the other")
            yield Row(
                f"EXTRAPOLATED to {GOAL_PX} px by pixels, base {base}",
                whole_s * (GOAL_PX / side_px) ** 2,
                "s",
                f"not run; goal: under {GOAL_S} s",
            )


MEASURES = {"a slide": slide}
