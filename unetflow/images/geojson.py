"""GeoJSON in any of its legal forms (RFC 7946), as QuPath and others write it: areas, with what is
said of each.

Of QuPath are `plane` of a geometry, and `objectType`, `classification` and `childObjects` of the
properties, in the forms that its versions since 0.2 gave them.
"""

import gzip
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from shapely import Geometry
from shapely.geometry import shape

from unetflow.engine.memory import available_bytes
from unetflow.errors import LabelsError
from unetflow.images.areas import AREAS, MOST_PX, PARSED_TIMES, Area, area_of, class_name
from unetflow.images.at_once import check_memory

LINES_AND_POINTS = ("Point", "MultiPoint", "LineString", "MultiLineString")
GEOMETRIES = (*AREAS, *LINES_AND_POINTS, "GeometryCollection")
GZIP = b"\x1f\x8b"
PIECE_BYTES = 2**24  # of text, unpacked at once
KINDS = ("annotation", "detection", "cell", "tile", "tmacore", "root")  # QuPath's types of objects


def read_areas(path: str | Path) -> tuple[list[Area], Counter[str]]:
    """All features with an area, in the order of the file; what was repaired or left out, counted.

    A file is a FeatureCollection, a list of features, one feature or a bare geometry; objects that
    QuPath nests in others (`childObjects`) come after these. The areas of a MultiPolygon or of a
    GeometryCollection are one. Rings that are not closed are closed, self-crossing polygons are
    repaired (shapely's structure rule). Raises LabelsError for what is no GeoJSON.
    """
    try:
        return _areas(Path(path))
    except RecursionError as error:
        raise _no_geojson(path, "it is nested too deep") from error


def _areas(path: Path) -> tuple[list[Area], Counter[str]]:
    found: list[Area] = []
    counted: Counter[str] = Counter()
    for number, feature in enumerate(_load(path)):
        if feature["geometry"] is None:
            counted["features without a geometry, left out"] += 1
            continue
        geometry = _geometry(path, number, feature["geometry"], counted)
        if geometry is None:
            continue
        if feature.get("nucleusGeometry"):
            counted["cells with an outline of their nucleus, taken whole"] += 1
        properties = _dict(feature.get("properties"))
        plane = _dict(feature["geometry"].get("plane"))
        area = Area(
            geometry,
            class_name(_class_of(properties.get("classification"))),
            _kind(feature, properties),
            _index(plane.get("z")),
            _index(plane.get("t")),
            str(properties.get("name") or ""),
        )
        found.append(area)
    return found, counted


def peak_bytes(path: str | Path) -> int:
    """What reading a file takes in memory; of a compressed one by the size that it says it has."""
    with Path(path).open("rb") as file:
        is_compressed = file.read(2) == GZIP
        size_bytes = file.seek(0, os.SEEK_END)
        if is_compressed and size_bytes > 4:
            file.seek(-4, os.SEEK_END)
            size_bytes = max(size_bytes, int.from_bytes(file.read(4), "little"))
    return PARSED_TIMES * size_bytes


def _no_geojson(path: str | Path, why: object) -> LabelsError:
    return LabelsError(
        f"{path}: is no GeoJSON of features with geometries ({why}). Export the annotations from "
        "QuPath as GeoJSON."
    )


def _load(path: Path) -> list[dict[str, Any]]:
    try:
        return list(_features(json.loads(_text_of(path))))
    except (OSError, EOFError, ValueError, TypeError, RecursionError, zlib.error) as error:
        raise _no_geojson(path, f"{type(error).__name__}: {error}") from error


def _text_of(path: Path) -> bytes:
    """The text, unpacked piece by piece. Raises TooLargeError before it is more than can be read.

    So that a small file is refused which unpacks to more than there is memory.
    """
    free_bytes = available_bytes()
    pieces: list[bytes] = []
    with path.open("rb") as file:
        is_compressed = file.read(2) == GZIP
    with gzip.open(path) if is_compressed else path.open("rb") as text:
        while piece := text.read(PIECE_BYTES):
            pieces.append(piece)
            check_memory(
                path,
                PARSED_TIMES * sum(map(len, pieces)),
                free_bytes,
                "holds much text, which is read as a whole",
                "Export the annotations in parts, one of each image or region, without "
                "measurements, or give the job more memory.",
            )
    return b"".join(pieces)


def _features(content: object) -> Iterator[dict[str, Any]]:
    """Every feature; each has a `geometry`, which is None or a dict with a `type`."""
    waiting = [content]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += reversed(each)
        elif not isinstance(each, dict):
            raise TypeError(f"{str(each)[:40]!r} where a feature should be")
        elif "features" in each:
            waiting.append(each["features"])
        else:
            feature = {"geometry": each} if each.get("type") in GEOMETRIES else each
            geometry = feature.get("geometry", "none")
            if geometry is not None and not (
                isinstance(geometry, dict) and isinstance(geometry.get("type"), str)
            ):
                raise TypeError("a feature without geometry")
            yield feature
            waiting.append(_dict(feature.get("properties")).get("childObjects") or [])


def _geometry(
    path: str | Path, number: int, content: dict[str, Any], counted: Counter[str]
) -> Geometry | None:
    """The area of a geometry, repaired where that is possible; None where it has none."""
    try:
        with np.errstate(invalid="ignore"):  # NaN is looked for in the area
            geometry = shape(content)
    except Exception as error:  # shapely raises many kinds
        raise LabelsError(
            f"{path}: feature {number} is no geometry ({error}). Export the annotations again."
        ) from error
    return area_of(path, f"feature {number}", geometry, counted)


def _class_of(classification: object) -> str:
    """The class: a text, or {name}, {names: [...]}, {parentClass, name} (before QuPath 0.4)."""
    if isinstance(classification, dict):
        names = classification.get("names") or [classification.get("name") or ""]
        parent = _class_of(classification.get("parentClass"))
        every = [parent, *names] if isinstance(names, list) else [parent, names]
        return ": ".join(str(name) for name in every if name)
    return str(classification or "")


def _kind(feature: dict[str, Any], properties: dict[str, Any]) -> str:
    """The type of an object, by any name that QuPath gave it: PathTileObject, tmaCore, tma_core."""
    told = (
        *(properties.get(key) for key in ("objectType", "object_type", "type")),
        feature.get("id"),
    )
    for each in told:
        kind = str(each).lower().replace("_", "").removeprefix("path").removesuffix("object")
        if kind in KINDS:
            return kind
    return ""


def _dict(content: object) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}


def _index(value: object) -> int:
    return int(value) if isinstance(value, int | float) and abs(value) < MOST_PX else 0
