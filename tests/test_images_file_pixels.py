"""Images of which coarse levels alone are kept are predicted from their files, the same."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from conftest import predict
from ome_zarr_models.v05.image import Image
from predicting import all_bytes, job_in
from prepared import prepare, raw_file

from unetflow.errors import ReplacedError, SlideError
from unetflow.images.file_pixels import FilePixels
from unetflow.images.in_file import Wanted
from unetflow.images.slide import Slide
from unetflow.provenance.receipts import read_receipt
from unetflow.store.ome import first_level
from unetflow.store.shards import read_array
from unetflow.store.tissue_mask import read_tissue

WANTED: Wanted = {"level": None, "mpp": None, "want_mpp": None, "channels": None, "tissue": None}
SIZE = (2300, 2200)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pyramidal file with something in its middle, and ground around it."""
    folder = tmp_path_factory.mktemp("slide")
    rng = np.random.default_rng(0)
    pixels = np.full(SIZE, 230, np.uint8)
    pixels[1100:1500, 300:700] = rng.integers(40, 200, (400, 400), dtype=np.uint8)
    with tifffile.TiffWriter(folder / "i.tif") as file:
        tile: Any = {"tile": (256, 256), "photometric": "minisblack"}
        file.write(pixels, subifds=2, resolution=(20000, 20000), resolutionunit=3, **tile)
        for step in (2, 8):
            file.write(pixels[::step, ::step], subfiletype=1, **tile)
    return folder / "i.tif"


def opened(path: Path, store: Path, **wanted: Any) -> FilePixels:
    receipt = read_receipt(store.with_name("i.json"))
    return FilePixels(
        raw_file(path, {}),
        {**WANTED, **wanted},  # type: ignore[typeddict-item]
        read_tissue(store, receipt["tissue"]),
        receipt["unreadable"],
    )


@pytest.mark.parametrize("wanted", [{}, {"want_mpp": 1.3}, {"tissue": "threshold"}, {"level": 1}])
def test_any_region_has_the_bits_of_the_store(
    slide: Path, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    store = prepare(tmp_path, path=slide, **wanted)
    whole = np.asarray(read_array(store, "0")[...])
    with opened(slide, store, **wanted) as pixels:
        assert (pixels.shape, pixels.dtype) == (whole.shape, whole.dtype)
        for rows, columns in ((slice(0, 800), slice(200, 800)), (slice(700, 760), slice(590, 600))):
            assert (pixels[slice(None), rows, columns] == whole[:, rows, columns]).all()
        with pickle.loads(pickle.dumps(pixels)) as again:  # as a worker on another node has it
            assert (again[slice(None), slice(0, 64), slice(0, 64)] == whole[:, :64, :64]).all()


def test_coarse_levels_alone_stay_and_are_an_image(slide: Path, tmp_path: Path) -> None:
    kept, store = tmp_path / "kept", tmp_path / "not"
    for folder, keep in ((kept, True), (store, False)):
        folder.mkdir()
        prepare(folder, path=slide, keep=keep)
    levels = [sorted(p.name for p in (f / "i.ome.zarr").glob("[0-9]")) for f in (kept, store)]
    assert levels == [["0", "1", "2", "3"], ["3"]]  # 2300 px are 288 px there, 1.6 % of the pixels
    Image.from_zarr(zarr.open_group(store / "i.ome.zarr", mode="r"))  # raises where it is none
    assert first_level(store / "i.ome.zarr") == 3
    all_of, some_of = (read_receipt(folder / "i.json") for folder in (kept, store))
    for key in ("levels", "pixels", "unreadable", "sources"):
        assert some_of[key] == all_of[key]
    coarse, same = (np.asarray(read_array(f / "i.ome.zarr", "3")[...]) for f in (kept, store))
    assert np.array_equal(coarse, same)


def test_a_prediction_from_the_file_has_the_bytes_of_one_from_the_store(
    slide: Path, tmp_path: Path
) -> None:
    made = {}
    for keep in (True, False):
        folder = tmp_path / f"{keep}"
        folder.mkdir()
        job = {**job_in(folder, 64, 64), "write_px": 512, "shard_px": 1024}
        shutil.rmtree(folder / "i.ome.zarr")
        prepare(folder, path=slide, keep=keep, tissue="threshold")
        wanted = {**WANTED, "tissue": "threshold"}
        predict(**job, file=None if keep else {"raw": raw_file(slide, {}), "wanted": wanted})
        made[keep] = all_bytes(folder / "p")
    assert made[False] == made[True]


def test_a_file_that_is_not_what_was_prepared_is_not_predicted(slide: Path, tmp_path: Path) -> None:
    job = job_in(tmp_path, 64, 64)
    shutil.rmtree(tmp_path / "i.ome.zarr")
    path = tmp_path / "other.tif"
    shutil.copy(slide, path)
    prepare(tmp_path, path=path, keep=False)
    tifffile.imwrite(path, np.zeros(SIZE, np.uint8))
    with pytest.raises(ReplacedError, match=r"other.tif: was replaced while the run went on"):
        predict(**job, file={"raw": raw_file(path, {}), "wanted": WANTED})
    assert not (tmp_path / "p").exists()


def test_a_place_that_was_read_before_and_cannot_be_now_is_an_error(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = prepare(tmp_path, path=slide)
    with opened(slide, store) as pixels:

        def fail(self: Slide, level: int, *region: slice) -> np.ndarray:
            raise SlideError("the disk is gone")

        monkeypatch.setattr(Slide, "read", fail)
        with pytest.raises(SlideError, match=r"could be read when the image was prepared, but"):
            pixels[slice(None), slice(0, 10), slice(0, 10)]
