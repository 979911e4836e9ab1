"""What ends in an error ends with its reason, and what is finished stays."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
import zarr
from pipeline import Done, Project, changed

pytestmark = pytest.mark.more


@pytest.fixture
def copy(finished: Project, tmp_path: Path) -> Project:
    """The finished project elsewhere: a job that fails leaves it without what it had made."""
    return finished.copied_to(tmp_path / "copy")


def test_one_bad_image_does_not_end_the_batch(copy: Project) -> None:
    sheet = copy.folder / "config" / "images.tsv"
    (copy.demo_data.parent / "bad.tif").write_bytes(b"II*\0 this is no image")
    rows = "bad\tcells\tdata/bad.tif\t\tpredict\t\ngood\tcells\t{data}/test_00.tif\t\tpredict\t\n"
    with changed(sheet, sheet.read_text() + rows):
        done = copy.snakemake()
    assert done.status != 0
    assert done.text.count("data/bad.tif: cannot be opened as an image") == 1
    assert "run the same command again" in done.text[-1000:]
    assert (copy.results / "predictions/unet/fold0/instances/good.json").exists()
    assert '"failed"' in (copy.results / "images" / "bad.json").read_text()


def test_a_truth_of_another_kind_names_file_values_and_remedy(copy: Project) -> None:
    config = copy.config()
    config["datasets"]["cells"]["truth"] = "interior"
    with changed(copy.config_path, yaml.safe_dump(config)):
        done = copy.snakemake("--until", "statistics")
    assert done.status != 0
    assert done.text.count("truth of kind interior holds 0 (membrane)") == 1
    assert "2 images that are to be learnt from failed" in done.text[-1500:]
    assert "The same: train_01" in done.text[-1500:]
    assert "Traceback" not in done.text
    assert (copy.results / "models/unet/fold0/model.safetensors").exists()


def test_require_gpu_makes_its_absence_an_error(copy: Project) -> None:
    without = ("--resources", "gpu=0", "--config", "require_gpu=True", "results=other")
    done = copy.snakemake(*without, "--until", "train")
    assert done.status != 0
    assert "require_gpu is true" in done.text


def stopped(project: Project, number: int, *arguments: str) -> Done:
    """A run that is sent a signal while it trains; Ctrl-C reaches its jobs too."""
    log = project.folder / "output.txt"
    training = project.results / "logs/train/unet/fold0.log"
    with log.open("w") as output, project.started(*arguments, stdout=output) as process:
        while not (training.exists() and "step 20: " in training.read_text()):
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        process.wait(60)
    return Done(process.returncode, log.read_text())


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_run_that_is_stopped_says_how_it_goes_on_and_does_to_the_bit(
    copy: Project, name: str
) -> None:
    config = copy.config()
    config["experiments"]["unet"]["recipe"] |= {"steps": 400, "validate_every": 20}
    copy.write_config(config)
    model = copy.results / "models/unet/fold0/model.safetensors"
    command = ("--until", "train")
    done = stopped(copy, getattr(signal, name), *command)
    assert done.status == 1
    how = "goes on from its last checkpoint.\n  snakemake --cores 2 --until train\n"
    assert how in done.text[-1000:]
    assert "Traceback" not in done.text
    assert not model.exists()
    again = copy.snakemake(*command)  # the folder is not locked
    assert again.status == 0, again.text
    if name != "SIGINT":  # which leaves the checkpoint of the last minute
        assert "going on from step" in again.text
    whole = model.read_bytes()
    model.unlink()
    (model.parent / "checkpoint.pt").unlink(missing_ok=True)
    assert copy.snakemake(*command, "--forcerun", "train").status == 0
    assert model.read_bytes() == whole


def test_names_of_files_may_be_any(copy: Project) -> None:
    names = ("a b", "q'uote", "h#ash", "p%20", "ünï", "-dash", "co:lon", "$HOME", "st*r", "b\\s")
    folder = copy.folder / "raw {image}"
    folder.mkdir()
    truth = np.zeros((64, 64), bool)
    truth[8:40, 8:40] = True
    rows = []
    for k, name in enumerate((*names, "br{1}ace", "of {bundle}", "{", "{}")):
        pixels = np.full((64, 64), k, np.uint8)
        tifffile.imwrite(folder / f"{name}.tif", pixels)
        tifffile.imwrite(folder / f"{name}-truth.tif", truth)
        cells = f"i{k}\tcells\traw {{image}}/{name}.tif\traw {{image}}/{name}-truth.tif"
        rows.append(f"{cells}\t{('train', 'validation', 'test')[k % 3]}")
    config = copy.config() | {"results": "any"}
    del config["demo"]
    path = copy.write_case("any", config, rows)
    done = copy.snakemake("--configfile", path, "--until", "integrity")
    assert done.status == 0, done.text
    for k in range(len(rows)):
        store = zarr.open_array(copy.folder / f"any/images/i{k}.ome.zarr/0", mode="r")
        assert np.asarray(store[0, 1, :]).tolist() == [k] * 64
    tifffile.imwrite(folder / "br{1}ace.tif", np.full((64, 64), 7, np.uint8))
    planned = copy.snakemake("--configfile", path, "--until", "integrity", "--dry-run").planned()
    assert planned == {"prepare_image": 1, "prepare_truth": 1, "integrity": 1}
