"""What files take on disk."""

from pathlib import Path

from unetflow.store.disk import on_disk


def test_files_and_folders_are_counted_once_and_what_is_not_there_not(tmp_path: Path) -> None:
    (tmp_path / "store/c/0").mkdir(parents=True)
    (tmp_path / "store/zarr.json").write_bytes(b"12345")
    (tmp_path / "store/c/0/1").write_bytes(bytes(100))
    (tmp_path / "model").write_bytes(bytes(7))
    store, model = tmp_path / "store", tmp_path / "model"
    assert on_disk([store, model, str(store), tmp_path / "none"]) == (3, 112)
    (tmp_path / "empty").mkdir()
    assert on_disk([tmp_path / "empty"]) == (0, 0)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(5000))
    (tmp_path / "store").mkdir()
    (tmp_path / "store/link").symlink_to(tmp_path / "large")
    (tmp_path / "loop").symlink_to(tmp_path)
    files, size_bytes = on_disk([tmp_path / "store", tmp_path / "loop"])
    assert files == 2
    assert size_bytes < 1000
