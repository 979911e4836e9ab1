"""Pieces counted shard by shard are those of the whole image."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label

from unetflow.labels.pieces import CountingPieces
from unetflow.tiles.regions import shard_grid, shard_region


def counted(labels: np.ndarray, shard: tuple[int, int]) -> dict[int, list[int]]:
    """Of each number its pieces, their pixels and those of the largest."""
    counting = CountingPieces(labels.shape[1])
    for index in shard_grid(labels.shape, shard):
        region = shard_region(index, labels.shape, shard)
        rows, columns = (slice(max(0, part.start - 1), part.stop) for part in region)
        counting.add(region, labels[rows, columns])
    found = counting.pieces()
    parts = (found.number, found.count, found.area_px, found.largest_px)
    return {number: of for number, *of in zip(*(p.tolist() for p in parts), strict=True)}


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.integers(1, 4),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_shards_give_what_the_whole_image_gives(
    shape: tuple[int, int], shard: tuple[int, int], numbers: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, numbers + 1, shape, np.uint32) * (rng.random(shape) < share)
    pieces = label(labels, connectivity=2)
    wanted: dict[int, list[int]] = {}
    for piece in range(1, pieces.max() + 1):
        inside = pieces == piece
        wanted.setdefault(int(labels[inside][0]), []).append(int(inside.sum()))
    assert counted(labels, shard) == {
        number: [len(areas), sum(areas), max(areas)] for number, areas in wanted.items()
    }


def test_touching_objects_are_pieces_of_their_own_and_corners_hold_together() -> None:
    labels = np.array([[1, 1, 0, 2], [0, 0, 1, 0], [2, 2, 1, 0]])
    for shard in ((3, 4), (1, 4), (2, 2), (1, 1)):
        assert counted(labels, shard) == {1: [1, 4, 4], 2: [2, 3, 2]}


def test_nothing_has_no_pieces() -> None:
    assert counted(np.zeros((5, 7), np.uint32), (2, 3)) == {}
