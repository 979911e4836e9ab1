"""Stores: what survives a kill, what is cleared, what a receipt is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from unetflow.errors import StoreError
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.provenance.records import RunRecord
from unetflow.store.files import digest_of, write_whole
from unetflow.store.foreground import read_foreground
from unetflow.store.shards import Layout, ShardedArray, open_array, read_array

LAYOUT = Layout((1, 2300, 1500), "uint8", ("c", "y", "x"))  # six shards


def all_bytes(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


def opened(tmp_path: Path, **decided_by: Any) -> ShardedArray:
    return open_array(tmp_path / "a.zarr", "0", LAYOUT, decided_by=decided_by)


def fill(array: ShardedArray, count: int = 99) -> None:
    for index in array.missing()[:count]:
        shape = [part.stop - part.start for part in array.region(index)]
        array.write(index, np.full(shape, sum(index), np.uint8))


def test_finished_shards_are_kept_for_the_same_making(tmp_path: Path) -> None:
    fill(opened(tmp_path, model="a"), 2)
    assert len(opened(tmp_path, model="a").missing()) == 4


def test_an_empty_shard_is_written_and_counts_as_finished(tmp_path: Path) -> None:
    array = opened(tmp_path, model="a")
    index = array.missing()[0]
    array.write(index, np.zeros([part.stop - part.start for part in array.region(index)], "u1"))
    assert index not in opened(tmp_path, model="a").missing()


def test_another_making_clears_the_array_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(opened(tmp_path, model="a", image="i"))
    with caplog.at_level("INFO"):
        array = opened(tmp_path, model="b", image="i")
    assert len(array.missing()) == 6
    assert "of another model" in caplog.text
    assert not list(tmp_path.rglob(".trash-*"))


def test_only_the_named_array_is_cleared(tmp_path: Path) -> None:
    other = open_array(tmp_path / "a.zarr", "other", LAYOUT, decided_by={})
    fill(other)
    fill(opened(tmp_path, model="a"))
    opened(tmp_path, model="b")
    assert not open_array(tmp_path / "a.zarr", "other", LAYOUT, decided_by={}).missing()


@pytest.mark.slow
def test_arrays_side_by_side_are_cleared_by_jobs_side_by_side(tmp_path: Path) -> None:
    """As maps of weights are, which share a folder."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from unetflow.store.shards import clear\n"
        "for _ in range(200):\n"
        "    for part in range(20):\n"
        "        Path(sys.argv[1], str(part)).mkdir(parents=True)\n"
        "    clear(Path(sys.argv[1]))\n"
    )
    jobs = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path / name], stderr=subprocess.PIPE)
        for name in ("a", "b")
    ]
    assert [job.communicate()[1] for job in jobs] == [b"", b""]
    assert not list(tmp_path.iterdir())


def opened_on(folder: Path, device: str, *can_have: str) -> ShardedArray:
    """The array on a machine that has these devices and would choose the first."""
    return open_array(
        folder / "a.zarr",
        "0",
        LAYOUT,
        decided_by={},
        chosen={"device": device},
        can_have=lambda chosen: chosen["device"] in (device, *can_have),
    )


def test_what_was_chosen_stays_chosen_where_it_can_be_had(tmp_path: Path) -> None:
    fill(opened_on(tmp_path, "cpu"), 1)
    array = opened_on(tmp_path, "mps", "cpu")
    assert array.chosen == {"device": "cpu"}
    assert len(array.missing()) == 5


@pytest.mark.parametrize(("finished", "missing"), [(5, 6), (6, 0)])
def test_what_cannot_be_had_any_more_is_begun_anew_unless_it_is_finished(
    tmp_path: Path, finished: int, missing: int
) -> None:
    fill(opened_on(tmp_path, "cuda"), finished)
    array = opened_on(tmp_path, "cpu")
    assert array.chosen == {"device": "cpu" if missing else "cuda"}
    assert len(array.missing()) == missing


def test_a_flipped_bit_is_found_and_only_its_shard_is_done_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    array = opened(tmp_path, model="a")
    fill(array)
    shard = array.path / "c" / "0" / "1" / "1"
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 3] ^= 4
    shard.write_bytes(damaged)
    assert opened(tmp_path, model="a").missing() == [(0, 1, 1)]
    assert "shard (0, 1, 1) is damaged" in caplog.text
    assert "Delete the receipts" not in caplog.text  # nothing is left to be done


def test_leftovers_of_a_kill_are_removed(tmp_path: Path) -> None:
    array = opened(tmp_path, model="a")
    fill(array, 1)
    leftover = array.path / "c" / "0" / "0" / ".1.5e8f0312"
    leftover.write_bytes(b"half")
    opened(tmp_path, model="a")
    assert not leftover.exists()


def test_equal_content_has_equal_digests_whatever_made_it(tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        array = open_array(tmp_path / name, "0", LAYOUT, decided_by={"code": name})
        fill(array)
        digests.append(array.content_digest())
    assert digests[0] == digests[1]
    first = array.missing() or array.shards()
    array.write(first[0], np.full([p.stop - p.start for p in array.region(first[0])], 9, "u1"))
    assert array.content_digest() != digests[0]


def test_a_block_of_another_shape_than_its_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no block of shape"):
        opened(tmp_path, model="a").write((0, 0, 0), np.zeros((1, 5, 5), "u1"))


def test_reading_what_is_not_there_names_the_store(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match=r"gone\.zarr/foreground: no readable array .*does not exist"
    ):
        read_array(tmp_path / "gone.zarr", "foreground")


def test_foreground_of_255_is_one(tmp_path: Path) -> None:
    array = open_array(
        tmp_path / "p.zarr",
        "foreground",
        Layout((1, 5, 7), "uint8", ("c", "y", "x")),
        decided_by={},
    )
    array.write((0, 0, 0), np.full((1, 5, 7), 255, np.uint8))
    found = read_foreground(tmp_path / "p.zarr")
    assert found.dtype == np.float32
    assert (found == 1).all()


def test_a_receipt_is_the_same_to_the_byte_when_its_content_is(tmp_path: Path) -> None:
    write_receipt(tmp_path / "a.json", {"b": 1, "a": [1, 2]})
    write_receipt(tmp_path / "b.json", {"a": [1, 2], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_receipt(tmp_path / "a.json") == {"a": [1, 2], "b": 1}


def test_a_broken_receipt_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(StoreError, match="not a readable receipt .* Delete .*a.json and run"):
        read_receipt(tmp_path / "a.json")


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("in the way")
    with pytest.raises(StoreError, match="folder/a.json: could not be written"):
        write_whole(tmp_path / "folder" / "a.json", b"x")


def test_seconds_and_host_go_beside_the_receipt(tmp_path: Path) -> None:
    RunRecord(tmp_path / "a.json").write(device="cpu")
    record = json.loads((tmp_path / "a.run.json").read_text())
    assert record["device"] == "cpu"
    assert record["seconds"] >= 0
    assert record["versions"]["zarr"].startswith("3.")


def test_the_order_of_keys_is_in_no_digest() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1})


def test_a_shard_that_cannot_be_written_is_named_and_the_finished_ones_stay(tmp_path: Path) -> None:
    array = opened(tmp_path, model="a")
    fill(array, 2)
    (array.path / "c" / "0" / "1").write_text("in the way, as a full disk would be")
    with pytest.raises(StoreError, match=r"c/0/1/0: could not be written .* kept"):
        fill(array)
    assert len(array.missing()) == 4


def copied_over(folder: Path, source: Path, target: Path) -> None:
    """Every second shard of another store beside the metadata of this one, as a copy may do."""
    for shard in sorted((source / folder).glob("c/0/*/*"))[::2]:
        there = target / folder / shard.relative_to(source / folder)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shard, there)


@pytest.mark.parametrize("finished", [0, 2, 6])
def test_shards_of_another_model_beside_todays_metadata_are_done_again(
    tmp_path: Path, finished: int, caplog: pytest.LogCaptureFixture
) -> None:
    old, new, alone = (tmp_path / name for name in ("old", "new", "alone"))
    for folder, model, count in ((old, "a", 6), (new, "b", finished), (alone, "b", 6)):
        fill(opened(folder, model=model), count)
    copied_over(Path("a.zarr/0"), old, new)
    array = opened(new, model="b")
    assert {(0, 0, 0), (0, 1, 0), (0, 2, 0)} <= {*array.missing()}
    assert caplog.text.count("is of another making: doing it again") == 3
    fill(array)
    del array
    assert all_bytes(new) == all_bytes(alone)


def test_equal_pixels_of_another_making_are_done_again_too(tmp_path: Path) -> None:
    for folder, model in (("old", "a"), ("new", "b")):
        fill(opened(tmp_path / folder, model=model))
    copied_over(Path("a.zarr/0"), tmp_path / "old", tmp_path / "new")
    assert len(opened(tmp_path / "new", model="b").missing()) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shape", [1, 2200, 1500]),
        ("shape", [1, 2300]),
        ("data_type", "uint16"),
        ("fill_value", 1),
        ("codecs", [{"name": "bytes"}]),
        ("codecs", None),
        ("chunk_grid", {}),
    ],
)
def test_an_array_with_another_shape_type_or_codecs_is_begun_anew(
    tmp_path: Path, name: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    array = opened(tmp_path, model="a")
    fill(array)
    whole, file = all_bytes(tmp_path / "a.zarr" / "0"), array.path / "zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))
    with caplog.at_level("INFO"):
        again = opened(tmp_path, model="a")
    assert len(again.missing()) == 6
    assert "starting anew, because its zarr.json has another shape, type or codecs" in caplog.text
    fill(again)
    assert all_bytes(tmp_path / "a.zarr" / "0") == whole


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", "3", '{"attributes": 3}', '{"attributes": {"unetflow": %s}}', "\0\0", "\xff"],
)
@pytest.mark.parametrize("made", ["{}", "[]", "3", '{"decided_by": 3, "chosen": {}}'])
def test_what_parses_but_does_not_open_is_begun_anew(
    tmp_path: Path, content: str, made: str, caplog: pytest.LogCaptureFixture
) -> None:
    array = opened(tmp_path, model="a")
    fill(array, 1)
    (array.path / "zarr.json").write_bytes(content.replace("%s", made).encode("latin1"))
    with caplog.at_level("INFO"):
        assert len(opened(tmp_path, model="a").missing()) == 6
    assert "starting anew, because it cannot be opened" in caplog.text


def test_what_cannot_be_read_just_now_is_not_cleared(tmp_path: Path) -> None:
    array = opened(tmp_path, model="a")
    fill(array)
    file = array.path / "zarr.json"
    kept = file.rename(array.path / "kept")
    file.mkdir()  # as an error of the disk would be
    with pytest.raises(StoreError, match=r"its zarr\.json could not be read"):
        opened(tmp_path, model="a")
    file.rmdir()
    kept.rename(file)
    assert not opened(tmp_path, model="a").missing()


def test_other_programs_read_shards_as_if_there_were_no_stamp(tmp_path: Path) -> None:
    array = opened(tmp_path, model="a")
    fill(array)
    there: Any = zarr.open_array(array.path, mode="r")
    np.testing.assert_array_equal(there[:], array.array[...])
    np.testing.assert_array_equal(there[0, 1000:1100, 500:600], array.array[0, 1000:1100, 500:600])


def test_a_flipped_bit_anywhere_in_a_shard_is_found(tmp_path: Path) -> None:
    array = opened(tmp_path, model="a")
    pixels = np.random.default_rng(0).integers(0, 9, (1, 1024, 1024), np.uint8)
    array.write((0, 0, 0), pixels)
    shard = array.path / "c" / "0" / "0" / "0"
    whole = shard.read_bytes()
    anywhere = np.random.default_rng(1).integers(0, len(whole), 30).tolist()
    for at in (*anywhere, -1, -70, -80, -100):  # the last in index and stamp
        damaged = bytearray(whole)
        damaged[at] ^= 8
        shard.write_bytes(damaged)
        assert (0, 0, 0) in opened(tmp_path, model="a").missing()
        shard.write_bytes(whole)
    for cut in (0, 5, 50, len(whole) - 1):
        shard.write_bytes(whole[:cut])
        assert (0, 0, 0) in opened(tmp_path, model="a").missing()
        shard.write_bytes(whole)
    assert (0, 0, 0) not in opened(tmp_path, model="a").missing()
