"""Raw files are copied to scratch while they are read, with what belongs to them."""

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
from prepared import PIXELS, prepare, raw_file

from unetflow.errors import SlideError
from unetflow.images.staging import staged


def image(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"of a test")
    return folder / name


def test_a_file_is_in_scratch_meanwhile_with_those_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = image(tmp_path / "drive", "a.mrxs")
    image(tmp_path / "drive" / "a", "Data.dat")
    (tmp_path / "own").mkdir()
    monkeypatch.setenv("SCRATCH", str(tmp_path / "own"))
    with staged(raw_file(slide, {}), "$SCRATCH") as near:
        path = Path(near["path"])
        assert path.is_relative_to(tmp_path / "own")
        assert path.read_bytes() == slide.read_bytes()
        assert (path.parent / "a" / "Data.dat").exists()
    assert [*(tmp_path / "own").iterdir()] == []


def test_a_dataset_inside_keeps_its_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["raw"] = np.zeros(3)
    with staged(raw_file(f"{tmp_path / 's.h5'}:/raw", {}), str(tmp_path)) as near:
        assert near["path"].endswith("/s.h5:/raw")
        assert near["path"] != f"{tmp_path / 's.h5'}:/raw"


def test_errors_name_the_file_of_the_sheet(tmp_path: Path) -> None:
    slide = image(tmp_path / "drive", "a.svs")
    with (
        pytest.raises(SlideError, match=f"^{slide}: is broken$"),
        staged(raw_file(slide, {}), str(tmp_path)) as near,
    ):
        raise SlideError(f"{near['path']}: is broken")
    assert [path.name for path in tmp_path.iterdir()] == ["drive"]


def test_without_room_or_folder_it_is_read_where_it_lies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = raw_file(image(tmp_path / "drive", "a.svs"), {})
    with staged(raw, None) as near:
        assert near == raw
    assert caplog.messages == []
    with staged(raw, str(tmp_path / "nowhere")) as near:
        assert near == raw
    assert "read where it lies" in caplog.text
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 3}))
    with staged(raw, str(tmp_path)) as near:
        assert near == raw
    assert "more than is free there" in caplog.text


def test_frames_of_a_folder_stay_where_they_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    image(tmp_path / "frames", "t0.tif")
    raw = raw_file(tmp_path / "frames", {})
    with staged(raw, str(tmp_path)) as near:
        assert near == raw


def test_what_is_prepared_does_not_hang_on_it(tmp_path: Path) -> None:
    made: list[bytes] = []
    for scratch in (None, str(tmp_path)):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        prepare(folder, PIXELS[:300, :300], scratch=scratch)
        made.append((folder / "i.json").read_bytes())
    assert made[0] == made[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
