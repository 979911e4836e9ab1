"""What jobs ask of the cluster grows with the image and with the attempt."""

import gzip
import math
import struct
import sys
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import imagecodecs
import numpy as np
import pytest
import tifffile

from unetflow.images.at_once import LEAST_BYTES
from unetflow.jobs import resources
from unetflow.jobs.config import CrfConfig
from unetflow.jobs.resources import (
    ACTIVATIONS_HELD,
    MOST_MINUTES,
    for_shards,
    gpus,
    growing,
    has_gpu,
    least_mb,
    pixels_of,
    reading,
    refining_mb,
    refining_minutes,
    tiles_mb,
    training_mb,
    training_minutes,
)
from unetflow.jobs.sheet import Image
from unetflow.jobs.sources import Sources
from unetflow.networks import geometry_of
from unetflow.predict.ensemble import SHARE_OF_MEMORY
from unetflow.provenance.receipts import write_receipt
from unetflow.refine import Crf, refinement
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.valid_sizes import valid_input_px


def crf_of(**changes: int) -> CrfConfig:
    made: Any = asdict(Crf(**changes))
    return cast(CrfConfig, made)


def test_refining_asks_by_its_halo_its_classes_and_its_threads() -> None:
    def megabytes(
        crf: CrfConfig | None, classes: int = 1, threads: int = 8, side: int = 9000
    ) -> int:
        return refining_mb(crf, (3, side, side), classes, shard_px=1024, threads=threads)

    # 6 planes of a shard and a chunk on each side, in float32
    assert megabytes(None) == 1000 + math.ceil(8 * 6 * 2048**2 * 4 / 1e6)
    assert megabytes(None, side=100) == 1002
    # of a CRF 24 kernels, and 7 planes, of a piece with 15 px on each side
    assert megabytes(crf_of()) - megabytes(None) == pytest.approx(8 * 31 * 286**2 * 4 / 1e6, abs=1)
    assert megabytes(crf_of(radius_px=8)) > megabytes(crf_of()) > megabytes(crf_of(), threads=4)
    assert megabytes(None, classes=5) > megabytes(None)
    assert refining_minutes(None, 3) == 10
    assert refining_minutes(crf_of(), 2) == pytest.approx(10 + 2 * 48)
    assert refining_minutes(crf_of(iterations=10), 2) == pytest.approx(10 + 4 * 48)


def test_the_piece_is_the_one_that_is_computed() -> None:
    assert resources.PIECE_PX == refinement.PIECE_PX


def test_a_resource_grows_with_pixels_and_attempts(tmp_path: Path) -> None:
    receipt = tmp_path / "slide.json"
    names: Any = SimpleNamespace(images=str(receipt))
    minutes = growing(30, per_gpx=35)
    assert minutes(None, names, 1) == 30  # not prepared yet
    write_receipt(receipt, {"levels": [{"shape": (3, 100_000, 100_000)}, {"shape": (3, 2, 2)}]})
    assert minutes(None, names, 1) == 380
    assert minutes(None, names, 3) == 1140
    assert growing(2000)(None, names, 2) == 4000


def test_a_bundle_asks_for_more_by_image(tmp_path: Path) -> None:
    names: Any = SimpleNamespace(images=str(tmp_path / "none.json"))
    minutes = growing(30, each=2, bundles={"bundles/a": [*"abcde"], "s": ["s"]})
    assert minutes(SimpleNamespace(bundle="bundles/a"), names, 2) == 2 * (30 + 4 * 2)
    assert minutes(SimpleNamespace(bundle="s"), names, 1) == 30
    assert minutes(SimpleNamespace(fold="0"), names, 1) == 30


def test_memory_for_reading_is_what_the_largest_file_takes_beyond_what_all_have() -> None:
    small, large = LEAST_BYTES, LEAST_BYTES + 3_600_000_000
    for peaks, wanted in (((), 2000), ((small, 9), 2000), ((small, large, large), 5600)):
        memory = reading(2000, {None: peaks}.__getitem__)
        assert (memory(None, 1), memory(None, 2)) == (wanted, 2 * wanted)


def test_small_images_ask_for_less() -> None:
    assert least_mb(4000, None) == 4000
    assert least_mb(4000, 4096**2) == least_mb(4000, 10**10) == 4000
    assert 7 * least_mb(4000, 256**2) < 6000  # seven of them in a group asked for 24 GB
    memory = reading(2000, lambda wildcards: (), pixels=lambda wildcards: 2048**2)
    assert memory(None, 2) == 2 * least_mb(2000, 2048**2) < 3000


def test_training_asks_by_network_patch_and_batch() -> None:
    demo, paper = geometry_of("unet", base_channels=12, depth=3), geometry_of("unet")

    def of(geometry: Geometry, patches: int = 1, on_gpu: bool = False, processes: int = 1) -> int:
        how = {"patches": patches, "processes": processes}
        return training_mb(geometry, tile_px=(572, 572), on_gpu=on_gpu, **how)

    tile_mb = paper.tile_bytes((572, 572), 4) / 1e6
    assert of(paper) - of(paper, 0) == pytest.approx(ACTIVATIONS_HELD * tile_mb, abs=1)
    assert of(paper, 8) - of(paper, 4) == pytest.approx(4 * ACTIVATIONS_HELD * tile_mb, abs=2)
    assert of(demo) < of(paper)
    assert of(paper, 8, on_gpu=True) == of(paper, 0) < 4000
    assert of(paper, 1, True, 4) > of(paper, 1, True)


def test_training_asks_for_time_by_steps_and_for_no_more_than_it_goes_on_after() -> None:
    demo, paper = geometry_of("unet", base_channels=12, depth=3), geometry_of("unet")

    def of(geometry: Geometry, steps: int, batch: int = 1, on_gpu: bool = False) -> int:
        how = {"batch": batch, "steps": steps}
        return training_minutes(geometry, tile_px=(364, 364), on_gpu=on_gpu, **how)

    assert of(demo, 400) < 70
    assert of(demo, 400) < of(demo, 40_000) <= of(demo, 40_000, batch=4)
    assert of(paper, 100_000) == MOST_MINUTES
    assert of(paper, 3000, on_gpu=True) < of(paper, 3000)


def png_of(height: int, width: int) -> bytes:
    """The header of a gray PNG, without pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = (header, b"IDAT")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


def test_planning_knows_by_headers_what_files_take_and_decodes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagecodecs, "imread", None)
    monkeypatch.chdir(tmp_path)
    large = png_of(60_000, 60_000) + bytes(500_000)
    Path("i.png").write_bytes(large)
    Path("bomb.png").write_bytes(png_of(600_000, 600_000) + bytes(50_000_000))
    tifffile.imwrite("strip.tif", np.zeros((3000, 1000), np.uint16), compression="zlib")
    tifffile.imwrite(
        "whole.tif", np.zeros((3000, 1000), np.uint16), compression="zlib", rowsperstrip=3000
    )
    Path("t.geojson.gz").write_bytes(gzip.compress(b"[" + b" " * 10**6 + b"]"))
    Path("broken.tif").write_bytes(b"II*\0")
    sources = Sources("cache.json")
    image = Image("a", "cells", "i.png", "predict")
    prepared = sources.as_prepared(image, None)
    assert isinstance(prepared, dict)
    assert prepared["peak_bytes"] == 3_600_000_000 + len(large)
    refused = sources.as_prepared(replace(image, path="bomb.png"), None)
    assert "is decoded whole, which takes 360.1 GB of memory at once; there are 275 GB" in str(
        refused
    )
    sources.save()
    monkeypatch.setattr("unetflow.jobs.sources._as_prepared", None)  # it is remembered
    sources = Sources("cache.json")
    assert sources.as_prepared(image, None) == prepared
    assert sources.peak_bytes("whole.tif") == 2 * 3000 * 1000 * 2
    assert sources.peak_bytes("strip.tif") < 10**6
    assert sources.peak_bytes("t.geojson.gz") == 15 * (10**6 + 2)
    for name in ("bomb.png", "broken.tif", "gone.tif"):
        assert sources.peak_bytes(name) == 0


def test_receipts_of_predictions_and_broken_ones(tmp_path: Path) -> None:
    write_receipt(tmp_path / "p.json", {"shape": (1, 300, 200)})
    assert pixels_of(tmp_path / "p.json") == 60_000
    (tmp_path / "b.json").write_text("{")
    assert pixels_of(tmp_path / "b.json") == 0


def test_small_images_have_a_thread_for_each_shard(tmp_path: Path) -> None:
    receipt = tmp_path / "small.json"
    names: Any = SimpleNamespace(images=str(receipt))
    threads = for_shards(8)
    assert threads(None, names) == 8  # not prepared yet
    for shape, wanted in (((3, 300, 1024), 1), ((3, 1025, 1024), 2), ((1, 9000, 9000), 8)):
        write_receipt(receipt, {"levels": [{"shape": shape}]})
        assert threads(None, names) == wanted


@pytest.mark.parametrize("there", [False, True])
def test_jobs_wait_for_no_gpu_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr("unetflow.jobs.resources.has_gpu", lambda: there)
    assert gpus(2, elsewhere=lambda: False)(None) == (2 if there else 0)
    assert gpus(2, elsewhere=lambda: True)(None) == 2


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has one")
@pytest.mark.parametrize("name", ["dev/nvidia0", "dev/kfd", "proc/driver/nvidia/gpus/0000:01"])
def test_a_gpu_is_known_by_its_files(tmp_path: Path, name: str) -> None:
    for folder in ("dev", "proc/driver/nvidia"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "dev" / "nvidiactl").touch()  # of the driver
    assert not has_gpu(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert has_gpu(tmp_path)


@pytest.mark.parametrize("depth", [2, 4, 6])
@pytest.mark.parametrize("base_channels", [4, 64])
def test_memory_for_tiles_is_what_the_network_says(base_channels: int, depth: int) -> None:
    geometry = geometry_of("unet", base_channels=base_channels, depth=depth)
    of_a_tile = geometry.tile_bytes((valid_input_px(1024, depth),) * 2, 2) / 1e6
    asked = tiles_mb(geometry, 8) - tiles_mb(geometry, 0)
    assert 8 * of_a_tile < SHARE_OF_MEMORY * asked < 8.5 * of_a_tile


def test_memory_for_tiles_of_the_papers_depth() -> None:
    for base_channels in (4, 12, 64):  # 30 MB for each of its channels were measured to be enough
        asked = tiles_mb(geometry_of("unet", base_channels=base_channels), 8)
        assert asked == pytest.approx(2000 + 8 * 30 * base_channels, rel=0.01)


def test_tiles_that_are_blended_read_more_and_need_more() -> None:
    plain, blended = (tiles_mb(geometry_of("unet", norm=norm), 1) for norm in (None, "instance"))
    assert blended - 2000 == pytest.approx((plain - 2000) * (1724 / 1212) ** 2, rel=1e-3)
