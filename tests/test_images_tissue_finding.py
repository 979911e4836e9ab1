"""Empty ground is neither read nor predicted, and nothing that lies on it is lost."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import imageio.v3
import numpy as np
import pytest
import tifffile
import torch
from conftest import predict
from prepared import prepare, truth

from unetflow.errors import SlideError
from unetflow.images.ground import Coarse
from unetflow.images.slide import Slide
from unetflow.images.tissue_finding import tissue_by_mask, tissue_by_threshold
from unetflow.networks import build
from unetflow.networks.model_file import save_model
from unetflow.provenance.receipts import read_receipt
from unetflow.store.foreground import read_foreground
from unetflow.store.shards import read_array
from unetflow.store.tissue_mask import CELL_PX, Tissue, read_tissue

SIDE = 4096
SPACING = 40
PLACES = tuple(  # of objects, (row, column): lone ones, and a cluster
    [(300, 500), (1500, 3600)]
    + [(2600 + SPACING * (k // 9), 3000 + SPACING * (k % 9)) for k in range(81)]
)


@cache
def slide_of(ground: int, objects: int, *, places: Any = PLACES, side: int = SIDE) -> np.ndarray:
    """Uneven, noisy ground with discs of 30 px on it."""
    random = np.random.default_rng(0)
    tilt = np.linspace(-1, 1, side)[:, None]
    pixels = ground + tilt + random.normal(0, 3, (side, side))
    disc = np.hypot(*np.ogrid[-15:16, -15:16]) < 15
    for row, column in places:
        near = slice(max(0, row - 15), row + 16), slice(max(0, column - 15), column + 16)
        window = pixels[near]
        window[disc[-window.shape[0] :, -window.shape[1] :]] = objects
    return np.clip(pixels, 0, 255).astype(np.uint8)


def coarse_of(pixels: np.ndarray, factor: int = 16) -> Coarse:
    side = pixels.shape[0] // factor
    small = pixels.reshape(side, factor, side, factor).mean(axis=(1, 3)).astype(pixels.dtype)
    return Coarse(lambda rows, columns: small[None, rows, columns], small.shape)


def write_pyramid(path: Path, pixels: np.ndarray, factor: int = 8) -> None:
    small = coarse_of(pixels, factor)
    with tifffile.TiffWriter(path, ome=True) as file:
        options: dict[str, Any] = {"photometric": "minisblack", "tile": (256, 256)}
        file.write(pixels, subifds=1, **options)
        file.write(small.read(slice(None), slice(None))[0], subfiletype=1, **options)


@pytest.mark.parametrize(("ground", "objects"), [(235, 120), (20, 90), (235, 205), (20, 50)])
@pytest.mark.slow
def test_small_faint_objects_on_bright_and_dark_ground_are_kept(ground: int, objects: int) -> None:
    found = tissue_by_threshold(coarse_of(slide_of(ground, objects)), (SIDE, SIDE))
    for row, column in PLACES:
        assert found.inside(slice(row - 15, row + 15), slice(column - 15, column + 15)).all()
    assert found.cells.mean() < 0.2
    assert found.by == "threshold"


def test_a_ground_that_cannot_be_told_keeps_every_cell() -> None:
    pixels = np.random.default_rng(0).normal(128, 30, (1024, 1024)).clip(0, 255).astype(np.uint8)
    coarse = Coarse(lambda rows, columns: pixels[None, rows, columns], (1024, 1024))
    found = tissue_by_threshold(coarse, (8192, 8192))
    assert found.cells.all()
    assert found.by == "every cell kept: channel 0 has no clear ground"


@pytest.mark.parametrize("value", [0, 240])
def test_an_image_of_nothing_but_ground_has_no_tissue(value: int) -> None:
    found = tissue_by_threshold(coarse_of(slide_of(value, 0, places=())), (SIDE, SIDE))
    assert value == 0 or not found.cells.any()
    flat = np.full((SIDE, SIDE), value, np.uint8)
    assert not tissue_by_threshold(coarse_of(flat), (SIDE, SIDE)).cells.any()


def test_faint_objects_on_the_offset_of_a_camera_are_kept() -> None:
    random = np.random.default_rng(0)
    pixels = random.normal(1000, 1, (512, 512))
    pixels[100:140, 100:140] = 1040
    pixels = pixels.astype(np.uint16)
    coarse = Coarse(lambda rows, columns: pixels[None, rows, columns], pixels.shape)
    found = tissue_by_threshold(coarse, (8192, 8192))
    assert found.inside(slice(1600, 2240), slice(1600, 2240)).all()


def test_the_mask_does_not_depend_on_the_bands_and_fits_odd_sizes() -> None:
    side = 16 * CELL_PX + 48
    pixels = slide_of(235, 120, side=side, places=((4110, 4110), (10, 2000)))
    found = tissue_by_threshold(coarse_of(pixels), (side, side))
    assert found.cells.shape == (17, 17)
    assert found.cells[16, 16]
    assert found.cells[0, 7]
    inside = found.inside(slice(1000, 1030), slice(2000, 2100))
    np.testing.assert_array_equal(
        inside, np.repeat(np.repeat(found.cells, CELL_PX, 0), CELL_PX, 1)[1000:1030, 2000:2100]
    )


def test_ground_is_not_read_at_full_resolution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = slide_of(235, 120)
    write_pyramid(tmp_path / "i.tif", pixels)
    asked = []
    read = Slide.read

    def noted(slide: Slide, level: int, rows: slice, columns: slice) -> np.ndarray:
        asked.append((level, rows, columns))
        return read(slide, level, rows, columns)

    monkeypatch.setattr(Slide, "read", noted)
    store = prepare(tmp_path, tissue="threshold")
    receipt = read_receipt(tmp_path / "i.json")
    tissue = read_tissue(store, receipt["tissue"])
    assert tissue is not None
    assert receipt["tissue"]["share"] == tissue.cells.mean()
    fine = [(rows.start, columns.start) for level, rows, columns in asked if level == 0]
    # shards of 1024 px that an object, or the cells next to it, reach into
    objects = [(0, 0), (1024, 3072), (2048, 2048), (2048, 3072)]
    assert set(objects) <= set(fine)
    assert len(fine) == len(set(fine)) < 16
    assert (1024, 1024) not in fine
    stored = read_array(store, "0")
    np.testing.assert_array_equal(stored[0, 2048:3072, 2048:4096], pixels[2048:3072, 2048:4096])
    ground = np.asarray(stored[0, 1024:2048, 1024:2048]).astype(float)
    assert abs(ground.mean() - pixels[1024:2048, 1024:2048].mean()) < 1


@pytest.mark.parametrize("kind", ["image", "polygons"])
def test_a_mask_of_the_user_decides(tmp_path: Path, kind: str) -> None:
    write_pyramid(tmp_path / "i.tif", slide_of(235, 120))
    if kind == "image":
        mask = np.zeros((64, 64), np.uint8)
        mask[20:22, 40] = 255
        path = tmp_path / "m.png"
        imageio.v3.imwrite(path, mask)
    else:
        ring = [[2561, 1281], [2620, 1281], [2620, 1400], [2561, 1400], [2561, 1281]]
        feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
        path = tmp_path / "m.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    store = prepare(tmp_path, tissue=path)
    tissue = read_tissue(store, read_receipt(tmp_path / "i.json")["tissue"])
    assert tissue is not None
    expected = np.zeros((16, 16), bool)
    expected[4:7, 9:12] = True  # around the cell at row 5, column 10
    np.testing.assert_array_equal(tissue.cells, expected)


def test_an_annotation_of_tissue_counts_whatever_it_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_pyramid(tmp_path / "i.tif", slide_of(235, 120))
    features: list[dict[str, Any]] = [{"geometry": None, "properties": {}}]
    for x, kind, side in ((1281, "annotation", 800), (1300, "cell", 10), (1400, "cell", 10)):
        ring = [[x, 1281], [x + side, 1281], [x + side, 1281 + side], [x, 1281 + side], [x, 1281]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append({"geometry": geometry, "properties": {"objectType": kind}})
    path = tmp_path / "m.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    store = prepare(tmp_path, tissue=path)
    tissue = read_tissue(store, read_receipt(tmp_path / "i.json")["tissue"])
    assert tissue is not None
    expected = np.zeros((16, 16), bool)
    expected[4:10, 4:10] = True  # cells 5 to 8, and those around
    np.testing.assert_array_equal(tissue.cells, expected)
    assert "m.geojson: features without a geometry, left out: 1" in caplog.text


def test_a_mask_saved_as_jpeg_is_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(tmp_path)
    mask = np.zeros((64, 64), np.uint8)
    mask[20:30, 40:50] = 255
    (tmp_path / "m.jpg").write_bytes(imagecodecs.jpeg_encode(mask))
    prepare(tmp_path, tissue=tmp_path / "m.jpg")
    assert "m.jpg: is a mask compressed as JPEG: what that blurs" in caplog.text


def test_a_mask_whose_0_is_white_is_read_as_it_is_stored_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mask = np.zeros((64, 64), bool)
    mask[:20, :20] = True
    tifffile.imwrite(tmp_path / "m.tif", mask, photometric="miniswhite")
    tissue = tissue_by_mask(tmp_path / "m.tif", (2048, 2048), (2048, 2048))
    assert tissue.cells[:4, :4].all() and tissue.cells.sum() == 16
    assert "m.tif: its 0 is white (WhiteIsZero); the values are read as they are" in caplog.text


def test_a_mask_that_would_be_stretched_is_refused(tmp_path: Path) -> None:
    mask = np.ones((50, 100), np.uint8)
    imageio.v3.imwrite(tmp_path / "m.png", mask)
    for shape_px in ((2000, 4000), (2150, 4000)):  # of any size, and thumbnails are rounded
        assert tissue_by_mask(tmp_path / "m.png", shape_px, shape_px).cells.all()
    with pytest.raises(
        SlideError, match=r"50x100 px, and its slide has 4000x2000 px: .* stretched"
    ):
        tissue_by_mask(tmp_path / "m.png", (4000, 2000), (4000, 2000))


def test_a_mask_in_colour_is_refused(tmp_path: Path) -> None:
    write_pyramid(tmp_path / "i.tif", slide_of(235, 120))
    colours = np.arange(9 * 9 * 3, dtype=np.uint8).reshape(9, 9, 3)
    tifffile.imwrite(tmp_path / "m.tif", colours, photometric="rgb")
    with pytest.raises(SlideError, match="3 channels that differ, colours perhaps"):
        prepare(tmp_path, tissue=tmp_path / "m.tif")


def test_a_file_without_coarse_levels_is_read_whole_and_still_masked(tmp_path: Path) -> None:
    pixels = slide_of(20, 90)
    store = prepare(tmp_path, pixels, tissue="threshold")
    np.testing.assert_array_equal(read_array(store, "0")[0], pixels)
    share = read_receipt(tmp_path / "i.json")["tissue"]["share"]
    assert 0 < share < 0.2


@pytest.mark.slow
def test_objects_that_a_mask_cuts_off_are_a_warning_of_the_truth(tmp_path: Path) -> None:
    prepare(tmp_path, slide_of(235, 120), tissue="threshold")
    labels = np.zeros((SIDE, SIDE), np.uint16)
    labels[300, 500], labels[1500, 1500] = 1, 2
    truth(tmp_path, labels)
    warnings = read_receipt(tmp_path / "t.json")["warnings"]
    assert "1 instances lie outside the tissue mask, at least in part" in warnings


def job_of(folder: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    network = build("unet", base_channels=2, depth=2)
    description: Any = {
        "network": {"name": "unet", "base_channels": 2, "depth": 2},
        **{"channels": 1, "classes": ["cell"]},
        "intensity": {"mean": [128.0], "deviation": [64.0]},
    }
    save_model(folder / "m.safetensors", network, description)
    return {
        **{"image": folder / "i.ome.zarr", "image_receipt": folder / "i.json"},
        **{"models": [folder / "m.safetensors"], "store": folder / "p.ome.zarr"},
        **{"receipt": folder / "p.json", "write_px": 512, "shard_px": 1024, "dtype": "uint8"},
        **{"precision": "fp32", "threads": 2, "gpu": False, "require_gpu": False},
        "code": "c",
    }


@pytest.mark.slow
def test_prediction_is_the_same_inside_and_zero_outside(tmp_path: Path) -> None:
    pixels = slide_of(235, 120)[2048:, 2048:]
    prepare(tmp_path, pixels)
    job = job_of(tmp_path)
    predict(**job)
    everywhere = read_foreground(job["store"])
    prepare(tmp_path, pixels, tissue="threshold")
    predict(**job)
    tissue = read_tissue(job["image"], read_receipt(tmp_path / "i.json")["tissue"])
    assert tissue is not None
    inside = tissue.inside(slice(0, 2048), slice(0, 2048))
    masked = read_foreground(job["store"])
    np.testing.assert_array_equal(masked[0][inside], everywhere[0][inside])
    assert everywhere[0][~inside].any()
    assert not masked[0][~inside].any()


def test_no_tissue_is_a_result_without_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path, np.full((1200, 1200), 240, np.uint8), tissue="threshold")
    assert read_receipt(tmp_path / "i.json")["tissue"]["share"] == 0

    def never(*arguments: Any) -> None:
        raise AssertionError("the network was run")

    monkeypatch.setattr("unetflow.predict.runners.tile_logits", never)
    job = job_of(tmp_path)
    predict(**job)
    assert not read_foreground(job["store"]).any()


def test_reaches_looks_at_every_cell_of_a_region() -> None:
    cells = np.zeros((3, 3), bool)
    cells[1, 1] = True
    tissue = Tissue(cells, "mask")
    assert tissue.reaches(slice(0, 257), slice(0, 257))
    assert not tissue.reaches(slice(0, 256), slice(0, 768))
