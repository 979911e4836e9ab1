"""Names of raw files, the files behind them, and what is noticed of another content."""

import os
from pathlib import Path

import pytest

from unetflow.images.sources import (
    PIECE_BYTES,
    RawFile,
    content_of,
    files_of,
    has_changed,
    raw_digest,
    seen,
    split_dataset,
)


def raw(path: Path, *, time: int | None = None, plane: int | None = None) -> RawFile:
    return {"path": str(path), "time": time, "plane": plane, "axes": None, "scene": None}


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


@pytest.mark.parametrize("place", [0, PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES + 7, -1])
def test_another_byte_at_any_place_of_a_file_of_the_same_size_is_noticed(
    tmp_path: Path, place: int
) -> None:
    path = tmp_path / "a.tif"
    content = bytearray(2 * PIECE_BYTES + 100)
    path.write_bytes(content)
    before, looked = content_of(raw(path)), path.stat()
    assert not has_changed(raw(path), before)
    content[place] = 1
    path.write_bytes(content)
    os.utime(path, ns=(looked.st_atime_ns, looked.st_mtime_ns + 1))
    assert raw_digest(path) != before.digest
    assert has_changed(raw(path), before)


def test_a_file_that_looks_different_and_holds_the_same_has_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"pixels")
    before = content_of(raw(path))
    path.rename(tmp_path / "b.tif")
    path.write_bytes(b"pixels")
    os.utime(path, (1, 1))
    assert seen([path]) != before.seen
    assert not has_changed(raw(path), before)


def test_the_dataset_is_in_the_digest_with_or_without_its_first_slash(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"x")
    of_raw = raw_digest(f"{tmp_path}/a.h5:/raw")
    assert of_raw == raw_digest(f"{tmp_path}/a.h5:raw")
    assert of_raw != raw_digest(f"{tmp_path}/a.h5:/labels")
    assert of_raw != raw_digest(tmp_path / "a.h5")


def test_all_files_of_a_store_count_and_litter_does_not(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    (store / "c").mkdir(parents=True)
    (store / "zarr.json").write_text("{}")
    for k in range(100):
        (store / "c" / f"{k:03}").write_bytes(b"chunk")
    before = content_of(raw(store))
    assert len(files_of(store)) == 101
    for name in (".DS_Store", "._zarr.json", "Thumbs.db", "c/desktop.ini"):
        (store / name).write_bytes(b"of a file manager")
    assert content_of(raw(store)) == before
    (store / "c" / "037").write_bytes(b"CHUNK")  # of the same size
    assert has_changed(raw(store), before)
    (store / "c" / "037").write_bytes(b"chunk")
    assert not has_changed(raw(store), before)
    (store / "c" / "099").rename(store / "c" / "100")
    assert has_changed(raw(store), before)


def test_of_a_folder_of_frames_only_the_frame_counts(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / f"t00{k}.tif").write_bytes(b"frame")
    frame = raw(tmp_path, plane=1)
    before = content_of(frame)
    assert files_of(tmp_path, plane=1) == [tmp_path / "t001.tif"]
    (tmp_path / "t003.tif").write_bytes(b"frame")
    (tmp_path / "t002.tif").write_bytes(b"other")
    assert content_of(frame) == before
    (tmp_path / "t001.tif").write_bytes(b"other")
    assert has_changed(frame, before)
    with pytest.raises(ValueError, match="a folder with 4 TIFF files numbered 0, 1, 2, 3"):
        files_of(tmp_path, plane=7)


def test_what_is_not_there_has_changed_and_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"x")
    before = content_of(raw(tmp_path / "a.tif"))
    (tmp_path / "a.tif").unlink()
    assert has_changed(raw(tmp_path / "a.tif"), before)
    with pytest.raises(FileNotFoundError, match="the folder is empty"):
        raw_digest(tmp_path)
