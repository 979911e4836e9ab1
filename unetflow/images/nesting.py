"""Polygons that lie in one another: which of them are objects, and which only hold objects."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from shapely import STRtree

from unetflow.errors import LabelsError
from unetflow.images.areas import Area

DETECTED = ("detection", "cell")  # QuPath's types of what is an object and never a region
MOST_BOXES = 100_000_000  # pairs of polygons whose boxes meet: counted in half a minute
MOST_COVERED = 10_000_000  # pairs of which one covers the other
AT_ONCE = 1000  # polygons that are compared with all others
EQUAL = 1e-9  # of an area: what polygons that cover one another may differ by


def objects_among(
    path: str | Path,
    candidates: Sequence[Area],
    numbers: np.ndarray,
    others: Sequence[Area],
    *,
    instances: bool,
) -> tuple[np.ndarray, Counter[str]]:
    """Which candidates are objects, bool (N,), and what is said of those that are none or nested.

    `numbers` (N,) are their classes; `others` are of classes that nobody asked for. Of a polygon
    that is there twice the later one is taken. No object but a region that somebody drew around
    objects is an annotation that covers candidates of its class and

        has no class, while one of these has        (whatever polygons mean)
        covers detections or cells of QuPath        (where polygons are instances)
        covers two or more that lie side by side    (where polygons are instances)
        covers such a region

    and one without a class that covers detections of other classes. One that covers a single other,
    such as a cell its nucleus, is an object as that is; areas of a class (not `instances`) may lie
    in one another as they like. Raises LabelsError where they lie over one another too often.
    """
    areas = [*candidates, *(area for area in others if area.kind in DETECTED)]
    numbers = np.append(numbers, np.zeros(len(areas) - len(candidates), numbers.dtype))
    has_class = np.array([bool(area.name) for area in areas], bool)
    detected = np.array([area.kind in DETECTED for area in areas], bool)
    geometries = np.array([area.geometry for area in areas], object)
    outer, inner = _covering(path, geometries)
    meant = (numbers[outer] == numbers[inner]) | ((numbers[inner] == 0) & ~has_class[outer])
    size = shapely.area(geometries)
    equal = size[outer] <= size[inner] * (1 + EQUAL)
    twice = np.zeros(len(areas), bool)
    twice[outer[equal & (outer < inner) & (numbers[inner] > 0)]] = True
    within = ~equal & meant & ~twice[outer] & ~twice[inner]
    outer, inner = outer[within], inner[within]

    by_size = np.argsort(size[outer], kind="stable")
    _, first = np.unique(inner[by_size], return_index=True)
    direct = by_size[first]  # of each inner one the pair with the smallest that covers it

    region = np.zeros(len(areas), bool)
    region[outer[~has_class[outer] & has_class[inner]]] = True
    if instances:
        region[outer[detected[inner]]] = True
        region |= np.bincount(outer[direct], minlength=len(areas)) > 1
    region &= ~detected
    region[outer[region[inner] & ~detected[outer]]] = True

    outer, inner = outer[direct], inner[direct]
    cut_out = ~region[outer] & (outer < inner) & (numbers[inner] > 0)
    counted = Counter(
        {
            "polygons that are there twice, the later taken": int(twice.sum()),
            "annotations that hold other objects, taken for no objects (those of class Region* "
            "bound what is annotated)": int(region.sum()),
            "objects that lie wholly in one drawn before, cut out of it": int(cut_out.sum())
            * instances,
        }
    )
    return ~(twice | region)[: len(candidates)], +counted


def _covering(path: str | Path, geometries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (outer, inner) of which the one covers the other, itself among them."""
    tree = STRtree(geometries)
    starts = range(0, len(geometries), AT_ONCE)
    found: list[np.ndarray] = [np.empty((2, 0), np.int64)]
    boxes = covered = 0
    for start in starts:
        boxes += tree.query(geometries[start : start + AT_ONCE]).shape[1]
        _check_count(path, boxes, MOST_BOXES)
    for start in starts:
        pairs = tree.query(geometries[start : start + AT_ONCE], predicate="covers")
        covered += pairs.shape[1]
        _check_count(path, covered, MOST_COVERED)
        found.append(pairs + np.array([[start], [0]]))
    outer, inner = np.concatenate(found, axis=1)
    return outer, inner


def _check_count(path: str | Path, count: int, most: int) -> None:
    if count > most:
        raise LabelsError(
            f"{path}: its polygons lie over one another more than {most} times. Take out those "
            "that are there many times over, or export the objects of one class alone."
        )
