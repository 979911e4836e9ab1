"""The command verify: what is not as the receipts tell is named, with what mends it."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pipeline import Project, changed
from predicting import flip_a_byte
from prepared import PIXELS, prepare

from unetflow.commands import MENDABLE, main
from unetflow.commands.verify import verify
from unetflow.errors import StoreError
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.store.files import digest_of_file

Damage = Callable[[Path], object]


def image_in(results: Path) -> Path:
    """Results with one prepared image; returns its store."""
    folder = results / "images"
    folder.mkdir(parents=True)
    prepare(folder, PIXELS[:600, :700].copy(), code="c")
    (folder / "i.tif").rename(results.parent / "i.tif")
    return folder / "i.ome.zarr"


def prepared_again(results: Path) -> None:
    """What the pipeline does where a receipt is not there."""
    folder = results / "images"
    if not (folder / "i.json").exists():
        prepare(folder, path=results.parent / "i.tif", code="c")


DAMAGES: list[tuple[Damage, str]] = [
    (lambda store: shutil.rmtree(store), "images/i.ome.zarr/0: is not there"),
    (lambda store: (store / "1/c/0/0/0").unlink(), r"/1: 1 of 1 shards are not there"),
    (lambda store: flip_a_byte(store / "0/c/0/0/0"), r"/0: 1 of 1 shards are damaged"),
    (lambda store: (store / "0/zarr.json").write_text("{"), r"/0: its zarr\.json cannot be read"),
    (lambda store: (store.parent / "i.shards.json").unlink(), r"i\.shards\.json: is not there"),
    (lambda store: (store.parent / "i.json").write_text("{"), r"i\.json: not a readable receipt"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGES)
def test_what_is_wrong_is_named_and_the_command_that_it_says_mends_it(
    tmp_path: Path, damage: Damage, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "my results"
    store = image_in(results)
    assert main(["verify", str(results)]) == 0
    damage(store)
    capsys.readouterr()
    assert main(["verify", str(results)]) == MENDABLE
    text = capsys.readouterr().out
    assert re.search(said, text)
    (command,) = re.findall(r"^ +(rm -f .*)$", text, re.MULTILINE)
    subprocess.run(command, shell=True, check=True)
    assert not (results / "images/i.json").exists()
    prepared_again(results)
    assert main(["verify", str(results)]) == 0


def test_a_program_is_told_the_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = image_in(tmp_path)
    assert main(["verify", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"receipts": 1, "faults": []}
    (store / "1/c/0/0/0").unlink()
    assert main(["verify", str(tmp_path), "--json"]) == MENDABLE
    (fault,) = json.loads(capsys.readouterr().out)["faults"]
    assert fault["receipt"] == str(tmp_path / "images/i.json")


def test_quickly_it_finds_other_shards_but_no_damage(tmp_path: Path) -> None:
    store = image_in(tmp_path)
    flip_a_byte(store / "0/c/0/0/0")
    assert verify(tmp_path, quick=True) == (1, [])
    shutil.copy(store / "1/c/0/0/0", store / "0/c/0/0/0")
    _, ((fault, _),) = verify(tmp_path, quick=True)
    assert "/0: 1 of 1 shards are other ones" in fault


def test_a_model_that_is_not_the_one_of_its_receipt_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "models/net/fold0"
    folder.mkdir(parents=True)
    model = folder / "model.safetensors"
    model.write_bytes(np.arange(100.0).tobytes())
    write_receipt(folder / "model.json", {"digest": digest_of_file(model)})
    assert verify(tmp_path) == (1, [])
    flip_a_byte(model)
    assert verify(tmp_path)[1] == [
        (f"{model}: is not the file that {folder / 'model.json'} names", folder / "model.json")
    ]
    model.unlink()
    assert verify(tmp_path)[1] == [(f"{model}: is not there", folder / "model.json")]


def test_a_deployed_model_is_looked_at_where_its_receipt_tells_of_one(tmp_path: Path) -> None:
    receipt, model = (
        tmp_path / "calibration/net" / name for name in ("fold0.json", "fold0/deploy.safetensors")
    )
    model.parent.mkdir(parents=True)
    write_receipt(receipt, {"deployed": None})
    write_receipt(receipt.with_suffix(".run.json"), {})
    assert verify(tmp_path) == (1, [])
    model.write_bytes(b"weights")
    write_receipt(receipt, {"deployed": digest_of_file(model)})
    assert verify(tmp_path) == (1, [])
    flip_a_byte(model)
    assert verify(tmp_path)[1] == [(f"{model}: is not the file that {receipt} names", receipt)]


def test_of_images_that_share_a_job_the_receipt_of_the_bundle_is_deleted(tmp_path: Path) -> None:
    image_in(tmp_path)
    bundle = tmp_path / "images/bundles/cells-train-0a"
    bundle.mkdir(parents=True)
    for name in ("i.json", "i.shards.json", "i.run.json"):
        (tmp_path / "images" / name).rename(bundle / name)
    told = {"images": {"i": {"digest": digest_of_file(bundle / "i.json"), "shape": [1, 1]}}}
    receipt = bundle.with_suffix(".json")
    write_receipt(receipt, told)
    assert verify(tmp_path) == (2, [])
    (tmp_path / "images/i.ome.zarr/0/c/0/0/0").unlink()
    assert [delete for _, delete in verify(tmp_path)[1]] == [receipt]
    write_receipt(bundle / "i.json", {**read_receipt(bundle / "i.json"), "level": 1})
    assert (f"{bundle / 'i.json'}: is not the receipt that {receipt} names", receipt) in verify(
        tmp_path
    )[1]


def test_a_folder_that_holds_no_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no receipts of unetflow"):
        verify(tmp_path)


@pytest.mark.slow
def test_a_whole_run_is_as_its_receipts_tell_until_a_store_is_deleted(finished: Project) -> None:
    count, faults = verify(finished.results)
    assert faults == []
    stores = [*finished.results.glob("images/*.zarr"), *finished.results.glob("predictions/*/*/*r")]
    assert count > len(stores)
    shard = finished.results / "predictions/unet/fold0/slide.ome.zarr/foreground/c/0/0/0"
    with changed(shard, shard.read_bytes()[:-1]):
        _, ((fault, receipt),) = verify(finished.results)
    assert "foreground: 1 of 4 shards are" in fault
    assert receipt == finished.results / "predictions/unet/fold0/foreground/slide.json"
    receipts = [*finished.results.rglob("*.json")]
    pictures = {*(finished.results / "pictures").rglob("*.json")}  # what they tell of is in them
    for small in {*receipts} - pictures:
        assert small.name.endswith(".shards.json") or small.stat().st_size < 20_000
