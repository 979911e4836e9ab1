"""Rule refine: what reaches the store, of which type, and what is done again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prepared import prepare

from unetflow.errors import StoreError
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.shard_lists import write_shard_list
from unetflow.refine import Crf, crf, smoothed
from unetflow.refine.refinement import Refinement
from unetflow.stages.refine import refine_image
from unetflow.store.ome import PixelSize, ome_image, read_attributes, write_group
from unetflow.store.pyramid import halved
from unetflow.store.shards import Layout, open_array, read_array

AXES = ("c", "y", "x")
SIZE = PixelSize.square(0.5)


def job_in(
    folder: Path, shape: tuple[int, int, int], dtype: str = "uint8", **wanted: Any
) -> dict[str, Any]:
    """An image, prepared, and a foreground of it."""
    random = np.random.default_rng(3)
    pixels = random.integers(0, 255, shape[1:], dtype=np.uint8)
    image = prepare(folder, pixels, **wanted)
    stored = random.integers(0, 256 // shape[0], shape, dtype=np.uint8)
    values = stored if dtype == "uint8" else (stored / np.float32(255)).astype(dtype)
    store = folder / "p.ome.zarr"
    scales = {"foreground": [1, *SIZE.scale]}
    write_group(store, "", ome_image("foreground", AXES, scales, unit=SIZE.unit))
    array = open_array(store, "foreground", Layout(shape, dtype, AXES), decided_by={})
    for index in array.missing():
        array.write(index, values[array.region(index)])
    shards = write_shard_list(folder / "f.json", store, ["foreground"])
    receipt = {"shape": shape, "dtype": dtype, "digest": array.content_digest(), "shards": shards}
    write_receipt(folder / "f.json", receipt)
    return {
        "image": image,
        "image_receipt": folder / "i.json",
        "store": store,
        "foreground_receipt": folder / "f.json",
        "receipt": folder / "r.json",
        "threads": 2,
        "code": "c",
    }


def stored(job: dict[str, Any], name: str) -> np.ndarray:
    return np.asarray(read_array(job["store"], name)[:])


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
@pytest.mark.slow
def test_the_refined_foreground_is_that_of_the_whole_image(tmp_path: Path, dtype: str) -> None:
    job = job_in(tmp_path, (2, 1030, 1100), dtype)  # 4 shards
    how = Refinement(0.6, Crf(iterations=2, radius_px=2, appearance_intensity=0.5))
    refine_image(**job, how=how)
    pixels = np.asarray(read_array(job["image"], "0")[:]).astype(np.float64)
    image = (pixels - pixels.mean()) / pixels.std()
    before = stored(job, "foreground").astype(np.float32) / (255 if dtype == "uint8" else 1)
    assert how.smooth_px is not None and how.crf is not None
    wanted = crf(smoothed(before, how.smooth_px), image, how.crf)
    found = stored(job, "refined")
    assert found.dtype == dtype
    # half a step of bytes or of float16, and the image's mean as its receipt has it
    step = {"uint8": 0.5 / 255, "float16": 2**-12, "float32": 0}[dtype] + 1e-5
    assert np.abs(found / (255 if dtype == "uint8" else 1) - wanted).max() <= step
    receipt = read_receipt(job["receipt"])
    assert (receipt["shape"], receipt["dtype"]) == ([2, 1030, 1100], dtype)


def test_levels_and_metadata_stand_beside_those_of_the_foreground(tmp_path: Path) -> None:
    job = job_in(tmp_path, (1, 700, 1030))
    refine_image(**job, how=Refinement(1.0))
    np.testing.assert_array_equal(stored(job, "refined_1"), halved(stored(job, "refined")))
    images = read_attributes(job["store"])["ome"]["multiscales"]
    assert [image["name"] for image in images] == ["foreground", "refined"]
    assert [of["path"] for of in images[1]["datasets"]] == ["refined", "refined_1", "refined_2"]


def test_a_killed_run_goes_on_and_another_making_begins_anew(tmp_path: Path) -> None:
    job = job_in(tmp_path, (1, 700, 1100))
    refine_image(**job, how=Refinement(1.0))
    receipt, wanted = job["receipt"].read_bytes(), stored(job, "refined")
    shards = sorted((job["store"] / "refined/c/0/0").iterdir())
    kept = shards[0].stat().st_mtime_ns
    shards[1].unlink()
    job["receipt"].unlink()
    refine_image(**job, how=Refinement(1.0))
    assert (job["receipt"].read_bytes(), shards[0].stat().st_mtime_ns) == (receipt, kept)
    refine_image(**job, how=Refinement(2.0))
    assert shards[0].stat().st_mtime_ns != kept
    assert np.abs(stored(job, "refined").astype(int) - wanted).max() > 10


def test_outside_the_tissue_it_stays_0(tmp_path: Path) -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[:2, :2] = 1
    np.save(tmp_path / "mask.npy", mask)
    job = job_in(tmp_path, (1, 2048, 2048), tissue=str(tmp_path / "mask.npy"))
    refine_image(**job, how=Refinement(2.0))
    found = stored(job, "refined")
    assert found[0, :1024, :1024].all()
    assert not found[0, 1536:].any()
    assert read_receipt(job["image_receipt"])["tissue"]["share"] < 0.5


def test_a_foreground_that_is_not_what_its_receipt_tells_of_is_refused(tmp_path: Path) -> None:
    job = job_in(tmp_path, (1, 40, 50))
    (job["store"] / "foreground/c/0/0/0").unlink()
    with pytest.raises(StoreError, match="1 of 1 shards are not there"):
        refine_image(**job, how=Refinement(1.0))
