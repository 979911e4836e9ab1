"""What is known of files is remembered until they look different."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from unetflow.jobs.sheet import Image
from unetflow.jobs.sources import THE_ONLY_ONE, Sources


def test_a_remembered_digest_is_not_measured_again_until_the_file_looks_different(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cache = tmp_path / "a.bin", tmp_path / "cache.json"
    path.write_bytes(b"x")
    sources = Sources(cache)
    first = sources.raw_digest(path)
    sources.save()
    with monkeypatch.context() as patched:
        patched.setattr("unetflow.jobs.sources.raw_digest", None)
        assert Sources(cache).raw_digest(path) == first
    path.write_bytes(b"y")
    assert Sources(cache).raw_digest(path) != first


def test_what_is_known_is_saved_where_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    sources = Sources("cache.json")
    Path("a.bin").write_bytes(b"x")
    sources.raw_digest("a.bin")
    monkeypatch.chdir("elsewhere")
    sources.save()
    assert (tmp_path / "cache.json").exists()


def test_frames_of_one_folder_are_remembered_apart(tmp_path: Path) -> None:
    for k in range(2):
        (tmp_path / f"t{k}.tif").write_bytes(b"%d" % k)
    sources = Sources(tmp_path.parent / "cache.json")
    assert sources.raw_digest(tmp_path, plane=0) != sources.raw_digest(tmp_path, plane=1)


def test_a_file_that_is_not_there_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.tif"):
        Sources(tmp_path / "cache.json").raw_digest(tmp_path / "gone.tif")


def test_a_file_that_could_not_be_opened_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "i.tif", np.zeros((40, 30), np.uint8))
    image = Image("i", "cells", str(tmp_path / "i.tif"), "predict")

    def all_of(sources: Sources) -> list[object]:
        found: list[object] = [
            sources.as_prepared(image, None),
            sources.shapes_px(image.path, **image.chosen),
            sources.why_no_labels(image.path, **image.chosen),
            sources.peak_bytes(image.path, image.chosen),
        ]
        sources.save()
        return found

    def gone(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("unetflow.images.slide.open_file", gone)
        lacking = all_of(Sources(tmp_path / "cache.json"))
    assert "Input/output error" in str(lacking[0]) and lacking[1::2] == [[], 0]
    prepared, *others = all_of(Sources(tmp_path / "cache.json"))
    assert isinstance(prepared, dict)
    assert others == [[[40, 30]], None, prepared["peak_bytes"]]
    with monkeypatch.context() as patched:  # now it is remembered
        patched.setattr("unetflow.images.slide.open_file", gone)
        assert all_of(Sources(tmp_path / "cache.json")) == [prepared, *others]


def test_pixels_that_come_later_behind_a_file_are_looked_at_again(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "i.h5", "w") as file:
        layout = h5py.VirtualLayout((4, 6), "u1")
        layout[:] = h5py.VirtualSource("other.h5", "raw", (4, 6))
        file.create_virtual_dataset("raw", layout)
    sources = Sources(tmp_path / "cache.json")
    path, chosen = tmp_path / "i.h5", THE_ONLY_ONE
    assert sources.shapes_px(path, **chosen) == []
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["raw"] = np.ones((4, 6), np.uint8)
    assert sources.shapes_px(path, **chosen) == [[4, 6]]
