"""Who trains and who tests: groups together, densities mixed, the same for a seed."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from unetflow.commands import MENDABLE, run
from unetflow.commands.split import Annotated, assign_splits
from unetflow.errors import ConfigError

FOLDS = {"0": 1.0, "1": 1.0, "2": 1.0, "3": 1.0}


def drawn(count: int, groups: int = 0, seed: int = 0) -> list[Annotated]:
    random = np.random.default_rng(seed)
    return [
        Annotated(f"i{k}", f"g{k % groups}" if groups else "", float(random.gamma(1, 1)))
        for k in range(count)
    ]


@given(st.integers(4, 60), st.integers(0, 12), st.integers(0, 99))
def test_groups_stay_together_and_every_part_has_images(count: int, groups: int, seed: int) -> None:
    images = drawn(count, groups)
    if groups and min(groups, count) < len(FOLDS):
        with pytest.raises(ConfigError, match="a group is never on both sides"):
            assign_splits(images, FOLDS, seed=seed)
        return
    parts = assign_splits(images, FOLDS, seed=seed)
    assert set(parts) == {image.name for image in images}
    assert set(parts.values()) == set(FOLDS)
    for group in {image.group for image in images} - {""}:
        assert len({parts[image.name] for image in images if image.group == group}) == 1


def test_parts_have_their_shares_and_alike_densities() -> None:
    images = drawn(400)
    shares = {"train": 70.0, "validation": 10.0, "test": 20.0}
    parts = assign_splits(images, shares, seed=1)
    assert Counter(parts.values()) == {"train": 280, "validation": 40, "test": 80}
    overall = np.mean([image.density for image in images])
    for part in shares:
        mean = np.mean([image.density for image in images if parts[image.name] == part])
        assert mean == pytest.approx(overall, rel=0.1)  # 40 random ones: 0.16 is one deviation


def test_the_seed_decides_and_the_order_of_the_sheet_does_not() -> None:
    images = [Annotated(f"i{k}", "", 1.0) for k in range(40)]
    first = assign_splits(images, FOLDS, seed=1)
    assert first == assign_splits(images[::-1], FOLDS, seed=1)
    assert first != assign_splits(images, FOLDS, seed=2)


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    rows = ["image\tdataset\tpath\ttruth\tgroup"]
    for k in range(8):
        labels = np.zeros((20, 20), np.uint8)
        labels[::4, ::4] = np.arange(25).reshape(5, 5) % (k + 2)
        tifffile.imwrite(tmp_path / f"t{k}.tif", labels)
        rows.append(f"i{k}\tcells\t{{data}}/i{k}.tif\t{{data}}/t{k}.tif\tg{k // 2}")
    rows.append("new\tcells\t{data}/new.tif\t\t")
    (tmp_path / "sheet.tsv").write_text("\n".join(rows) + "\n")
    return tmp_path / "sheet.tsv"


def test_the_command_fills_in_the_split_column(
    sheet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = sheet.with_name("out.tsv")
    assert (
        run("split", [str(sheet), str(out), "--folds", "2", "--data-dir", str(sheet.parent)]) == 0
    )
    assert capsys.readouterr().out == "0: 4 images, 1: 4 images\n"
    lines = [line.split("\t") for line in out.read_text().splitlines()]
    assert lines[0] == ["image", "dataset", "path", "truth", "group", "split"]
    assert lines[-1][-1] == "predict"
    assert all(lines[k][-1] == lines[k + 1][-1] for k in range(1, 9, 2))
    before = out.read_text()
    assert run("split", [str(out), str(out), "--folds", "2", "--data-dir", str(sheet.parent)]) == 0
    assert out.read_text() == before


def test_polygons_of_any_class_are_counted(sheet: Path) -> None:
    ring = [[1, 1], [5, 1], [5, 5], [1, 1]]
    polygon = {
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": "Tumor"}},
    }
    text = sheet.read_text()
    for k in range(8):
        tifffile.imwrite(sheet.with_name(f"i{k}.tif"), np.zeros((20, 20), np.uint8))
        sheet.with_name(f"t{k}.geojson").write_text(json.dumps({"features": [polygon] * (k + 1)}))
        text = text.replace(f"t{k}.tif", f"t{k}.geojson")
    sheet.write_text(text)
    out = sheet.with_name("out.tsv")
    assert (
        run("split", [str(sheet), str(out), "--folds", "2", "--data-dir", str(sheet.parent)]) == 0
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", "1"], "--folds is 1: must be 2 or more"),
        (["--folds", "9"], "8 images in 4 groups cannot make 9 parts"),
        (["--folds", "2", "--truth", "interior"], "interior"),
        (["--folds", "2", "--data-dir", "/nowhere"], "there is no such file"),
    ],
)
def test_what_cannot_be_split_is_said(
    sheet: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    folder = ["--data-dir", str(sheet.parent)]
    assert (
        run("split", [str(sheet), str(sheet.with_name("out.tsv")), *folder, *options]) == MENDABLE
    )
    assert message in capsys.readouterr().err


def test_what_nobody_annotated_and_blurred_truths(
    sheet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(sheet), str(sheet.with_name("out.tsv")), "--folds", "2"]
    command += ["--data-dir", str(sheet.parent)]
    labels = np.zeros((20, 20), np.int16)
    labels[3:9], labels[15:] = 2, -1
    tifffile.imwrite(sheet.with_name("t0.tif"), labels)
    assert run("split", command) == MENDABLE
    assert "where -1 means that nobody annotated the pixel" in capsys.readouterr().err
    assert run("split", [*command, "--ignore-value", "-1"]) == 0
    tifffile.imwrite(sheet.with_name("t0.tif"), labels.astype(np.uint8), compression="jpeg")
    assert run("split", command) == MENDABLE
    assert "t0.tif: is compressed as JPEG" in capsys.readouterr().err


def test_a_sheet_without_truths_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.tsv").write_text("image\tpath\na\tb\n")
    assert (
        run("split", [str(tmp_path / "s.tsv"), str(tmp_path / "o.tsv"), "--folds", "2"]) == MENDABLE
    )
    assert "has no column truth" in capsys.readouterr().err
