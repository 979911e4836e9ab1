"""Preparation: pixels and truth become stores; what does not fit is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from ome_zarr_models.v05.image import Image

from unetflow.errors import LabelsError, ModelError, SlideError
from unetflow.prepare import prepare_image, prepare_truth
from unetflow.receipts import read_receipt
from unetflow.statistics import write_statistics
from unetflow.stores import read_array

PIXELS = np.random.default_rng(0).integers(0, 255, (1101, 1300), dtype=np.uint8)


def prepare(folder: Path, pixels: np.ndarray = PIXELS, **changes: Any) -> Path:
    """Write pixels to a TIFF and prepare it; returns the store."""
    if not (folder / "i.tif").exists():
        tifffile.imwrite(folder / "i.tif", pixels, photometric="minisblack")
    options: dict[str, Any] = {
        "path": folder / "i.tif",
        "fingerprint": "f",
        "store": folder / "i.ome.zarr",
        "receipt": folder / "i.json",
        "plane": None,
        "time": None,
        "axes": None,
        "level": None,
        "mpp": None,
        "want_mpp": None,
        "channels": None,
        "max_unreadable": 0.01,
        "code": "c",
    }
    prepare_image(**options | changes)
    return folder / "i.ome.zarr"


def truth(folder: Path, labels: np.ndarray, **changes: Any) -> Path:
    tifffile.imwrite(folder / "t.tif", labels, photometric="minisblack")
    options: dict[str, Any] = {
        "path": folder / "t.tif",
        "fingerprint": "f",
        "store": folder / "i.ome.zarr",
        "image_receipt": folder / "i.json",
        "receipt": folder / "t.json",
        "plane": None,
        "time": None,
        "axes": None,
        "kind": "instances",
        "ignore_value": None,
        "code": "c",
    }
    prepare_truth(**options | changes)
    return folder / "i.ome.zarr"


def test_the_pyramid_holds_the_pixels_and_their_block_means(tmp_path: Path) -> None:
    store = prepare(tmp_path)
    np.testing.assert_array_equal(read_array(store, "0")[0], PIXELS)
    padded = np.pad(PIXELS, ((0, 1), (0, 0)), mode="edge").astype(float)
    half = np.rint(padded.reshape(551, 2, 650, 2).mean(axis=(1, 3)))
    np.testing.assert_array_equal(read_array(store, "1")[0], half)
    assert [level["shape"] for level in read_receipt(tmp_path / "i.json")["levels"]] == [
        [1, 1101, 1300],
        [1, 551, 650],
        [1, 276, 325],
    ]


def test_the_store_is_valid_ome_zarr(tmp_path: Path) -> None:
    import zarr

    store = prepare(tmp_path, mpp=0.5)
    truth(tmp_path, np.ones(PIXELS.shape, np.uint16))
    image = Image.from_zarr(zarr.open_group(store, mode="r"))
    scale = image.ome_attributes.multiscales[0].datasets[1].coordinateTransformations[0]
    assert list(scale.scale) == [1, 1, 1]  # 0.5 um/px, halved
    for name in ("truth", "ignore"):
        Image.from_zarr(zarr.open_group(store / "labels" / name, mode="r"))
    assert zarr.open_group(store / "labels", mode="r").attrs["ome"]["labels"] == ["ignore", "truth"]


def test_running_again_changes_no_file_and_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    store = prepare(tmp_path)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in store.rglob("*") if p.is_file()}
    receipt = (tmp_path / "i.json").read_bytes()
    removed = store / "0" / "c" / "0" / "1" / "1"
    removed.unlink()
    prepare(tmp_path)
    after = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in store.rglob("*") if p.is_file()}
    assert before.pop(removed)[1] == after.pop(removed)[1]
    assert before == after
    assert (tmp_path / "i.json").read_bytes() == receipt


def test_other_pixels_are_read_anew(tmp_path: Path) -> None:
    store = prepare(tmp_path)
    tifffile.imwrite(tmp_path / "i.tif", 255 - PIXELS)
    prepare(tmp_path, fingerprint="g")
    np.testing.assert_array_equal(read_array(store, "0")[0], 255 - PIXELS)


def test_channels_are_chosen_and_ordered(tmp_path: Path) -> None:
    colour = np.stack([PIXELS[:50, :60], PIXELS[50:100, :60], PIXELS[100:150, :60]], axis=-1)
    tifffile.imwrite(tmp_path / "i.tif", colour, photometric="rgb")
    store = prepare(tmp_path, channels=(2, 0))
    np.testing.assert_array_equal(read_array(store, "0")[:], colour.transpose(2, 0, 1)[[2, 0]])
    with pytest.raises(SlideError, match="has channels 0 to 2, but .* says 3"):
        prepare(tmp_path, channels=(3,))


def test_pixels_that_are_not_numbers_are_located(tmp_path: Path) -> None:
    pixels = np.zeros((30, 40), np.float32)
    pixels[7, 9] = np.nan
    with pytest.raises(SlideError, match="NaN or infinite pixels between rows 0 and 30"):
        prepare(tmp_path, pixels)


def test_a_level_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="has no level 2; .* 0 to 0"):
        prepare(tmp_path, level=2)


def test_truth_and_ignore_are_stored_and_counted(tmp_path: Path) -> None:
    prepare(tmp_path)
    labels = np.zeros(PIXELS.shape, np.uint16)
    labels[3:9, 4:8], labels[3:9, 8:20], labels[50:52] = 5, 7, 99
    store = truth(tmp_path, labels, ignore_value=99)
    np.testing.assert_array_equal(
        read_array(store, "labels/truth/0")[:], np.where(labels < 99, labels, 0)
    )
    np.testing.assert_array_equal(read_array(store, "labels/ignore/0")[:], labels == 99)
    receipt = read_receipt(tmp_path / "t.json")
    assert (receipt["instances"], receipt["ignored_px"], receipt["warnings"]) == (2, 2600, [])
    assert receipt["object_px"] == 6 * 16 - 2 * 6


def test_an_empty_truth_and_a_vanishing_instance_are_warnings(tmp_path: Path) -> None:
    prepare(tmp_path)
    truth(tmp_path, np.zeros(PIXELS.shape, np.uint8))
    assert read_receipt(tmp_path / "t.json")["warnings"] == ["no object in this image"]
    labels = np.zeros(PIXELS.shape, np.uint8)
    labels[0, 0], labels[0, 1:9] = 1, 2
    truth(tmp_path, labels, fingerprint="g")
    assert "1 instances are so thin" in read_receipt(tmp_path / "t.json")["warnings"][0]


def test_a_truth_of_another_size_names_both(tmp_path: Path) -> None:
    prepare(tmp_path)
    with pytest.raises(LabelsError, match=r"t\.tif: the truth is 5x6 px .* its image 1101x1300 px"):
        truth(tmp_path, np.zeros((5, 6), np.uint8))


def test_statistics_are_those_of_all_pixels(tmp_path: Path) -> None:
    stores = []
    for name, pixels in (("a", PIXELS), ("b", (PIXELS[:300] // 3))):
        (tmp_path / name).mkdir()
        labels = np.zeros(pixels.shape, np.uint8)
        labels[:100], labels[100:200] = 1, 2
        stores.append(prepare(tmp_path / name, pixels))
        truth(tmp_path / name, labels)
    write_statistics(images=stores, receipt=tmp_path / "s.json")
    found = read_receipt(tmp_path / "s.json")
    everything = np.concatenate([PIXELS.ravel(), PIXELS[:300].ravel() // 3]).astype(float)
    assert found["intensity"]["mean"] == [pytest.approx(everything.mean(), rel=1e-12)]
    assert found["intensity"]["deviation"] == [pytest.approx(everything.std(), rel=1e-12)]
    objects = 2 * 198 * 1300
    assert found["class_px"] == [everything.size - objects, objects]
    weights = np.array(found["class_weights"]) * found["class_px"]
    np.testing.assert_allclose(weights, everything.size / 2)


def test_a_constant_image_or_a_truth_without_objects_teaches_nothing(tmp_path: Path) -> None:
    store = prepare(tmp_path, np.full((20, 20), 7, np.uint8))
    truth(tmp_path, np.eye(20, dtype=np.uint8))
    with pytest.raises(ModelError, match="constant in a channel"):
        write_statistics(images=[store], receipt=tmp_path / "s.json")
    (tmp_path / "b").mkdir()
    store = prepare(tmp_path / "b", PIXELS[:20, :20])
    truth(tmp_path / "b", np.zeros((20, 20), np.uint8))
    with pytest.raises(ModelError, match="400 background and 0 object pixels"):
        write_statistics(images=[store], receipt=tmp_path / "s.json")


def test_label_pyramids_never_mix_ids(tmp_path: Path) -> None:
    prepare(tmp_path)
    labels = np.random.default_rng(1).choice([0, 5, 4000], PIXELS.shape).astype(np.uint16)
    store = truth(tmp_path, labels)
    coarse = read_array(store, "labels/truth/2")[:]
    assert coarse.shape == (276, 325)
    np.testing.assert_array_equal(coarse, labels[::4, ::4])
