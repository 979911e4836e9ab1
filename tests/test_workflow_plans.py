"""What would run: dry runs of other configs and sheets than the demo's."""

import csv
import json
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from pipeline import IMAGES, ROOT, Project, annotated, changed, path_without_slurm

pytestmark = pytest.mark.more

CASES = sorted(path.name for path in (ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("case", CASES)
def test_every_config_trains_each_experiment_on_each_fold(case: str, tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "config" / case).read_text())
    with (ROOT / config["images"]).open(newline="") as sheet:
        rows = list(csv.DictReader(sheet, delimiter="\t"))
    for row in rows:  # a plan asks whether the files are there, and whether a volume can be opened
        for path in filter(None, (row["path"], row["truth"])):
            file = tmp_path / "case" / path.replace("{data}", config["data_dir"])
            file.parent.mkdir(parents=True, exist_ok=True)
            if config["datasets"][row["dataset"]].get("as") == "volume":
                tifffile.imwrite(file, np.zeros((32, 128, 128), np.uint8), compression="zlib")
            else:
                file.touch()
    project = Project(ROOT, path_without_slurm(tmp_path))
    there = ("--directory", str(tmp_path / "case"))
    jobs = project.snakemake("-n", "--configfile", f"config/{case}", *there).planned()
    folds = {row["split"] for row in rows if row["split"].isdigit()}
    assert jobs["train"] == len(config["experiments"]) * max(1, len(folds))
    assert jobs["report"] == jobs["collect"] == jobs["segmented"] == 1


@pytest.mark.parametrize(
    ("how", "trained", "segmenting"), [("folds", 3, 3), ("all", 4, 1), ("ensemble", 3, 1)]
)
def test_the_networks_that_segment_what_is_not_annotated(
    finished: Project, how: str, trained: int, segmenting: int
) -> None:
    config = finished.config()
    del config["demo"]
    config |= {"results": "folds", "export": {}}
    config["experiments"]["unet"]["segment_with"] = how
    rows = [annotated(name, str(fold)) for fold, (name, _) in enumerate(IMAGES)]
    rows.append("new\tcells\t{data}/test_00.tif\t\tpredict")
    case = finished.write_case("folds", config, rows)
    jobs = finished.snakemake("-n", "--configfile", case, "--resources", "gpu=1").planned()
    assert jobs["train"] == trained
    # of each fold its test and its validation image, and the new one by whom the config says
    assert jobs["predict"] == 6 + segmenting
    assert jobs["instances"] == 3 + segmenting


def test_only_large_images_are_shared_by_jobs(finished: Project) -> None:
    config = finished.config()
    del config["demo"]
    config |= {"results": "shared", "export": {}}
    config["predict"]["parts"] = 4
    rows = [annotated(name, split) for name, split in IMAGES]
    for name, side_px in (("small", 2500), ("larger", 3000), ("large", 5000)):  # shards of 512 px
        path = finished.demo_data / f"{name}.tif"
        tifffile.imwrite(path, np.zeros((side_px, side_px), np.uint8), compression="zlib")
        rows.append(f"{name}\tcells\t{{data}}/{name}.tif\t\tpredict")
    case = finished.write_case("shared", config, rows)
    jobs = finished.snakemake("-n", "--configfile", case).planned()
    assert (jobs["predict"], jobs["predict_begin"], jobs["predict_part"]) == (4, 2, 2 + 4)


def test_an_export_asks_for_time_by_the_size_of_its_slide(finished: Project) -> None:
    receipt = finished.results / "images" / "unlabelled.json"
    large = json.loads(receipt.read_text())
    large["levels"][0]["shape"] = [3, 100_000, 100_000]
    export = "results/exports/unet/fold0/unlabelled.geojson.gz"
    with changed(receipt, json.dumps(large)):
        done = finished.snakemake("-n", "--forcerun", "export_geojson", "--", export)
    assert "runtime=630" in done.text


def test_jobs_ask_for_the_memory_that_their_files_take(finished: Project) -> None:
    config = finished.config()
    del config["demo"]
    config |= {"results": "memory", "export": {}}
    rows = [annotated(name, split) for name, split in IMAGES]
    header = struct.pack(">4sIIBBBBB", b"IHDR", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    content = b"\x89PNG\r\n\x1a\n" + chunk + bytes(4) + b"IDAT" + bytes(500_000)
    (finished.demo_data / "large.png").write_bytes(content)
    rows.append("large\tcells\t{data}/large.png\t{data}/large.png.tif\ttest")
    (finished.demo_data / "large.png.tif").write_bytes(content)
    done = finished.snakemake("-n", "--configfile", finished.write_case("memory", config, rows))
    assert done.status == 0, done.text
    of_large = done.text.split("output: memory/images/large.json")[1]
    assert "mem_mb=5064," in of_large.split("rule ")[0]  # 2,000 MB, 3.6 GB, but 512 MiB of these
    of_small = done.text.split("output: memory/images/train_00.json")[1]
    assert re.search(r"mem_mb=8\d\d,", of_small.split("rule ")[0])  # 800 MB, and a little


def test_another_image_to_be_segmented_trains_nothing_and_hides_no_other_change(
    finished: Project,
) -> None:
    sheet = finished.folder / "config" / "images.tsv"
    new = "new\tcells\t{data}/test_00.tif\t\tpredict\t\n"
    config = finished.config()
    config["evaluate"]["thresholds"] = [0.4]
    with (
        changed(sheet, sheet.read_text() + new),
        changed(finished.config_path, yaml.safe_dump(config)),
    ):
        jobs = finished.snakemake("-n").planned()
    own = {"prepare_image": 1, "predict": 1, "instances": 1, "pictures": 1}
    own |= {"export_geojson": 1, "export_labels": 1, "export_overlay": 1}
    tables = {"integrity": 1, "segmented": 1, "outcome": 1, "report": 1, "verdict": 1}
    assert jobs == own | tables | {"evaluate": 2, "collect": 1}


def test_an_image_that_will_not_suit_ends_the_run_before_anything_is_done(
    finished: Project,
) -> None:
    config = finished.config()
    del config["demo"]
    config |= {"results": "unsuitable", "export": {}}
    rows = [annotated(name, split) for name, split in IMAGES]
    colour = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for name in ("colour", "other"):
        tifffile.imwrite(finished.demo_data / f"{name}.tif", colour, photometric="rgb")
        rows.append(f"{name}\tcells\t{{data}}/{name}.tif\t\tpredict")
    (finished.demo_data / "broken.tif").write_bytes(b"II*\0 this is no image")
    rows.append("broken\tcells\t{data}/broken.tif\t\tpredict")
    done = finished.snakemake("--configfile", finished.write_case("unsuitable", config, rows))
    assert done.status != 0
    assert "2 of 6 images would be refused by their network" in done.text
    assert "image colour: has 3 channels, but the model was trained on 1" in done.text
    assert "The same: image other" in done.text
    assert "Job stats" not in done.text
    rows[-3:-1] = []  # what cannot be opened is told, and ends its own job alone
    planned = finished.snakemake(
        "-n", "--configfile", finished.write_case("unsuitable", config, rows)
    )
    assert planned.planned()["train"] == 1
    assert planned.text.count("will not be prepared: image broken: ") == 1


def test_keys_by_their_old_names_rerun_nothing_and_are_said_once(finished: Project) -> None:
    now = finished.config_path.read_text()
    old = now.replace("test_time_augmentation:", "average:").replace("early_stopping", "patience")
    with changed(finished.config_path, old):
        done = finished.snakemake("-n")
    assert done.planned() == {}
    for key in (
        "predict.average is predict.test",
        "recipe.patience is experiments.unet.recipe.ear",
    ):
        assert done.text.count(key) == 1
    both = old.replace("average:", "test_time_augmentation: 1\n  average:")
    with changed(finished.config_path, both):
        done = finished.snakemake("-n")
    assert done.status != 0
    assert "both are given; take average out" in done.text
