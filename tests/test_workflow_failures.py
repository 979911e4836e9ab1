"""What ends in an error ends with its reason, and what is finished stays."""

import pytest
import yaml
from pipeline import Project, changed

pytestmark = pytest.mark.more


def test_one_bad_image_does_not_end_the_batch(finished: Project) -> None:
    sheet = finished.folder / "config" / "images.tsv"
    (finished.demo_data.parent / "bad.tif").write_bytes(b"II*\0 this is no image")
    rows = "bad\tcells\tdata/bad.tif\t\tpredict\t\ngood\tcells\t{data}/test_00.tif\t\tpredict\t\n"
    with changed(sheet, sheet.read_text() + rows):
        done = finished.snakemake("--keep-going")
    assert done.status != 0
    assert "data/bad.tif: cannot be opened as an image" in done.text
    assert (finished.results / "predictions/unet/fold0/instances/good.json").exists()
    assert not (finished.results / "images" / "bad.json").exists()


def test_a_truth_of_another_kind_names_file_values_and_remedy(finished: Project) -> None:
    config = finished.config()
    config["datasets"]["cells"]["truth"] = "interior"
    with changed(finished.config_path, yaml.safe_dump(config)):
        done = finished.snakemake("--until", "prepare_truth")
    assert done.status != 0
    assert "truth of kind interior holds 0 (membrane)" in done.text
    assert (finished.results / "models/unet/fold0/model.safetensors").exists()


def test_require_gpu_makes_its_absence_an_error(finished: Project) -> None:
    without = ("--resources", "gpu=0", "--config", "require_gpu=True", "results=other")
    done = finished.snakemake(*without, "--until", "train")
    assert done.status != 0
    assert "require_gpu is true" in done.text
