"""Regions of ImageScope become areas, and what is left out is counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unetflow.errors import LabelsError
from unetflow.images.polygons import Polygons, read_polygons

SIZE = (100, 120)  # rows, columns
Corners = list[tuple[object, object]]


def square(x: float, y: float, side: float) -> Corners:
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def region(corners: Corners, *, kind: int = 0, negative: int = 0) -> str:
    vertices = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in corners)
    return (
        f'<Region Id="1" Type="{kind}" NegativeROA="{negative}" Text="a"><Attributes>'
        f'<Attribute Name="Score" Value="3"/></Attributes><Vertices>{vertices}</Vertices></Region>'
    )


def layer(*regions: str, name: str = "", attribute: str = 'Name="Description" Value=""') -> str:
    return (
        f'<Annotation Id="1" Name="{name}" Type="4"><Attributes><Attribute {attribute}/>'
        "</Attributes><Regions><RegionAttributeHeaders>"
        f'<AttributeHeader Name="Region"/></RegionAttributeHeaders>{"".join(regions)}'
        "</Regions><Plots/></Annotation>"
    )


def read(folder: Path, *layers: str, **changes: Any) -> tuple[Polygons, np.ndarray, list[str]]:
    """Polygons of a file of these layers, the labels drawn, and all that is said."""
    path = folder / "t.XML"
    path.write_text(f'<Annotations MicronsPerPixel="0.25">{"".join(layers)}</Annotations>')
    options: dict[str, Any] = {"classes": ["Cell"], "size_px": SIZE, "shape_px": SIZE}
    polygons = read_polygons(path, **options | changes)
    labels, _ = polygons.draw(slice(0, SIZE[0]), slice(0, SIZE[1]))
    return polygons, labels, [*polygons.warnings, *polygons.lost()]


def drawn(*squares: tuple[int, int, int]) -> np.ndarray:
    wanted = np.zeros(SIZE, np.uint32)
    for number, (x, y, side) in enumerate(squares, start=1):
        wanted[y : y + side, x : x + side] = number
    return wanted


def test_regions_are_objects_in_the_order_of_the_file(tmp_path: Path) -> None:
    _, labels, said = read(tmp_path, layer(region(square(10, 30, 20)), region(square(60, 5, 9))))
    np.testing.assert_array_equal(labels, drawn((10, 30, 20), (60, 5, 9)))
    assert not said


def test_a_coarser_image_is_drawn_at_its_pixels(tmp_path: Path) -> None:
    polygons, _, _ = read(tmp_path, layer(region(square(10, 30, 20))), shape_px=(50, 60))
    labels, _ = polygons.draw(slice(0, 50), slice(0, 60))
    assert labels[15:25, 5:15].all() and labels.sum() == 100


def test_what_has_no_area_is_counted(tmp_path: Path) -> None:
    _, labels, said = read(
        tmp_path,
        layer(region([]), region([(1, 1)]), region([(1, 1), (9, 9)], kind=4)),
        layer(region(square(10, 30, 20)), region([(1, 1), (5, 5), (9, 9)])),
    )
    np.testing.assert_array_equal(labels, drawn((10, 30, 20)))
    assert said == [
        "regions without vertices, left out: 1",
        "regions of one or two vertices, left out for they have no area: 2",
        "self-crossing polygons, repaired: 1",
        "polygons without an area, left out: 1",
    ]


def test_negative_regions_are_cut_out_of_their_layer(tmp_path: Path) -> None:
    hole = region(square(15, 35, 5), negative=1)
    alone = region(square(90, 80, 5), negative=1)
    _, labels, said = read(
        tmp_path,
        layer(region(square(60, 5, 9)), region(square(60, 5, 9), negative=1)),
        layer(hole, alone, region(square(10, 30, 20))),
        layer(region(square(14, 34, 2)), name="other"),
    )
    wanted = drawn((10, 30, 20))
    wanted[35:40, 15:20] = 0
    np.testing.assert_array_equal(labels, wanted)
    assert said == [
        "negative regions cut out of what they lie in: 2",
        "negative regions that lie in no other, left out: 1",
        "regions that negative ones cover wholly, left out: 1",
        "polygons of class 'other', taken as background: 1",
    ]


def test_a_layer_names_the_class_or_its_attribute_does(tmp_path: Path) -> None:
    polygons, labels, said = read(
        tmp_path,
        layer(region(square(10, 10, 5)), name="Epithelial"),
        layer(region(square(20, 10, 5)), attribute='Name="Lymphocyte" Value=""'),  # as MoNuSAC
        layer(region(square(30, 10, 5)), attribute='Name="Description" Value="epithelial"'),
        layer(region(square(40, 10, 5)), name="Ignore*"),
        classes=["epithelial", "lymphocyte"],
    )
    _, ignored = polygons.draw(slice(0, SIZE[0]), slice(0, SIZE[1]))
    assert polygons.classes[labels[12, [12, 22, 32, 42]]].tolist() == [1, 2, 1, 0]
    assert ignored.sum() == 25 and ignored[12, 42]
    assert not said


def test_ellipses_and_rectangles_may_be_two_corners(tmp_path: Path) -> None:
    _, labels, _ = read(
        tmp_path,
        layer(region([(10, 10), (30, 20)], kind=1), region([(50, 10), (90, 30)], kind=2)),
    )
    assert (labels == 1).sum() == 200
    assert (labels == 2).sum() == pytest.approx(np.pi * 20 * 10, rel=0.01)  # of whole pixels


def test_an_annotation_of_another_image_is_refused_with_both_extents(tmp_path: Path) -> None:
    far = layer(region(square(400, 300, 20)), region(square(500, 700, 5)))
    extents = (
        r"all polygons \(2\) lie outside the image: they reach from x = 400 to 505 and from y = "
        "300 to 705, the image from 0 to 120 and from 0 to 100"
    )
    with pytest.raises(LabelsError, match=extents):
        read(tmp_path, far)
    _, labels, said = read(tmp_path, far, layer(region(square(10, 30, 20))))
    np.testing.assert_array_equal(labels, drawn((10, 30, 20)))
    assert said == ["polygons outside the image, left out: 2"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("<ASAP_Annotations/>", "its first element is ASAP_Annotations, not Annotations"),
        ("<Annotations><Annotation>", "no element found"),
        ("", "no element found"),
        ("no xml", "syntax error"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><Annotations/>', "it defines entities"),
        ('<?xml version="1.0" encoding="none"?><Annotations/>', "unknown encoding"),
    ],
)
def test_other_xml_is_refused(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "t.xml"
    path.write_text(content)
    with pytest.raises(LabelsError, match=f"is no XML of annotations .*{why}"):
        read_polygons(path, classes=None, size_px=SIZE, shape_px=SIZE)


@pytest.mark.parametrize("x", ["", "ten", "nan", "1e300"])
def test_vertices_that_are_no_pixels_are_refused(tmp_path: Path, x: str) -> None:
    with pytest.raises(LabelsError, match="region 1 has coordinates that are no numbers of pix"):
        read(tmp_path, layer(region(square(1, 1, 9)), region([(1, 1), (9, 1), (x, 9)])))


def test_a_file_may_be_without_regions(tmp_path: Path) -> None:
    polygons, labels, said = read(tmp_path, layer())
    assert not polygons.objects and not labels.any() and not said
