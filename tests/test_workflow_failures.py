"""What ends in an error ends with its reason, and what is finished stays."""

from pathlib import Path

import pytest
import yaml
from pipeline import Project, changed

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
        done = copy.snakemake("--keep-going")
    assert done.status != 0
    assert "data/bad.tif: cannot be opened as an image" in done.text
    assert (copy.results / "predictions/unet/fold0/instances/good.json").exists()
    assert not (copy.results / "images" / "bad.json").exists()


def test_a_truth_of_another_kind_names_file_values_and_remedy(copy: Project) -> None:
    config = copy.config()
    config["datasets"]["cells"]["truth"] = "interior"
    with changed(copy.config_path, yaml.safe_dump(config)):
        done = copy.snakemake("--until", "prepare_truth")
    assert done.status != 0
    assert "truth of kind interior holds 0 (membrane)" in done.text
    assert (copy.results / "models/unet/fold0/model.safetensors").exists()


def test_require_gpu_makes_its_absence_an_error(copy: Project) -> None:
    without = ("--resources", "gpu=0", "--config", "require_gpu=True", "results=other")
    done = copy.snakemake(*without, "--until", "train")
    assert done.status != 0
    assert "require_gpu is true" in done.text
