"""What QuPath and others export becomes the objects that are meant, and the rest is said."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unetflow.errors import LabelsError
from unetflow.images.polygons import Polygons, read_polygons, tissue_areas

SIZE = (100, 120)  # rows, columns
REGIONS = (
    "annotations that hold other objects, taken for no objects (those of class Region* bound what "
    "is annotated)"
)


def square(x: float, y: float, side: float) -> dict[str, Any]:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {"type": "Polygon", "coordinates": [ring]}


def feature(geometry: object, name: object = None, kind: str | None = None) -> dict[str, Any]:
    properties = {"classification": name, "objectType": kind}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def on(z: int, t: int, geometry: dict[str, Any]) -> dict[str, Any]:
    return feature(geometry | {"plane": {"c": -1, "z": z, "t": t}}, kind="annotation")


def read(folder: Path, content: object, **changes: Any) -> tuple[Polygons, np.ndarray, list[str]]:
    """Polygons of a file with that content, the labels drawn, and all that is said."""
    path = folder / "t.geojson"
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    path.write_bytes(content)
    options: dict[str, Any] = {"classes": ["Cell"], "size_px": SIZE, "shape_px": SIZE}
    polygons = read_polygons(path, **options | changes)
    labels, _ = polygons.draw(slice(0, SIZE[0]), slice(0, SIZE[1]))
    return polygons, labels, [*polygons.warnings, *polygons.lost()]


def sizes(labels: np.ndarray) -> list[int]:
    """Pixels of each object, in the order of their numbers."""
    return [int(count) for count in np.unique(labels[labels != 0], return_counts=True)[1]]


def only(labels: np.ndarray, x: int, y: int, side: int) -> bool:
    """Whether the labels are one object, that square."""
    expected = np.zeros(SIZE, bool)
    expected[y : y + side, x : x + side] = True
    return bool(((labels == 1) == expected).all() and (labels <= 1).all())


SQUARE = square(10, 30, 20)
LINE = {"type": "LineString", "coordinates": [[0, 0], [90, 90]]}
THREE_D = {"type": "Polygon", "coordinates": [[[*at, 7.5] for at in SQUARE["coordinates"][0]]]}
HALVES = [
    {"type": "Polygon", "coordinates": [[[a, 30], [b, 30], [b, 50], [a, 50], [a, 30]]]}
    for a, b in ((10, 22), (18, 30))  # which overlap
]


def collection(*geometries: object) -> dict[str, object]:
    return {"type": "GeometryCollection", "geometries": list(geometries)}


@pytest.mark.parametrize(
    "content",
    [
        {"type": "FeatureCollection", "features": [feature(SQUARE)]},
        [feature(SQUARE)],
        [SQUARE],
        feature(SQUARE),
        SQUARE,
        {"type": "Feature", "geometry": SQUARE, "properties": None},
        {"type": "MultiPolygon", "coordinates": [half["coordinates"] for half in HALVES]},
        feature(collection(LINE, SQUARE)),
        collection(HALVES[0], collection(LINE, collection(HALVES[1]))),
        feature(THREE_D),
        {"type": "Polygon", "coordinates": [SQUARE["coordinates"][0][:-1]]},  # not closed
        b"\xef\xbb\xbf" + json.dumps(feature(SQUARE)).encode(),
        json.dumps(feature(SQUARE)).encode("utf-16"),
        gzip.compress(json.dumps([feature(SQUARE)]).encode()),
    ],
)
def test_geojson_of_every_legal_form_is_one_object(tmp_path: Path, content: object) -> None:
    _, labels, said = read(tmp_path, content)
    assert only(labels, 10, 30, 20)
    assert [each for each in said if "self-crossing" not in each] == []


def test_what_has_no_area_is_counted_by_what_it_is(tmp_path: Path) -> None:
    empty = {"type": "Polygon", "coordinates": []}
    _, labels, said = read(
        tmp_path, [feature(None), feature(None), feature(SQUARE), collection(LINE), LINE, empty]
    )
    assert only(labels, 10, 30, 20)
    assert said == [
        "features without a geometry, left out: 2",
        "GeometryCollections, left out for they have no area: 1",
        "LineStrings, left out for they have no area: 1",
        "polygons without an area, left out: 1",
    ]


@pytest.mark.parametrize("content", [[], [feature(square(1, 1, 9), "Ignore*")]])
def test_a_file_may_be_without_objects(tmp_path: Path, content: list[object]) -> None:
    polygons, labels, said = read(tmp_path, content, plane=2)
    assert not polygons.objects and not labels.any() and not said


@pytest.mark.parametrize(
    "content",
    [
        {"type": "FeatureCollection"},
        {"type": "FeatureCollection", "features": None},
        [{"label": "cell", "points": [[0, 0], [1, 1]]}],
        ["cell"],
        {"images": [], "annotations": []},
        b"[" * 100_000,
    ],
)
def test_other_json_is_no_geojson(tmp_path: Path, content: object) -> None:
    with pytest.raises(LabelsError, match="is no GeoJSON of features with geometries"):
        read(tmp_path, content)


@pytest.mark.parametrize("far", [1e308, float("inf")])
def test_coordinates_that_nothing_has_are_refused(tmp_path: Path, far: float) -> None:
    content = [feature(square(1, 1, 9)), feature(collection(LINE, square(far, 0, 9)))]
    with pytest.raises(
        LabelsError, match="feature 1 has coordinates that are no numbers of pixels"
    ):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("classification", "number"),
    [
        ({"name": "Cell", "colorRGB": -377282}, 1),
        ({"names": ["Cell"], "color": [1, 2, 3]}, 1),
        ("cell", 1),
        ({"name": "Cell: Negative"}, 1),
        ({"names": ["Cell", "Negative"]}, 1),
        ({"names": ["Cell", "Positive", "Strongly"]}, 2),
        ({"parentClass": {"name": "Cell"}, "name": "Positive"}, 2),  # before QuPath 0.4
        ("CELL:positive", 2),
        ({"names": ["Stroma", "Cell"]}, None),
        ({"names": []}, None),
        (None, None),
    ],
)
def test_a_derived_class_is_of_its_own_name_or_of_the_class_that_it_derives_from(
    tmp_path: Path, classification: object, number: int | None
) -> None:
    other = feature(square(90, 10, 5), "Cell")
    polygons, labels, said = read(
        tmp_path, [other, feature(SQUARE, classification)], classes=["Cell", "Cell: Positive"]
    )
    there = polygons.classes[labels[40, 20]]
    assert there == (number or 0)
    assert len(said) == (number is None)


def test_areas_of_derived_classes_are_areas_and_the_rest_is_named(tmp_path: Path) -> None:
    content = [
        feature(square(10, 10, 20), {"names": ["Cell"]}),
        feature(square(60, 10, 20), {"names": ["Ignore*", "Folds"]}),
        feature(square(60, 60, 20), {"names": ["Stroma", "Dense"]}),
    ]
    polygons, labels, said = read(tmp_path, content)
    assert only(labels, 10, 10, 20)
    _, ignored = polygons.draw(slice(0, SIZE[0]), slice(0, SIZE[1]))
    assert ignored.sum() == 400
    assert said == ["polygons of class 'stroma: dense', taken as background: 1"]


def test_polygons_of_the_asked_plane_count(tmp_path: Path) -> None:
    content = [feature(square(1, 1, 9)), on(3, 0, SQUARE), on(3, 2, square(70, 70, 9))]
    _, labels, said = read(tmp_path, content, plane=3, time=0)
    assert only(labels, 10, 30, 20)
    assert said == ["polygons on other planes or times, left out: 2"]
    _, labels, _ = read(tmp_path, content, plane=0, time=0)  # QuPath does not name the first
    assert only(labels, 1, 1, 9)


def test_a_plane_that_the_sheet_does_not_tell_is_asked_for(tmp_path: Path) -> None:
    content = [feature(square(1, 1, 9)), on(3, 0, SQUARE), on(3, 2, square(70, 70, 9))]
    listed = "1 at z = 0, t = 0, 1 at z = 3, t = 0, 1 at z = 3, t = 2"
    for asked in ({}, {"plane": 3}):
        with pytest.raises(LabelsError, match=rf"on several planes, {listed}.* Set its plane"):
            read(tmp_path, content, **asked)
    with pytest.raises(LabelsError, match=rf"no polygon is on plane 1 and time 0; .* {listed}"):
        read(tmp_path, content, plane=1, time=0)
    _, labels, said = read(tmp_path, [on(3, 0, SQUARE)])  # one plane of a stack, saved by itself
    assert (only(labels, 10, 30, 20), said) == (True, [])


def test_polygons_of_a_program_without_planes_are_of_any(tmp_path: Path) -> None:
    _, labels, said = read(tmp_path, [feature(SQUARE)], plane=3, time=5)
    assert (only(labels, 10, 30, 20), said) == (True, [])
    # of QuPath, where they may also lie on the first plane
    _, labels, said = read(tmp_path, [feature(SQUARE, kind="annotation")], plane=3)
    assert only(labels, 10, 30, 20)
    assert said == ["polygons that name none, taken for plane 3 as the sheet says: 1"]
    # of frames that lie in files of their own, a stack each: all are at time 0 of their file
    _, labels, said = read(tmp_path, [on(2, 0, SQUARE), on(1, 0, square(1, 1, 9))], plane=2, time=7)
    assert only(labels, 10, 30, 20)
    assert said == [
        "polygons that name none, taken for time 7 as the sheet says: 1",
        "polygons on other planes or times, left out: 1",
    ]


def test_a_stack_that_qupath_took_for_a_series_is_told_by_its_times(tmp_path: Path) -> None:
    content = [feature(square(1, 1, 9)), on(0, 3, SQUARE)]
    _, labels, said = read(tmp_path, content, plane=3)
    assert only(labels, 10, 30, 20)
    assert said == ["polygons on other planes or times, left out: 1"]


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("around", "inside"),
    [
        ((None, "annotation"), (None, "detection")),
        (("Cell", "annotation"), ("Cell", "cell")),
        ((None, None), ("Cell", None)),
        ((None, "annotation"), ("Cell", "annotation")),
    ],
)
def test_an_annotation_around_an_object_is_none(
    tmp_path: Path,
    around: tuple[str | None, str | None],
    inside: tuple[str | None, str | None],
    later: bool,
) -> None:
    content = [feature(square(0, 0, 90), *around), feature(SQUARE, *inside)]
    _, labels, said = read(tmp_path, content[:: -1 if later else 1])
    assert only(labels, 10, 30, 20)
    assert said == [f"{REGIONS}: 1"]


@pytest.mark.parametrize("later", [False, True])
def test_what_holds_several_side_by_side_is_a_region_and_one_in_it_no_object(
    tmp_path: Path, later: bool
) -> None:
    content = [
        feature(square(0, 0, 100)),  # holds the next alone
        feature(square(5, 5, 90)),
        feature(SQUARE),
        feature(square(50, 30, 20)),
        feature(square(55, 35, 10)),  # a nucleus: one object in another is no region
    ]
    polygons, labels, said = read(tmp_path, content[:: -1 if later else 1])
    assert f"{REGIONS}: 2" in said
    assert len(polygons.objects) == 3
    assert sorted(sizes(labels)) == ([400, 400] if later else [100, 300, 400])
    lost = "polygons that later ones cover wholly, lost: 1"
    cut = "objects that lie wholly in one drawn before, cut out of it: 1"
    assert said[-1] == (lost if later else cut)


def test_concentric_outlines_of_one_object_are_no_region(tmp_path: Path) -> None:
    content = [feature(square(10, 10, side)) for side in (30, 20, 10)]
    polygons, _, said = read(tmp_path, content)
    assert len(polygons.objects) == 3
    assert said == ["objects that lie wholly in one drawn before, cut out of it: 2"]


def test_cells_and_objects_of_other_classes_hold_what_they_like(tmp_path: Path) -> None:
    spots = [feature(square(x, 40, 2), "Spot", "detection") for x in (12, 20)]
    content = [feature(SQUARE, "Cell", "cell"), *spots]
    polygons, labels, said = read(tmp_path, content, classes=["Cell", "Spot"])
    assert (sizes(labels), said) == ([392, 4, 4], [])
    polygons, _, _ = read(tmp_path, content, classes=None)
    assert len(polygons.objects) == 3
    nuclei = [feature(square(x, 40, 2), "Spot") for x in (12, 20)]
    _, labels, said = read(tmp_path, [feature(SQUARE, "Cell"), *nuclei], classes=["Cell", "Spot"])
    assert (sizes(labels), said) == ([392, 4, 4], [])


def test_an_annotation_around_detections_of_other_classes_is_no_object(tmp_path: Path) -> None:
    around = feature(square(0, 0, 90), kind="annotation")
    positive = [feature(square(x, 30, 5), "Positive", "cell") for x in (40, 60)]
    with pytest.raises(LabelsError, match="no polygon is an object of class 'Cell'; .* class 'pos"):
        read(tmp_path, [around, *positive])
    _, labels, said = read(tmp_path, [around, *positive, feature(SQUARE)])
    assert only(labels, 10, 30, 20)
    assert said == ["polygons of class 'positive', taken as background: 2", f"{REGIONS}: 1"]
    # of the wanted class itself it is an object; so is one that is drawn over a detection
    tumor = feature(SQUARE, "Cell", "annotation")
    spot = feature(square(15, 35, 5), "Spot", "detection")
    _, labels, _ = read(tmp_path, [tumor, spot])
    assert only(labels, 10, 30, 20)
    _, labels, _ = read(tmp_path, [feature(SQUARE), feature(SQUARE, "Positive", "cell")])
    assert only(labels, 10, 30, 20)


def test_spots_that_nobody_asked_for_leave_their_cell_as_it_is(tmp_path: Path) -> None:
    spots = [feature(square(x, 40, side), "Spot", "detection") for x, side in ((12, 5), (13, 2))]
    _, labels, said = read(tmp_path, [feature(SQUARE, kind="cell"), *spots])
    assert only(labels, 10, 30, 20)
    assert said == ["polygons of class 'spot', taken as background: 2"]


def test_a_region_may_be_annotated_and_show_no_object(tmp_path: Path) -> None:
    content = [feature(square(0, 0, 50), "Region*"), feature(square(60, 60, 9), "Stroma")]
    _, labels, said = read(tmp_path, content)
    assert not labels.any()
    assert said == ["polygons of class 'stroma', taken as background: 1"]


def test_areas_of_a_class_may_lie_in_one_another(tmp_path: Path) -> None:
    inner = [feature(square(x, 40, 4), "Cell", "detection") for x in (12, 20)]
    for content in ([feature(SQUARE, "Cell"), *inner], [*inner, feature(SQUARE, "Cell")]):
        polygons, labels, said = read(tmp_path, content, instances=False)
        assert only(polygons.classes[labels], 10, 30, 20)
        assert said == []
    _, labels, said = read(tmp_path, [*inner, feature(square(5, 5, 90))], instances=False)
    assert (sizes(labels), said) == ([16, 16], [f"{REGIONS}: 1"])  # without a class, around some


def test_tiles_cores_and_the_root_are_no_objects(tmp_path: Path) -> None:
    kinds = ("tile", "tmaCore", "tma_core", "TMACoreObject", "root", "PathTileObject")
    content = [feature(square(60, 60, 30), kind=kind) for kind in kinds]
    _, labels, said = read(tmp_path, [feature(SQUARE, kind="annotation"), *content])
    assert only(labels, 10, 30, 20)
    assert said == [
        "tiles, taken for no objects: 2",
        "TMA cores, taken for no objects: 3",
        "roots of a hierarchy, taken for no objects: 1",
    ]
    for name, ignored_px in (("Ignore*", 900), ("Region*", 100 * 120 - 900)):  # of any type
        core = feature(square(60, 60, 30), name, "tmaCore")
        polygons, _, said = read(tmp_path, [feature(SQUARE), core])
        _, ignored = polygons.draw(slice(0, SIZE[0]), slice(0, SIZE[1]))
        assert (ignored.sum(), said) == (ignored_px, [])
    old = {"type": "Feature", "id": "PathTileObject", "geometry": SQUARE}  # of QuPath 0.2
    with pytest.raises(LabelsError, match="no polygon is an object of class 'Cell'; .* tiles: 1"):
        read(tmp_path, old)
    with pytest.raises(LabelsError, match=r"no polygon is an object; there are tiles: 1\. Set"):
        read(tmp_path, old, classes=None)
    _, labels, said = read(tmp_path, feature(SQUARE, "Cell", "tile"))  # somebody classified it
    assert (only(labels, 10, 30, 20), said) == (True, [])


def test_objects_that_qupath_nests_in_others_are_read(tmp_path: Path) -> None:
    parent = feature(square(0, 0, 90), kind="annotation")
    parent["properties"]["childObjects"] = [feature(SQUARE, kind="cell")]
    parent["properties"]["childObjects"][0]["nucleusGeometry"] = square(12, 35, 5)
    _, labels, said = read(tmp_path, {"type": "FeatureCollection", "features": [parent]})
    assert only(labels, 10, 30, 20)
    assert said == [
        "cells with an outline of their nucleus, taken whole: 1",
        f"{REGIONS}: 1",
    ]


def test_objects_that_are_covered_or_too_small_are_counted(tmp_path: Path) -> None:
    small = [feature(square(10.6, 10.6, 0.8)), feature(square(80.1, 20.1, 0.3))]
    covered = [feature(square(12 + 15 * k, 52, 4)) for k in range(3)]
    covering = [feature(square(10 + 15 * k, 50, 8)) for k in range(3)]
    _, labels, said = read(tmp_path, [*small, *covered, *covering])
    assert sizes(labels) == [64] * 3
    assert said == [
        "polygons too small to hold the centre of a pixel, lost: 2",
        "polygons that later ones cover wholly, lost: 3",
    ]
    # several together cover as one does; what an ignored area covers is not lost by the way
    halves = [feature(half) for half in HALVES]
    ignored = feature(square(60, 60, 30), "Ignore*")
    _, labels, said = read(
        tmp_path, [feature(square(12, 32, 16)), *halves, feature(square(65, 65, 5)), ignored]
    )
    assert said == ["polygons that later ones cover wholly, lost: 1"]


def test_a_class_that_another_covers_is_counted(tmp_path: Path) -> None:
    content = [feature(SQUARE, "Cell"), feature(square(5, 25, 40), "Stroma")]
    _, _, said = read(tmp_path, content, classes=["Cell", "Stroma"], instances=False)
    assert said == ["polygons that later ones cover wholly, lost: 1"]


def test_a_polygon_that_is_there_twice_is_one(tmp_path: Path) -> None:
    turned = {"type": "Polygon", "coordinates": [SQUARE["coordinates"][0][::-1]]}
    content = [feature(square(0, 0, 90)), feature(SQUARE), feature(turned), feature(SQUARE)]
    polygons, _, said = read(tmp_path, content)
    assert len(polygons.objects) == 2
    assert said == [
        "polygons that are there twice, the later taken: 2",
        "objects that lie wholly in one drawn before, cut out of it: 1",
    ]


def test_polygons_outside_the_image_are_said(tmp_path: Path) -> None:
    far = [feature(square(5000 + 50 * k, 7000, 30), "Cell") for k in range(4)]
    extents = (
        r"all polygons \(4\) lie outside the image: they reach from x = 5000 to 5180 and from "
        "y = 7000 to 7030, the image from 0 to 120 and from 0 to 100"
    )
    with pytest.raises(LabelsError, match=extents):
        read(tmp_path, far)
    with pytest.raises(LabelsError, match="y = -50 to -30"):
        read(tmp_path, feature(square(10, -50, 20)))
    content = [*far, feature(SQUARE), feature(square(100, 50, 20.5)), feature(square(-5, 0, 9))]
    _, labels, said = read(tmp_path, content)
    assert sizes(labels) == [400, 400, 36]
    assert said == [
        "polygons outside the image, left out: 4",
        "polygons that reach beyond the image, cut there: 1",
    ]


def test_sizes_are_those_of_the_file_where_the_image_is_coarser(tmp_path: Path) -> None:
    fine = (2 * SIZE[0], 2 * SIZE[1])
    _, labels, said = read(tmp_path, [feature(square(20, 60, 40))], size_px=fine)
    assert (only(labels, 10, 30, 20), said) == (True, [])


def test_tissue_is_what_is_drawn_whatever_it_holds(tmp_path: Path) -> None:
    content = [
        feature(square(0, 0, 90), "Tissue", "annotation"),
        on(3, 0, square(90, 90, 10)),
        *(feature(square(x, 20, 5), "Cell", "detection") for x in (20, 40)),
        feature(square(95, 0, 20), "Ignore*"),
        feature(square(95, 30, 20), kind="tmaCore"),
    ]
    path = tmp_path / "m.geojson"
    path.write_text(json.dumps(content))
    areas, said = tissue_areas(path, size_px=SIZE, shape_px=SIZE)
    assert [area.area for area in areas] == [8100, 100, 25, 25, 400]
    assert said == []
    path.write_text(json.dumps([feature(square(500, 500, 20))]))
    with pytest.raises(LabelsError, match=r"all polygons \(1\) lie outside the image"):
        tissue_areas(path, size_px=SIZE, shape_px=SIZE)
