"""What is drawn of an image for the report: a thumbnail and its worst objects."""

from pathlib import Path

import pytest
from drawn_results import FOLDER, draw_gallery, draw_tested

from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.report.figures.thumbnails import THUMBNAIL_BYTES
from unetflow.report.pictures import ImagePictures

DRAWN = "pictures/net/fold0/a.json"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    draw_tested(tmp_path, "a")
    return tmp_path


def test_an_image_that_is_found_has_no_wrong_object(results: Path) -> None:
    draw_gallery(results, "a")
    drawn = read_receipt(results / DRAWN, ImagePictures)
    assert (drawn["size_px"], drawn["um_per_px"]) == ([40, 50], 0.5)
    assert (drawn["objects"], drawn["area_px"]) == (1, 10 * 13)
    assert (drawn["kinds"], drawn["worst"]) == ({"found": 1}, [])
    assert len(drawn["thumbnail"]) <= THUMBNAIL_BYTES
    assert drawn["sizes"] == [{"kind": "found", "least_px": 128, "objects": 1}]
    # one pixel too far to the right: 120 px of 140 are shared, an IoU of 0.857
    assert [(of["iou"], of["found"]) for of in drawn["matched"]][6:] == [
        (0.8, 1),
        (0.85, 1),
        (0.9, 0),
        (0.95, 0),
    ]


def test_a_missed_object_is_drawn_in_a_square_around_it(results: Path) -> None:
    forget_instances(results)
    draw_gallery(results, "a")
    drawn = read_receipt(results / DRAWN, ImagePictures)
    assert drawn["kinds"] == {"missed": 1}
    (wrong,) = drawn["worst"]
    # the image is smaller than the least square, so that the square is as large as it can be
    assert (wrong["kind"], wrong["wrong_px"], wrong["side_px"]) == ("missed", 10 * 13, 40)
    assert (wrong["top_px"], 0 <= wrong["left_px"] <= 10) == (0, True)
    assert len(wrong["panels"]) == 3
    assert drawn["crops"] == [{"of_class": "cell", "truth": {"1": "missed"}, "predicted": {}}]


def test_an_object_where_nobody_annotated_is_not_drawn_as_found(tmp_path: Path) -> None:
    draw_tested(tmp_path, "a", ignored=True)
    draw_gallery(tmp_path, "a")
    drawn = read_receipt(tmp_path / DRAWN, ImagePictures)
    assert (drawn["kinds"], drawn["objects"]) == ({}, 1)
    assert drawn["crops"] == [{"of_class": "cell", "truth": {}, "predicted": {"1": "ignored"}}]


def test_without_a_truth_nothing_is_judged(results: Path) -> None:
    forget_instances(results)
    draw_gallery(results, "a", annotated=False)
    drawn = read_receipt(results / DRAWN, ImagePictures)
    assert (drawn["kinds"], drawn["worst"], drawn["crops"]) == ({}, [], [])


def test_the_middle_of_what_is_wrong_is_told(tmp_path: Path) -> None:
    draw_tested(tmp_path, "b")  # 530 x 600 px, an object of rows 132 to 265, columns 150 to 300
    draw_gallery(tmp_path, "b")
    middle = read_receipt(tmp_path / "pictures/net/fold0/b.json", ImagePictures)["worst_px"]
    assert middle is not None
    row, column = middle
    # its left and right edge are wrong: squares of 512 px that hold both
    assert 265 - 256 <= row <= 132 + 256
    assert 301 - 256 <= column <= 150 + 256


def test_where_nothing_is_wrong_there_is_no_middle_of_it(results: Path) -> None:
    draw_gallery(results, "a", annotated=False)
    assert read_receipt(results / DRAWN, ImagePictures)["worst_px"] is None


def forget_instances(results: Path) -> None:
    """The receipt says that there is none, as for an image where nothing was found."""
    receipt = results / FOLDER / "instances/a.json"
    content = read_receipt(receipt)
    content["classes"]["cell"] |= {"instances": 0, "area_px": 0}
    write_receipt(receipt, content)
