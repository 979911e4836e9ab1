"""Files that a file names are read from its own folder, and from nowhere else."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from unetflow.errors import SlideError
from unetflow.images.slide import Slide
from unetflow.images.sources import files_of, raw_digest, seen
from unetflow.images.tiff_files import files_of_set
from unetflow.images.whole import read_whole
from unetflow.store.ome import ome_image, write_group

PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 6)
ELSEWHERE = "which is not in its folder"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what files in it may name, and beside it what they may not."""
    inner = tmp_path / "data"
    (inner / "sub").mkdir(parents=True)
    for name in ("data/sub/other.h5", "secret.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["raw"] = PIXELS
    for name in ("data/sub/other.bin", "secret.bin"):
        (tmp_path / name).write_bytes(PIXELS.tobytes())
    return inner


def read(path: Path | str) -> np.ndarray:
    with Slide(path) as slide:
        return np.asarray(slide.read(0, slice(0, 4), slice(0, 6))[0])


def linked(file: h5py.File, to: str) -> None:
    file["raw"] = h5py.ExternalLink(to + ".h5", "/raw")


def linked_twice(file: h5py.File, to: str) -> None:
    file["link"] = h5py.ExternalLink(to + ".h5", "/")
    file["raw"] = h5py.SoftLink("/link/raw")


def stored_elsewhere(file: h5py.File, to: str) -> None:
    file.create_dataset("raw", PIXELS.shape, "u1", external=[(to + ".bin", 0, PIXELS.size)])


def virtual(file: h5py.File, to: str) -> None:
    layout = h5py.VirtualLayout(PIXELS.shape, "u1")
    layout[:] = h5py.VirtualSource(to + ".h5", "raw", PIXELS.shape)
    file.create_virtual_dataset("raw", layout)


WAYS = [linked, linked_twice, stored_elsewhere, virtual]


@pytest.mark.parametrize("way", WAYS)
def test_hdf5_reads_pixels_of_files_in_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, way: Any
) -> None:
    with h5py.File(folder / "i.h5", "w") as file:
        way(file, "sub/other")
    np.testing.assert_array_equal(read(f"{folder}/i.h5:/raw"), PIXELS)
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (folder / "sub").rename(elsewhere / "sub")
    monkeypatch.chdir(elsewhere)  # where HDF5 looks too
    with pytest.raises(SlideError, match=r"i\.h5"):
        read(f"{folder}/i.h5:/raw")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("by", ["../secret", "sub/../../secret", "{}/secret"])
def test_hdf5_reads_no_pixels_from_elsewhere(folder: Path, way: Any, by: str) -> None:
    with h5py.File(folder / "i.h5", "w") as file:
        way(file, by.format(folder.parent))
    for reader in (read, read_whole):
        with pytest.raises(SlideError, match=rf"i\.h5:/raw: .*{ELSEWHERE}.*Put that file beside"):
            reader(f"{folder}/i.h5:/raw")


def test_what_is_behind_a_virtual_source_is_looked_at_too(folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as file:
        stored_elsewhere(file, "../secret")
    with h5py.File(folder / "i.h5", "w") as file:
        virtual(file, "other")
    with pytest.raises(SlideError, match=ELSEWHERE):
        read(f"{folder}/i.h5:/raw")
    with h5py.File(folder / "i.h5", "w") as file:
        layout = h5py.VirtualLayout((4, 6), "u1")
        layout[:] = h5py.VirtualSource(".", "raw", (4, 6))
        file.create_virtual_dataset("raw", layout)
    with pytest.raises(SlideError, match=r"lie in raw of \., whose lie in it"):
        read(f"{folder}/i.h5:/raw")


def test_a_virtual_source_that_is_missing_is_not_read_as_zeros(folder: Path) -> None:
    with h5py.File(folder / "i.h5", "w") as file:
        virtual(file, "none")
    with pytest.raises(SlideError, match=r"its pixels lie in none\.h5, which is not beside it"):
        read(folder / "i.h5")
    with h5py.File(folder / "none.h5", "w") as file:
        file["other"] = PIXELS
    with pytest.raises(SlideError, match=r"lie in raw of none\.h5, where there is none"):
        read(folder / "i.h5")


def write_member(file: Path, named: str, own: str = "urn:uuid:0") -> None:
    """An OME-TIFF whose pixels are in another file."""
    described = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="6" '
        'SizeY="4" SizeC="1" SizeZ="1" SizeT="1"><TiffData IFD="0" PlaneCount="1">'
        f'<UUID FileName="{named}">{own}</UUID></TiffData></Pixels></Image></OME>'
    )
    tifffile.imwrite(file, 0 * PIXELS, description=described, metadata=None)


@pytest.mark.parametrize(
    "by", ["../secret.tif", "sub/../../secret.tif", "{}/secret.tif", "&#46;./secret.tif"]
)
def test_an_ome_tiff_reads_no_pixels_from_elsewhere(folder: Path, by: str) -> None:
    tifffile.imwrite(folder.parent / "secret.tif", PIXELS)
    write_member(folder / "i.ome.tif", by.format(folder.parent), "urn:uuid:1")
    for reader in (read, read_whole):
        with pytest.raises(SlideError, match=ELSEWHERE):
            reader(folder / "i.ome.tif")
    assert not any(each.exists() for each in files_of_set(folder / "i.ome.tif"))


def test_an_ome_tiff_reads_pixels_of_a_folder_in_its_own(folder: Path) -> None:
    tifffile.imwrite(folder / "sub" / "pixels.tif", PIXELS)
    write_member(folder / "i.ome.tif", "sub/pixels.tif", "urn:uuid:1")
    np.testing.assert_array_equal(read(folder / "i.ome.tif"), PIXELS)
    assert files_of_set(folder / "i.ome.tif") == [folder / "sub" / "pixels.tif"]


def test_an_ome_tiff_may_remember_where_it_was_written(folder: Path) -> None:
    write_member(folder / "i.ome.tif", "/somewhere/else.ome.tif")  # by its own UUID
    np.testing.assert_array_equal(read(folder / "i.ome.tif"), 0 * PIXELS)


def test_an_ome_tiff_whose_pixels_are_missing_says_which_it_reads(folder: Path) -> None:
    write_member(folder / "i.ome.tif", "none.tif", "urn:uuid:1")
    with Slide(folder / "i.ome.tif") as slide:
        assert slide.notes == ("names none.tif, but its own pages are read",)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("beside", ["the link", "the file"])
def test_a_link_of_the_file_system_finds_what_is_named_at_both_its_ends(
    folder: Path, way: Any, beside: str
) -> None:
    links = folder.parent / "links"
    links.mkdir()
    (links / "i.h5").symlink_to(folder / "i.h5")
    with h5py.File(folder / "i.h5", "w") as file:
        way(file, "sub/other")
    if beside == "the link":
        (folder / "sub").rename(links / "sub")
    np.testing.assert_array_equal(read(f"{links}/i.h5:/raw"), PIXELS)


@pytest.mark.parametrize("by", ["../secret", "x/../../secret", "{}/secret"])
def test_an_ome_zarr_reads_no_pixels_from_elsewhere(folder: Path, by: str) -> None:
    store = folder / "i.zarr"
    zarr.create_array(folder / "secret", data=PIXELS)
    write_group(store, "", ome_image("i", ("y", "x"), {"0": [1.0, 1.0]}, unit="micrometer"))
    metadata = json.loads((store / "zarr.json").read_text())
    image = metadata["attributes"]["ome"]["multiscales"][0]
    image["datasets"][0]["path"] = by.format(folder)
    (store / "zarr.json").write_text(json.dumps(metadata))
    for reader in (read, read_whole):
        with pytest.raises(SlideError, match=r"i\.zarr"):
            reader(store)


def test_links_of_the_file_system_are_followed(folder: Path) -> None:
    (folder / "other.h5").symlink_to(folder.parent / "secret.h5")
    (folder / "linked.h5").symlink_to("i.h5")
    with h5py.File(folder / "i.h5", "w") as file:
        virtual(file, "other")
    for name in ("other.h5", "i.h5", "linked.h5"):
        np.testing.assert_array_equal(read(folder / name), PIXELS)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("beside", ["the file", "the link"])
def test_a_hdf5_holds_something_else_when_a_file_behind_it_does(
    folder: Path, way: Any, beside: str
) -> None:
    with h5py.File(folder / "i.h5", "w") as file:
        way(file, "sub/other")
    path = f"{folder}/i.h5:/raw"
    if beside == "the link":
        (folder.parent / "links").mkdir()
        (folder.parent / "links" / "i.h5").symlink_to(folder / "i.h5")
        path = f"{folder.parent}/links/i.h5:/raw"
    other = folder / "sub" / ("other.bin" if way is stored_elsewhere else "other.h5")
    assert other in files_of(path)
    before = raw_digest(path), seen(files_of(path))
    content = other.read_bytes()
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # of the same size
    now = raw_digest(path), seen(files_of(path))
    assert now[0] != before[0] and now[1] != before[1]


@pytest.mark.parametrize("way", [stored_elsewhere, virtual])
def test_of_a_hdf5_what_is_missing_behind_it_is_named(folder: Path, way: Any) -> None:
    with h5py.File(folder / "i.h5", "w") as file:
        way(file, "none")
    missing = folder / ("none.bin" if way is stored_elsewhere else "none.h5")
    for path in (folder / "i.h5", f"{folder}/i.h5:/raw"):
        assert files_of(path) == [folder / "i.h5", missing]
    absent = raw_digest(folder / "i.h5"), seen(files_of(folder / "i.h5"))
    missing.write_bytes(PIXELS.tobytes())
    present = raw_digest(folder / "i.h5"), seen(files_of(folder / "i.h5"))
    assert absent[0] != present[0] and absent[1] != present[1]


def test_behind_a_hdf5_of_its_own_there_is_no_other_file(folder: Path) -> None:
    with h5py.File(folder / "i.h5", "w") as file:
        file["raw"] = PIXELS
        virtual_source = h5py.VirtualSource(".", "raw", PIXELS.shape)
        layout = h5py.VirtualLayout(PIXELS.shape, "u1")
        layout[:] = virtual_source
        file.create_virtual_dataset("same", layout)
    for path in (folder / "i.h5", f"{folder}/i.h5:same", f"{folder}/i.h5:/none"):
        assert files_of(path) == [folder / "i.h5"]
