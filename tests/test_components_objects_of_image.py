"""Labelling by blocks is labelling the whole image at once, to the number."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy_labels import scipy_instances
from skimage.measure import regionprops

from unetflow.components.groups_of_block import settle
from unetflow.components.objects_of_image import find_objects
from unetflow.components.pieces_of_block import (
    Labelling,
    Sums,
    distinct_pairs,
    find_components,
    sums_of,
    touching_components,
)
from unetflow.tiles.regions import shard_grid, shard_region


def by_blocks(
    foreground: np.ndarray,
    block: tuple[int, ...],
    threads: int = 1,
    others: np.ndarray | None = None,
    **how: Any,
) -> tuple[np.ndarray, Any]:
    def read(region: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        of_others = None if others is None else others[region]
        return foreground[region] > 0.5, foreground[region], of_others

    objects = find_objects(read, foreground.shape, block, Labelling(**how), threads)
    labels = np.zeros(foreground.shape, np.uint32)
    for index in shard_grid(foreground.shape, block):
        region = shard_region(index, foreground.shape, block)
        labels[region] = objects.draw(index, read(region)[0])
    return labels, objects


@pytest.mark.slow
@pytest.mark.parametrize("axes", [2, 3])
@given(st.data(), st.sampled_from([0, 2, 4]))
def test_background_that_holds_others_is_no_hole(
    axes: int, data: st.DataObject, min_area: int
) -> None:
    shapes = hnp.array_shapes(min_dims=axes, max_dims=axes, max_side=14 if axes == 2 else 6)
    classes = data.draw(hnp.arrays(np.uint8, shapes, elements=st.integers(0, 2)))
    block = data.draw(st.tuples(*[st.integers(1, 6)] * axes))
    connectivity = data.draw(st.integers(1, axes))
    mask, others = classes == 1, classes == 2
    filled = ndimage.binary_fill_holes(mask)
    holes, _ = ndimage.label(filled & ~mask)
    filled &= ~np.isin(holes, np.setdiff1d(holes[others], [0]))
    wanted = scipy_instances(filled.astype(float), connectivity=connectivity, min_area_px=min_area)
    found, objects = by_blocks(
        mask.astype(float),
        block,
        others=others,
        connectivity=connectivity,
        fill_holes=True,
        min_area_px=min_area,
    )
    np.testing.assert_array_equal(found, wanted)
    check_sums(objects.sums, wanted, mask.astype(float))


def check_sums(sums: Sums, labels: np.ndarray, foreground: np.ndarray) -> None:
    """They are what scikit-image measures."""
    for k, region in enumerate(regionprops(labels, intensity_image=foreground)):
        assert sums.area_px[k] == region.area
        assert (*sums.start[k], *sums.stop[k]) == region.bbox
        assert sums.at[k] / region.area == pytest.approx(region.centroid)
        assert sums.foreground[k] / region.area == pytest.approx(region.intensity_mean)


@pytest.mark.parametrize("axes", [2, 3])
@given(st.data(), st.booleans(), st.sampled_from([0, 2, 4]), st.sampled_from([None, None, 1, 2, 5]))
@pytest.mark.slow
def test_blocks_of_any_size_give_the_numbers_of_the_whole(
    axes: int, data: st.DataObject, fill_holes: bool, min_area: int, max_hole: int | None
) -> None:
    shapes = hnp.array_shapes(min_dims=axes, max_dims=axes, max_side=14 if axes == 2 else 6)
    mask = data.draw(hnp.arrays(bool, shapes))
    block = data.draw(st.tuples(*[st.integers(1, 6)] * axes))
    connectivity = data.draw(st.integers(1, axes))
    how: dict[str, Any] = {
        "connectivity": connectivity,
        "fill_holes": fill_holes,
        "min_area_px": min_area,
        "max_hole_px": max_hole,
    }
    found, objects = by_blocks(mask.astype(float), block, **how)
    wanted = scipy_instances(mask.astype(float), **how)
    np.testing.assert_array_equal(found, wanted)
    assert objects.count == wanted.max(initial=0)


@pytest.mark.parametrize("connectivity", [1, 2])
def test_large_noise_in_threads_and_its_sums(connectivity: int) -> None:
    random = np.random.default_rng(0)
    foreground = random.random((301, 257))
    how: dict[str, Any] = {"connectivity": connectivity, "fill_holes": True, "min_area_px": 3}
    found, objects = by_blocks(foreground, (64, 50), threads=3, **how)
    np.testing.assert_array_equal(found, scipy_instances(foreground, **how))
    check_sums(objects.sums, found, foreground)


@pytest.mark.parametrize("connectivity", [1, 2, 3])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.8])
def test_a_volume_of_noise_and_its_sums(connectivity: int, share: float) -> None:
    random = np.random.default_rng(connectivity)
    foreground = (random.random((23, 37, 41)) < share) * random.uniform(0.6, 1, (23, 37, 41))
    how: dict[str, Any] = {"connectivity": connectivity, "fill_holes": True, "min_area_px": 2}
    found, objects = by_blocks(foreground, (8, 11, 16), threads=2, **how)
    np.testing.assert_array_equal(found, scipy_instances(foreground, **how))
    check_sums(objects.sums, found, foreground)


@pytest.mark.parametrize("max_hole_px", [1, 3, 12])
def test_holes_of_noise_are_filled_up_to_a_size(max_hole_px: int) -> None:
    foreground = np.random.default_rng(2).random((90, 84)) < 0.62
    how: dict[str, Any] = {"fill_holes": True, "min_area_px": 4, "max_hole_px": max_hole_px}
    wanted = scipy_instances(foreground, **how)
    for block in ((90, 84), (16, 20), (5, 7)):
        np.testing.assert_array_equal(by_blocks(foreground.astype(float), block, **how)[0], wanted)
    assert (
        wanted.astype(bool).sum() < scipy_instances(foreground, fill_holes=True).astype(bool).sum()
    )


def test_a_spiral_through_all_blocks_is_one_object() -> None:
    mask = np.zeros((40, 40))
    for ring in range(0, 18, 4):
        mask[ring, ring : 40 - ring] = mask[ring : 40 - ring, 39 - ring] = 1
        mask[39 - ring, ring : 40 - ring] = 1
        mask[ring + 2 : 40 - ring, ring] = mask[ring + 2, ring : ring + 3] = 1
        mask[ring + 2 : ring + 5, ring + 2] = 1
    found, _ = by_blocks(mask, (7, 9))
    np.testing.assert_array_equal(found, scipy_instances(mask))


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_foreground_of_any_type_that_is_stored(dtype: str) -> None:
    foreground = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]], dtype)
    _, objects = by_blocks(foreground, (2, 2))
    assert objects.sums.foreground.tolist() == [2, 1]


def test_nothing_has_no_objects() -> None:
    found, objects = by_blocks(np.zeros((9, 11)), (4, 4), fill_holes=True)
    assert objects.count == 0
    assert not found.any()


def settled(drawing: str, min_area_px: int, *, fill_holes: bool = True) -> tuple[Any, np.ndarray]:
    """Groups of a block, and the image of them."""
    mask = np.array([[pixel == "1" for pixel in row] for row in drawing.split()])
    how = Labelling(min_area_px, fill_holes, 1)
    components = find_components(mask, how)
    sums = sums_of(components, mask.astype("u1"), (0, 0), mask.shape)
    touching = np.zeros((0, 2), np.int64)
    if fill_holes:
        touching = distinct_pairs(touching_components(components, 1), components.count)
    no_others = np.zeros(components.count, bool)
    found = settle(components.faces(), sums, components.are_objects(), touching, no_others, how)
    return found, components.painted(found.of_component)


BLOCK = """
00000000
01110010
01010000
01110011
00000011
"""


@pytest.mark.parametrize(("min_area_px", "groups"), [(0, 4), (2, 3), (9, 3), (10, 2)])
def test_groups_of_a_block_are_what_its_neighbours_cannot_change(
    min_area_px: int, groups: int
) -> None:
    found, image = settled(BLOCK, min_area_px)
    assert len(found.is_object) == groups
    ground, ring, corner = image[0, 0], image[1, 1], image[4, 7]
    assert image[2, 2] == ring  # its hole, in any case
    assert (image[1, 6] == ground) == (min_area_px > 1)  # the single pixel
    assert (ring == ground) == (min_area_px > 9)
    assert found.is_object[[ground - 1, corner - 1]].tolist() == [False, True]
    assert found.sums.area_px.sum() == image.size
    others = sorted({ring, corner, image[1, 6]} - {ground})
    assert found.touching.tolist() == [[ground - 1, other - 1] for other in others]


def test_what_is_too_small_belongs_to_no_group_where_holes_are_not_filled() -> None:
    found, image = settled(BLOCK, 9, fill_holes=False)
    assert found.sums.area_px.tolist() == [4]  # the ring has 8 pixels, the corner may go on
    assert image[4, 7] == 1
    assert image.sum() == 4


def test_a_speck_between_two_backgrounds_is_kept_apart() -> None:
    found, image = settled("00100 00100 00010 00100 00100", 9)
    left, speck, right = image[2, 0], image[2, 3], image[2, 4]
    assert len({left, speck, right}) == 3
    assert found.is_object[[left - 1, speck - 1, right - 1]].tolist() == [False, True, False]
    assert {(left - 1, speck - 1), (right - 1, speck - 1)} < set(map(tuple, found.touching))
