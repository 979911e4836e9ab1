"""Polygons on the planes of a volume become its labels."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapely.geometry import box, mapping

from unetflow.errors import LabelsError
from unetflow.images.polygon_volume import PolygonVolume, read_annotation

SHAPE = 6, 20, 30
Box = tuple[int, int, int, int]  # left, top, right, bottom


def feature(z: int, sides: Box, name: str = "", of_class: str = "cell", t: int = 0) -> Any:
    geometry = {**mapping(box(*sides)), "plane": {"c": -1, "z": z, "t": t}}
    properties = {"classification": {"name": of_class}, "objectType": "annotation"}
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": properties | ({"name": name} if name else {}),
    }


def read(folder: Path, features: Sequence[Any], **changes: Any) -> PolygonVolume:
    path = folder / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [*features]}))
    options: dict[str, Any] = {"classes": ["cell"], "size_px": SHAPE, "shape_px": SHAPE}
    found = read_annotation(path, **options | changes)
    assert isinstance(found, PolygonVolume)
    return found


def draw(polygons: PolygonVolume, shape: Sequence[int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    return polygons.draw(*(slice(0, size) for size in shape))


def test_what_shares_most_of_the_smaller_is_one_object(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        [
            feature(1, (2, 2, 10, 10)),
            feature(2, (4, 2, 12, 10)),  # shares most with the first
            feature(2, (2, 11, 6, 15)),
            feature(3, (10, 2, 18, 10)),  # shares a quarter: another
            feature(5, (10, 2, 18, 10)),  # nothing between
        ],
    )
    labels, ignored = draw(found)
    numbers = [np.unique(plane[plane > 0]).tolist() for plane in labels]
    assert numbers == [[], [1], [1, 2], [3], [], [4]]
    assert found.classes.tolist() == [0, 1, 1, 1, 1]
    assert ignored.all(axis=(1, 2)).tolist() == [True, False, False, False, True, False]
    assert not ignored[1:4].any()
    assert labels[1, 2:10, 2:10].all() and np.count_nonzero(labels[1]) == 64
    assert found.warnings == ["planes without a polygon, ignored: 2"]


def test_each_continues_one_alone(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        [
            feature(0, (2, 2, 18, 10)),
            feature(1, (2, 2, 9, 10)),  # both halves lie in it
            feature(1, (9, 2, 18, 10)),
        ],
    )
    labels, _ = draw(found)
    assert len(np.unique(labels[labels > 0])) == 2
    assert labels[0, 5, 5] == labels[1, 5, 5] != labels[1, 5, 15]


def test_a_name_tells_an_object_on_any_plane(tmp_path: Path) -> None:
    features = [
        feature(0, (2, 2, 10, 10), "a"),
        feature(1, (2, 2, 10, 10), "b"),
        feature(4, (20, 2, 28, 10), "a"),
        feature(5, (20, 2, 28, 10)),
    ]
    labels, _ = draw(read(tmp_path, features))
    at = [labels[0, 5, 5], labels[1, 5, 5], labels[4, 5, 25], labels[5, 5, 25]]
    assert at == [1, 2, 1, 3]
    found = read(tmp_path, [*features, feature(0, (12, 2, 18, 10), "a")])
    labels, _ = draw(found)
    assert labels[0, 5, 5] == labels[1, 5, 5] != labels[4, 5, 25] == labels[5, 5, 25]
    assert (
        "names of several objects of a plane, which are not taken for numbers: 1" in found.warnings
    )


def test_other_classes_are_other_objects_and_empty_planes_can_be_said(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        [
            feature(0, (2, 2, 10, 10), of_class="a"),
            feature(1, (2, 2, 10, 10), of_class="b"),
            feature(2, (0, 0, 15, 20), of_class="Region*"),
            feature(3, (0, 0, 4, 4), of_class="else"),
        ],
        classes=["a", "b"],
    )
    labels, ignored = draw(found)
    assert (labels[0, 5, 5], labels[1, 5, 5]) == (1, 2)
    assert found.classes.tolist() == [0, 1, 2]
    assert not ignored[2, :, :15].any() and ignored[2, :, 15:].all()
    assert not ignored[3].any()
    assert "polygons of class 'else', taken as background: 1" in found.warnings


def test_regions_are_parts_of_the_whole_and_planes_those_of_the_file(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        [feature(z, (2 + z, 2, 10 + z, 10)) for z in range(6)],
        shape_px=(3, 10, 15),
    )
    labels, ignored = draw(found, (3, 10, 15))
    assert not ignored.any() and np.unique(labels).tolist() == [0, 1]
    assert labels[1, 2].nonzero()[0].tolist() == [2, 3, 4, 5]  # plane 2 of the file, halved
    part, _ = found.draw(slice(1, 2), slice(2, 3), slice(0, 15))
    np.testing.assert_array_equal(part[0, 0], labels[1, 2])


@pytest.mark.parametrize(
    ("begins", "size", "at"),
    [((2, 0, 0), (3, 20, 30), (0, 5, 5)), ((0, 0, 3), (6, 20, 10), (2, 5, 2))],
)
def test_a_part_of_a_stack_has_its_polygons(
    tmp_path: Path, begins: tuple[int, ...], size: tuple[int, ...], at: tuple[int, ...]
) -> None:
    features = [feature(2, (5, 5, 8, 8)), feature(2, (22, 5, 28, 8))]
    found = read(tmp_path, features, first_px=begins, size_px=size, shape_px=size)
    labels, _ = draw(found, size)
    assert labels[at] and not labels[at[0]][:5].any()
    other = "polygons outside the image, left out: 1"
    assert (other in found.warnings) == (begins[2] == 3)


def test_times_of_a_stack_without_axes_are_planes(tmp_path: Path) -> None:
    labels, _ = draw(read(tmp_path, [feature(0, (2, 2, 10, 10), t=3)]))
    assert labels[3].any() and not labels[:3].any()


def test_polygons_without_a_plane_are_told(tmp_path: Path) -> None:
    told = "polygons that name no plane, taken for the first: 1"
    assert told in read(tmp_path, [feature(0, (2, 2, 10, 10))]).warnings


@pytest.mark.parametrize(
    ("features", "changes", "told"),
    [
        (
            [feature(9, (2, 2, 10, 10))],
            {},
            r"no polygon is on the planes 0 to 5; there are some on 9",
        ),
        (
            [feature(1, (2, 2, 10, 10), t=1), feature(1, (2, 2, 10, 10), t=2)],
            {},
            r"polygons lie at times 1, 2, and the sheet does not say which",
        ),
        ([feature(1, (2, 2, 10, 10), of_class="b")], {}, "no polygon is an object of class 'cell'"),
        ([feature(1, (92, 2, 99, 10))], {}, r"all polygons \(1\) lie outside the image"),
    ],
)
def test_what_is_of_another_volume_is_refused(
    tmp_path: Path, features: list[Any], changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(LabelsError, match=told):
        read(tmp_path, features, **changes)
