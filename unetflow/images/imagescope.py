"""Annotations of Aperio ImageScope (XML): regions in layers, as areas.

    Annotations / Annotation (a layer: Name, Attributes) / Regions / Region / Vertices / Vertex

Vertices are (X, Y) pixels of the slide's finest level. Source: files that ImageScope and the
challenges MoNuSeg (Kumar et al. 2017) and MoNuSAC (Verma et al. 2021) wrote; there is no standard.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np
import shapely
from shapely import Geometry, STRtree

from unetflow.engine.memory import available_bytes
from unetflow.errors import LabelsError
from unetflow.images.areas import PARSED_TIMES, Area, area_of, class_name
from unetflow.images.at_once import check_memory

SUFFIX = ".xml"
ROOT = "Annotations"
RECTANGLE, ELLIPSE = "1", "2"  # types of regions that two corners may stand for
CORNERS = 128  # of the polygon that is drawn for an ellipse
LEAST_CORNERS = 3
HEADING = "Description"  # the attribute that every layer of ImageScope has; others name the class


@dataclass(slots=True)
class _Region:
    number: int  # in the file, from 0
    layer: int
    kind: str
    is_negative: bool
    vertices: list[tuple[float, float]] = field(default_factory=list)


def read_areas(path: str | Path) -> tuple[list[Area], Counter[str]]:
    """All regions with an area, in the order of the file; what was repaired or left out, counted.

    The class of a region is the name of its layer or, of a layer without one, its first attribute:
    what that says where it is a description, else its name, as MoNuSAC has it. A negative region
    (`NegativeROA`) is cut out of the regions of its layer that it meets. Ellipses are drawn into
    the box of their vertices. Raises LabelsError for what is no XML of ImageScope.
    """
    size_bytes = Path(path).stat().st_size
    check_memory(
        path,
        PARSED_TIMES * size_bytes,
        available_bytes(),
        "holds much text, which is read as a whole",
        "Export the annotations in parts, or give the job more memory.",
    )
    reading = _Reading(path)
    reading.run()
    counted: Counter[str] = Counter()
    areas: list[tuple[int, Geometry]] = []
    negative: list[tuple[int, Geometry]] = []
    for region in reading.regions:
        geometry = _geometry(path, region, counted)
        if geometry is not None:
            (negative if region.is_negative else areas).append((region.layer, geometry))
    areas = _cut_out(areas, negative, counted)
    names = reading.names
    return [Area(geometry, names[layer], "", 0, 0) for layer, geometry in areas], +counted


class _Reading:
    """Goes through a file once, and keeps its layers' names and its regions."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.names: list[str] = []  # by layer, as classes are compared
        self.regions: list[_Region] = []
        self._named = False  # whether the layer itself has a name, or an attribute gave one
        self._open: list[str] = []  # elements that are not closed yet

    def run(self) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._entity
        try:
            with Path(self.path).open("rb") as file:
                parser.ParseFile(file)
        except (expat.ExpatError, UnicodeError, LookupError, OSError) as error:
            raise self._no_annotation(error) from error

    def _start(self, element: str, attributes: Mapping[str, str]) -> None:
        if not self._open and element != ROOT:
            raise self._no_annotation(f"its first element is {element}, not {ROOT}")
        self._open.append(element)
        if element == "Annotation":
            name = class_name(attributes.get("Name", ""))
            self.names.append(name)
            self._named = bool(name)
        elif element == "Attribute" and self._open[:2] == [ROOT, "Annotation"]:
            self._attribute(attributes)
        elif element == "Region" and self.names:
            number, is_negative = len(self.regions), attributes.get("NegativeROA") == "1"
            kind = attributes.get("Type", "")
            self.regions.append(_Region(number, len(self.names) - 1, kind, is_negative))
        elif element == "Vertex" and self.regions and "Region" in self._open:
            x, y = (self._number(attributes.get(name)) for name in ("X", "Y"))
            self.regions[-1].vertices.append((x, y))

    def _end(self, element: str) -> None:
        self._open.pop()

    def _attribute(self, attributes: Mapping[str, str]) -> None:
        """The class of a layer without a name; regions have attributes too, which are none."""
        if self._named or "Region" in self._open:
            return
        heading, value = attributes.get("Name", ""), attributes.get("Value", "")
        self.names[-1] = class_name(value if heading == HEADING else heading)
        self._named = True

    def _entity(self, *_: object) -> None:
        raise self._no_annotation("it defines entities, which no annotation needs")

    def _number(self, text: str | None) -> float:
        try:
            return float(text or "")
        except ValueError:
            return math.nan  # `area_of` says which region has it

    def _no_annotation(self, why: object) -> LabelsError:
        return LabelsError(
            f"{self.path}: is no XML of annotations as Aperio ImageScope writes it ({why}). Export "
            "the annotations from ImageScope, or from QuPath as GeoJSON."
        )


def _geometry(path: str | Path, region: _Region, counted: Counter[str]) -> Geometry | None:
    vertices = region.vertices
    if not vertices:
        counted["regions without vertices, left out"] += 1
        return None
    if (region.kind in (RECTANGLE, ELLIPSE) and len(vertices) == 2) or region.kind == ELLIPSE:
        vertices = _of_box(vertices, round_=region.kind == ELLIPSE)
    elif len(vertices) < LEAST_CORNERS:
        counted["regions of one or two vertices, left out for they have no area"] += 1
        return None
    with np.errstate(invalid="ignore"):  # NaN is looked for in the area
        geometry = shapely.Polygon(vertices)
    return area_of(path, f"region {region.number}", geometry, counted)


def _of_box(vertices: list[tuple[float, float]], *, round_: bool) -> list[tuple[float, float]]:
    """The corners of the box around vertices, or the ellipse in it."""
    (left, top), (right, bottom) = np.min(vertices, axis=0), np.max(vertices, axis=0)
    if not round_:
        return [(left, top), (right, top), (right, bottom), (left, bottom)]
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    x = (left + right) / 2 + (right - left) / 2 * np.cos(angles)
    y = (top + bottom) / 2 + (bottom - top) / 2 * np.sin(angles)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _cut_out(
    areas: list[tuple[int, Geometry]], negative: list[tuple[int, Geometry]], counted: Counter[str]
) -> list[tuple[int, Geometry]]:
    """The areas without the negative regions of their layers."""
    left = [geometry for _, geometry in areas]
    tree = STRtree(left)
    for layer, hole in negative:
        met = [int(k) for k in tree.query(hole, predicate="intersects") if areas[k][0] == layer]
        what = "cut out of what they lie in" if met else "that lie in no other, left out"
        counted[f"negative regions {what}"] += 1
        for k in met:
            left[k] = shapely.difference(left[k], hole)
    gone = sum(geometry.is_empty for geometry in left)
    counted["regions that negative ones cover wholly, left out"] += gone
    kept = zip(areas, left, strict=True)
    return [(layer, geometry) for (layer, _), geometry in kept if not geometry.is_empty]
