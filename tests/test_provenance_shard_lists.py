"""What a receipt knows of its store: a store that is not what it tells of is an error."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import predict
from predicting import flip_a_byte, job_in
from prepared import PIXELS, prepare, truth

from unetflow.errors import StoreError
from unetflow.provenance.receipts import read_receipt
from unetflow.provenance.shard_lists import Stored, faults_of, list_of, unchanged
from unetflow.stages.weights import write_weights
from unetflow.store.files import digest_of_file
from unetflow.store.shards import Layout, open_array

LABELS = np.zeros(PIXELS.shape, np.uint16)
LABELS[100:200, 100:200] = 1


def of(folder: Path) -> Stored:
    return Stored(folder / "i.ome.zarr", folder / "i.json")


def test_the_receipt_names_the_list_and_stays_small(tmp_path: Path) -> None:
    prepare(tmp_path)
    truth(tmp_path, LABELS)
    levels = len(read_receipt(tmp_path / "i.json")["levels"])
    for name, arrays in (
        ("i", {str(k) for k in range(levels)}),
        ("t", {f"labels/{of}/{k}" for of in ("truth", "ignore") for k in range(levels)}),
    ):
        receipt = tmp_path / f"{name}.json"
        assert read_receipt(receipt)["shards"] == digest_of_file(list_of(receipt))
        assert receipt.stat().st_size < 20_000
        assert read_receipt(list_of(receipt)).keys() == arrays
    assert len(read_receipt(list_of(tmp_path / "i.json"))["0"]["shards"]) == 4
    assert list(faults_of(of(tmp_path), thoroughly=True)) == []


def test_the_list_is_the_same_to_the_byte_when_the_content_is(tmp_path: Path) -> None:
    for name, code in (("a", "one"), ("b", "another")):
        (tmp_path / name).mkdir()
        prepare(tmp_path / name, code=code)
    assert (
        list_of(tmp_path / "a/i.json").read_bytes() == list_of(tmp_path / "b/i.json").read_bytes()
    )
    assert (tmp_path / "a/i.json").read_bytes() == (tmp_path / "b/i.json").read_bytes()


def deleted(store: Path) -> None:
    shutil.rmtree(store)


def one_shard_deleted(store: Path) -> None:
    (store / "0/c/0/1/0").unlink()


def one_shard_of_another_image(store: Path) -> None:
    other = store.parent / "other"
    other.mkdir()
    shutil.copy(prepare(other, PIXELS[::-1].copy()) / "0/c/0/1/0", store / "0/c/0/1/0")


def copied_over(store: Path) -> None:
    one_shard_of_another_image(store)
    deleted(store)
    shutil.copytree(store.parent / "other/i.ome.zarr", store)


def another_shape(store: Path) -> None:
    metadata = json.loads((store / "0/zarr.json").read_text())
    metadata["shape"][1] -= 1
    (store / "0/zarr.json").write_text(json.dumps(metadata))


def unreadable(store: Path) -> None:
    (store / "0/zarr.json").write_text("{}")


@pytest.mark.parametrize("content", ["", "[]", "3", '{"shape": 3}', "\0"])
def test_metadata_that_cannot_be_read_are_a_fault_and_no_traceback(
    tmp_path: Path, content: str
) -> None:
    file = prepare(tmp_path) / "0/zarr.json"
    damaged = [content, file.read_text().replace("512", "0"), file.read_text().replace("1024", "x")]
    for text in damaged:
        file.write_text(text)
        (fault,) = faults_of(of(tmp_path))
        assert "its zarr.json cannot be read" in fault or "is not" in fault


WRONG: list[tuple[Callable[[Path], None], str]] = [
    (deleted, "zarr/0: is not there"),
    (one_shard_deleted, r"1 of 4 shards are not there, the first \(0, 1, 0\)"),
    (one_shard_of_another_image, r"1 of 4 shards are other ones, the first \(0, 1, 0\)"),
    (copied_over, "4 of 4 shards are other ones"),
    (another_shape, "has another shape, type or codecs"),
    (unreadable, r"its zarr\.json cannot be read"),
]


@pytest.mark.parametrize(("damage", "said"), WRONG, ids=lambda of: getattr(of, "__name__", ""))
@pytest.mark.slow
def test_who_reads_a_store_that_is_another_one_says_so_and_how_to_mend_it(
    tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    store = prepare(tmp_path)
    truth(tmp_path, LABELS)
    whole = read_receipt(tmp_path / "i.json")
    damage(store)
    way_out = r"Delete .*/i\.json and run the same command again"
    with pytest.raises(StoreError, match=f"{said}.*{way_out}"), unchanged(of(tmp_path)):
        pytest.fail("it was read")
    with pytest.raises(StoreError, match=rf"{said}|zarr\.json is not there"):
        truth(tmp_path, LABELS)
    (tmp_path / "i.json").unlink()
    prepare(tmp_path)
    assert read_receipt(tmp_path / "i.json") == whole
    assert list(faults_of(of(tmp_path), thoroughly=True)) == []


def test_a_store_that_changes_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    store = prepare(tmp_path)
    with pytest.raises(StoreError, match="shards are other ones"), unchanged(of(tmp_path)):
        one_shard_of_another_image(store)


def test_a_list_that_is_gone_or_another_one_is_an_error(tmp_path: Path) -> None:
    prepare(tmp_path)
    path = list_of(tmp_path / "i.json")
    path.write_text(path.read_text().replace("a", "b"))
    with pytest.raises(StoreError, match="is not the list that"), unchanged(of(tmp_path)):
        pass
    path.unlink()
    with pytest.raises(StoreError, match=r"i\.shards\.json: is not there"), unchanged(of(tmp_path)):
        pass


def test_a_receipt_of_an_earlier_version_is_no_assurance(tmp_path: Path) -> None:
    prepare(tmp_path)
    receipt = read_receipt(tmp_path / "i.json")
    del receipt["shards"]
    (tmp_path / "i.json").write_text(json.dumps(receipt))
    with pytest.raises(StoreError, match="names no list of its shards"), unchanged(of(tmp_path)):
        pass


def test_damage_between_stamps_is_found_by_reading_all(tmp_path: Path) -> None:
    store = prepare(tmp_path)
    flip_a_byte(store / "0/c/0/1/0")
    assert list(faults_of(of(tmp_path))) == []
    assert list(faults_of(of(tmp_path), thoroughly=True)) == [
        f"{store / '0'}: 1 of 4 shards are damaged, the first (0, 1, 0)"
    ]


def other_shard(store: Path, name: str, layout: Layout) -> None:
    """The first shard of an array replaced by one of other pixels, which is whole itself."""
    other = open_array(store.parent / "other.zarr", "0", layout, decided_by={})
    shape = [part.stop - part.start for part in other.region(other.shards()[0])]
    other.write(other.shards()[0], np.full(shape, 7, layout.dtype))
    first = Path(*map(str, other.shards()[0]))
    shutil.copy(other.path / "c" / first, store / name / "c" / first)


def test_nothing_is_predicted_of_another_image(tmp_path: Path) -> None:
    job = job_in(tmp_path, 300, 530)
    other_shard(job["image"], "0", Layout((1, 300, 530), "uint8", ("c", "y", "x")))
    with pytest.raises(StoreError, match=r"1 of 1 shards are other ones"):
        predict(**job)
    assert not job["receipt"].exists()


def test_no_weights_are_made_of_another_truth(tmp_path: Path) -> None:
    store = prepare(tmp_path)
    truth(tmp_path, LABELS)
    other_shard(store, "labels/truth/0", Layout(LABELS.shape, "uint32", ("y", "x")))
    arguments: dict[str, Any] = {"kind": "instances", "threads": 1, "code": "c"}
    with pytest.raises(StoreError, match=r"labels/truth/0: 1 of 4 shards are other ones"):
        write_weights(
            truth=store,
            truth_receipt=tmp_path / "t.json",
            store=tmp_path / "w.zarr",
            receipt=tmp_path / "w.json",
            weighting={"w0": 10, "sigma_px": 5},
            **arguments,
        )
    assert not (tmp_path / "w.json").exists()
