"""Arrays of what no image holds, or of nothing, are refused in words by both ways to read."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from unetflow.errors import SlideError
from unetflow.images.slide import Slide
from unetflow.images.whole import read_whole
from unetflow.store.ome import ome_image, write_group

RECORDS = np.zeros((4, 5), [("a", "u1"), ("b", "f4")])
ARRAYS = {
    "records": RECORDS,
    "text": np.full((4, 5), "a"),
    "times": np.zeros((4, 5), "M8[s]"),
    "complex": np.zeros((4, 5), complex),
    "bytes without meaning": np.zeros((4, 5), "V3"),
    "longer than 64 bits": np.zeros((4, 5), np.longdouble),
    "nothing": np.zeros((0, 5)),
    "objects": np.array([[1, "a"], [None, 2]], object),
}


def header(shape: str) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text.encode()


FILES = {
    "shorter than it says": header("(1000000000, 1000000000)") + bytes(99),
    "less than nothing": header("(-4, 5)") + bytes(99),
    "beyond all": header(f"({2**63}, 2)") + bytes(99),
    "nested": header("(" * 50 + "4" + ")" * 50) + bytes(99),
    "a pickle": b"\x80\x04K\x01.",
    "an archive": b"PK\x03\x04" + bytes(99),
}


def is_refused(path: Path | str, match: str = "") -> None:
    with pytest.raises(SlideError, match=rf"i\.(npy|h5|zarr).*{match}"), Slide(path) as slide:
        slide.read(0, slice(0, 4), slice(0, 5))
    with pytest.raises(SlideError, match=rf"i\.(npy|h5|zarr).*{match}"):
        read_whole(path)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_npy_without_numbers(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "i.npy", ARRAYS[name], allow_pickle=True)
    is_refused(tmp_path / "i.npy")


@pytest.mark.parametrize("name", FILES)
def test_a_npy_that_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "i.npy").write_bytes(FILES[name])
    is_refused(tmp_path / "i.npy")


MADE: dict[str, Callable[[h5py.File], object]] = {
    "records": lambda file: file.create_dataset("raw", data=RECORDS),
    "lists": lambda file: file.create_dataset("raw", (4, 5), h5py.vlen_dtype(np.uint8)),
    "text": lambda file: file.create_dataset("raw", (4, 5), h5py.string_dtype()),
    "nothing": lambda file: file.create_dataset("raw", data=h5py.Empty("u1")),
}


@pytest.mark.parametrize("name", MADE)
def test_a_hdf5_without_numbers(tmp_path: Path, name: str) -> None:
    with h5py.File(tmp_path / "i.h5", "w") as file:
        MADE[name](file)
    is_refused(tmp_path / "i.h5")


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5,), (4, 5, 3)])
def test_a_pyramid_with_a_level_of_another_kind(tmp_path: Path, shape: tuple[int, ...]) -> None:
    scales = {"0": [1.0, 1.0], "1": [2.0, 2.0]}
    write_group(tmp_path / "i.zarr", "", ome_image("i", ("y", "x"), scales, unit="micrometer"))
    zarr.create_array(tmp_path / "i.zarr" / "0", data=np.zeros((8, 10), np.uint8))
    zarr.create_array(tmp_path / "i.zarr" / "1", shape=shape, dtype="uint8")
    try:
        with Slide(tmp_path / "i.zarr") as slide:
            slide.read(1, slice(0, 4), slice(0, 5))
    except SlideError as error:
        assert "i.zarr" in str(error)
    else:
        assert shape == (4, 5, 3)
