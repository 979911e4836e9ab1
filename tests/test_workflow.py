"""The whole pipeline on tiny images: it runs through, rests, and reruns exactly what changed."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from conftest import ROOT

COPIED = ("Snakefile", "workflow", "scripts", "unetflow", "profiles", "envs", "config")
SHEET = "image dataset path truth split tissue"
IMAGES = (("train_00", "train"), ("train_01", "train"), ("validation_00", "validation"))
TESTED = (("test_00", "test", ".tif"), ("slide", "test", ".ome.tif"))
SLURM = {"sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun"}

# Each Python process that Snakemake starts says how many arenas of glibc it had.
COUNTS_ARENAS = """
import atexit, ctypes, os, re, sys, tempfile

def write_arenas():
    library = ctypes.CDLL(None)
    library.fopen.restype = ctypes.c_void_p
    with tempfile.NamedTemporaryFile("r") as file:
        stream = ctypes.c_void_p(library.fopen(file.name.encode(), b"w"))
        library.malloc_info(0, stream)
        library.fclose(stream)
        arenas = len(re.findall("<heap nr", file.read()))
    script = re.sub(".*[.]", "", sys.argv[0].removesuffix(".py"))
    with open(os.path.join(os.path.dirname(__file__), "arenas.txt"), "a") as counts:
        counts.write(f"{script} {arenas}\\n")

atexit.register(write_arenas)
"""

Snakemake = Callable[..., subprocess.CompletedProcess[str]]


def path_without_slurm(folder: Path) -> str:
    """PATH without SLURM: with its programs but no daemon every start takes ten seconds longer."""
    kept = [str(Path(sys.executable).parent)]
    for place in map(Path, os.environ["PATH"].split(os.pathsep)):
        if (place / "scontrol").exists():
            mirror = folder / f"bin{len(kept)}"
            mirror.mkdir()
            for program in place.iterdir():
                if program.name not in SLURM:
                    (mirror / program.name).symlink_to(program)
            place = mirror
        kept.append(str(place))
    return os.pathsep.join(kept)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with a config that takes seconds."""
    folder = tmp_path_factory.mktemp("project")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignore)
        else:
            shutil.copy(source, folder / name)
    rows = [SHEET.replace(" ", "\t")]
    for name, split, suffix in (*((n, s, ".tif") for n, s in IMAGES), *TESTED):
        rows.append(f"{name}\tcells\t{{data}}/{name}{suffix}\t{{data}}/{name}_truth.tif\t{split}")
    rows.append("unlabelled\tcells\t{data}/test_00.tif\t\tpredict")
    rows.append("empty\tcells\t{data}/test_00.tif\t\tpredict\tconfig/nothing.npy")
    np.save(folder / "config" / "nothing.npy", np.zeros((3, 3), np.uint8))
    (folder / "config" / "images.tsv").write_text("\n".join(rows) + "\n")
    config = yaml.safe_load((folder / "config" / "config.yaml").read_text())
    config["demo"] |= {"image_px": 128, "slide_px": 600}
    config["experiments"]["unet"]["network"] |= {"base_channels": 4, "depth": 2}
    config["experiments"]["unet"]["recipe"] |= {"tile_px": 92, "steps": 12, "validate_every": 6}
    config["predict"] |= {"write_px": 256, "shard_px": 512}
    config["export"] = {"formats": ["geojson", "labels", "overlay"], "splits": ["predict"]}
    config["calibrate"]["thresholds"] = config["evaluate"]["thresholds"] = [0.3, 0.5]
    write_config(folder, config)
    if platform.libc_ver()[0] == "glibc":
        (folder / "sitecustomize.py").write_text(COUNTS_ARENAS)
    return folder


def write_config(folder: Path, config: object) -> None:
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))


@pytest.fixture(scope="module")
def snakemake(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Snakemake:
    path = path_without_slurm(tmp_path_factory.mktemp("path"))

    def run(*arguments: str, folder: Path = project) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder)}
        return subprocess.run(
            ["snakemake", "--cores", "2", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture(scope="module")
def finished(project: Path, snakemake: Snakemake) -> Path:
    """The project after one whole run."""
    done = snakemake("--resources", "gpu=1")
    assert done.returncode == 0, done.stdout + done.stderr
    return project / "results"


def planned(done: subprocess.CompletedProcess[str]) -> Counter[str]:
    """Rules and numbers of jobs that a dry run lists."""
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout + done.stderr
    if "Nothing to be done" in text:
        return Counter()
    table = text.split("Job stats:")[1].split("total")[0].splitlines()[3:]
    pairs = (line.split() for line in table if line.strip())
    return Counter({rule: int(count) for rule, count in pairs if rule != "all"})


def test_every_declared_result_is_there(finished: Path) -> None:
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
        assert (finished / path).stat().st_size > 0, path
    metrics = pd.read_csv(finished / "evaluation" / "metrics.csv")
    assert set(metrics["image"]) == {"test_00", "slide"}
    assert set(metrics["method"]) == {"unet", "otsu"}
    assert "report: results/report/index.html" in (finished / "report/headline.txt").read_text()


def test_what_is_only_segmented_has_a_row_each(finished: Path) -> None:
    table = pd.read_csv(finished / "segmented.csv").set_index("image")
    assert set(table.index) == {"unlabelled", "empty"}
    row = table.loc["unlabelled"]
    objects = pd.read_csv(finished / "predictions/unet/fold0/objects/unlabelled.csv")
    assert (row["instances"], row["area_px"]) == (len(objects), objects["area_px"].sum())
    assert row["threshold_by"].startswith("validation, ")
    assert table.loc["empty", "instances"] == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_threads_of_a_job_share_one_arena(project: Path, finished: Path) -> None:
    lines = (project / "arenas.txt").read_text().splitlines()
    counts = {tuple(line.split()) for line in lines}
    of_network = {"train", "predict", "instances"}
    assert {(job, of) for job, of in counts if job in of_network} == {
        (job, "1") for job in of_network
    }


def test_an_image_without_tissue_is_a_result(finished: Path) -> None:
    receipt = "predictions/unet/fold0/instances/empty.json"
    assert json.loads((finished / receipt).read_text())["instances"] == 0
    table = pd.read_csv(finished / "integrity.csv").set_index("image")
    assert table["tissue_share"]["empty"] == 0
    assert "no tissue (by mask)" in table["problems"]["empty"]


def test_a_job_without_a_gpu_says_so_once(finished: Path) -> None:
    log = (finished / "logs" / "train" / "unet" / "fold0.log").read_text()
    assert log.count("no GPU here: running on the CPU") <= 1
    assert "GPU" in log or "cuda" in log or "mps" in log


@pytest.mark.usefixtures("finished")
def test_a_second_run_has_nothing_to_do(snakemake: Snakemake) -> None:
    assert "Nothing to be done" in (lambda d: d.stdout + d.stderr)(snakemake())


def test_a_touched_raw_image_reruns_nothing(finished: Path, snakemake: Snakemake) -> None:
    (finished.parent / "data" / "demo" / "train_00.tif").touch()
    assert planned(snakemake("-n")) == {}


def test_a_fresh_clone_and_a_comment_rerun_nothing(finished: Path, snakemake: Snakemake) -> None:
    for path in (*finished.parent.glob("scripts/*.py"), *finished.parent.rglob("unetflow/**/*.py")):
        path.write_text(path.read_text() + "\n# a comment\n")
    assert planned(snakemake("-n")) == {}


def test_other_thresholds_rerun_evaluation_and_report_only(
    finished: Path, snakemake: Snakemake
) -> None:
    path = finished.parent / "config" / "config.yaml"
    before = path.read_text()
    config = yaml.safe_load(before)
    config["evaluate"]["thresholds"] = [0.4]
    write_config(finished.parent, config)
    assert planned(snakemake("-n")) == {"evaluate": 2, "collect": 1, "report": 1}
    path.write_text(before)


def test_an_edit_in_a_metrics_module_reruns_no_training_and_no_inference(
    finished: Path, snakemake: Snakemake
) -> None:
    path = finished.parent / "unetflow" / "metrics" / "rand.py"
    before = path.read_text()
    assert "2 * self.ab" in before
    path.write_text(before.replace("2 * self.ab", "2.0 * self.ab"))
    jobs = planned(snakemake("-n"))
    path.write_text(before)
    # Instances follow the calibration; with equal thresholds their job ends at once.
    after = {"calibrate", "instances", "segmented", "evaluate", "collect", "report"}
    assert set(jobs) == after | {"export_geojson", "export_labels", "export_overlay"}


def test_other_pixels_rerun_what_depends_on_them(finished: Path, snakemake: Snakemake) -> None:
    path = finished.parent / "data" / "demo" / "test_00.tif"
    before = path.read_bytes()
    path.write_bytes(before + b"0")
    jobs = planned(snakemake("-n"))
    path.write_bytes(before)
    assert jobs["prepare_image"] == 3  # the sheet has it three times
    assert jobs["predict"] == 3
    assert not {"train", "weights", "calibrate"} & set(jobs)


def test_a_mistyped_key_ends_before_anything_runs(finished: Path, snakemake: Snakemake) -> None:
    done = snakemake("-n", "--config", "resluts=elsewhere")
    assert done.returncode != 0
    assert "unknown key 'resluts', did you mean 'results'?" in done.stdout + done.stderr
    assert finished.exists()


def test_keys_by_their_old_names_rerun_nothing_and_are_said_once(
    finished: Path, snakemake: Snakemake
) -> None:
    path = finished.parent / "config" / "config.yaml"
    before = path.read_text()
    old = before.replace("test_time_augmentation:", "average:").replace(
        "early_stopping", "patience"
    )
    path.write_text(old)
    done = snakemake("-n")
    assert planned(done) == {}
    for key in (
        "predict.average is predict.test",
        "recipe.patience is experiments.unet.recipe.ear",
    ):
        assert (done.stdout + done.stderr).count(key) == 1
    path.write_text(old.replace("average:", "test_time_augmentation: 1\n  average:"))
    done = snakemake("-n")
    path.write_text(before)
    assert done.returncode != 0
    assert "both are given; take average out" in done.stdout + done.stderr


def test_one_bad_image_does_not_end_the_batch(finished: Path, snakemake: Snakemake) -> None:
    sheet = finished.parent / "config" / "images.tsv"
    before = sheet.read_text()
    (finished.parent / "data" / "bad.tif").write_bytes(b"II*\0 this is no image")
    good = finished.parent / "data" / "demo" / "test_00.tif"
    sheet.write_text(
        before
        + "bad\tcells\tdata/bad.tif\t\tpredict\n"
        + f"good\tcells\t{good.relative_to(finished.parent)}\t\tpredict\n"
    )
    done = snakemake("--keep-going")
    sheet.write_text(before)
    assert done.returncode != 0
    assert "data/bad.tif: cannot be opened as an image" in done.stdout + done.stderr
    assert (finished / "predictions/unet/fold0/instances/good.json").exists()
    assert not (finished / "images" / "bad.json").exists()


def test_a_truth_of_another_kind_names_file_values_and_remedy(
    finished: Path, snakemake: Snakemake
) -> None:
    config = finished.parent / "config" / "config.yaml"
    before = config.read_text()
    changed = yaml.safe_load(before)
    changed["datasets"]["cells"]["truth"] = "interior"
    write_config(finished.parent, changed)
    done = snakemake("--until", "prepare_truth")
    config.write_text(before)
    assert done.returncode != 0
    assert "truth of kind interior holds 0 (membrane)" in done.stdout + done.stderr
    assert (finished / "models/unet/fold0/model.safetensors").exists()


def test_require_gpu_makes_its_absence_an_error(finished: Path, snakemake: Snakemake) -> None:
    done = snakemake(
        "--resources", "gpu=0", "--config", "require_gpu=True", "results=other", "--until", "train"
    )
    assert done.returncode != 0
    assert "require_gpu is true" in done.stdout + done.stderr
    assert finished.exists()


@pytest.mark.parametrize(
    ("how", "trained", "segmenting"), [("folds", 3, 3), ("all", 4, 1), ("ensemble", 3, 1)]
)
def test_the_networks_that_segment_what_is_not_annotated(
    finished: Path, snakemake: Snakemake, how: str, trained: int, segmenting: int
) -> None:
    config = yaml.safe_load((finished.parent / "config" / "config.yaml").read_text())
    del config["demo"]
    config |= {"results": "folds", "images": "config/folds.tsv", "export": {}}
    config["experiments"]["unet"]["segment_with"] = how
    names = ["train_00", "train_01", "validation_00"]
    rows = [
        f"{n}\tcells\t{{data}}/{n}.tif\t{{data}}/{n}_truth.tif\t{k}" for k, n in enumerate(names)
    ]
    rows.append("new\tcells\t{data}/test_00.tif\t\tpredict")
    header = "image\tdataset\tpath\ttruth\tsplit"
    (finished.parent / "config" / "folds.tsv").write_text("\n".join([header, *rows]) + "\n")
    (finished.parent / "config" / "folds.yaml").write_text(yaml.safe_dump(config))
    jobs = planned(snakemake("-n", "--configfile", "config/folds.yaml", "--resources", "gpu=1"))
    assert jobs["train"] == trained
    # of each fold its test and its validation image, and the new one by whom the config says
    assert jobs["predict"] == 6 + segmenting
    assert jobs["instances"] == 3 + segmenting


def test_only_large_images_are_shared_by_jobs(finished: Path, snakemake: Snakemake) -> None:
    config = yaml.safe_load((finished.parent / "config" / "config.yaml").read_text())
    del config["demo"]
    config |= {"results": "shared", "images": "config/shared.tsv", "export": {}}
    config["predict"]["parts"] = 4
    rows = [
        f"{name}\tcells\t{{data}}/{name}.tif\t{{data}}/{name}_truth.tif\t{split}"
        for name, split in IMAGES
    ]
    for name, side_px in (("small", 2500), ("larger", 3000), ("large", 5000)):  # shards of 512 px
        path = finished.parent / "data" / "demo" / f"{name}.tif"
        tifffile.imwrite(path, np.zeros((side_px, side_px), np.uint8), compression="zlib")
        rows.append(f"{name}\tcells\t{{data}}/{name}.tif\t\tpredict")
    header = "image\tdataset\tpath\ttruth\tsplit"
    (finished.parent / "config" / "shared.tsv").write_text("\n".join([header, *rows]) + "\n")
    (finished.parent / "config" / "shared.yaml").write_text(yaml.safe_dump(config))
    jobs = planned(snakemake("-n", "--configfile", "config/shared.yaml"))
    assert (jobs["predict"], jobs["predict_begin"], jobs["predict_part"]) == (4, 2, 2 + 4)


def test_images_that_share_jobs_give_the_same_and_nothing_is_made_twice(
    finished: Path, snakemake: Snakemake, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished.parent, folder)
    results = folder / "results"
    made = {path: path.stat().st_mtime_ns for path in results.rglob("c/**/*") if path.is_file()}
    made |= {path: path.stat().st_mtime_ns for path in results.rglob("checkpoints/*")}
    arrays = "images/slide.ome.zarr/0", "predictions/unet/fold0/slide.ome.zarr/foreground"
    for array in (*arrays, "weights/paper/train_00.zarr", "models/unet/fold0/checkpoints"):
        assert any(path.is_relative_to(results / array) for path in made), array
    config = yaml.safe_load((folder / "config" / "config.yaml").read_text())
    config["datasets"]["cells"]["images_per_job"] = 3
    config["predict"]["parts"] = 2
    write_config(folder, config)
    jobs = planned(snakemake("-n", folder=folder))
    assert (jobs["prepare_image"], jobs["predict"], jobs["evaluate"]) == (4, 3, 1)
    assert (jobs["predict_begin"], jobs["predict_part"]) == (3, 6)
    done = snakemake(folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert made == {path: path.stat().st_mtime_ns for path in made}
    for path in ("evaluation/metrics.csv", "integrity.csv", "models/unet/fold0/model.safetensors"):
        assert (results / path).read_bytes() == (finished / path).read_bytes()
    receipts = "predictions/unet/fold0/instances"
    (with_others,) = (results / receipts).glob("bundles/*/slide.json")
    assert with_others.read_bytes() == (finished / receipts / "slide.json").read_bytes()
    assert not (results / receipts / "slide.json").exists()
    records = Counter(path.name for path in results.glob("images/**/*.run.json"))
    assert records["slide.run.json"] == 1
    assert "Nothing to be done" in (lambda d: d.stdout + d.stderr)(snakemake(folder=folder))
    told = snakemake("-n", "results/images/slide.json", folder=folder)
    wanted = "slide: shares its jobs with other images; ask for bundles/cells-test-"
    assert wanted in told.stdout + told.stderr


def test_an_export_asks_for_time_by_the_size_of_its_slide(
    finished: Path, snakemake: Snakemake
) -> None:
    receipt = finished / "images" / "unlabelled.json"
    before, times = receipt.read_text(), receipt.stat()
    large = json.loads(before)
    large["levels"][0]["shape"] = [3, 100_000, 100_000]
    receipt.write_text(json.dumps(large))
    export = "results/exports/unet/fold0/unlabelled.geojson.gz"
    done = snakemake("-n", "--forcerun", "export_geojson", "--", export)
    receipt.write_text(before)
    os.utime(receipt, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "runtime=630" in done.stdout + done.stderr
