"""Polygons that are damaged or hostile end in an error of ours, soon and in little memory."""

import gzip
import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import shapely
from test_images_polygons import SQUARE, feature, read, sizes, square

from unetflow.errors import LabelsError, TooLargeError
from unetflow.images.areas import PARSED_TIMES
from unetflow.images.at_once import LEAST_BYTES
from unetflow.images.crossings import MOST_CROSSINGS, is_tangled
from unetflow.images.geojson import peak_bytes

SECONDS = 20  # what took minutes or hours; two cores that others work on


def polygon(xy: np.ndarray) -> dict[str, object]:
    return {"type": "Polygon", "coordinates": [[*xy.tolist(), xy[0].tolist()]]}


@pytest.mark.parametrize("corners", [3000, 30_000])
@pytest.mark.slow
def test_an_outline_of_a_million_crossings_is_refused_soon(tmp_path: Path, corners: int) -> None:
    xy = np.random.default_rng(0).random((corners, 2)) * 100
    started = time.monotonic()
    with pytest.raises(
        LabelsError, match=rf"feature 1 crosses itself more than {MOST_CROSSINGS} times"
    ):
        read(tmp_path, [feature(SQUARE), feature(polygon(xy))])
    assert time.monotonic() - started < SECONDS


def test_an_outline_that_crosses_itself_sometimes_is_repaired(tmp_path: Path) -> None:
    xy = np.random.default_rng(0).random((200, 2)) * 100  # 4,000 crossings
    _, labels, said = read(tmp_path, feature(polygon(xy)))
    assert said == ["self-crossing polygons, repaired: 1"]
    assert (labels > 0).mean() > 0.3


@pytest.mark.slow
def test_crossings_are_counted_and_touching_is_none() -> None:
    comb = [(0, 0), *((x, y) for x in range(300) for y in ((0, 9), (9, 0))[x % 2]), (300, 0)]
    stairs = shapely.union_all([shapely.box(k, k, k + 1, k + 1) for k in range(9999)])
    teeth = [shapely.LineString([(x + 0.5, -1), (x + 0.5, 10)]).buffer(0.1) for x in range(299)]
    assert not is_tangled([shapely.Polygon(comb)])
    assert not is_tangled([stairs])  # squares that meet at corners
    assert not is_tangled(teeth)
    line = shapely.box(-1, 3, 301, 4)
    assert not is_tangled([*teeth, line])  # 1,196 crossings
    assert is_tangled([*teeth, *(shapely.box(-1, y, 301, y + 0.1) for y in np.arange(0, 9, 0.4))])


@pytest.mark.slow
def test_polygons_that_are_there_thousands_of_times_are_refused_soon(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(LabelsError, match="over one another more than 10000000 times"):
        read(tmp_path, [feature(SQUARE)] * 4000)
    assert time.monotonic() - started < SECONDS
    _, labels, _ = read(tmp_path, [feature(SQUARE)] * 300)
    assert sizes(labels) == [400]


def test_a_small_file_that_unpacks_to_more_than_there_is_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.geojson").write_bytes(gzip.compress(b"[" + b" " * 300_000_000 + b"]", 1))
    monkeypatch.setattr("unetflow.images.geojson.available_bytes", lambda: 10**9)
    tracemalloc.start()
    with pytest.raises(TooLargeError, match=r"t\.geojson: holds much text.*Export .* in parts"):
        read(tmp_path, (tmp_path / "t.geojson").read_bytes())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 200e6  # of 300 MB, and of the gigabytes that they would become
    monkeypatch.undo()
    assert read(tmp_path, gzip.compress(b"[]"))[2] == []


def test_a_job_asks_by_the_size_that_a_compressed_file_says_it_has(tmp_path: Path) -> None:
    text = json.dumps([feature(square(k, k, 9)) for k in range(99)]).encode()
    for content in (text, gzip.compress(text)):
        (tmp_path / "t.geojson").write_bytes(content)
        assert peak_bytes(tmp_path / "t.geojson") == PARSED_TIMES * len(text)
    (tmp_path / "t.geojson").write_bytes(b"")
    assert peak_bytes(tmp_path / "t.geojson") == 0 < LEAST_BYTES


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:20] + b"\xff\xff\xff" + packed[23:],
        lambda packed: packed[:-8] + bytes(8),
        lambda packed: packed[:2],
    ],
)
def test_a_damaged_compressed_file_is_named(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    packed = gzip.compress(json.dumps([feature(square(k, 0, 9)) for k in range(99)]).encode())
    with pytest.raises(LabelsError, match=r"t\.geojson: is no GeoJSON"):
        read(tmp_path, damage(packed))


def nested(depth: int, beginning: str, inner: str, end: str) -> bytes:
    return (beginning * depth + inner + end * depth).encode()


POINT = json.dumps(SQUARE)
FORMS = {
    "lists": ("[", POINT, "]"),
    "features": ('{"features":', POINT, "}"),
    "collections": ('{"type":"GeometryCollection","geometries":[', POINT, "]}"),
    "children": (
        f'{{"type":"Feature","geometry":{POINT},"properties":{{"childObjects":[',
        POINT,
        "]}}",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_nested_deep_is_read_or_refused(tmp_path: Path, form: str) -> None:
    assert sizes(read(tmp_path, nested(20, *FORMS[form]))[1]) == [400]
    for depth in (300, 900, 2000, 100_000):
        try:
            _, labels, _ = read(tmp_path, nested(depth, *FORMS[form]))
        except LabelsError as error:
            assert "is no GeoJSON" in str(error) or "is no geometry" in str(error)
        else:
            assert sizes(labels) == [400]


@pytest.mark.parametrize("depth", [300, 600, 990])
def test_a_class_that_derives_from_others_without_end_is_refused(
    tmp_path: Path, depth: int
) -> None:
    parents = nested(depth, '{"name":"a","parentClass":', "null", "}").decode()
    content = json.dumps(feature(SQUARE, "HERE")).replace('"HERE"', parents).encode()
    try:
        read(tmp_path, content, classes=["a"])
    except LabelsError as error:
        assert "nested too deep" in str(error) or "RecursionError" in str(error)
