"""OME-Zarr metadata: sizes of pixels, groups that are written whole, lists of labels."""

from pathlib import Path

import pytest

from unetflow.errors import StoreError
from unetflow.store.levels import level_factors
from unetflow.store.ome import (
    PixelSize,
    ome_image,
    pixel_size,
    read_attributes,
    write_group,
    write_labels,
)


def test_a_pixel_is_known_in_um_whatever_the_unit_of_the_file() -> None:
    assert PixelSize((4000.0, 500.0, 250.0), "nanometer").um == (4.0, 0.5, 0.25)
    assert PixelSize((0.002, 0.001), "millimeter").um == (2.0, 1.0)
    assert PixelSize.square(0.5).um == (0.5, 0.5)
    assert PixelSize.square(None).um is None
    assert PixelSize((3.0, 3.0), "parsec").um is None


def test_each_level_has_pixels_of_twice_the_size() -> None:
    levels = level_factors((2048, 2048))
    assert [PixelSize((0.5, 0.25)).at_level(factors) for factors in levels] == [
        [0.5, 0.25],
        [1.0, 0.5],
        [2.0, 1.0],
    ]


@pytest.mark.parametrize(
    ("axes", "size"),
    [
        (("c", "y", "x"), PixelSize((0.5, 0.25), "micrometer")),
        (("z", "y", "x"), PixelSize((40.0, 4.0, 4.0), "nanometer")),
        (("y", "x"), PixelSize((1.0, 1.0))),
    ],
)
def test_the_size_of_a_pixel_comes_back(
    tmp_path: Path, axes: tuple[str, ...], size: PixelSize
) -> None:
    scale = [*[1.0] * ("c" in axes), *size.scale]
    write_group(tmp_path, "", ome_image("i", axes, {"0": scale}, unit=size.unit))
    assert pixel_size(tmp_path) == size


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"attributes": 3}'])
def test_a_store_without_whole_metadata_is_named_with_the_way_out(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "zarr.json").write_text(content)
    assert read_attributes(tmp_path) == {}
    with pytest.raises(
        StoreError, match=r"zarr\.json is not there or damaged. Delete the receipts"
    ):
        pixel_size(tmp_path)


def test_a_group_that_says_the_same_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "zarr.json"
    write_group(tmp_path, "", {"a": 1})
    first = file.stat()
    write_group(tmp_path, "", {"a": 1})
    assert file.stat().st_ino == first.st_ino
    write_group(tmp_path, "", {"a": 2})
    assert read_attributes(tmp_path) == {"a": 2}


def test_labels_are_listed_in_order_each_once(tmp_path: Path) -> None:
    for name in ("truth", "ignore", "truth"):
        write_labels(tmp_path, name, PixelSize.square(0.5), levels=[(1, 1), (2, 2)])
    assert read_attributes(tmp_path, "labels")["ome"]["labels"] == ["ignore", "truth"]
    ome = read_attributes(tmp_path, "labels/truth")["ome"]
    assert ome["image-label"] == {}
    assert [level["path"] for level in ome["multiscales"][0]["datasets"]] == ["0", "1"]


def test_how_an_image_is_shown_stays_until_it_is_told_anew(tmp_path: Path) -> None:
    image = ome_image("i", ("y", "x"), {"0": (1.0, 1.0)}, unit=None)
    write_group(tmp_path, "", {"ome": {**image["ome"], "omero": {"channels": [1]}}})
    before = (tmp_path / "zarr.json").stat()
    write_group(tmp_path, "", image)
    assert (tmp_path / "zarr.json").stat().st_mtime_ns == before.st_mtime_ns
    write_group(tmp_path, "", {"ome": {**image["ome"], "omero": {"channels": [2]}}})
    assert read_attributes(tmp_path)["ome"]["omero"] == {"channels": [2]}


def test_labels_are_not_forgotten_where_their_list_cannot_be_read_just_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(path: Path) -> str:
        raise OSError(116, "Stale file handle")

    write_labels(tmp_path, "truth", PixelSize.square(0.5))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", stale)
        for read in (
            lambda: write_labels(tmp_path, "ignore", PixelSize.square(0.5)),
            lambda: pixel_size(tmp_path),
        ):
            with pytest.raises(StoreError, match=r"zarr\.json: could not be read \(Stale file"):
                read()
    write_labels(tmp_path, "ignore", PixelSize.square(0.5))
    assert read_attributes(tmp_path, "labels")["ome"]["labels"] == ["ignore", "truth"]
