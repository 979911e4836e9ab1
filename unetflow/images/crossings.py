"""Outlines that cross themselves: how often, as far as repairing them takes no minutes."""

import numpy as np
import shapely
from shapely import Geometry, STRtree

MOST_CROSSINGS = 20_000  # repaired in half a second; the time grows with their square
MOST_PAIRS = 20_000_000  # of edges whose boxes meet: looked at in 20 seconds
FEW_EDGES = 200  # cross one another as often as they like
PAIRS_AT_ONCE = 1_000_000


def is_tangled(geometries: list[Geometry]) -> bool:
    """Whether the outlines of polygons cross themselves or one another too often to be repaired.

    What only touches is no crossing: outlines of pixels do so at corners, thousands of times.
    """
    edges = _edges(geometries)
    if len(edges) <= FEW_EDGES:
        return False
    tree = STRtree(edges)
    step = max(1, PAIRS_AT_ONCE // len(edges))  # at worst each edge meets all others
    first = pairs = crossings = 0
    while first < len(edges):
        one, other = tree.query(edges[first : first + step])
        later = first + one < other  # each pair once
        one, other = first + one[later], other[later]
        pairs += len(one)
        crossings += int(shapely.crosses(edges[one], edges[other]).sum())
        if crossings > MOST_CROSSINGS or pairs > MOST_PAIRS:
            return True
        first += step
        step *= 2 if len(one) < PAIRS_AT_ONCE // 4 else 1
    return False


def _edges(geometries: list[Geometry]) -> np.ndarray:
    """The edges of all rings, as lines."""
    rings = shapely.get_rings(geometries)
    corners, ring_of = shapely.get_coordinates(rings, return_index=True)
    within = ring_of[:-1] == ring_of[1:]
    return np.asarray(
        shapely.linestrings(np.stack([corners[:-1][within], corners[1:][within]], axis=1))
    )
