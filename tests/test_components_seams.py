"""What meets across the seams between blocks."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from unetflow.components.pieces_of_block import Labelling, find_components
from unetflow.components.seams import Seams, numbers_of_joined, pairs_across
from unetflow.tiles.regions import shard_grid, shard_region


@pytest.mark.parametrize("axes", [1, 2, 3])
@given(st.data(), st.integers(1, 3))
@pytest.mark.slow
def test_blocks_that_are_joined_are_the_whole_image(
    axes: int, data: st.DataObject, connectivity: int
) -> None:
    side = {1: 30, 2: 12, 3: 6}[axes]
    shapes = hnp.array_shapes(min_dims=axes, max_dims=axes, max_side=side)
    mask = data.draw(hnp.arrays(bool, shapes))
    block = data.draw(st.tuples(*[st.integers(1, 5)] * axes))
    connectivity = min(connectivity, axes)
    image, total = np.zeros(mask.shape, np.int64), 0
    seams, pairs = Seams(mask.shape), []
    for index in shard_grid(mask.shape, block):
        region = shard_region(index, mask.shape, block)
        found = find_components(mask[region], Labelling(connectivity=connectivity))
        numbers = np.arange(total, total + found.count + 1)
        numbers[0], total = 0, total + found.count
        image[region] = found.painted(numbers)
        meeting, _ = seams.add(region, [(numbers[a], numbers[b]) for a, b in found.faces()])
        for one, other in meeting:
            pairs += [each for _, each in pairs_across(one, other, connectivity)]
    joined = numbers_of_joined(total, pairs)[image]
    structure = ndimage.generate_binary_structure(axes, connectivity)
    wanted, count = ndimage.label(mask, structure)
    assert len(np.unique(joined[mask])) == joined.max(initial=0) == count
    assert len(set(zip(joined[mask].tolist(), wanted[mask].tolist(), strict=True))) == count


def test_faces_come_when_both_are_whole() -> None:
    shape, block = (4, 6), (2, 3)
    seams = Seams(shape)
    came: dict[Any, tuple[int, int]] = {}
    for number, index in enumerate(shard_grid(shape, block), start=1):
        full = [(np.full(3, number), np.full(3, number)), (np.full(2, number), np.full(2, number))]
        meeting, border = seams.add(shard_region(index, shape, block), full)
        came[index] = len(meeting), len(border)
        if index == (1, 1):
            (above, below), (left, right) = meeting
            assert above.tolist() == [1, 1, 1, 2, 2, 2]
            assert below.tolist() == [3, 3, 3, 4, 4, 4]
            assert (left.tolist(), right.tolist()) == ([3, 3], [4, 4])
    # the first block of a row begins at its left border, the last ends at its right one
    assert came == {(0, 0): (0, 1), (0, 1): (1, 2), (1, 0): (0, 1), (1, 1): (2, 2)}


def test_corners_touch_across_a_seam_where_the_connectivity_says_so() -> None:
    one, other = np.array([1, 0, 0, -2]), np.array([0, 3, 0, 4])
    ways = {away: pairs.tolist() for away, pairs in pairs_across(one, other, 1)}
    assert ways == {0: [[-2, 4]]}
    corners = [(away, pairs.tolist()) for away, pairs in pairs_across(one, other, 2)]
    assert corners == [(0, [[-2, 4]]), (1, [[1, 3]]), (1, [])]


def test_a_pair_comes_once_however_often_it_meets() -> None:
    one, other = np.array([1, 1, 2, 1, 1]), np.array([7, 7, 7, 7, 7])
    ((_, pairs),) = pairs_across(one, other)
    assert pairs.tolist() == [[1, 7], [2, 7]]


def test_joined_numbers_are_consecutive_in_the_order_of_the_first_of_each() -> None:
    pairs = [np.array([[5, 2], [4, 5]]), np.zeros((0, 2), np.int64)]
    assert numbers_of_joined(6, pairs).tolist() == [0, 1, 2, 3, 2, 2, 4]
    assert numbers_of_joined(0, []).tolist() == [0]
