"""Areas that somebody drew, from files of any kind: what is said of each, and whether it is one."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from shapely import Geometry

from unetflow.errors import LabelsError
from unetflow.images.crossings import MOST_CROSSINGS, is_tangled

AREAS = ("Polygon", "MultiPolygon")
MOST_PX = 1e9  # a coordinate that is larger is damaged, and overflows in shapely
PARSED_TIMES = 15  # of its bytes are in memory while a text becomes polygons: 9 to 14.4 measured


@dataclass(frozen=True, slots=True)
class Area:
    """What somebody drew and has an area."""

    geometry: Geometry  # (x, y) as they stand in the file; valid, a Polygon or MultiPolygon
    name: str  # of its class, in lower case, such as "cell: positive"; "" for none
    kind: str  # one of `unetflow.images.geojson.KINDS`, "" where the file does not say
    z: int  # plane of a stack; 0 where the file does not say, as QuPath does
    t: int  # time of a series
    object: str = ""  # what it is called itself; "" where the file does not say


def class_name(name: str) -> str:
    """A class as it is compared: in lower case, its parts joined as in "cell: positive"."""
    return ": ".join(part.strip() for part in name.lower().split(":"))


def area_of(
    path: str | Path, what: str, geometry: Geometry, counted: Counter[str]
) -> Geometry | None:
    """The area of a geometry, repaired where that is possible; None where it has none.

    `what` names it in messages, such as "feature 3". What is repaired or has no area is `counted`.
    Raises LabelsError for what nobody can have drawn.
    """
    parts = _parts(geometry)
    if not parts:
        counted[f"{geometry.geom_type}s, left out for they have no area"] += 1
        return None
    if not (np.abs(shapely.get_coordinates(parts)) < MOST_PX).all():  # nor is NaN
        raise LabelsError(
            f"{path}: {what} has coordinates that are no numbers of pixels. Export it again."
        )
    if not shapely.is_valid(parts).all():
        if is_tangled(parts):
            raise LabelsError(
                f"{path}: the outline of {what} crosses itself more than {MOST_CROSSINGS} times: "
                "nobody drew such an object. Draw it again, or take it out."
            )
        parts = shapely.make_valid(parts, method="structure", keep_collapsed=False)
        counted["self-crossing polygons, repaired"] += 1
    area = parts[0] if len(parts) == 1 else shapely.union_all(parts)
    if area.area == 0:
        counted["polygons without an area, left out"] += 1
        return None
    return area


def _parts(geometry: Geometry) -> list[Geometry]:
    """What has an area in a geometry, however deep collections are nested."""
    if geometry.geom_type == "GeometryCollection":
        return [part for each in geometry.geoms for part in _parts(each)]
    return [geometry] if geometry.geom_type in AREAS else []
