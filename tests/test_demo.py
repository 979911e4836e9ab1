"""The images that `make demo` draws: their pixels, their truths and their files."""

import errno
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from unetflow.demo import cells as synthetic_cells
from unetflow.demo import files as synthetic_files
from unetflow.demo import planes as synthetic
from unetflow.demo.files import demo_paths, write_demo, write_image_pair, write_slide
from unetflow.demo.planes import BLOCK_PX, PLANE_PX, draw_labels, draw_region
from unetflow.errors import StoreError

Labels = NDArray[Any]  # integers, 0 background
Piece = tuple[NDArray[np.uint8], NDArray[np.uint32]]


@pytest.fixture(scope="module")
def piece() -> Piece:
    return draw_region(slice(0, 1024), slice(0, 1024), seed=7)


def seg(truth: Labels, predicted: Labels) -> float:
    """SEG of Cell Tracking Challenge, written for this test alone."""
    truth = np.unique(truth, return_inverse=True)[1]
    scores = []
    for index, place in enumerate(ndimage.find_objects(truth), start=1):
        inside = predicted[place][truth[place] == index]
        counts = np.bincount(inside)
        best = counts.argmax()
        if best == 0 or 2 * counts[best] <= inside.size:
            scores.append(0.0)
        else:
            union = inside.size + np.count_nonzero(predicted == best) - counts[best]
            scores.append(counts[best] / union)
    return float(np.mean(scores))


def touching(labels: Labels) -> Labels:
    """The labels that have another label as a 4-neighbour."""
    pairs = [(labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])]
    found = [np.stack([a, b])[:, (a != b) & (a > 0) & (b > 0)].ravel() for a, b in pairs]
    return np.unique(np.concatenate(found))


def test_a_region_is_the_same_part_of_a_larger_region(piece: Piece) -> None:
    for rows, columns in [
        (slice(3, 1001), slice(507, 1024)),
        (slice(509, 516), slice(101, 902)),
        (slice(1023, 1024), slice(0, 1)),
    ]:
        image, labels = draw_region(rows, columns, seed=7)
        np.testing.assert_array_equal(image, piece[0][rows, columns])
        np.testing.assert_array_equal(labels, piece[1][rows, columns])
        np.testing.assert_array_equal(draw_labels(rows, columns, seed=7), labels)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch, piece: Piece) -> None:
    # other blocks cut through other cells; the labels and the pixels stay
    monkeypatch.setattr(synthetic, "BLOCK_PX", 300)
    image, labels = draw_region(slice(0, 900), slice(300, 900), seed=7)
    np.testing.assert_array_equal(labels, piece[1][:900, 300:900])
    # the blur may round the last bit of a float32 otherwise, so one gray level in few pixels
    apart = np.abs(image.astype(int) - piece[0][:900, 300:900])
    assert apart.max() <= 1
    assert np.mean(apart > 0) < 1e-3


def test_a_seed_draws_one_plane_and_another_seed_another(piece: Piece) -> None:
    place = (slice(0, 64), slice(0, 64))
    again = draw_region(*place, seed=7)
    assert again[0].tobytes() == piece[0][place].tobytes()
    assert np.mean(draw_region(*place, seed=8)[0] != piece[0][place]) > 0.5


def test_labels_are_connected_cells_of_uint32(piece: Piece) -> None:
    image, labels = piece
    assert image.dtype == np.uint8 and labels.dtype == np.uint32
    inner = np.setdiff1d(labels, np.concatenate([labels[0], labels[-1], *labels[:, [0, -1]].T]))
    assert len(inner) > 500
    areas = []
    for label, place in zip(inner, ndimage.find_objects(dense(labels, inner)), strict=True):
        cell = labels[place] == label
        assert ndimage.label(cell)[1] == 1
        areas.append(cell.sum())
    assert min(areas) >= synthetic_cells.MIN_AREA_PX
    diameters_px = 2 * np.sqrt(np.array(areas) / np.pi)
    assert 25 < diameters_px.mean() < 31
    assert diameters_px.std() > 7


def dense(labels: Labels, chosen: Labels) -> Labels:
    """Labels 1, 2, ... in place of the chosen ones, 0 elsewhere."""
    index = np.searchsorted(chosen, labels).clip(max=len(chosen) - 1)
    return np.where(chosen[index] == labels, index + 1, 0)


def test_no_cell_is_larger_than_its_reach() -> None:
    cells = synthetic_cells.cells_in(7, 0, 0, (4000, 4000))
    waves = cells["harmonics"].reshape(-1, 4, 2)
    largest = cells["radius"] * (1 + np.hypot(waves[..., 0], waves[..., 1]).sum(axis=1))
    assert largest.max() < synthetic_cells.REACH_PX
    assert len(np.unique(cells["label"])) == len(cells)


def test_many_cells_touch_and_many_stand_alone(piece: Piece) -> None:
    labels = piece[1]
    share = len(touching(labels)) / np.count_nonzero(np.unique(labels))
    assert 0.4 < share < 0.9


def test_labels_at_the_far_end_of_the_plane_fit_uint32() -> None:
    end = slice(PLANE_PX - 200, PLANE_PX)
    labels = draw_labels(end, end, seed=0)
    assert labels.max() > 0.99 * 2**32
    assert len(np.unique(labels)) > 10


def test_a_global_threshold_does_not_segment_the_cells(piece: Piece) -> None:
    image, labels = piece
    threshold = threshold_otsu(image)
    scores = [
        seg(labels, ndimage.label(mask)[0]) for mask in (image > threshold, image <= threshold)
    ]
    assert 0.1 < max(scores) < 0.4


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (slice(-1, 5), "0 <= start < stop"),
        (slice(5, 5), "not empty"),
        (slice(0, PLANE_PX + 1), "another seed"),
        (slice(0, 8, 2), "without a step"),
        (slice(None, 8), "slice\\(start, stop\\)"),
    ],
)
def test_a_region_outside_the_plane_is_refused(rows: slice, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        draw_region(rows, slice(0, 5), seed=0)


def test_a_seed_of_more_than_63_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="63 bits"):
        draw_region(slice(0, 5), slice(0, 5), seed=2**63)


def test_a_slide_is_a_tiled_pyramid_with_mpp_and_its_truth(tmp_path: Path) -> None:
    path, truth_path, shape = tmp_path / "slide.ome.tif", tmp_path / "truth.tif", (1101, 700)
    write_slide(path, truth_path, shape=shape, seed=3, mpp=0.25)
    image, labels = draw_region(slice(0, 1101), slice(0, 700), seed=3)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome and tiff.pages.first.is_tiled
        levels = tiff.series[0].levels
        assert [level.shape for level in levels] == [shape, (550, 350), (275, 175), (137, 87)]
        assert all(level.keyframe.tile == (BLOCK_PX, BLOCK_PX) for level in levels)
        assert len(tiff.pages.first.subifds or ()) == 3
        assert 'PhysicalSizeX="0.25" PhysicalSizeXUnit="µm"' in str(tiff.ome_metadata)
        np.testing.assert_array_equal(levels[0].asarray(), image)
        finer = image.astype(float)
        for level in levels[1:]:
            rows, columns = level.shape
            finer = finer[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean((1, 3))
            finer = np.floor(finer + 0.5)
            np.testing.assert_array_equal(level.asarray(), finer)
    with tifffile.TiffFile(truth_path) as tiff:
        assert tiff.pages.first.is_tiled
        truth = tiff.asarray()
    assert truth.dtype == np.uint32
    np.testing.assert_array_equal(truth, labels)


def test_a_demo_set_is_the_same_to_the_byte_and_its_images_differ(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        paths = demo_paths(tmp_path / name, training=2, validation=1, test=1)
        write_demo(**paths, seed=5, image_px=96, slide_px=200)
        files = sorted((tmp_path / name).iterdir())
        assert len(files) == 10  # and nothing temporary
        written.append({file.name: file.read_bytes() for file in files})
    assert written[0] == written[1]
    assert len(set(written[0].values())) == 10


def test_another_image_in_a_demo_set_changes_no_file(tmp_path: Path) -> None:
    for name, training in (("one", 1), ("two", 2)):
        paths = demo_paths(tmp_path / name, training=training, validation=1, test=1)
        write_demo(**paths, seed=5, image_px=32, slide_px=32)
    for file in (tmp_path / "one").iterdir():
        assert (tmp_path / "two" / file.name).read_bytes() == file.read_bytes()


def test_an_image_pair_holds_the_region_at_its_origin(tmp_path: Path) -> None:
    image_path, truth_path = tmp_path / "image.tif", tmp_path / "truth.tif"
    write_image_pair(image_path, truth_path, shape=(40, 60), seed=2, origin=(9000, 30))
    image, labels = draw_region(slice(9000, 9040), slice(30, 90), seed=2)
    np.testing.assert_array_equal(tifffile.imread(image_path), image)
    np.testing.assert_array_equal(tifffile.imread(truth_path), labels)


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, truth_path = tmp_path / "slide.ome.tif", tmp_path / "truth.tif"
    path.write_bytes(b"old")

    def broken(*arguments: object, **options: object) -> Never:
        raise OSError(errno.ENOSPC, "the disk is full")

    monkeypatch.setattr(synthetic_files, "draw_region", broken)
    with pytest.raises(StoreError, match=r"slide\.ome\.tif: could not be .* \(the disk is full\)"):
        write_slide(path, truth_path, shape=(600, 600), seed=0)
    assert path.read_bytes() == b"old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["slide.ome.tif", "truth.tif"]


def test_a_demo_set_of_unequal_lists_or_equal_names_is_refused(tmp_path: Path) -> None:
    paths = demo_paths(tmp_path, training=2, validation=0, test=0)
    with pytest.raises(ValueError, match="2 image_paths and 1 truth_paths"):
        write_demo(**(paths | {"truth_paths": paths["truth_paths"][:1]}), seed=0)
    same = [tmp_path / "a" / "x.tif", tmp_path / "b" / "x.tif"]
    with pytest.raises(ValueError, match=r"two files are named x\.tif"):
        write_demo(**(paths | {"image_paths": same}), seed=0)


def test_a_slide_too_small_for_its_levels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="three further levels"):
        write_slide(tmp_path / "slide.tif", tmp_path / "truth.tif", shape=(7, 900), seed=0)
