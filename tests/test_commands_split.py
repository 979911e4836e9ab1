"""Who trains and who tests: groups together, densities mixed, the same for a seed."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from unetflow.commands import MENDABLE, run_command
from unetflow.commands.split_drawing import Annotated, assign_splits
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


@given(st.integers(0, 40), st.lists(st.sampled_from([*FOLDS]), max_size=40), st.integers(0, 99))
def test_what_is_given_counts_in_the_shares(count: int, given: list[str], seed: int) -> None:
    have = Counter(given)
    lacking = [part for part in FOLDS if not have[part]]
    if count < len(lacking):
        with pytest.raises(ConfigError, match="cannot make"):
            assign_splits(drawn(count), FOLDS, seed=seed, given=have)
        return
    total = have + Counter(assign_splits(drawn(count), FOLDS, seed=seed, given=have).values())
    assert total.total() == count + len(given)
    assert set(total) == set(FOLDS)
    enough = max((have[part] for part in FOLDS), default=0)
    if enough * len(FOLDS) <= total.total():  # none had more than its share
        assert max(total.values()) - min(total.values()) <= 2  # shares are rounded as they fill


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
        run_command(
            "split", [str(sheet), str(out), "--folds", "4", "--data-dir", str(sheet.parent)]
        )
        == 0
    )
    assert capsys.readouterr().out == "0: 2 images, 1: 2 images, 2: 2 images, 3: 2 images\n"
    lines = [line.split("\t") for line in out.read_text().splitlines()]
    assert lines[0] == ["image", "dataset", "path", "truth", "group", "split"]
    assert lines[-1][-1] == "predict"
    assert all(lines[k][-1] == lines[k + 1][-1] for k in range(1, 9, 2))
    before = out.read_text()
    assert (
        run_command("split", [str(out), str(out), "--folds", "4", "--data-dir", str(sheet.parent)])
        == 0
    )
    assert out.read_text() == before


def test_volumes_are_counted_by_their_own_columns(tmp_path: Path) -> None:
    labels = np.zeros((6, 20, 20), np.uint8)
    labels[:, ::4, ::4] = np.arange(25).reshape(5, 5)
    tifffile.imwrite(tmp_path / "t.tif", labels, photometric="minisblack")
    rows = [f"i{k}\tcells\ti.tif\tt.tif\t2 1 1 px\t{k}-{k + 1}" for k in range(3)]
    sheet = tmp_path / "sheet.tsv"
    sheet.write_text("\n".join(["image\tdataset\tpath\ttruth\tspacing\tplanes", *rows]) + "\n")
    text = sheet.read_text().replace("t.tif", str(tmp_path / "t.tif"))
    sheet.write_text(text)
    assert run_command("split", [str(sheet), str(sheet), "--folds", "3"]) == 0
    splits = [line.split("\t")[-1] for line in sheet.read_text().splitlines()[1:]]
    assert sorted(splits) == ["0", "1", "2"]


def polygon(name: str, x: float, z: int) -> dict[str, object]:
    ring = [[x, 1], [x + 1, 1], [x + 1, 5], [x, 1]]
    geometry = {"type": "Polygon", "coordinates": [ring], "plane": {"c": -1, "z": z, "t": 0}}
    return {"geometry": geometry, "properties": {"classification": {"name": name}}}


def test_polygons_of_any_class_on_the_plane_are_counted(
    sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, *rows = sheet.read_text().splitlines()
    text = "\n".join([f"{head}\tplane", *(f"{row}\t2" for row in rows)]) + "\n"
    for k in range(8):
        stack = np.zeros((3, 20, 20), np.uint8)
        tifffile.imwrite(sheet.with_name(f"i{k}.tif"), stack, photometric="minisblack")
        features = [polygon("Tumor", x, 2) for x in range(1, 2 * k + 3, 2)]
        features += [polygon("Region*", 0, 2), polygon("Tumor", 1, 1)]
        sheet.with_name(f"t{k}.geojson").write_text(json.dumps({"features": features}))
        text = text.replace(f"t{k}.tif", f"t{k}.geojson")
    sheet.write_text(text)
    seen: dict[str, float] = {}

    def look(images: Sequence[Annotated], *_: object, **__: object) -> dict[str, str]:
        seen.update({image.name: image.density for image in images})
        return dict.fromkeys(seen, "0")

    monkeypatch.setattr("unetflow.commands.split.assign_splits", look)
    out, folder = sheet.with_name("out.tsv"), ["--data-dir", str(sheet.parent)]
    assert run_command("split", [str(sheet), str(out), "--folds", "4", *folder]) == 0
    assert seen == {f"i{k}": (k + 1) / 400 for k in range(8)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", "2"], "--folds is 2: must be 3 or more"),
        (["--shares", "70", "-10", "20"], "must be 0 or more, such as 70 10 20"),
        (["--shares", "0", "0", "0"], "must be 0 or more, such as 70 10 20"),
        (["--folds", "9"], "8 images in 4 groups cannot make 9 parts"),
        (["--folds", "3", "--truth", "interior"], "interior"),
        (["--folds", "4", "--data-dir", "/nowhere"], "there is no folder /nowhere, which {data}"),
    ],
)
def test_what_cannot_be_split_is_said(
    sheet: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    folder = ["--data-dir", str(sheet.parent)]
    assert (
        run_command("split", [str(sheet), str(sheet.with_name("out.tsv")), *folder, *options])
        == MENDABLE
    )
    assert message in capsys.readouterr().err


def test_what_nobody_annotated_and_blurred_truths(
    sheet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(sheet), str(sheet.with_name("out.tsv")), "--folds", "3"]
    command += ["--data-dir", str(sheet.parent)]
    labels = np.zeros((20, 20), np.int16)
    labels[3:9], labels[15:] = 2, -1
    tifffile.imwrite(sheet.with_name("t0.tif"), labels)
    assert run_command("split", command) == MENDABLE
    assert "where -1 means that nobody annotated the pixel" in capsys.readouterr().err
    assert run_command("split", [*command, "--ignore-value", "-1"]) == 0
    tifffile.imwrite(sheet.with_name("t0.tif"), labels.astype(np.uint8), compression="jpeg")
    assert run_command("split", command) == MENDABLE
    assert "t0.tif: is compressed as JPEG" in capsys.readouterr().err


def test_a_sheet_without_truths_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.tsv").write_text("image\tpath\na\tb\n")
    assert (
        run_command("split", [str(tmp_path / "s.tsv"), str(tmp_path / "o.tsv"), "--folds", "3"])
        == MENDABLE
    )
    assert "has no column truth" in capsys.readouterr().err


def split(folder: Path, rows: list[str], *options: str) -> list[str]:
    """The splits that a sheet of rows `image dataset group split` comes back with, - for empty."""
    lines = ["image\tdataset\tgroup\tsplit\tpath\ttruth"]
    for k, row in enumerate(rows):
        labels = np.zeros((20, 20), np.uint8)
        labels.flat[:: 20 - k % 15] = 1
        truth = folder / f"t{k}.tif"
        tifffile.imwrite(truth, labels)
        cells = [cell.replace("-", "") for cell in row.split()]
        lines.append("\t".join([*cells, f"i{k}.tif", str(truth)]))
    sheet = folder / "sheet.tsv"
    sheet.write_text("\n".join(lines) + "\n")
    assert run_command("split", [str(sheet), str(sheet), *options]) == 0
    return [line.split("\t")[3] for line in sheet.read_text().splitlines()[1:]]


def test_rows_with_a_split_keep_it_and_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"set{k} cells - {'test' if k >= 45 else '-'}" for k in range(50)]
    found = split(tmp_path, rows, "--shares", "70", "10", "20")
    assert found[45:] == ["test"] * 5
    assert Counter(found) == {"train": 35, "validation": 5, "test": 10}
    assert capsys.readouterr().out == (
        "train: 35 images, validation: 5 images, test: 10 images\n"
        "5 of them as the sheet had them; --redraw draws all anew\n"
    )
    without = split(tmp_path, rows, "--shares", "80", "20", "0")
    assert Counter(without[:45]) == {"train": 36, "validation": 9}  # all tests are given
    again = split(tmp_path, [f"{row} " for row in rows], "--shares", "70", "10", "20", "--redraw")
    assert Counter(again) == Counter(found)
    assert again[45:] != ["test"] * 5


def test_a_row_joins_the_split_of_its_group_and_predict_stays(tmp_path: Path) -> None:
    rows = [
        "a cells mouse1 test",
        "b cells mouse1 -",
        "c cells mouse1 predict",
        "d cells - predict",
    ]
    rows += [f"x{k} cells - -" for k in range(8)]
    found = split(tmp_path, rows, "--shares", "60", "20", "20")
    assert found[:4] == ["test", "test", "predict", "predict"]
    assert Counter(found[4:]) == {"train": 6, "validation": 2}


def test_of_a_sheet_that_is_a_link_the_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "sheet.tsv").symlink_to("shared.tsv")
    split(tmp_path, [f"a{k} cells - -" for k in range(3)], "--folds", "3")
    assert (tmp_path / "sheet.tsv").is_symlink()
    assert (tmp_path / "shared.tsv").read_text().count("\n") == 4


def test_each_dataset_has_all_parts(tmp_path: Path) -> None:
    rows = [f"a{k} cells - -" for k in range(6)] + [f"b{k} nuclei - -" for k in range(3)]
    found = split(tmp_path, rows, "--folds", "3")
    assert Counter(found[:6]) == {"0": 2, "1": 2, "2": 2}
    assert sorted(found[6:]) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (
            ["a c g test", "b c g train", "d c - -"],
            ["--shares", "1", "1", "1"],
            "group 'g' is given",
        ),
        (["a c - test", "b c - -", "d c - -"], ["--folds", "3"], "line 2: split 'test' is given"),
        (["a c - Test", "b c - -"], ["--shares", "1", "1", "1"], "line 2: split 'Test' is given"),
        (["a c - -", "a c - -"], ["--shares", "1", "1", "1"], "line 2: image 'a' is there twice"),
        (["a c - train", "b c - train", "d c - -"], ["--shares", "1", "1", "1"], "cannot make 2"),
    ],
)
def test_what_contradicts_what_is_given_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rows: list[str],
    options: list[str],
    message: str,
) -> None:
    with pytest.raises(AssertionError, match=str(MENDABLE)):
        split(tmp_path, rows, *options)
    assert message in capsys.readouterr().err


def test_a_sheet_is_read_as_the_pipeline_reads_it(
    sheet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = sheet.read_text()
    command = [str(sheet), str(sheet.with_name("out.tsv")), "--folds", "4"]
    for content, message in (
        (good.replace("new.tif", "n\xe4u.tif").encode("latin-1"), "is no text in UTF-8 (byte"),
        (good.replace("\t", ";").encode(), "with tabs between them (not commas or semicolons)"),
        (good.encode("utf-16"), "is no text in UTF-8 (byte 0 is 0xff)"),
        ((good + "x\ty\tz\tu\tv\tw\n").encode(), "line 11: more cells than the header"),
        (good.encode(), "t0.tif: say with --data-dir which folder {data} stands for"),
        (good.replace("\tgroup", "\tplane").encode(), "plane: 'g0' must be a number from 0 on"),
    ):
        sheet.write_bytes(content)
        folder = ["--data-dir", str(sheet.parent)] if b"plane" in content else []
        assert run_command("split", [*command, *folder]) == MENDABLE
        assert message in capsys.readouterr().err
    assert not sheet.with_name("out.tsv").exists()
    sheet.write_bytes(good.replace("\n", "\r\n").encode("utf-8-sig"))
    assert run_command("split", [*command, "--data-dir", str(sheet.parent)]) == 0
