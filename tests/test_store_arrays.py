"""Zarr arrays read by region: keys as NumPy has them, and what is said where reading fails."""

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unetflow.errors import StoreError
from unetflow.store.arrays import DamagedError, StoredArray
from unetflow.store.shards import Layout, open_array

PIXELS = np.arange(2 * 70 * 50, dtype=np.uint16).reshape(2, 70, 50)


@pytest.fixture
def array(tmp_path: Path) -> StoredArray:
    layout = Layout(PIXELS.shape, "uint16", ("c", "y", "x"), shard_px=64, chunk_px=32)
    stored = open_array(tmp_path / "a b.zarr", "0", layout, decided_by={})
    for index in stored.missing():
        stored.write(index, PIXELS[stored.region(index)])
    return StoredArray(stored.path)


@pytest.mark.parametrize(
    "key",
    [
        *(..., (), 1, -1, (0, 3), (..., 7), (1, ..., slice(2, 9)), slice(1, None)),
        *(
            (0, slice(60, 99), slice(-5, None)),
            (0, slice(5, 3)),
            (0, slice(80, 90)),
            (0, slice(9, 9)),
        ),
        *((slice(None), slice(None, None, 2), slice(40, 3, -3)), (np.int64(1), slice(np.int64(3)))),
    ],
)
def test_keys_are_those_of_numpy(array: StoredArray, key: Any) -> None:
    np.testing.assert_array_equal(array[key], PIXELS[key])


@pytest.mark.parametrize(
    ("key", "why"),
    [
        *((key, "out of range") for key in (2, (0, -71))),
        *((key, "integers and slices") for key in (True, None, [1, 0], (0, np.array([1])))),
        ((0, 0, 0, 0), "more than the 3 axes"),
    ],
)
def test_other_keys_are_refused(array: StoredArray, key: Any, why: str) -> None:
    with pytest.raises(IndexError, match=why):
        array[key]


def test_the_array_says_what_it_is(array: StoredArray) -> None:
    assert (array.shape, array.ndim, array.dtype) == (PIXELS.shape, 3, PIXELS.dtype)
    assert (array.chunks, array.shards) == ((1, 32, 32), (2, 64, 64))
    np.testing.assert_array_equal(np.asarray(array), PIXELS)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "zeros"])
def test_a_shard_that_is_not_whole_is_damaged_and_never_zero(
    array: StoredArray, damage: str
) -> None:
    shard = array.path / "c" / "0" / "1" / "0"
    held = shard.read_bytes()
    if damage == "missing":
        shard.unlink()
    else:
        lost = {"empty": b"", "cut": held[:-9], "zeros": bytes(len(held))}
        shard.write_bytes(lost[damage])
    np.testing.assert_array_equal(array[:, :64], PIXELS[:, :64])
    with pytest.raises(DamagedError, match=r"0: damaged at \[0:2, 60:70, 0:50\] .*receipts"):
        array[:, 60:]


def test_what_cannot_be_read_just_now_is_not_damaged(array: StoredArray) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(
            StoreError, match="could not be read at .*Too many open files"
        ) as raised:
            array[0]
        with pytest.raises(StoreError, match="could not be opened .*Too many open files") as opened:
            StoredArray(array.path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not isinstance(raised.value, DamagedError)
    assert "receipt" not in str(opened.value)  # nothing is to be deleted


def test_an_array_that_is_not_there_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="gone: no readable array .*receipt") as raised:
        StoredArray(tmp_path / "gone")
    assert len(str(raised.value)) < 400
