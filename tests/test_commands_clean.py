"""The command clean: all that the product wrote, and nothing else."""

import os
import re
import shutil
from pathlib import Path

import pytest
from conftest import ROOT
from pipeline import Project
from test_store_locks import claim_of, writing

from unetflow.commands import MENDABLE, main
from unetflow.jobs.written import RULES, written_in
from unetflow.provenance.receipts import write_receipt
from unetflow.store.shards import Layout, open_array

OWN = (  # of the user, in the midst of results
    *("notes.txt", "images/notes.json", "images/a.tif", "images/a.ome.zarr/notes.txt"),
    *("images/a.ome.zarr/labels/mine/0/zarr.json", "images/a.ome.zarr/labels/mine/0/c/0/0"),
    *("images/mine.ome.zarr/zarr.json", "images/mine.ome.zarr/0/zarr.json"),
    *(
        "images/mine.ome.zarr/0/c/0/0",
        "exports/net/fold0/figure.tif",
        "exports/net/fold0/b.labels.tif",
    ),
    *("evaluation/net/fold0/mine.csv", "models/net/fold0/notes.md", "report/other.html"),
    *("logs/mine.log", "predictions/net/fold0/objects/mine.csv", "more/a.json", "a.json"),
)
OURS = (
    *("images/a.json", "images/a.run.json", "images/a.shards.json", "truth/a.json"),
    *("images/a.ome.zarr/zarr.json", "images/a.ome.zarr/labels/zarr.json"),
    *("images/a.ome.zarr/labels/truth/zarr.json", "images/a.ome.zarr/unreadable/0.0.0.json"),
    *("images/a.ome.zarr/0/c/0/0/.1.0a1b2c3d", "images/.a.json.0a1b2c3d"),
    *("images/.a.json.7@host.0a1b2c3d.partial", ".made/prepare_image/a.json"),
    *(f"images/a.ome.zarr/.trash-1-{'0' * 32}/c/0", "images/a.ome.zarr/.0.lock/c0ffee.1"),
    *("models/net/fold0/checkpoints/last.pt", "models/net/fold0/model.safetensors"),
    *("models/net/fold0/.checkpoints.lock/c0ffee", "models/net/fold0/checkpoints/before.pt"),
    *("predictions/net/fold0/parts/a.begun.json", "predictions/net/fold0/parts/a.1of3.run.json"),
    *("exports/net/fold0/a.labels.tif", "exports/net/fold0/em.stack.tif", ".sources.json"),
    *(".made/prepare_image/a.json", ".made/predict/net/0/a.json", ".made/collect.json"),
    *("logs/export_stack/net/fold0/em.log", "logs/predict/net/fold0/a.failed.json"),
    *("evaluation/net/fold0/a.csv", "benchmarks/train/net/fold0.tsv", "weights/w/.a.zarr.lock/c0"),
    *("pictures/net/fold0/a.json", "report/figures/ap-by-iou.svg", "report/tables/ap-by-iou.csv"),
    *("report/figures/.snakemake_timestamp",),
    *("evaluation/net/fold0/bundles/cells-test-0a.csv", "truth/bundles/cells-test-0a/a.json"),
)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of image a, among them files of the user."""
    folder = tmp_path / "results"
    for name in (*OWN, *OURS):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    for lock in folder.rglob("*.lock/*"):
        os.utime(lock, (0, 0))  # of processes that were killed
    layout = Layout((1, 9, 9), "uint8", ("c", "y", "x"))
    open_array(folder / "images/a.ome.zarr", "1", layout, decided_by={})
    return folder


def test_rules_are_those_of_the_workflow() -> None:
    text = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert sorted(RULES) == sorted(
        re.findall(r"^ *(?:use )?rule (?:\w+ as )?(\w+)", text, re.MULTILINE)
    )


@pytest.mark.slow
def test_after_a_whole_run_everything_is_the_products_and_is_deleted(
    finished: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    shutil.copytree(finished.results, results)
    ours, others = written_in(results)
    assert others == []
    assert {path.relative_to(results).as_posix() for path in ours} == files_in(results)
    assert main(["clean", str(results)]) == 0
    said = capsys.readouterr().out
    size_bytes = sum(path.stat().st_size for path in ours)
    assert f"{len(ours)} files  in all" in said
    assert f"{size_bytes / 1e6:.3g} MB" in said
    assert "nothing is deleted yet" in said
    assert results.exists()
    assert main(["clean", str(results), "--yes"]) == 0
    assert not results.exists()


def test_nothing_is_deleted_that_the_product_did_not_write(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_in(results)
    assert main(["clean", str(results)]) == 0
    assert files_in(results) == before
    assert f"not written by unetflow, and left: {len(OWN)} files" in capsys.readouterr().out
    assert main(["clean", str(results), "--yes"]) == 0
    assert files_in(results) == {*OWN}


def test_only_the_named_part_is_deleted(results: Path) -> None:
    before = files_in(results)
    assert main(["clean", str(results), "--only", "models/net", "logs", "--yes"]) == 0
    assert before - files_in(results) == {
        name for name in OURS if name.startswith(("models/net/", "logs/"))
    }
    for part in ("no", "..", "../results2"):
        assert main(["clean", str(results), "--only", part, "--yes"]) == MENDABLE


@pytest.mark.parametrize("part", ["", ".", "images/.."])
def test_a_part_that_is_everything_is_refused(
    results: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(results.rglob("*"))
    assert main(["clean", str(results), "--only", part, "--yes"]) == MENDABLE  # an empty variable
    assert f"--only {part!r} names all of {results}" in capsys.readouterr().err
    assert sorted(results.rglob("*")) == before


def test_what_a_link_leads_to_is_left(results: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    write_receipt(elsewhere / "a.json", {})
    (results / "truth" / "a.json").unlink()
    (results / "truth" / "a.json").symlink_to(elsewhere / "a.json")
    (results / "weights" / "linked").symlink_to(elsewhere)
    assert main(["clean", str(results), "--yes"]) == 0
    assert (elsewhere / "a.json").exists()
    assert (results / "truth" / "a.json").is_symlink()


def test_nothing_is_deleted_while_somebody_writes(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with writing(results / "images/a.ome.zarr", 1) as process:
        before = files_in(results)
        assert main(["clean", str(results), "--yes"]) == MENDABLE
        assert f"is being written by process {process.pid} on" in capsys.readouterr().err
        assert files_in(results) == before


def test_a_lock_of_another_host_counts_while_its_heart_beats(results: Path) -> None:
    claim = claim_of(results / "images/b.ome.zarr")
    assert main(["clean", str(results), "--yes"]) == MENDABLE
    os.utime(claim, (0, 0))
    assert main(["clean", str(results), "--yes"]) == 0
