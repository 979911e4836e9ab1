"""Annotations become labels and ignored pixels, shard by shard."""

import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from prepared import PIXELS, prepare, truth
from scipy import ndimage

from unetflow.errors import LabelsError
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.store.shards import read_array

LABELS = np.zeros(PIXELS.shape, np.uint16)
LABELS[100:300, 900:1200] = 7
LABELS[1000:1101, 1000:1040] = 9
REGIONS = (
    "annotations that hold other objects, taken for no objects (those of class Region* bound what "
    "is annotated)"
)


def stored(store: Path, name: str = "truth") -> np.ndarray:
    return np.asarray(read_array(store, f"labels/{name}/0")[:])


def test_truth_and_ignore_are_stored_and_counted(tmp_path: Path) -> None:
    prepare(tmp_path)
    labels = np.zeros(PIXELS.shape, np.uint16)
    labels[3:9, 4:8], labels[3:9, 8:20], labels[50:52] = 5, 7, 99
    store = truth(tmp_path, labels, ignore_value=99)
    np.testing.assert_array_equal(
        read_array(store, "labels/truth/0")[:], np.where(labels < 99, labels, 0)
    )
    np.testing.assert_array_equal(read_array(store, "labels/ignore/0")[:], labels == 99)
    receipt = read_receipt(tmp_path / "t.json")
    assert (receipt["instances"], receipt["ignored_px"], receipt["warnings"]) == (2, 2600, [])
    assert receipt["object_px"] == 6 * 16 - 2 * 6


def test_objects_that_nobody_annotated_are_seen_unless_they_may_be_there(tmp_path: Path) -> None:
    squares = np.kron(np.arange(1, 101).reshape(10, 10), np.pad(np.ones((40, 40), int), 15))
    prepare(tmp_path, squares > 0)
    annotated = np.where(squares <= 20, squares, 0).astype(np.uint16)
    truth(tmp_path, annotated)
    (warning,) = read_receipt(tmp_path / "t.json")["warnings"]
    assert warning.startswith("20 objects are annotated, and 80 like them")
    truth(tmp_path, annotated, ring_px=5)
    assert read_receipt(tmp_path / "t.json")["warnings"] == []


def test_a_corrected_spacing_moves_the_ring_around_objects(tmp_path: Path) -> None:
    labels = np.zeros((9, 24, 24), np.uint16)
    labels[4, 12, 12] = 1
    for z, seen in ((1.0, 3), (4.0, 0)):
        prepare(
            tmp_path,
            np.arange(labels.size).reshape(labels.shape) % 251,
            volume=True,
            spacing=(z, 1, 1),
        )
        truth(tmp_path, labels, volume=True, ring_px=3)
        counts = stored(tmp_path / "i.ome.zarr", "ignore")[:, 12, 12] == 0
        assert counts[4 - seen : 5 + seen].all() and counts.sum() == 2 * seen + 1


def test_polygons_are_drawn_anew_where_the_file_of_their_image_has_another_size(
    tmp_path: Path,
) -> None:
    corners = [[10, 10], [110, 10], [110, 110], [10, 110], [10, 10]]
    (tmp_path / "t.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [corners]}))
    np.save(tmp_path / "fine.npy", PIXELS[:800, :800])
    np.save(tmp_path / "half.npy", PIXELS[:800:2, :800:2])
    for name, mpp, side_px in (("fine", 0.25, 50), ("half", 0.5, 100)):  # 400x400 px both
        prepare(tmp_path, path=tmp_path / f"{name}.npy", mpp=mpp, want_mpp=0.5)
        store = truth(tmp_path, PIXELS, path=tmp_path / "t.geojson")
        assert np.count_nonzero(stored(store)) == side_px**2


@pytest.mark.parametrize(
    "kind", [{}, {"kind": "classes"}, {"kind": "interior"}, {"kind": "interior", "label_value": 1}]
)
def test_a_truth_with_nan_is_told_so(tmp_path: Path, kind: dict[str, Any]) -> None:
    prepare(tmp_path, PIXELS[:40, :40])
    labels = np.ones((40, 40), np.float32)
    labels[:10] = np.nan
    with pytest.raises(
        LabelsError, match=r"no whole numbers; .* what nobody annotated \(NaN\) get"
    ):
        truth(tmp_path, labels, **kind)


def test_what_is_odd_in_masks_of_objects_is_told_by_a_second_job_too(tmp_path: Path) -> None:
    prepare(tmp_path, PIXELS[:40, :40])
    (tmp_path / "masks").mkdir()
    for k in range(2):
        mask = np.zeros((40, 40), np.uint8)
        mask[10 + 5 * k : 20 + 5 * k, 10:20] = 255
        tifffile.imwrite(tmp_path / "masks" / f"{k}.tif", mask)
    receipts = []
    for _ in range(2):  # as where another image of a bundle has changed
        truth(tmp_path, mask, path=tmp_path / "masks")
        receipts.append(read_receipt(tmp_path / "t.json"))
    assert receipts[0] == receipts[1]
    assert receipts[1]["warnings"] == ["50 pixels lie in several masks: they are of the last"]


def test_a_ground_that_is_no_0_is_a_warning(tmp_path: Path) -> None:
    prepare(tmp_path)
    labels = np.ones(PIXELS.shape, np.uint16)  # as a watershed numbers the ground
    labels[100:300, 100:300], labels[900:1090, 900:1290], labels[:20] = 2, 3, 9
    truth(tmp_path, labels, ignore_value=9)
    (warning,) = read_receipt(tmp_path / "t.json")["warnings"]
    assert warning.startswith("no pixel is background (0), and number 1 is taken as an object with")
    filled = np.where(np.arange(1300) < 650, 1, 2) + 0 * labels  # by two cells
    for sound in (np.where(labels == 1, 0, labels), filled):
        truth(tmp_path, sound.astype(np.uint16), ignore_value=9)
        assert read_receipt(tmp_path / "t.json")["warnings"] == []


def test_an_interior_has_one_value_in_all_shards(tmp_path: Path) -> None:
    prepare(tmp_path)
    labels = np.zeros(PIXELS.shape, np.uint8)
    labels[10:100, 10:100], labels[10:100, 1100:1300] = 1, 255  # each in a shard of its own
    with pytest.raises(LabelsError, match="holds the values 0, 1, 255; truth of kind interior"):
        truth(tmp_path, labels, kind="interior")
    truth(tmp_path, labels, kind="interior", ignore_value=255)


@pytest.mark.parametrize("factor", [0.7, 2.5, 3])
def test_thin_membranes_part_cells_of_an_image_that_is_made_coarser(
    tmp_path: Path, factor: float
) -> None:
    inside = np.full(PIXELS.shape, 255, np.uint8)  # of two pieces along each axis
    inside[:, 199:1300:200] = inside[199:1101:200] = 0
    prepare(tmp_path, mpp=1.0, want_mpp=factor)
    store = truth(tmp_path, inside, kind="interior")
    found, (cells, count) = stored(store), ndimage.label(inside)
    height, width = found.shape
    rows = ((np.arange(height) + 0.5) * len(inside) / height).astype(int)
    columns = ((np.arange(width) + 0.5) * len(inside[0]) / width).astype(int)
    np.testing.assert_array_equal(found, cells[np.ix_(rows, columns)])  # in the same order
    assert read_receipt(tmp_path / "t.json")["instances"] == count == 6 * 7


@pytest.mark.parametrize(
    ("dtype", "mark"), [("u8", 2**64 - 1), ("i4", -1), ("i8", -1), ("f4", -1), ("u1", 255)]
)
def test_what_nobody_annotated_may_be_any_number(tmp_path: Path, dtype: str, mark: int) -> None:
    prepare(tmp_path)
    labels = np.zeros(PIXELS.shape, dtype)
    labels[100:300, 900:1200], labels[50:52] = 7, mark
    np.save(tmp_path / "t.npy", labels)  # of each type
    store = truth(tmp_path, labels, path=tmp_path / "t.npy", ignore_value=mark)
    np.testing.assert_array_equal(stored(store), np.where(labels == 7, 7, 0))
    np.testing.assert_array_equal(stored(store, "ignore"), labels == labels.dtype.type(mark))
    receipt = read_receipt(tmp_path / "t.json")
    assert (receipt["instances"], receipt["ignored_px"]) == (1, 2600)


def test_membranes_may_be_one_and_the_ring_is_kept_around_objects(tmp_path: Path) -> None:
    prepare(tmp_path)
    membranes = np.zeros(PIXELS.shape, np.uint8)
    membranes[:, 1000:1020] = 255
    store = truth(tmp_path, membranes, kind="interior", label_value=0)
    assert np.unique(stored(store)).tolist() == [0, 1, 2]
    np.testing.assert_array_equal(stored(store) == 0, membranes != 0)
    store = truth(tmp_path, LABELS, ring_px=30)
    far = ndimage.distance_transform_edt(LABELS == 0) > 30
    np.testing.assert_array_equal(stored(store, "ignore"), far)
    np.testing.assert_array_equal(stored(store), LABELS)
    assert read_receipt(tmp_path / "t.json")["ignored_px"] == far.sum()


def test_an_empty_truth_and_a_vanishing_instance_are_warnings(tmp_path: Path) -> None:
    prepare(tmp_path)
    truth(tmp_path, np.zeros(PIXELS.shape, np.uint8))
    assert read_receipt(tmp_path / "t.json")["warnings"] == ["no object in this image"]
    labels = np.zeros(PIXELS.shape, np.uint8)
    labels[0, 0], labels[0, 1:9] = 1, 2
    truth(tmp_path, labels)
    assert "1 of 2 instances so thin" in read_receipt(tmp_path / "t.json")["warnings"][0]


def test_a_truth_of_another_size_names_both(tmp_path: Path) -> None:
    prepare(tmp_path)
    with pytest.raises(LabelsError, match=r"t\.tif: the truth is 5x6 px, its image 1101x1300 px"):
        truth(tmp_path, np.zeros((5, 6), np.uint8))


def cells(*numbers: int, dtype: str = "u1") -> np.ndarray:
    """Discs in a row along the edge of two shards, with these numbers."""
    labels = np.zeros(PIXELS.shape, dtype)
    y, x = np.mgrid[-20:21, -20:21]
    for place, number in enumerate(numbers):
        labels[1004:1045, 50 * place : 50 * place + 41][y**2 + x**2 <= 400] = number
    return labels


@pytest.mark.parametrize(("dtype", "value"), [("u1", 1), ("u1", 255), ("u2", 65535), ("?", 1)])
def test_a_mask_given_as_instances_is_refused(tmp_path: Path, dtype: str, value: int) -> None:
    prepare(tmp_path)
    labels = cells(*[value] * 9, dtype=dtype)
    np.save(tmp_path / "t.npy", labels)
    said = rf"t\.npy: all .* the number {value} and lies in 9 pieces .* to interior .* or classes"
    with pytest.raises(LabelsError, match=said):
        truth(tmp_path, labels, path=tmp_path / "t.npy")
    assert not (tmp_path / "t.json").exists()
    truth(tmp_path, labels, path=tmp_path / "t.npy", kind="interior")
    assert read_receipt(tmp_path / "t.json")["instances"] == 9


def test_a_single_object_and_crumbs_beside_it_are_no_mask(tmp_path: Path) -> None:
    prepare(tmp_path)
    truth(tmp_path, cells(255))
    assert read_receipt(tmp_path / "t.json")["warnings"] == []
    labels = cells(255)
    labels[5, 5:9] = labels[500:502, 7] = labels[900, 900] = 255
    truth(tmp_path, labels)
    assert read_receipt(tmp_path / "t.json")["warnings"] == []


@pytest.mark.parametrize(
    ("numbers", "warnings"),
    [
        ((255, 255), ["1 of 1 numbers lie in several pieces that do not touch (number 255 in 2)"]),
        ((2, 2, 2, 2), ["1 of 1 numbers lie in several pieces that do not touch (number 2 in 4)"]),
        ((*range(1, 13), 7), []),  # covered in part by another
        (
            (*range(1, 8), 8, 7, 6, 9, 8, 7),
            ["3 of 9 numbers lie in several pieces that do not touch (number 7 in 3)"],
        ),
        ((1, 2, 3, 255), ["number 255 is taken as an object; where it means"]),
    ],
)
def test_numbers_in_several_pieces_are_counted(
    tmp_path: Path, numbers: tuple[int, ...], warnings: list[str]
) -> None:
    prepare(tmp_path)
    truth(tmp_path, cells(*numbers))
    found = read_receipt(tmp_path / "t.json")["warnings"]
    assert len(found) == len(warnings)
    assert all(a.startswith(b) for a, b in zip(found, warnings, strict=True))


def blurred() -> np.ndarray:
    """A mask that was saved as JPEG on its way."""
    return np.asarray(imagecodecs.jpeg_decode(imagecodecs.jpeg_encode(cells(*[255] * 9))))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (cells(*[1, 2] * 11), "2 of its 2 numbers lie in 10 pieces or more .* truth to classes"),
        (blurred(), "numbers lie in 3 pieces or more .* was saved as JPEG"),
        (PIXELS[::-1] // 2 + 1, "128 of its 128 numbers lie in 3 .* is an image and no truth"),
    ],
)
def test_what_is_no_number_of_an_object_is_refused(
    tmp_path: Path, labels: np.ndarray, said: str
) -> None:
    prepare(tmp_path)
    with pytest.raises(LabelsError, match=said):
        truth(tmp_path, labels)


def test_the_image_as_its_own_truth_is_refused(tmp_path: Path) -> None:
    image = cells(3, 1, 2)
    prepare(tmp_path, image)
    with pytest.raises(LabelsError, match=r"t\.tif: .* holds the very pixels of its image"):
        truth(tmp_path, image.astype(np.uint32))
    image[0, 0] = 4
    truth(tmp_path, image)
    truth(tmp_path, np.zeros_like(image))  # an image of nothing has an empty truth
    assert read_receipt(tmp_path / "t.json")["warnings"] == ["no object in this image"]


def test_a_polygon_of_all_objects_is_refused_with_its_own_way_out(tmp_path: Path) -> None:
    prepare(tmp_path)
    squares = [[square(300 * k, 50, 30)] for k in range(4)]
    geometry = {"type": "MultiPolygon", "coordinates": squares}
    with pytest.raises(LabelsError, match=r"lies in 4 pieces .* Split annotations"):
        draw(tmp_path, {"geometry": geometry})


@pytest.mark.parametrize("kind", ["instances", "interior", "classes"])
def test_a_blurred_truth_is_refused_whatever_its_kind(tmp_path: Path, kind: str) -> None:
    prepare(tmp_path)
    path = tmp_path / "mask.png"  # its content tells, not its name
    path.write_bytes(imagecodecs.jpeg_encode(np.where(LABELS, np.uint8(255), np.uint8(0))))
    with pytest.raises(LabelsError, match=r"mask\.png: is compressed as JPEG, which blurs .* PNG"):
        truth(tmp_path, LABELS, path=path, kind=kind)


def test_label_pyramids_never_mix_ids(tmp_path: Path) -> None:
    prepare(tmp_path)
    rows, columns = (np.arange(size, dtype=np.uint32) // 3 for size in PIXELS.shape)
    labels = 1000 * rows[:, None] + columns + 1  # each square of 3 px is an object
    store = truth(tmp_path, labels)
    coarse = read_array(store, "labels/truth/2")[:]
    assert coarse.shape == (276, 325)
    np.testing.assert_array_equal(coarse, labels[::4, ::4])


def test_a_truth_of_the_files_finest_level_serves_a_coarser_image(tmp_path: Path) -> None:
    fine = np.random.default_rng(1).integers(0, 255, (400, 600), dtype=np.uint8)
    store = prepare(tmp_path, fine, mpp=0.5, want_mpp=1.25)
    labels = np.zeros(fine.shape, np.uint16)
    labels[50:150, 250:450] = 3
    truth(tmp_path, labels)
    found = stored(store)
    assert found.shape == (160, 240)
    assert set(np.unique(found)) == {0, 3}
    np.testing.assert_array_equal(found[20:60, 100:180], 3)
    assert (found != 0).sum() == 40 * 80


def test_unreadable_places_of_the_image_are_ignored(tmp_path: Path) -> None:
    store = prepare(tmp_path)
    receipt = read_receipt(tmp_path / "i.json")
    place = {"rows": [200, 400], "columns": [1000, 1100], "why": "no"}
    write_receipt(tmp_path / "i.json", {**receipt, "unreadable": [place]})
    truth(tmp_path, LABELS)
    ignored = stored(store, "ignore")
    assert (ignored[200:400, 1000:1100] == 1).all()
    assert ignored.sum() == 200 * 100 == read_receipt(tmp_path / "t.json")["ignored_px"]
    assert (stored(store)[200:300, 1000:1100] == 0).all()


def square(y: float, x: float, side: float) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def feature(*rings: list[list[float]], name: str | None = None, kind: str = "Polygon") -> Any:
    properties = {"classification": {"name": name}} if name else {}
    geometry = {"type": kind, "coordinates": list(rings)}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def draw(folder: Path, *features: Any, **changes: Any) -> dict[str, Any]:
    path = folder / "t.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    truth(folder, LABELS, path=path, **changes)
    return read_receipt(folder / "t.json")


def test_polygons_are_drawn_by_their_pixel_centres_with_holes(tmp_path: Path) -> None:
    store = prepare(tmp_path)
    receipt = draw(
        tmp_path,
        feature(square(10, 20, 30), square(15, 25, 10)),
        feature(square(1000.4, 1000.6, 50), name="Cell"),  # over four shards
        feature(square(20, 40, 30)),  # the later one wins
    )
    wanted = np.zeros(PIXELS.shape, np.uint32)
    wanted[10:40, 20:50] = 1
    wanted[15:25, 25:35] = 0
    wanted[1000:1050, 1001:1051] = 2
    wanted[20:50, 40:70] = 3
    np.testing.assert_array_equal(stored(store), wanted)
    assert (receipt["instances"], receipt["warnings"]) == (3, [])


def test_polygons_are_in_pixels_of_the_files_finest_level(tmp_path: Path) -> None:
    store = prepare(tmp_path, mpp=0.5, want_mpp=1.0)
    draw(tmp_path, feature(square(100, 200, 300)))
    found = stored(store)
    assert found.shape == (550, 650)
    ys, xs = np.nonzero(found)
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (50, 199, 100, 249)


def test_ignored_areas_and_annotated_regions(tmp_path: Path) -> None:
    store = prepare(tmp_path)
    receipt = draw(
        tmp_path,
        feature(square(100, 100, 500), name="Region*"),
        feature(square(150, 150, 40)),
        feature(square(700, 700, 40)),  # outside the region
        feature(square(160, 160, 10), name="Ignore*"),
        feature(square(300, 300, 40), name="Stroma"),
    )
    ignored = stored(store, "ignore")
    assert ignored.sum() == PIXELS.size - 500 * 500 + 100
    assert (stored(store) != 0).sum() == 40 * 40 - 100
    assert receipt["warnings"] == ["polygons of class 'stroma', taken as background: 1"]


def test_odd_polygons_are_repaired_or_left_out_and_counted(tmp_path: Path) -> None:
    prepare(tmp_path)
    open_ring = square(200, 200, 20)[:-1]
    receipt = draw(
        tmp_path,
        feature([[10, 10], [40, 40], [40, 10], [10, 40], [10, 10]]),  # crosses itself
        feature(open_ring),
        feature([[5, 5], [9, 9], [5, 5], [5, 5]]),
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 4]}},
    )
    assert receipt["instances"] == 2
    assert sorted(receipt["warnings"]) == [
        "Points, left out for they have no area: 1",
        "polygons without an area, left out: 1",
        "self-crossing polygons, repaired: 2",
    ]


def test_an_export_of_a_stack_becomes_the_objects_of_one_plane(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "i.tif", np.stack([PIXELS] * 4), photometric="minisblack")
    store = prepare(tmp_path, plane=3, axes="zyx")
    core = feature(square(0, 0, 1100))
    core["properties"]["objectType"] = "tmaCore"
    content = [
        core,
        feature(square(5, 990, 300)),  # a region that somebody drew around these two
        feature(square(10, 1000, 60)),
        feature(square(100, 1000, 60)),
        feature(square(990, 1010, 50)),
        feature(square(985, 1005, 60)),  # over four shards, covers the one before
        feature(square(1060, 1200, 20)),
    ]
    for each in content:
        each["geometry"]["plane"] = {"c": -1, "z": 3, "t": 0}
    content.append(feature(square(500, 500, 50)))  # on the first plane
    receipt = draw(tmp_path, *content, plane=3, axes="zyx")
    expected = np.zeros(PIXELS.shape, np.uint32)
    expected[10:70, 1000:1060], expected[100:160, 1000:1060] = 1, 2
    expected[985:1045, 1005:1065], expected[1060:1080, 1200:1220] = 4, 5
    np.testing.assert_array_equal(stored(store), expected)
    assert receipt["instances"] == 4
    said = receipt["warnings"]
    assert said == [
        "polygons on other planes or times, left out: 1",
        "TMA cores, taken for no objects: 1",
        REGIONS + ": 1",
        "polygons that later ones cover wholly, lost: 1",
    ]
    # a run that broke off says the same of the shards that are stored already
    (store / "labels/truth/0/c/0/0").unlink()
    assert draw(tmp_path, *content, plane=3, axes="zyx")["warnings"] == said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "is no GeoJSON of features"),
        ('{"features": [{"geometry": 5}]}', "is no GeoJSON of features"),
        ('{"features": 3}', "is no GeoJSON of features"),
        (
            json.dumps({"features": [feature([[0, 0], [1, 1]])]}),
            "feature 0 is no geometry",
        ),
        (
            json.dumps({"features": [feature(square(0, 0, 9), name="Tumor")]}),
            "no polygon is an object of class 'cell'; there are polygons of class 'tumor': 1",
        ),
        (
            json.dumps({"features": [feature([[0, 0], [1, float("nan")], [1, 1], [0, 0]])]}),
            "coordinates that are no numbers",
        ),
    ],
)
def test_what_is_no_geojson_is_named(tmp_path: Path, content: str, message: str) -> None:
    prepare(tmp_path)
    (tmp_path / "t.geojson").write_text(content)
    with pytest.raises(LabelsError, match=message):
        truth(tmp_path, LABELS, path=tmp_path / "t.geojson")


@pytest.mark.slow
def test_interiors_are_numbered_over_all_shards(tmp_path: Path) -> None:
    prepare(tmp_path)
    inside = np.random.default_rng(3).random(PIXELS.shape) < 0.7  # pieces cross the shards
    store = truth(tmp_path, inside.astype(np.uint8), kind="interior")
    np.testing.assert_array_equal(stored(store), ndimage.label(inside)[0])
