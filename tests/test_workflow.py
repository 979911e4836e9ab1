"""The whole pipeline on tiny images: it runs through, rests, and reruns exactly what changed."""

import json
import platform

import pandas as pd
import pytest
import yaml
from pipeline import Project, changed

pytestmark = pytest.mark.slow


def test_every_declared_result_is_there(finished: Project) -> None:
    for path in (
        "images/slide.json",
        "images/slide.ome.zarr/labels/truth/0/zarr.json",
        "truth/train_00.json",
        "weights/paper/train_00.json",
        "statistics/unet/fold0.json",
        "models/unet/fold0/model.safetensors",
        "models/unet/fold0/training.csv",
        "calibration/unet/fold0.json",
        "predictions/unet/fold0/objects/test_00.csv",
        "segmented.csv",
        "exports/unet/fold0/unlabelled.geojson.gz",
        "exports/unet/fold0/unlabelled.labels.tif",
        "exports/unet/fold0/empty.overlay.ome.tif",
        "predictions/unet/fold0/foreground/slide.json",
        "predictions/unet/fold0/instances/unlabelled.json",
        "predictions/unet/fold0/slide.ome.zarr/foreground/zarr.json",
        "evaluation/unet/fold0/test_00.csv",
        "evaluation/metrics.csv",
        "report/index.html",
        "logs/predict/unet/fold0/slide.log",
        "benchmarks/train/unet/fold0.tsv",
    ):
        assert (finished.results / path).stat().st_size > 0, path
    metrics = pd.read_csv(finished.results / "evaluation" / "metrics.csv")
    assert set(metrics["image"]) == {"test_00", "slide"}
    assert set(metrics["method"]) == {"network", "otsu"}
    headline = (finished.results / "report" / "headline.txt").read_text()
    assert "report: results/report/index.html" in headline
    stages = json.loads((finished.results / "provenance.json").read_text())
    found = stages["predict"]["predictions/unet/fold0/foreground/slide.json"]
    assert {"versions", "host", "seconds", "peak_mib", "commit", "processor"} <= found["run"].keys()
    assert len(stages["prepare image"]) == 7


def test_what_is_only_segmented_has_a_row_each(finished: Project) -> None:
    table = pd.read_csv(finished.results / "segmented.csv").set_index("image")
    assert set(table.index) == {"unlabelled", "empty"}
    row = table.loc["unlabelled"]
    objects = pd.read_csv(finished.results / "predictions/unet/fold0/objects/unlabelled.csv")
    assert (row["instances"], row["area_px"]) == (len(objects), objects["area_px"].sum())
    assert row["threshold_by"].startswith("validation, ")
    assert table.loc["empty", "instances"] == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_threads_of_a_job_share_one_arena(finished: Project) -> None:
    lines = (finished.folder / "arenas.txt").read_text().splitlines()
    counts = {tuple(line.split()) for line in lines}
    of_network = {"train", "predict", "instances"}
    assert {(job, of) for job, of in counts if job in of_network} == {
        (job, "1") for job in of_network
    }


def test_an_image_without_tissue_is_a_result(finished: Project) -> None:
    receipt = finished.results / "predictions/unet/fold0/instances/empty.json"
    assert json.loads(receipt.read_text())["instances"] == 0
    table = pd.read_csv(finished.results / "integrity.csv").set_index("image")
    assert table["tissue_share"]["empty"] == 0
    assert "no tissue (by mask)" in table["problems"]["empty"]


def test_a_job_without_a_gpu_says_so_once(finished: Project) -> None:
    log = (finished.results / "logs" / "train" / "unet" / "fold0.log").read_text()
    assert log.count("no GPU here: running on the CPU") <= 1
    assert "GPU" in log or "cuda" in log or "mps" in log


def test_a_second_run_has_nothing_to_do(finished: Project) -> None:
    assert "Nothing to be done" in finished.snakemake().text


def test_touched_files_and_the_order_of_the_rows_rerun_nothing(finished: Project) -> None:
    (finished.demo_data / "train_00.tif").touch()
    (finished.results / "models/unet/fold0/model.safetensors").touch()
    sheet = finished.folder / "config" / "images.tsv"
    header, *rows = sheet.read_text().splitlines(True)
    with changed(sheet, header + "".join(reversed(rows))):
        assert finished.snakemake("-n").planned() == {}


def test_keys_without_effect_on_content_write_the_report_alone(finished: Project) -> None:
    config = finished.config()
    config |= {"require_gpu": True, "retry": True}
    config["train"] = {"gpus": 2, "checkpoint_s": 9}
    config["prepare"]["max_unreadable"] = 0.5
    config["evaluate"]["regions_px"] = 512  # of images that are small
    config["prepare"]["on_failed_training_image"] = "leave_out"
    with changed(finished.config_path, yaml.safe_dump(config)):
        jobs = finished.snakemake("-n").planned()
    assert jobs == {"outcome": 1, "report": 1, "verdict": 1}


def test_sections_may_be_given_on_the_command_line(finished: Project) -> None:
    engine = "engine={scheduler: slurm, workers: 8}"
    assert finished.snakemake("-n", "--config", engine).planned() == {}


def test_a_fresh_clone_and_a_comment_rerun_nothing(finished: Project) -> None:
    folder = finished.folder
    for path in (*folder.glob("scripts/*.py"), *folder.rglob("unetflow/**/*.py")):
        path.write_text(path.read_text() + "\n# a comment\n")
    assert finished.snakemake("-n").planned() == {}


def test_other_thresholds_rerun_evaluation_and_report_only(finished: Project) -> None:
    config = finished.config()
    config["evaluate"]["thresholds"] = [0.4]
    with changed(finished.config_path, yaml.safe_dump(config)):
        jobs = finished.snakemake("-n").planned()
    assert jobs == {"evaluate": 2, "collect": 1, "outcome": 1, "report": 1, "verdict": 1}


def test_an_edit_in_a_metrics_module_reruns_no_training_and_no_inference(
    finished: Project,
) -> None:
    path = finished.folder / "unetflow" / "metrics" / "rand.py"
    before = path.read_text()
    assert "2 * self.ab" in before
    with changed(path, before.replace("2 * self.ab", "2.0 * self.ab")):
        jobs = finished.snakemake("-n").planned()
    # Instances follow the calibration; with equal thresholds their job ends at once.
    after = {"calibrate", "instances", "segmented", "evaluate", "collect", "pictures", "report"}
    after |= {"outcome", "verdict"}
    assert set(jobs) == after | {"export_geojson", "export_labels", "export_overlay"}


def test_other_pixels_rerun_what_depends_on_them(finished: Project) -> None:
    path = finished.demo_data / "test_00.tif"
    with changed(path, path.read_bytes() + b"0"):
        jobs = finished.snakemake("-n").planned()
    assert jobs["prepare_image"] == 3  # the sheet has it three times
    assert jobs["predict"] == 3
    assert not {"train", "weights", "calibrate"} & set(jobs)


def test_a_mistyped_key_ends_before_anything_runs(finished: Project) -> None:
    done = finished.snakemake("-n", "--config", "resluts=elsewhere")
    assert done.status != 0
    assert "unknown key 'resluts'; did you mean 'results'?" in done.text
