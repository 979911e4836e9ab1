"""What other programs read is what was found, to the pixel."""

import gzip
import json
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pandas as pd
import pytest
import shapely
import tifffile
from prepared import prepare
from scipy import ndimage
from shapely.geometry import shape
from skimage.segmentation import find_boundaries

from unetflow.components.pieces_of_block import labelled_components, sums_of
from unetflow.errors import StoreError
from unetflow.export.outlines import outline_of
from unetflow.images.polygons import read_polygons
from unetflow.images.slide import Slide
from unetflow.instances.table import read_objects, write_objects
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.shard_lists import write_shard_list
from unetflow.stages.export import export_geojson, export_labels, export_overlay, export_stack
from unetflow.stages.instances import Making, write_instances
from unetflow.store.ome import PixelSize, ome_image, write_group
from unetflow.store.shards import Layout, open_array, read_array

SHAPE = (1100, 1300)


@pytest.fixture
def case(tmp_path: Path) -> dict[str, Any]:
    """A prepared image of half the resolution of its file, and instances of two classes in it."""
    random = np.random.default_rng(0)
    fine = random.integers(0, 255, (2 * SHAPE[0], 2 * SHAPE[1]), dtype=np.uint8)
    image = prepare(tmp_path, fine, mpp=0.25, want_mpp=0.5)
    smooth = ndimage.gaussian_filter(random.normal(size=(2, *SHAPE)), (0, 12, 12))
    smooth = smooth / smooth.std()
    planes = np.where(smooth > 1, 200, 0).astype(np.uint8)
    planes[0, 40:80, 40:80] = 255
    planes[:, 50:60, 50:60] = 0  # a hole
    store, axes = tmp_path / "p.ome.zarr", ("c", "y", "x")
    levels = {"foreground": [1, 0.5, 0.5]}
    write_group(store, "", ome_image("p", axes, levels, unit="micrometer"))
    array = open_array(store, "foreground", Layout(planes.shape, "uint8", axes), decided_by={})
    for index in array.missing():
        array.write(index, planes[array.region(index)])
    shards = write_shard_list(tmp_path / "f.json", store, ["foreground"])
    write_receipt(tmp_path / "f.json", {"digest": "f", "shards": shards})
    calibration = {"instances": {name: {"threshold": 0.5} for name in "ab"}}
    write_receipt(tmp_path / "c.json", calibration)
    write_instances(
        store=store,
        foreground_receipt=tmp_path / "f.json",
        calibration=tmp_path / "c.json",
        receipt=tmp_path / "inst.json",
        table=tmp_path / "objects.parquet",
        making=Making(
            classes=["a", "b"],
            threshold=None,
            labelling={"min_area_px": 10, "fill_holes": False, "connectivity": 1},
        ),
        threads=2,
        code="c",
    )
    labels = np.asarray(read_array(store, "labels/instances/0")[:])
    return {"folder": tmp_path, "image": image, "store": store, "labels": labels}


def test_the_table_says_where_the_objects_are(case: dict[str, Any]) -> None:
    table = pd.read_parquet(case["folder"] / "objects.parquet")
    receipt = read_receipt(case["folder"] / "inst.json")["classes"]
    assert table["id"].tolist() == list(range(1, len(table) + 1))
    assert (table["class"] == "a").sum() == receipt["a"]["instances"] > 10
    row = table.iloc[len(table) // 2]
    rows, columns = np.nonzero(case["labels"] == row["id"])
    assert (row["area_px"], row["area_um2"]) == (len(rows), len(rows) * 0.25)
    assert (row["row_px"], row["column_um"]) == pytest.approx((rows.mean(), columns.mean() / 2))
    assert (row["top_px"], row["right_px"]) == (rows.min(), columns.max() + 1)
    assert row["mean_foreground"] == pytest.approx(200 / 255, rel=1e-6)
    text = pd.read_csv(case["folder"] / "objects.csv")
    assert text.columns.tolist() == table.columns.tolist()
    assert len(text) == len(table)


def test_a_missing_table_names_what_to_delete(case: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none.parquet: not readable .* Delete b.json and run"):
        read_objects(tmp_path / "none.parquet", "b.json")


@pytest.mark.slow
def test_polygons_come_back_as_the_same_pixels(case: dict[str, Any]) -> None:
    path = case["folder"] / "o.geojson.gz"
    export_geojson(
        stored=[],
        store=case["store"],
        table=case["folder"] / "objects.parquet",
        instances=case["folder"] / "instances.json",
        image_receipt=case["folder"] / "i.json",
        classes=["a", "b"],
        output=path,
    )
    first = path.read_bytes()
    fine_px = (2 * SHAPE[0], 2 * SHAPE[1])
    found = read_polygons(path, classes=["a", "b"], size_px=fine_px, shape_px=SHAPE)
    assert found.warnings == []
    drawn, _ = found.draw(slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    np.testing.assert_array_equal(drawn != 0, case["labels"] != 0)
    content = json.loads(gzip.decompress(first))
    names = np.array([0, *(int(each["properties"]["name"]) for each in content["features"])])
    np.testing.assert_array_equal(names[drawn], case["labels"])
    feature = content["features"][0]
    assert feature["properties"]["objectType"] == "detection"
    assert feature["properties"]["classification"]["name"] in "ab"
    assert max(np.ravel(feature["geometry"]["coordinates"][0])) > max(SHAPE) / 100
    export_geojson(
        stored=[],
        store=case["store"],
        table=case["folder"] / "objects.parquet",
        instances=case["folder"] / "instances.json",
        image_receipt=case["folder"] / "i.json",
        classes=["a", "b"],
        output=path,
    )
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("want_um", "layers"),
    [
        (0.5, [[0, 1], [2, 3], [4, 5], [6, 7]]),  # two planes of labels for one of the file
        (2.0, [[0], [0], [1], [1]]),
        (1.25, [[0], [1], [1], [2]]),
    ],
)
def test_an_object_has_one_polygon_on_each_plane_of_its_file(
    tmp_path: Path, want_um: float, layers: list[list[int]]
) -> None:
    spacing = {"spacing": (1.0, 0.5, 0.5), "want_spacing": (want_um, 0.5, 0.5)}
    image = prepare(tmp_path, np.zeros((4, 30, 40), np.uint8), volume=True, **spacing)
    _, *sides = read_array(image, "0").shape
    labels = np.zeros(sides, np.uint32)
    for k, plane in enumerate(labels):
        plane[5 : 8 + k, 4:9], plane[20 : 29 - k, 30:36] = 1, 2
    store, size = tmp_path / "p.ome.zarr", PixelSize((want_um, 0.5, 0.5), "micrometer")
    array = open_array(
        store, "labels/instances/0", Layout(labels.shape, "uint32", ("z", "y", "x")), decided_by={}
    )
    for index in array.missing():
        array.write(index, labels[array.region(index)])
    found = labelled_components(labels.astype(np.int32))
    sums = sums_of(found, labels.astype(np.uint8), (0, 0, 0), labels.shape)
    write_objects(tmp_path / "o.parquet", [("a", 1, sums)], size, highest=255)
    export_geojson(
        store=store,
        table=tmp_path / "o.parquet",
        instances=tmp_path / "l.json",
        image_receipt=tmp_path / "i.json",
        classes=["a"],
        stored=[],
        output=tmp_path / "o.geojson.gz",
        first_px=(7, 0, 0),
    )
    features = json.loads(gzip.decompress((tmp_path / "o.geojson.gz").read_bytes()))["features"]
    polygons = {
        (int(of["properties"]["name"]), of["geometry"]["plane"]["z"] - 7): shape(of["geometry"])
        for of in features
    }
    assert len(features) == len(polygons) == 2 * 4
    rows, columns = np.mgrid[:30, :40] + 0.5
    for (number, plane), polygon in polygons.items():
        wanted = (labels[layers[plane]] == number).any(axis=0)
        np.testing.assert_array_equal(shapely.contains_xy(polygon, columns, rows), wanted)


def test_holes_and_corners_keep_their_outline() -> None:
    mask = np.ones((4, 4), bool)
    mask[1, 1] = False
    region = slice(0, 4), slice(0, 4)
    outline = outline_of(mask, region)
    assert (outline.area, len(outline.interiors)) == (15, 1)
    assert len(outline.exterior.coords) == 5  # corners, and the first again
    assert outline_of(np.eye(3, dtype=bool), region).area == 3


@pytest.mark.slow
def test_large_objects_are_outlined_block_by_block(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {
        "store": case["store"],
        "table": case["folder"] / "objects.parquet",
        "instances": case["folder"] / "instances.json",
        "image_receipt": case["folder"] / "i.json",
        "classes": ["a", "b"],
        "stored": [],
    }
    found = []
    for large_px in (2048, 30):
        monkeypatch.setattr("unetflow.export.outlines.LARGE_PX", large_px)
        export_geojson(**arguments, output=case["folder"] / "o.geojson.gz")
        content = json.loads(gzip.decompress((case["folder"] / "o.geojson.gz").read_bytes()))
        found.append([shape(each["geometry"]).normalize() for each in content["features"]])
    table = pd.read_parquet(case["folder"] / "objects.parquet")
    assert (table["bottom_px"] // 1024 > table["top_px"] // 1024).any()  # in several blocks
    assert all(map(shapely.equals, *found))
    assert [len(shapely.get_coordinates(each)) for each in found[0]] == [
        len(shapely.get_coordinates(each)) for each in found[1]
    ]


def test_labels_are_a_tiled_tiff(case: dict[str, Any]) -> None:
    export_labels(stored=[], store=case["store"], output=case["folder"] / "l.tif")
    with tifffile.TiffFile(case["folder"] / "l.tif") as tiff:
        page = tiff.pages[0]
        assert (page.is_tiled, tiff.is_bigtiff, page.dtype) == (True, True, np.uint32)
        np.testing.assert_array_equal(tiff.asarray(), case["labels"])
    with Slide(case["folder"] / "l.tif") as slide:
        assert slide.levels[0].mpp == pytest.approx(0.5)


def test_the_overlay_is_a_pyramid_for_viewers(case: dict[str, Any]) -> None:
    export_overlay(
        stored=[],
        image=case["image"],
        image_receipt=case["folder"] / "i.json",
        store=case["store"],
        instances=case["folder"] / "inst.json",
        output=case["folder"] / "o.ome.tif",
    )
    with Slide(case["folder"] / "o.ome.tif") as slide:
        assert [level.shape_px for level in slide.levels] == [SHAPE, (550, 650), (275, 325)]
        assert slide.channels == 3
        assert slide.levels[0].mpp == pytest.approx(0.5)
        pixels = slide.read(0, slice(0, 200), slice(0, 200)).astype(int)
    coloured = pixels[0] - pixels[2] > 80  # orange lines on gray
    assert coloured[40, 45:75].mean() > 0.9
    assert coloured[62:78, 62:78].mean() < 0.3
    first_of_b = read_receipt(case["folder"] / "inst.json")["classes"]["b"]["first_id"]
    drawn = find_boundaries(case["labels"], mode="inner")[:200, :200]
    blue = drawn & (case["labels"][:200, :200] >= first_of_b)
    assert (pixels[2] - pixels[0])[blue].mean() > 20
    assert (pixels[0] - pixels[2])[drawn & ~blue].mean() > 20
    assert openslide.OpenSlide(case["folder"] / "o.ome.tif").level_count >= 1


def test_the_same_overlay_has_the_same_bytes_and_another_one_its_own_identifier(
    case: dict[str, Any],
) -> None:
    """Each writing drew a random one: of two equal overlays no byte comparison came out equal."""
    folder, found, identifiers = case["folder"], [], []
    for first_id_of_b in (None, None, 2):
        if first_id_of_b is not None:
            receipt = read_receipt(folder / "inst.json")
            receipt["classes"]["b"]["first_id"] = first_id_of_b
            write_receipt(folder / "inst.json", receipt)
        export_overlay(
            image=case["image"],
            image_receipt=folder / "i.json",
            store=case["store"],
            instances=folder / "inst.json",
            stored=[],
            output=folder / "o.ome.tif",
        )
        found.append((folder / "o.ome.tif").read_bytes())
        with tifffile.TiffFile(folder / "o.ome.tif") as tiff:
            identifiers += re.findall(r'UUID="urn:uuid:([0-9a-f-]{36})"', tiff.ome_metadata or "")
    assert found[0] == found[1] != found[2]
    assert identifiers[0] == identifiers[1] != identifiers[2]


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """No file may grow beyond this size meanwhile, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room_bytes", [0, 5000])
@pytest.mark.parametrize("kind", ["geojson", "labels", "overlay", "stack"])
@pytest.mark.slow
def test_an_export_that_finds_no_room_is_named_and_leaves_nothing(
    case: dict[str, Any], kind: str, room_bytes: int
) -> None:
    """It was an OSError without the name of the file: not foreseen, with a traceback."""
    folder = case["folder"]
    of_image = {"image_receipt": folder / "i.json", "instances": folder / "inst.json"}
    table = {"table": folder / "objects.parquet", "classes": ["a", "b"]}
    export: dict[str, Callable[..., None]] = {
        "geojson": partial(export_geojson, store=case["store"], **of_image, **table),
        "labels": partial(export_labels, store=case["store"]),
        "overlay": partial(export_overlay, image=case["image"], store=case["store"], **of_image),
        "stack": partial(export_stack, predictions=[case["store"]]),
    }
    output = folder / f"exports/o.{kind}"
    why = r"\((File too large|\d+ requested and \d+ written)\)"  # the second is NumPy's
    with (
        pytest.raises(StoreError, match=rf"o\.{kind}: could not be written {why}. Make room"),
        room_for(room_bytes),
    ):
        export[kind](output=output, stored=[])
    assert list(output.parent.iterdir()) == []
    export[kind](output=output, stored=[])
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_a_stack_is_of_the_array_that_is_named(case: dict[str, Any]) -> None:
    layout = Layout((2, *SHAPE), "uint8", ("c", "y", "x"))
    array = open_array(case["store"], "refined", layout, decided_by={})
    for index in array.missing():
        shape = [part.stop - part.start for part in array.region(index)]
        array.write(index, np.full(shape, 51, np.uint8))
    output = case["folder"] / "s.tif"
    export_stack(stored=[], predictions=[case["store"]], output=output, foreground="refined")
    assert np.unique(tifffile.imread(output)) == pytest.approx([0.2])


def test_a_stack_is_32_bit_as_the_challenge_wanted_it(case: dict[str, Any]) -> None:
    export_stack(stored=[], predictions=[case["store"]] * 3, output=case["folder"] / "s.tif")
    stack = tifffile.imread(case["folder"] / "s.tif")
    assert (stack.shape, stack.dtype) == ((3, *SHAPE), np.float32)
    assert stack.max() == 1
    with tifffile.TiffFile(case["folder"] / "s.tif") as tiff:
        assert len(tiff.pages) == 3 and not tiff.is_bigtiff


def test_a_stack_that_no_tiff_holds_is_a_bigtiff(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unetflow.stages.export.TIFF_BYTES", 3 * 4 * SHAPE[0] * SHAPE[1] - 1)
    output = case["folder"] / "s.tif"
    for slices, large in ((2, False), (3, True)):
        export_stack(stored=[], predictions=[case["store"]] * slices, output=output)
        with tifffile.TiffFile(output) as tiff:
            assert (len(tiff.pages), tiff.is_bigtiff) == (slices, large)
