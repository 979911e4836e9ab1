"""Polygons on the planes of a volume, as QuPath draws them: objects reach through planes.

plane 3      plane 4      plane 5            the objects

[  a  ]      [  b  ]      [ c ]              a, b and c are one: each shares more than half of
             [d]              [  e ]         the smaller with the next; d and e are others
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import shapely
from shapely import Geometry

from unetflow.images.placing import in_volume
from unetflow.images.polygons import (
    Asked,
    Polygons,
    asked_among,
    check_some,
    polygons_of,
    read_areas,
    read_polygons,
    said,
)
from unetflow.tiles.regions import PLANE

SHARED = 0.5  # of the smaller of two polygons, above which they are of one object


@dataclass(frozen=True, slots=True)
class PolygonVolume:
    """The annotation of a volume. What lies on planes without a polygon is ignored."""

    planes: Mapping[int, Polygons]  # those that are annotated, by their number in the volume
    numbers: Mapping[int, np.ndarray]  # of each the object in the volume, uint32, by label
    classes: np.ndarray  # uint8, by object: 0 for background
    counted: Counter[str]  # repairs and what was left out
    plane_of: np.ndarray  # of the file, by plane of the image

    @property
    def warnings(self) -> list[str]:
        """Repairs and what was left out, counted."""
        return said(sum((plane.counted for plane in self.planes.values()), self.counted))

    def draw(self, *region: slice) -> tuple[np.ndarray, np.ndarray]:
        """Labels (uint32) and ignored pixels (bool) of a region of the image, (Z, Y, X)."""
        planes, rows, columns = region
        shape = tuple(part.stop - part.start for part in region)
        labels, ignored = np.zeros(shape, np.uint32), np.ones(shape, bool)
        for k, number in enumerate(self.plane_of[planes].tolist()):
            if number in self.planes:
                drawn, ignored[k] = self.planes[number].draw(rows, columns)
                labels[k] = self.numbers[number][drawn]
        return labels, ignored

    def lost(self) -> list[str]:
        """Of polygons without a pixel, how many and why; of use once the volume is drawn."""
        return said(sum((each.counted_as_lost() for each in self.planes.values()), Counter()))


def read_annotation(
    path: str | Path,
    *,
    plane: int | None = None,
    time: int | None = None,
    first_px: Sequence[int] = (0, 0, 0),
    classes: Sequence[str] | None,
    size_px: tuple[int, ...],
    shape_px: tuple[int, ...],
    instances: bool = True,
) -> Polygons | PolygonVolume:
    """Polygons of an image or, where `shape_px` is (Z, Y, X), of all planes of a volume.

    `plane` and `time` are those of the image in its file; a volume begins at `first_px` (z, y, x)
    of the stack that its polygons are drawn on. As `unetflow.images.polygons.read_polygons`, plane
    by plane. Objects of the same class and name are one; those without a name, on planes that
    follow one another in the file, where they share more than half of the smaller, each with the
    one that it shares most with. Raises LabelsError as that.
    """
    if len(shape_px) == PLANE:
        return read_polygons(
            path,
            classes=classes,
            size_px=size_px,
            shape_px=shape_px,
            plane=plane,
            time=time,
            instances=instances,
        )
    areas, counted = read_areas(path)
    areas = in_volume(path, areas, time, first_px, size_px[0], counted)
    asked = asked_among(path, areas, classes, size_px[1:], counted)
    of_plane = partial(polygons_of, path, size_px=size_px[1:], shape_px=shape_px[1:])
    planes = {
        z: of_plane(_on(asked, z), counted=Counter(), instances=instances)
        for z in sorted({area.z for area in areas})
    }
    check_some(path, asked, classes, planes.values())
    numbers, classes_of = _numbered(planes, counted)
    plane_of = np.arange(shape_px[0]) * size_px[0] // shape_px[0]
    empty = shape_px[0] - int(np.isin(plane_of, list(planes)).sum())
    counted["planes without a polygon, ignored"] = empty
    return PolygonVolume(planes, numbers, classes_of, counted, plane_of)


def _on(asked: Asked, z: int) -> Asked:
    return replace(
        asked,
        wanted=[(name, area) for name, area in asked.wanted if area.z == z],
        others=[area for area in asked.others if area.z == z],
    )


def _numbered(
    planes: Mapping[int, Polygons], counted: Counter[str]
) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """Of each plane the number in the volume by label, from plane to plane; and their classes."""
    twice = [
        name
        for plane in planes.values()
        for (name, _), count in Counter(_named(plane)).items()
        if name and count > 1
    ]
    counted["names of several objects of a plane, which are not taken for numbers"] = len(twice)
    numbers: dict[int, np.ndarray] = {}
    of_name: dict[tuple[str, int], int] = {}
    classes = [0]
    for z, plane in planes.items():
        own = numbers[z] = np.zeros(len(plane.classes), np.uint32)
        before = planes.get(z - 1)
        continued = {} if before is None else _continued(before, plane, by_name=not twice)
        for label, named in enumerate(_named(plane), start=1):
            if named[0] and not twice:
                own[label] = of_name.setdefault(named, len(classes))
            elif label in continued:
                own[label] = numbers[z - 1][continued[label]]
            else:
                own[label] = len(classes)
            if own[label] == len(classes):
                classes.append(named[1])
    return numbers, np.array(classes, np.uint8)


def _named(plane: Polygons) -> list[tuple[str, int]]:
    """What each object is called, and its class."""
    return list(zip(plane.names, plane.classes[1:].tolist(), strict=True))


def _continued(before: Polygons, after: Polygons, *, by_name: bool) -> dict[int, int]:
    """Labels of a plane with those of the plane before it that are of the same object, once each.

    `by_name`: objects that have a name are told by it.
    """
    found = []
    for label, geometry in enumerate(after.objects, start=1):
        for k in before.trees[0].query(geometry, predicate="intersects").tolist():
            named = by_name and bool(before.names[k] or after.names[label - 1])
            shared = _shared(before.objects[k], geometry)
            if before.classes[k + 1] == after.classes[label] and shared > SHARED and not named:
                found.append((-shared, k + 1, label))
    pairs: dict[int, int] = {}
    taken: set[int] = set()  # of the plane before
    for _, one, other in sorted(found):
        if other not in pairs and one not in taken:
            pairs[other] = one
            taken.add(one)
    return pairs


def _shared(one: Geometry, other: Geometry) -> float:
    """The part of the smaller of two areas that lies in the other."""
    return float(shapely.intersection(one, other).area / min(one.area, other.area))
