"""Preparation: pixels and truth become stores; what does not fit is named."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from ome_zarr_models.v05.image import Image
from prepared import PIXELS, prepare, truth

from unetflow.errors import LabelsError, ModelError, SlideError
from unetflow.images.resampling import Source, lost_at
from unetflow.images.slide import Level
from unetflow.images.sources import Content, RawFile, content_of
from unetflow.labels.dataset import Dataset
from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.shard_lists import Stored
from unetflow.stages.prepare_image import _check_lost
from unetflow.stages.statistics import write_statistics
from unetflow.store.ome import PixelSize
from unetflow.store.shards import read_array
from unetflow.store.stains import WAYS, restained

CELLS = Dataset(kind="instances", classes=("cell",))


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


def test_images_of_bits_have_levels_of_bits(tmp_path: Path) -> None:
    np.save(tmp_path / "i.npy", PIXELS > 127)
    store = prepare(tmp_path, path=tmp_path / "i.npy")
    half = read_array(store, "1")
    assert half.dtype == bool
    np.testing.assert_array_equal(
        half[0, :5, :5],
        np.rint((PIXELS[:10, :10] > 127).reshape(5, 2, 5, 2).mean(axis=(1, 3))) != 0,
    )


def test_the_receipt_says_that_some_programs_turn_the_image(tmp_path: Path) -> None:
    turned = [(274, "H", 1, 3, True)]
    tifffile.imwrite(tmp_path / "i.tif", PIXELS, extratags=turned)
    store = prepare(tmp_path, path=tmp_path / "i.tif")
    (odd,) = read_receipt(tmp_path / "i.json")["odd"]
    assert odd.startswith("its orientation is 3: ")
    np.testing.assert_array_equal(read_array(store, "0")[0], PIXELS)


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
    prepare(tmp_path)
    np.testing.assert_array_equal(read_array(store, "0")[0], 255 - PIXELS)


def test_channels_are_chosen_and_ordered(tmp_path: Path) -> None:
    colour = np.stack([PIXELS[:50, :60], PIXELS[50:100, :60], PIXELS[100:150, :60]], axis=-1)
    tifffile.imwrite(tmp_path / "i.tif", colour, photometric="rgb")
    store = prepare(tmp_path, channels=(2, 0))
    np.testing.assert_array_equal(read_array(store, "0")[:], colour.transpose(2, 0, 1)[[2, 0]])
    with pytest.raises(SlideError, match="has channels 0 to 2, but 3 were asked for"):
        prepare(tmp_path, channels=(3,))


def test_pixels_that_are_no_numbers_are_ignored_and_listed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.random.default_rng(0).random((70, 80)).astype(np.float32)
    clean = pixels.copy()
    pixels[7, 9], pixels[50, 60:63], pixels[69, 79] = np.nan, [3e38, np.inf, -np.inf], 2e18
    store = prepare(tmp_path, pixels)
    truth(tmp_path, np.ones(pixels.shape, np.uint8))
    found = read_array(store, "0")[0]
    bad = ~(np.abs(pixels) < 1e18)
    assert bad.sum() == 5 and not found[bad].any()
    np.testing.assert_array_equal(found[~bad], clean[~bad])
    np.testing.assert_array_equal(read_array(store, "labels/ignore/0")[:] != 0, bad)
    receipt = read_receipt(tmp_path / "i.json")
    assert [(place["rows"], place["columns"]) for place in receipt["unreadable"]] == [
        ([7, 8], [9, 10]),
        ([50, 51], [60, 63]),
        ([69, 70], [79, 80]),
    ]
    assert {place["why"] for place in receipt["unreadable"]} == {"NaN, infinite or beyond 1e+18"}
    assert receipt["pixels"]["highest"][0] < 1
    assert "3 unreadable places are filled with 0 and ignored" in caplog.text


def test_more_pixels_that_are_no_numbers_than_allowed_are_refused(tmp_path: Path) -> None:
    pixels = np.ones((50, 60), np.float32)
    pixels[:4] = np.nan
    with pytest.raises(SlideError, match=r"8.0% of it cannot be read .*NaN, infinite or beyond"):
        prepare(tmp_path, pixels)
    store = prepare(tmp_path, max_unreadable=0.1)
    assert not read_array(store, "0")[0, :4].any()


def test_a_channel_that_nobody_asked_for_may_hold_anything(tmp_path: Path) -> None:
    pixels = np.ones((3, 50, 60), np.float32)
    pixels[2] = np.nan
    tifffile.imwrite(tmp_path / "i.tif", pixels, photometric="minisblack", metadata={"axes": "CYX"})
    store = prepare(tmp_path, channels=[0, 1])
    assert read_array(store, "0")[:].all()
    assert read_receipt(tmp_path / "i.json")["unreadable"] == []


def test_a_level_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="has no level 2; .* 0 to 0"):
        prepare(tmp_path, level=2)


def test_statistics_are_those_of_all_pixels(tmp_path: Path) -> None:
    stores = []
    for name, pixels in (("a", PIXELS), ("b", (PIXELS[:300] // 3))):
        (tmp_path / name).mkdir()
        labels = np.zeros(pixels.shape, np.uint8)
        labels[:100], labels[100:200] = 1, 2
        stores.append(prepare(tmp_path / name, pixels))
        truth(tmp_path / name, labels)
    write_statistics(
        stored=[],
        dataset=CELLS,
        images=stores,
        receipt=tmp_path / "s.json",
        percentiles=None,
    )
    found = read_receipt(tmp_path / "s.json")
    everything = np.concatenate([PIXELS.ravel(), PIXELS[:300].ravel() // 3]).astype(float)
    assert found["intensity"]["mean"] == [pytest.approx(everything.mean(), rel=1e-12)]
    assert found["intensity"]["deviation"] == [pytest.approx(everything.std(), rel=1e-12)]
    objects = 2 * 198 * 1300
    assert found["class_px"] == [everything.size - objects, objects]
    weights = np.array(found["class_weights"]) * found["class_px"]
    np.testing.assert_allclose(weights, everything.size / 2)


def test_percentiles_are_those_of_all_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).gamma(2, 40, (2, 200, 300)).astype(np.uint16)
    stores = []
    for k, image in enumerate(pixels):
        (tmp_path / str(k)).mkdir()
        stores.append(prepare(tmp_path / str(k), image))
        truth(tmp_path / str(k), np.eye(200, 300, dtype=np.uint8))
    write_statistics(
        stored=[],
        dataset=CELLS,
        images=stores,
        receipt=tmp_path / "s.json",
        percentiles=(2, 98),
    )
    intensity = read_receipt(tmp_path / "s.json")["intensity"]
    inside = np.sort(pixels, axis=None)[[2400 - 1, 117_600 - 1]].astype(float)  # of 120,000
    assert intensity == {
        "mean": [inside.mean()],
        "deviation": [np.diff(inside)[0] / 2],
    }
    with pytest.raises(ModelError, match="0th and 0th percentiles .* are equal"):
        write_statistics(
            stored=[],
            dataset=CELLS,
            images=stores,
            receipt=tmp_path / "s.json",
            percentiles=(0, 0),
        )


@pytest.mark.parametrize("scale", [None, {"scale": "log"}])
@pytest.mark.parametrize("percentiles", [None, (0.5, 99.5)])
def test_what_could_not_be_read_counts_in_no_statistics(
    tmp_path: Path, scale: Any, percentiles: Any
) -> None:
    pixels = np.random.default_rng(3).normal(1000, 5, (1040, 1200)).astype(np.float32)
    lost = pixels.copy()
    lost[1024:1032], lost[30, 700] = np.nan, np.inf  # half of the last shards
    found = []
    for name, of in (("lost", lost), ("whole", pixels)):
        (tmp_path / name).mkdir()
        store = prepare(tmp_path / name, of)
        truth(tmp_path / name, np.eye(*of.shape, dtype=np.uint8))
        write_statistics(
            stored=[
                Stored(store, tmp_path / name / "i.json"),
                Stored(store, tmp_path / name / "t.json"),
            ],
            dataset=CELLS,
            images=[store],
            receipt=tmp_path / "s.json",
            percentiles=percentiles,
            scale=scale,
        )
        found.append(read_receipt(tmp_path / "s.json")["intensity"])
    for key in ("mean", "deviation"):  # of 1.2 million pixels, of which 9,601 are lost
        assert found[0][key] == pytest.approx(found[1][key], rel=0.01)


def test_statistics_may_be_of_logarithms_or_for_surroundings(tmp_path: Path) -> None:
    store = prepare(tmp_path)
    truth(tmp_path, np.eye(*PIXELS.shape, dtype=np.uint8))
    receipt = tmp_path / "s.json"
    job: dict[str, Any] = {"dataset": CELLS, "images": [store], "stored": [], "receipt": receipt}
    write_statistics(**job, percentiles=None, scale={"scale": "log"})
    intensity = read_receipt(receipt)["intensity"]
    assert intensity["scale"] == "log"
    assert intensity["mean"] == [pytest.approx(np.log1p(PIXELS.astype(float)).mean(), rel=1e-6)]
    write_statistics(**job, percentiles=(2, 98), scale={"scale": "log"})
    low, high = np.log1p(np.percentile(PIXELS, [2, 98], method="inverted_cdf").astype(float))
    assert read_receipt(receipt)["intensity"]["mean"] == [pytest.approx((low + high) / 2)]
    write_statistics(**job, percentiles=None, scale={"scale": "local", "px": 48})
    intensity = read_receipt(receipt)["intensity"]
    assert (intensity["scale"], intensity["px"]) == ("local", 48)
    assert intensity["mean"] == [pytest.approx(PIXELS.mean())]


def test_statistics_may_be_of_other_stains(tmp_path: Path) -> None:
    dense = np.random.default_rng(1).gamma(2, 0.3, (2, 200, 300))
    density = np.einsum("sc,syx->yxc", [[0.65, 0.70, 0.29], [0.27, 0.91, 0.31]], dense)
    pixels = np.rint(255 * np.exp(-density)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "i.tif", pixels, photometric="rgb")
    store = prepare(tmp_path, pixels)
    truth(tmp_path, np.eye(200, 300, dtype=np.uint8))
    job: dict[str, Any] = {"dataset": CELLS, "images": [store], "stored": [], "percentiles": None}
    way: Any
    for way in WAYS:
        write_statistics(**job, receipt=tmp_path / "s.json", scale={"scale": way})
        intensity = read_receipt(tmp_path / "s.json")["intensity"]
        assert intensity["scale"] == way
        seen = restained(np.moveaxis(pixels, 2, 0), way, intensity["target"], intensity["target"])
        assert intensity["mean"] == pytest.approx(seen.mean(axis=(1, 2)), rel=1e-4)


def test_an_image_without_colours_or_stains_has_none_to_replace(tmp_path: Path) -> None:
    store = prepare(tmp_path)
    truth(tmp_path, np.eye(*PIXELS.shape, dtype=np.uint8))
    job: dict[str, Any] = {"dataset": CELLS, "stored": [], "percentiles": None}
    job |= {"receipt": tmp_path / "s.json", "scale": {"scale": "macenko"}}
    with pytest.raises(
        ModelError, match="i.ome.zarr: has 1 channels of .*intensity: macenko is of"
    ):
        write_statistics(**job, images=[store])
    glass = np.full((90, 90, 3), 240, np.uint8)
    glass[0, 0] = 0
    (tmp_path / "glass").mkdir()
    tifffile.imwrite(tmp_path / "glass" / "i.tif", glass, photometric="rgb")
    store = prepare(tmp_path / "glass")
    truth(tmp_path / "glass", np.eye(90, dtype=np.uint8))
    with pytest.raises(ModelError, match="no training image has enough stained pixels for intens"):
        write_statistics(**job, images=[store])


def test_there_is_no_logarithm_of_what_is_below_0(tmp_path: Path) -> None:
    store = prepare(tmp_path, np.arange(-5, 395, dtype=np.int16).reshape(20, 20))
    truth(tmp_path, np.eye(20, dtype=np.uint8))
    with pytest.raises(ModelError, match="a pixel of the training images is -5, but intensity: lo"):
        write_statistics(
            stored=[],
            dataset=CELLS,
            images=[store],
            receipt=tmp_path / "s.json",
            percentiles=None,
            scale={"scale": "log"},
        )


@pytest.mark.parametrize("hot", [1e5, 1e17])
def test_one_hot_pixel_decides_no_normalisation(tmp_path: Path, hot: float) -> None:
    pixels = np.random.default_rng(3).random((200, 300)).astype(np.float32)
    pixels[150, 20] = hot
    store = prepare(tmp_path, pixels)
    truth(tmp_path, np.eye(200, 300, dtype=np.uint8))
    receipt = tmp_path / "s.json"
    job: dict[str, Any] = {"dataset": CELLS, "images": [store], "stored": [], "receipt": receipt}
    with pytest.raises(ModelError, match=r"a pixel of 1e?[+0-9]+ in channel 0 .* makes up 100.00%"):
        write_statistics(**job, percentiles=None)
    write_statistics(**job, percentiles=(1, 99))
    intensity = read_receipt(tmp_path / "s.json")["intensity"]
    assert intensity["mean"] == [pytest.approx(0.5, abs=0.002)]  # of 60,000 drawn pixels
    assert intensity["deviation"] == [pytest.approx(0.49, abs=0.002)]


def test_a_constant_image_or_a_truth_without_objects_teaches_nothing(tmp_path: Path) -> None:
    store = prepare(tmp_path, np.full((20, 20), 7, np.uint8))
    truth(tmp_path, np.eye(20, dtype=np.uint8))
    with pytest.raises(ModelError, match="constant in a channel"):
        write_statistics(
            stored=[],
            dataset=CELLS,
            images=[store],
            receipt=tmp_path / "s.json",
            percentiles=None,
        )
    (tmp_path / "b").mkdir()
    store = prepare(tmp_path / "b", PIXELS[:20, :20])
    truth(tmp_path / "b", np.zeros((20, 20), np.uint8))
    with pytest.raises(ModelError, match="background 400, cell 0"):
        write_statistics(
            stored=[],
            dataset=CELLS,
            images=[store],
            receipt=tmp_path / "s.json",
            percentiles=None,
        )


def test_a_file_that_is_replaced_meanwhile_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: Callable[[RawFile], Content] = content_of

    def replacing(raw: RawFile) -> Content:
        content = before(raw)
        path = Path(raw["path"])
        path.write_bytes(path.read_bytes() + b"x")
        return content

    with monkeypatch.context() as patched:
        patched.setattr("unetflow.images.staging.content_of", replacing)
        with pytest.raises(SlideError, match="was replaced while the run went on"):
            prepare(tmp_path)
    assert not (tmp_path / "i.json").exists()
    assert not (tmp_path / "i.ome.zarr" / "0").exists()  # nothing that a later run could keep
    store = prepare(tmp_path)
    np.testing.assert_array_equal(read_array(store, "0")[0], PIXELS)
    monkeypatch.setattr("unetflow.stages.prepare_truth.content_of", replacing)
    with pytest.raises(LabelsError, match="was replaced while the run went on"):
        truth(tmp_path, np.ones(PIXELS.shape, np.uint8))


def test_the_note_of_a_place_that_can_be_read_now_is_forgotten(tmp_path: Path) -> None:
    store = prepare(tmp_path)
    (store / "unreadable").mkdir()
    place = {"rows": [0, 256], "columns": [1024, 1280], "why": "of a killed run"}
    (store / "unreadable" / "0.0.1.json").write_text(json.dumps([place]))
    (store / "0" / "c" / "0" / "0" / "1").unlink()  # noted, but killed before it was written
    prepare(tmp_path)
    assert read_receipt(tmp_path / "i.json")["unreadable"] == []


def test_the_share_that_is_lost_of_a_volume_is_counted_in_large_cubes() -> None:
    shape = (1000, 1000, 1000)
    slide = SimpleNamespace(levels=[Level(shape, None)])
    source = Source(slide, 0, shape, PixelSize((1.0, 1.0, 1.0)))  # type: ignore[arg-type]
    lost = [lost_at((slice(0, 8), slice(0, 8), slice(0, 8)), "torn")]
    tracemalloc.start()
    assert _check_lost("v.tif", [], source, 0.01) == []
    assert _check_lost("v.tif", lost, source, 0.01) == lost
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 32 * 2**20
