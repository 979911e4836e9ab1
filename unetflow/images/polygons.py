"""Polygons as QuPath exports them, drawn as labels region by region.

A pixel belongs to a polygon if its centre lies in it; where polygons overlap, the later one wins.
Coordinates are (x, y) pixels of the file's finest level, (0, 0) the corner of the first pixel.
"""

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely import Geometry, STRtree
from shapely.geometry import shape

from unetflow.errors import LabelsError

SUFFIXES = (".geojson", ".geojson.gz", ".json")
IGNORE_CLASS = "ignore*"  # QuPath's own names, in lower case
REGION_CLASS = "region*"
AREAS = ("Polygon", "MultiPolygon")


@dataclass(frozen=True, slots=True)
class Polygons:
    """The annotation of one image: objects numbered from 1, ignored areas, annotated regions."""

    objects: list[Geometry]  # in pixels of the image, (x, y)
    classes: np.ndarray  # uint8, by label: 0 for background, then the class of each object
    ignored: list[Geometry]
    regions: list[Geometry]  # only what lies in these is annotated; empty: everything is
    warnings: list[str]  # repairs and what was left out
    trees: tuple[STRtree, STRtree, STRtree]  # spatial indices of the three

    def draw(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """Labels (uint32) and ignored pixels (bool) of a region of the image, (Y, X)."""
        labels = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint32)
        ignored = np.zeros(labels.shape, bool)
        window = shapely.box(columns.start, rows.start, columns.stop, rows.stop)
        for number in np.sort(self.trees[0].query(window)):
            _fill(labels, self.objects[number], int(number) + 1, rows, columns)
        for number in self.trees[1].query(window):
            _fill(ignored, self.ignored[number], True, rows, columns)
        if self.regions:
            annotated = np.zeros(labels.shape, bool)
            for number in self.trees[2].query(window):
                _fill(annotated, self.regions[number], True, rows, columns)
            ignored |= ~annotated
        labels[ignored] = 0
        return labels, ignored


def is_geojson(path: str | Path) -> bool:
    """Whether a path names a file of polygons."""
    return str(path).lower().endswith(SUFFIXES)


def read_polygons(
    path: str | Path,
    *,
    classes: Sequence[str] | None,
    size_px: tuple[int, int],
    shape_px: tuple[int, int],
) -> Polygons:
    """Polygons of a file whose finest level is `size_px`, in pixels of an image of `shape_px`.

    Polygons of one of `classes` (None: of any) are objects, and where there is but one class those
    without a class; those of the classes Ignore* and Region* are areas in no score, and the only
    ones that are annotated. Others are background.
    Self-crossing polygons are repaired (shapely's structure rule), those without an area left out;
    both are counted in `warnings`. Raises LabelsError for what is no GeoJSON.
    """
    features = _features(Path(path))
    scale_y, scale_x = (n / of for n, of in zip(shape_px, size_px, strict=True))
    objects: list[Geometry] = []
    numbers = [0]
    number_of = {name.lower(): k for k, name in enumerate(classes or (), start=1)}
    if len(number_of) < 2:
        number_of[""] = 1
    areas: dict[str, list[Geometry]] = {IGNORE_CLASS: [], REGION_CLASS: []}
    counted: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for number, feature in enumerate(features):
        geometry = _geometry(path, number, feature, counted)
        if geometry is None:
            continue
        geometry = shapely.transform(geometry, lambda xy: xy * (scale_x, scale_y))
        shapely.prepare(geometry)
        name = _class_name(feature)
        if name in areas:
            areas[name].append(geometry)
        elif classes is None or name in number_of:
            objects.append(geometry)
            numbers.append(number_of.get(name, 1))
        else:
            others[name] += 1
    if others and not objects and not areas[REGION_CLASS]:
        raise LabelsError(
            f"{path}: no polygon is of class {' or '.join(map(repr, classes or ()))}; there are "
            + ", ".join(f"{count} of {name!r}" for name, count in others.items())
            + ". Set the dataset's classes to those that are wanted."
        )
    counted.update(
        {f"polygons of class {name!r}, taken as background": n for name, n in others.items()}
    )
    warnings = [f"{what}: {count}" for what, count in counted.items()]
    ignored, regions = areas[IGNORE_CLASS], areas[REGION_CLASS]
    trees = STRtree(objects), STRtree(ignored), STRtree(regions)
    return Polygons(objects, np.array(numbers, np.uint8), ignored, regions, warnings, trees)


def _features(path: Path) -> list[dict[str, Any]]:
    try:
        raw = path.read_bytes()
        content = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
        features = content["features"] if isinstance(content, dict) else content
        if not all(isinstance(feature["geometry"]["type"], str) for feature in features):
            raise TypeError("a feature without geometry")
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise LabelsError(
            f"{path}: is no GeoJSON of features with geometries ({type(error).__name__}: {error}). "
            "Export the annotations from QuPath as GeoJSON."
        ) from error
    return list(features)


def _geometry(
    path: str | Path, number: int, feature: dict[str, Any], counted: Counter[str]
) -> Geometry | None:
    """A polygon, repaired where that is possible; None where it has no area."""
    try:
        with np.errstate(invalid="ignore"):  # NaN is looked for below
            geometry = shape(feature["geometry"])
    except Exception as error:  # shapely raises many kinds
        raise LabelsError(
            f"{path}: feature {number} is no geometry ({error}). Export the annotations again."
        ) from error
    if geometry.geom_type not in AREAS:
        counted[f"{geometry.geom_type}s, left out for they have no area"] += 1
        return None
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise LabelsError(
            f"{path}: feature {number} has coordinates that are no numbers. Export it again."
        )
    if not geometry.is_valid:
        geometry = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
        counted["self-crossing polygons, repaired"] += 1
    if geometry.area == 0:
        counted["polygons without an area, left out"] += 1
        return None
    return geometry


def _class_name(feature: dict[str, Any]) -> str:
    classification = (feature.get("properties") or {}).get("classification") or {}
    name = classification.get("name", "") if isinstance(classification, dict) else classification
    return str(name).lower()


def _fill(image: np.ndarray, geometry: Geometry, value: int, rows: slice, columns: slice) -> None:
    """Set the pixels whose centres lie in a geometry."""
    left, top, right, bottom = geometry.bounds
    top_px, bottom_px = max(rows.start, int(top)), min(rows.stop, int(np.ceil(bottom)))
    left_px, right_px = max(columns.start, int(left)), min(columns.stop, int(np.ceil(right)))
    if top_px >= bottom_px or left_px >= right_px:
        return
    y, x = np.mgrid[top_px:bottom_px, left_px:right_px] + 0.5
    inside = shapely.contains_xy(geometry, x, y)
    part = image[
        top_px - rows.start : bottom_px - rows.start,
        left_px - columns.start : right_px - columns.start,
    ]
    part[inside] = value
