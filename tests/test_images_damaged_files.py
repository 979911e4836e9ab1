"""Whatever happens to the bytes of a file, it is an image or one of our own errors."""

import json
import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from unetflow.errors import UnetflowError
from unetflow.images.polygons import read_polygons
from unetflow.images.slide import Slide
from unetflow.store.ome import ome_image, write_group

GRAY = np.random.default_rng(0).integers(0, 255, (48, 64), dtype=np.uint8)
NAMES = (
    "plain.tif",
    "tiled.tif",
    "strip.tif",
    "fiji.tif",
    "pages.tif",
    "named.ome.tif",
    "scenes.ome.tif",
    "i.png",
    "palette.png",
    "i.jpg",
    "i.npy",
    "i.h5",
    "i.geojson",
)
STORE_FILES = ("zarr.json", "0/zarr.json", "0/c/0/0")  # of an OME-Zarr
OUTCOMES: Counter[str] = Counter()
MOST_PX = 2000  # a damaged header may promise more than there is memory


def write(path: Path) -> None:
    tiff: dict[str, dict[str, Any]] = {
        "plain.tif": {},
        "tiled.tif": {"tile": (16, 16), "compression": "zlib", "predictor": 2},
        "strip.tif": {"compression": "zlib", "rowsperstrip": 48},
        "fiji.tif": {"imagej": True, "resolution": (4.0, 4.0), "metadata": {"unit": "nm"}},
        "named.ome.tif": {"metadata": {"axes": "YX", "PhysicalSizeX": 0.5}, "compression": "lzw"},
    }
    if path.name in tiff:
        tifffile.imwrite(path, GRAY, photometric="minisblack", **tiff[path.name])
    elif path.name in ("pages.tif", "scenes.ome.tif"):
        with tifffile.TiffWriter(path, ome=".ome" in path.name) as file:
            for pixels in (GRAY[:10], GRAY, GRAY[:, :20]):
                file.write(pixels, photometric="minisblack")
    elif path.name == "palette.png":
        image = Image.fromarray(GRAY, mode="P")
        image.putpalette(bytes(range(256)) * 3)
        image.save(path)
    elif path.suffix == ".npy":
        np.save(path, GRAY)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("raw", data=GRAY, chunks=(16, 16), compression="gzip")
    elif path.suffix == ".geojson":
        ring = [[1, 1], [20, 1], [20, 30], [1, 1]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        path.write_text(json.dumps({"features": [{"type": "Feature", "geometry": geometry}]}))
    else:
        imagecodecs.imwrite(path, GRAY)


@cache
def whole_bytes(folder: Path, name: str) -> bytes:
    write(folder / name)
    return (folder / name).read_bytes()


def read(path: Path) -> None:
    if path.suffix == ".geojson":
        polygons = read_polygons(path, classes=["cell"], size_px=(48, 64), shape_px=(48, 64))
        polygons.draw(slice(0, 48), slice(0, 64))
        return
    as_labels = path.name.endswith("palette.png")
    with Slide(path, as_labels=as_labels) as slide:
        height, width = slide.levels[0].shape_px
        slide.read(0, slice(0, min(height, MOST_PX)), slice(0, min(width, MOST_PX)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_gives_an_image_or_an_error_of_ours(
    name: str, folder: Path, data: st.DataObject
) -> None:
    path = folder / f"damaged-{name}"
    path.write_bytes(damaged(whole_bytes(folder, name), data))
    is_read_or_refused(path, name)


@pytest.mark.parametrize("name", STORE_FILES)
@given(data=st.data())
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_damage_to_a_store_gives_an_image_or_an_error_of_ours(
    name: str, folder: Path, data: st.DataObject
) -> None:
    store = folder / "i.zarr"
    if not store.exists():
        scales = {"0": [0.5, 0.5]}
        write_group(store, "", ome_image("i", ("y", "x"), scales, unit="micrometer"))
        zarr.create_array(store / "0", data=GRAY, chunks=(48, 64))
    whole = (store / name).read_bytes()
    try:
        (store / name).write_bytes(damaged(whole, data))
        is_read_or_refused(store, f"zarr {name}")
    finally:
        (store / name).write_bytes(whole)


def damaged(whole: bytes, data: st.DataObject) -> bytearray:
    content = bytearray(whole)
    if data.draw(st.booleans(), "cut"):
        content = content[: data.draw(st.integers(0, len(content)), "size")]
    for _ in range(data.draw(st.integers(0, 8), "flips") if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    return content


def is_read_or_refused(path: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, about what they find
        try:
            read(path)
        except UnetflowError as error:
            assert path.name in str(error)
            OUTCOMES[f"{name}: error"] += 1
        else:
            OUTCOMES[f"{name}: read"] += 1


def test_whole_files_are_read_and_empty_ones_refused(folder: Path) -> None:
    for name in NAMES:
        whole_bytes(folder, name)
        read(folder / name)
        (folder / f"empty-{name}").write_bytes(b"")
        with pytest.raises(UnetflowError, match=f"empty-{name}"):
            read(folder / f"empty-{name}")
