"""Names of raw files, and fingerprints that notice that a file is another one."""

from pathlib import Path

import pytest

from unetflow.images.sources import (
    PIECE_BYTES,
    files_of,
    fingerprint_of,
    has_changed,
    split_dataset,
)


@pytest.mark.parametrize(
    ("path", "file", "dataset"),
    [
        ("a/stack.h5:/raw", "a/stack.h5", "/raw"),
        ("stack.HDF5:volumes/raw", "stack.HDF5", "volumes/raw"),
        ("project.ilp:/x", "project.ilp", "/x"),
        ("stack.h5", "stack.h5", None),
        ("C:/slides/a.tif", "C:/slides/a.tif", None),
        ("odd:name.tif", "odd:name.tif", None),
    ],
)
def test_a_path_may_name_a_dataset_in_an_hdf5_file(
    path: str, file: str, dataset: str | None
) -> None:
    assert split_dataset(path) == (Path(file), dataset)


@pytest.mark.parametrize("place", [0, PIECE_BYTES - 1, -PIECE_BYTES, -1])
def test_another_byte_at_either_end_and_another_size_are_noticed(
    tmp_path: Path, place: int
) -> None:
    path = tmp_path / "a.tif"
    content = bytearray(10 * PIECE_BYTES)
    path.write_bytes(content)
    before = fingerprint_of(path)
    assert not has_changed(path, before)
    content[place] = 1
    path.write_bytes(content)
    assert has_changed(path, before)
    path.write_bytes(bytes(len(content) + 1))
    assert has_changed(path, before)


def test_the_dataset_is_in_the_fingerprint_with_or_without_its_first_slash(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"x")
    of_raw = fingerprint_of(f"{tmp_path}/a.h5:/raw")
    assert of_raw == fingerprint_of(f"{tmp_path}/a.h5:raw")
    assert of_raw != fingerprint_of(f"{tmp_path}/a.h5:/labels")
    assert of_raw != fingerprint_of(tmp_path / "a.h5")


def test_a_folder_has_another_fingerprint_for_another_name_size_or_metadata(
    tmp_path: Path,
) -> None:
    store = tmp_path / "a.zarr"
    (store / "c").mkdir(parents=True)
    (store / "zarr.json").write_text("{}")
    for k in range(100):
        (store / "c" / f"{k:03}").write_bytes(b"chunk")
    before = fingerprint_of(store)
    assert before.startswith("101 files-")
    assert len(files_of(store)) == 101
    (store / "zarr.json").write_text("[]")  # of the same size
    assert has_changed(store, before)
    (store / "zarr.json").write_text("{}")
    assert not has_changed(store, before)
    (store / "c" / "099").rename(store / "c" / "100")
    assert has_changed(store, before)


def test_what_is_not_there_has_changed_and_an_empty_folder_is_named(tmp_path: Path) -> None:
    assert has_changed(tmp_path / "gone.tif", "1-a")
    with pytest.raises(FileNotFoundError, match="the folder is empty"):
        fingerprint_of(tmp_path)
