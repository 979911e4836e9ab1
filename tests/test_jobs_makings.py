"""What made an output is recorded by its job, and compared with what would make it now."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from unetflow.jobs.makings import (
    LONG,
    Making,
    Makings,
    RawSource,
    has_failed,
    is_readable,
    making_of,
    recorded,
)
from unetflow.jobs.sources import Sources


def making(folder: Path, *, stores: tuple[str, ...] = (), **values: object) -> Making:
    """What makes the output of a job that reads `raw.tif`."""
    source: RawSource = {
        "path": str(folder / "raw.tif"),
        "time": None,
        "plane": None,
        "receipt": str(folder / "r" / "images" / "a.json"),
        "key": "path",
    }
    return making_of(
        "prepare_image",
        str(folder / "r"),
        ["a"],
        {"code": "c", "mpp": 0.5, **values},
        output=str(folder / "r" / "images" / "a.json"),
        sources={"a path": source},
        stores=stores,
    )


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """A folder with what a job left that read `raw.tif` and another's receipt."""
    (tmp_path / "r" / "images").mkdir(parents=True)
    (tmp_path / "raw.tif").write_bytes(b"pixels")
    (tmp_path / "r" / "other.json").write_text("{}")
    made = making(tmp_path)
    with recorded(made, [str(tmp_path / "raw.tif"), str(tmp_path / "r" / "other.json")]):
        digest = Sources(tmp_path / "none.json").raw_digest(tmp_path / "raw.tif")
        Path(made["output"]).write_text(json.dumps({"sources": {"path": digest}}))
    return tmp_path


def differs(folder: Path, made: Making) -> bool:
    return Makings(str(folder / "r"), Sources(folder / "cache.json")).differs(made)


def test_what_was_made_in_this_way_stays(done: Path) -> None:
    assert not differs(done, making(done))
    (done / "raw.tif").touch()
    assert not differs(done, making(done))
    (done / "r").rename(done / "elsewhere")
    (done / "elsewhere").rename(done / "r")
    assert not differs(done, making(done))


@pytest.mark.parametrize("key", ["path", "tissue"])
def test_another_dataset_of_the_same_file_is_another_source(done: Path, key: str) -> None:
    def of(dataset: str) -> Making:
        return making(done, images={"a": {"raw": {key: f"stack.h5:{dataset}"}}})

    with recorded(of("/raw"), []):
        pass
    assert not differs(done, of("raw"))
    assert differs(done, of("/denoised"))


@pytest.mark.parametrize("path", ["raw.h5:/pixels", "./raw.h5"])
def test_a_raw_file_is_digested_by_its_receipt_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("raw.h5").write_bytes(b"large")
    made = making(tmp_path)
    made["sources"]["a path"]["path"] = path
    with recorded(made, ["raw.h5"]):
        Path("r/images").mkdir()
        Path(made["output"]).write_text("{}")
    assert json.loads(Path(made["record"]).read_text())["inputs"] == {}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"mpp": 0.25}, "mpp was 0.5 and is 0.25"),
        ({"mpp": None}, "mpp was 0.5 and is null"),
        ({"code": "d"}, "its code is another"),
        ({"more": 1}, "more was null and is 1"),
        ({"mpp": {"y": 1}}, 'mpp was 0.5 and is {"y": 1}'),
    ],
)
def test_another_value_is_told_by_name(
    done: Path, values: dict[str, Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert differs(done, making(done, **values))
    assert f"prepare_image runs again: {told} (" in caplog.text


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"of": {"a": 1}}, {"of": {"a": 1, "b": None}}, "of.b is new"),
        ({"of": {"a": 1, "b": None}}, {"of": {"a": 1}}, "of.b is gone"),
        ({"of": None}, {}, "of is gone"),
    ],
)
def test_a_key_of_no_value_that_comes_or_goes_is_told(
    done: Path,
    before: dict[str, Any],
    now: dict[str, Any],
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with recorded(making(done, **before), []):
        pass
    assert differs(done, making(done, **now))
    assert f"runs again: {told} (" in caplog.text


def test_values_that_change_places_differ(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "r" / "images").mkdir(parents=True)
    (tmp_path / "raw.tif").write_bytes(b"pixels")
    made = making(tmp_path, weighting={"w0": 10, "sigma_px": 5})
    with recorded(made, []):
        Path(made["output"]).write_text("{}")
    assert differs(tmp_path, making(tmp_path, weighting={"w0": 5, "sigma_px": 10}))
    assert "weighting.sigma_px was 5 and is 10" in caplog.text


def test_a_kind_is_told_once(done: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan = Makings(str(done / "r"), Sources(done / "cache.json"))
    assert all(plan.differs(making(done, mpp=mpp)) for mpp in (1, 2, 3))
    assert caplog.text.count("runs again") == 1


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"values": 1}', "\xff"])
def test_a_record_that_cannot_be_read_is_none(
    done: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    Path(making(done)["record"]).write_text(damage)
    assert differs(done, making(done))
    assert "no record says what made its output" in caplog.text


def test_inputs_output_stores_and_sources_count(
    done: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = done / "r" / "other.json"
    other.write_text("[]")
    assert differs(done, making(done))
    assert "other.json is another" in caplog.text
    other.unlink()
    assert not differs(done, making(done))  # who makes it runs, and so does this job
    assert differs(done, making(done, stores=(str(done / "r" / "gone.zarr"),)))
    assert "gone.zarr is gone" in caplog.text
    (done / "raw.tif").write_bytes(b"PIXELS")
    assert differs(done, making(done))
    assert "raw.tif holds something else" in caplog.text
    (done / "raw.tif").unlink()
    assert differs(done, making(done))
    Path(making(done)["output"]).write_text("{} ")
    assert differs(done, making(done))
    assert "its output was changed" in caplog.text


def test_a_job_that_breaks_off_leaves_no_record_but_of_its_attempts(done: Path) -> None:
    made = making(done)
    Path(made["output"]).write_text("{}")
    with pytest.raises(OSError, match="disk"), recorded(made, []):
        raise OSError("disk")
    assert json.loads(Path(made["record"]).read_text()) == {"attempts": 1}
    assert differs(done, made)
    with pytest.raises(OSError, match="disk"), recorded(made, []):
        raise OSError("disk")
    with recorded(made, []):
        pass
    assert json.loads(Path(made["record"]).read_text())["attempts"] == 3
    with recorded(made, []):
        pass
    assert json.loads(Path(made["record"]).read_text())["attempts"] == 1


def test_a_job_that_broke_off_runs_though_nothing_asks_for_its_output(done: Path) -> None:
    made = making(done)
    with pytest.raises(OSError, match="disk"), recorded(made, []):
        Path(made["output"]).unlink()  # as Snakemake does before
        raise OSError("disk")
    assert differs(done, made)
    Path(made["record"]).unlink()
    assert not differs(done, made)  # it never ran, and does so anyway


def test_results_that_were_taken_away_are_made_anew_once_they_would_be_others(
    done: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = making(done, stores=(str(done / "r" / "images" / "a.ome.zarr" / "0"),))
    Path(made["output"]).unlink()
    assert not differs(done, made)
    (done / "raw.tif").touch()
    assert not differs(done, made)
    assert differs(done, making(done, mpp=0.25))
    (done / "r" / "other.json").write_text("[]")
    assert differs(done, made)
    (done / "r" / "other.json").write_text("{}")
    (done / "raw.tif").write_bytes(b"PIXELS")
    assert differs(done, made)
    assert "raw.tif holds something else" in caplog.text


def test_a_receipt_that_was_deleted_to_have_it_anew_is_made_again(
    done: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = done / "r" / "images" / "a.ome.zarr" / "0"
    store.mkdir(parents=True)
    made = making(done, stores=(str(store),))
    Path(made["output"]).unlink()
    assert differs(done, made)  # the store is there still
    assert "prepare_image runs again: a.json is gone (" in caplog.text
    store.rmdir()
    assert differs(done, {**made, "rule": "predict"})  # whose results nobody takes away


def test_where_results_and_raw_files_lie_counts_nothing(tmp_path: Path) -> None:
    here, there = (
        making_of(
            "x",
            results,
            [],
            {"store": f"{results}/a.zarr", "raw": {"path": f"{results}-raw.tif", "time": 3}},
            output="o",
            sources={},
            stores=[],
        )
        for results in ("results", "/else/where")
    )
    assert here["values"] == there["values"] == {"store": "a.zarr", "raw": {"time": 3}}


def test_long_values_are_recorded_by_their_digest(done: Path) -> None:
    names = ["n" * 10] * LONG
    values = making(done, images=names)["values"]
    assert str(values["images"]).startswith("digest ")
    assert values != making(done, images=[*names, "m"])["values"]


def test_a_value_that_matters_only_at_times_is_asked_about(
    done: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = Makings(str(done / "r"), Sources(done / "cache.json"))
    assert not plan.differs(making(done, mpp=1), {"mpp": lambda: True})
    assert plan.differs(making(done, mpp=1), {"mpp": lambda: False})
    assert plan.differs(making(done, mpp=2, code="d"), {"mpp": lambda: True})
    assert "its code is another" in caplog.text

    def unasked() -> bool:
        raise AssertionError("it is the same")

    assert not plan.differs(making(done), {"mpp": unasked})


def test_a_raw_file_that_was_moved_with_the_same_bytes_changes_nothing(done: Path) -> None:
    def moved(content: bytes) -> Making:
        (done / "moved").mkdir(exist_ok=True)
        (done / "moved" / "raw.tif").write_bytes(content)
        made = making(done)
        made["sources"]["a path"]["path"] = str(done / "moved" / "raw.tif")
        return made

    assert not differs(done, moved(b"pixels"))
    assert differs(done, moved(b"PIXELS"))  # though the old one is still there
    (done / "raw.tif").unlink()
    assert not differs(done, moved(b"pixels"))


def test_where_a_mask_of_tissue_lies_does_not_count_but_whether_there_is_one() -> None:
    def values(tissue: str | None) -> dict[str, Any]:
        given = {"images": {"a": {"wanted": {"tissue": tissue}}}}
        return making_of("r", "r", [], given, output="o", sources={}, stores=[])["values"]

    assert values("a/mask.npy") == values("b/mask.npy")
    assert values("threshold") != values("a/mask.npy") != values(None) != values("threshold")


@pytest.mark.parametrize("content", ["{}", '{"images": {"a": {}}}', '{"images": 3}'])
def test_a_file_that_belongs_to_a_receipt_counts_as_a_store_does(done: Path, content: str) -> None:
    table = done / "r" / "objects" / "a.csv"
    made = making(done, stores=(str(table),))
    with recorded(made, []):
        Path(made["output"]).write_text(content)
    assert differs(done, made)
    table.parent.mkdir()
    table.touch()
    assert not differs(done, made)


def test_a_failed_image_need_not_have_a_store(done: Path) -> None:
    made = making(done, stores=(str(done / "r" / "images" / "a.ome.zarr" / "0"),))
    assert differs(done, made)
    with recorded(made, []):
        Path(made["output"]).write_text('{"failed": {}}')
    assert not differs(done, made)
    assert has_failed(made["output"])
    with recorded(made, []):
        Path(made["output"]).write_text('{"images": {"a": {"failed": true}, "b": {}}}')
    assert not differs(done, made)
    assert not has_failed(made["output"])  # it is asked of the images' own
    own = Path(made["output"]).with_suffix("") / "a.json"
    own.parent.mkdir()
    own.write_text('{"failed": {}, "skipped": "predict"}')
    assert not has_failed(made["output"])
    own.write_text('{"failed": {}}')
    assert has_failed(made["output"])


@pytest.mark.parametrize(
    ("content", "readable"),
    [('{"unreadable": []}', True), ('{"unreadable": [1]}', False), ('{"failed": {}}', False)],
)
def test_an_image_without_unreadable_places_is_readable(
    tmp_path: Path, content: str, readable: bool
) -> None:
    (tmp_path / "a.json").write_text(content)
    assert is_readable(tmp_path / "a.json") is readable
    assert not is_readable(tmp_path / "b.json")


def test_of_a_series_of_volumes_another_time_changes_nothing(tmp_path: Path) -> None:
    for time in (0, 1):
        for z in (0, 1):
            (tmp_path / f"t{time}_z{z}.tif").write_bytes(b"slice")
    made = making(tmp_path)
    own: RawSource = {**made["sources"]["a path"], "path": str(tmp_path), "time": 1}
    own["volume"] = True
    made["sources"] = {"a path": own}
    digest = Sources(tmp_path / "none.json").raw_digest(tmp_path, time=1, volume=True)
    (tmp_path / "r" / "images").mkdir(parents=True)
    with recorded(made, []):
        Path(made["output"]).write_text(json.dumps({"sources": {"path": digest}}))
    (tmp_path / "t0_z1.tif").write_bytes(b"other")
    assert not differs(tmp_path, made)
    (tmp_path / "t1_z1.tif").write_bytes(b"other")
    assert differs(tmp_path, made)
