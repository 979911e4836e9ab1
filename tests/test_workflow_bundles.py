"""Small images that share jobs, and large ones that several jobs share: the same results."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from pipeline import Project

pytestmark = pytest.mark.more


def test_images_that_share_jobs_give_the_same_and_nothing_is_made_twice(
    finished: Project, tmp_path: Path
) -> None:
    copy = finished.copied_to(tmp_path / "copy")
    results = copy.results
    made = {path: path.stat().st_mtime_ns for path in results.rglob("c/**/*") if path.is_file()}
    made |= {path: path.stat().st_mtime_ns for path in results.rglob("checkpoints/*")}
    arrays = ("images/slide.ome.zarr/0", "predictions/unet/fold0/slide.ome.zarr/foreground")
    for array in (*arrays, "weights/paper/train_00.zarr", "models/unet/fold0/checkpoints"):
        assert any(path.is_relative_to(results / array) for path in made), array
    config = copy.config()
    config["datasets"]["cells"]["images_per_job"] = 3
    config["predict"]["parts"] = 2
    copy.write_config(config)
    jobs = copy.snakemake("-n").planned()
    assert (jobs["prepare_image"], jobs["predict"], jobs["evaluate"]) == (4, 3, 1)
    assert (jobs["predict_begin"], jobs["predict_part"]) == (3, 6)
    done = copy.snakemake()
    assert done.status == 0, done.text
    assert made == {path: path.stat().st_mtime_ns for path in made}
    for path in ("evaluation/metrics.csv", "integrity.csv", "models/unet/fold0/model.safetensors"):
        assert (results / path).read_bytes() == (finished.results / path).read_bytes()
    receipts = "predictions/unet/fold0/instances"
    (with_others,) = (results / receipts).glob("bundles/*/slide.json")
    alone = finished.results / receipts / "slide.json"
    assert with_others.read_bytes() == alone.read_bytes()
    assert not (results / receipts / "slide.json").exists()
    records = Counter(path.name for path in results.glob("images/**/*.run.json"))
    assert records["slide.run.json"] == 1
    assert "Nothing to be done" in copy.snakemake().text
    told = copy.snakemake("-n", "results/images/slide.json").text
    assert "slide: shares its jobs with other images; ask for bundles/cells-test-" in told
    foreground = "predictions/unet/fold0/slide.ome.zarr/foreground/c/0/0/0"
    before = (results / foreground).read_bytes()
    shutil.rmtree((results / foreground).parents[4])
    again = copy.snakemake()
    assert again.status == 0, again.text
    assert (results / foreground).read_bytes() == before
