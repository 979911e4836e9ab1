"""Planning reads the headers of raw files, however large these are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import HEADER, ROOT

from unetflow.images.slide import Slide
from unetflow.jobs.settings import read_settings
from unetflow.jobs.sources import Sources, sources_cache
from unetflow.jobs.suitability import check_images

COUNTS = Path("/proc/self/io")
MOST_BYTES = 200_000  # of a file


def write_tiff(path: str, pixels: np.ndarray) -> None:
    tifffile.imwrite(path, pixels, tile=(256, 256), compression="zlib")


def write_png(path: str, pixels: np.ndarray) -> None:
    Path(path).write_bytes(imagecodecs.png_encode(pixels, level=1))


def write_hdf5(path: str, pixels: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", data=pixels, chunks=(256, 256))


KINDS: dict[str, Callable[[str, np.ndarray], object]] = {
    "tif": write_tiff,
    "png": write_png,
    "h5": write_hdf5,
    "npy": np.save,
}


def plan(config: dict[str, Any], name: str, side_px: int) -> int:
    """Plan with images and truths of that size, of all kinds; bytes that were read meanwhile."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (side_px, side_px), np.uint8)
    rows = []
    for kind, write in KINDS.items():
        for split in ("train", "validation", "test"):
            image, truth = (f"{name}-{split}-{each}.{kind}" for each in ("image", "truth"))
            write(image, pixels)
            write(truth, pixels)
            rows.append(f"{split}-{kind}\tcells\t{image}\t{truth}\t{split}\t{split}\n")
    Path("images.tsv").write_text(HEADER + "".join(rows))
    config["results"] = name
    config["experiments"]["unet"]["recipe"] = {"tile_px": 300}
    before = bytes_read()
    settings = read_settings(config, ROOT / "workflow" / "schemas", ROOT)
    assert check_images(settings, Sources(sources_cache(config["results"]))) == []
    return bytes_read() - before


def bytes_read() -> int:
    """All that this process has read so far, from whatever cache."""
    counts = dict(line.split(": ") for line in COUNTS.read_text().splitlines())
    return int(counts["rchar"])


@pytest.mark.skipif(not COUNTS.exists(), reason="this system does not count what a process reads")
@pytest.mark.slow
def test_a_first_plan_reads_no_pixels(config: dict[str, Any]) -> None:
    plan(config, "small", 300)  # and imports what it takes
    assert plan(config, "large", 2000) < 24 * MOST_BYTES


def test_a_first_plan_opens_each_file_once(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = Slide._open

    def counted(slide: Slide) -> None:
        opened.append(str(slide.path))
        real(slide)

    monkeypatch.setattr(Slide, "_open", counted)
    plan(config, "once", 300)
    sources = Sources(sources_cache("once"))
    truth = "once-test-truth.tif"
    chosen = read_settings(config, ROOT / "workflow" / "schemas", ROOT).images["test-tif"].chosen
    assert sources.shapes_px(truth, **chosen) == [[300, 300]]
    assert sources.peak_bytes(truth, chosen) > 0  # as the job that reads it asks
    assert len(opened) == len(set(opened)) == 2 * 3 * len(KINDS)
