"""The gallery of all images: their order, their flags, and the worst objects of all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from unetflow.provenance.receipts import write_receipt
from unetflow.report.handed import Config, PicturesFile
from unetflow.report.score_lines import Line, summarise
from unetflow.report.sections.gallery import (
    EMPTY,
    FULL,
    UNLIKE,
    WORST,
    Gallery,
    WrongObject,
    apart,
    gallery,
)

CONFIG: Config = {
    "experiments": {"net": {"dataset": "cells"}},
    "report": {"title": "", "overlays": 0},
}
TRAINED = {
    **{"image": "t", "dataset": "cells", "split": "train"},
    **{"object_share": "0.2", "ignored_share": "0.0"},
}


def drawn(objects: int, share: float, **others: Any) -> dict[str, Any]:
    """Of an image of 1000 x 500 px."""
    return {
        "size_px": [500, 1000],
        "um_per_px": 2.0,
        "thumbnail": "data:,",
        "thumbnail_px": [160, 320],
        "objects": objects,
        "area_px": round(share * 500_000),
        "kinds": {},
        "warnings": [],
        "worst": [],
        **others,
    }


def line_of(metric: str, scores: dict[str, float]) -> list[Line]:
    rows = [
        {"image": name, "value": value, "metric": metric, "variant": "", "class": "cell"}
        | {"chosen": "instances", "group": "", "method": "network", "threshold": 0.5}
        | dict.fromkeys(("ab", "a", "b", "z", "n", "iou_sum", "objects"), 1.0)
        for name, value in scores.items()
    ]
    return summarise(pd.DataFrame(rows), {"cell": {0.5: ""}})


def shown(
    folder: Path,
    scores: dict[str, float],
    trained: dict[str, str] = TRAINED,
    **pictures: dict[str, Any],
) -> Gallery:
    files: list[PicturesFile] = []
    for name, of in pictures.items():
        write_receipt(folder / f"{name}.json", of)
        files.append(
            {
                "experiment": "net",
                "fold": "0",
                "image": name,
                "split": "test" if name in scores else "predict",
                "pictures": str(folder / f"{name}.json"),
            }
        )
    lines = {"net": line_of("seg", scores) if scores else []}
    return gallery(files, [], lines, CONFIG, pd.DataFrame([trained]))


def test_the_worst_score_is_first_and_images_without_truth_are_there(tmp_path: Path) -> None:
    found = shown(tmp_path, {"a": 0.9, "b": 0.2}, a=drawn(3, 0.1), n=drawn(4, 0.1), b=drawn(5, 0.1))
    assert [(tile.image, tile.score_text) for tile in found.tiles] == [
        ("b", "SEG 0.200"),
        ("a", "SEG 0.900"),
        ("n", "no truth"),
    ]
    # 4 objects in 2 mm x 1 mm
    assert (found.tiles[2].density, found.tiles[2].density_unit) == (2.0, "mm²")
    assert found.tiles[2].bar == (0.25, "500 µm")


@pytest.mark.parametrize(
    ("of", "flags"),
    [
        (drawn(3, 0.3), []),
        (drawn(3, 0.41), [UNLIKE]),
        (drawn(3, 0.69), [UNLIKE, FULL]),
        (drawn(0, 0), [EMPTY]),
        (drawn(3, 0.1, warnings=["channel 0 has a mean of 9"]), [UNLIKE]),
    ],
)
def test_an_image_is_flagged_by_stated_rules(
    tmp_path: Path, of: dict[str, Any], flags: list[str]
) -> None:
    found = shown(tmp_path, {}, new=of)
    assert found.tiles[0].flags == flags
    assert found.flags == dict.fromkeys(flags, 1)


def test_of_several_classes_a_caption_names_the_one_of_its_score(tmp_path: Path) -> None:
    write_receipt(tmp_path / "a.json", drawn(3, 0.1))
    of = {"experiment": "net", "fold": "0", "image": "a", "split": "test"}
    files: Any = [{**of, "pictures": str(tmp_path / "a.json")}]
    lines = [replace(line, of_class="tumour") for line in line_of("seg", {"a": 0.9})]
    found = gallery(files, [], {"net": lines}, CONFIG, pd.DataFrame([TRAINED]))
    assert found.tiles[0].score_text == "SEG, tumour 0.900"


def test_the_scores_of_several_datasets_are_all_named() -> None:
    lines = {"net": line_of("seg", {"a": 0.5})}
    (pixels,) = line_of("iou", {"b": 0.5})
    lines["other"] = [replace(pixels, of="")]
    found = gallery([], [], lines, CONFIG, pd.DataFrame([TRAINED]))
    assert found.score == "SEG (stored instances) or IoU, object pixels"


def test_of_a_truth_in_part_the_annotated_pixels_alone_tell_how_full_images_are(
    tmp_path: Path,
) -> None:
    in_part = {**TRAINED, "object_share": "0.02", "ignored_share": "0.9"}
    assert shown(tmp_path, {}, in_part, new=drawn(3, 0.3)).tiles[0].flags == []
    assert shown(tmp_path, {}, in_part, new=drawn(3, 0.41)).tiles[0].flags == [UNLIKE]
    nothing = {**TRAINED, "object_share": "0.0", "ignored_share": "1.0"}
    assert shown(tmp_path, {}, nothing, new=drawn(3, 0.3)).tiles[0].flags == []


def test_the_most_wrong_objects_of_all_images_are_kept(tmp_path: Path) -> None:
    def wrong(px: int) -> dict[str, Any]:
        return {"kind": "missed", "wrong_px": px, "side_px": 40, "panels": []}

    found = shown(
        tmp_path,
        {},
        a=drawn(1, 0.1, worst=[wrong(px) for px in range(100, 20, -2)]),
        b=drawn(1, 0.1, worst=[wrong(px) for px in range(101, 21, -2)]),
    )
    worst = found.worst["net"]
    assert [of.drawn["wrong_px"] for of in worst] == list(range(101, 101 - WORST, -1))
    assert {of.image for of in worst} == {"a", "b"}
    assert worst[0].bar == (0.25, "20 µm")  # of 40 px at 2 µm
    volume: Any = {**worst[0].drawn, "shown_px": 80}  # a panel holds planes along z beside it
    assert WrongObject("v", volume, 2.0).bar == (0.125, "20 µm")


def test_a_merger_is_shown_once_by_its_most_wrong_object() -> None:
    def merged(top_px: int, **others: Any) -> Any:
        at = {"top_px": top_px, "left_px": 10, "side_px": 60}
        return {"kind": "merged", "of_class": "cell", **at, **others}

    first, beside, far = merged(0), merged(25), merged(70)
    other, missed = merged(25, of_class="wall"), merged(25, kind="missed")
    shown = list(apart([first, beside, far, other, missed]))
    assert shown == [first, far, other, missed]
