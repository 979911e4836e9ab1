"""The rule hands over what the config makes: every receipt of the graph's jobs, and no other."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from conftest import ROOT

from unetflow.report.handed import RunFiles

# Includes the workflow, and says what its functions hand to the report.
PROBE = f"""
include: "{ROOT / "Snakefile"}"
import json
from pathlib import Path
handed = {{"runs": files_of_runs(None), "receipts": receipts_of_stages(None)}}
handed["templates"] = report_templates()
handed["title"] = config_of_report()["report"]["title"]
Path("handed.json").write_text(json.dumps(handed))
"""
# By stage the rule, and the end of that of its outputs beside which the run record lies.
RULES = {
    "prepare image": ("prepare_image", ".json"),
    "prepare truth": ("prepare_truth", ".json"),
    "weights": ("weights", ".json"),
    "statistics": ("statistics", ".json"),
    "train": ("train", ".json"),
    "predict": ("predict", ".json"),
    "calibrate": ("calibrate", ".json"),
    "instances": ("instances", ".json"),
    "evaluate": ("evaluate", ".csv"),
    "pictures": ("pictures", ".json"),
    "tiles": ("tiles", ".json"),
}
OF_PARTS = {"predict parts": ("predict_part", ".json")}  # where several jobs share an image
FOLDS = {"a": "0", "b": "1", "c": "2", "d": "2", "new": "predict", "newer": "predict"}


class Handed(NamedTuple):
    runs: list[RunFiles]
    receipts: dict[str, list[str]]
    title: str
    templates: list[str]  # that count in the digest of the rule's code
    jobs: dict[str, list[str]]  # outputs of the graph's jobs by stage


def hand_over(
    folder: Path,
    splits: dict[str, str],
    *,
    dataset: dict[str, Any] | None = None,
    experiment: dict[str, Any] | None = None,
    export: dict[str, Any] | None = None,
    refine: dict[str, Any] | None = None,
    parts: int = 1,
) -> Handed:
    """What the rule gets of a sheet and a config that differs from the demo's in these keys."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    config |= {"images": "images.tsv", "export": export or {}, "refine": refine or {}}
    config["datasets"]["cells"] |= dataset or {}
    config["predict"]["parts"] = parts
    config["experiments"]["unet"] |= experiment or {}
    rows = ["image\tdataset\tpath\ttruth\tsplit\tgroup"]
    for image, split in splits.items():
        file = "a.ome.tif" if image == "a" or split == "predict" else f"{image}.tif"
        truth = "" if split == "predict" else f"{{data}}/{image}_truth.tif"
        rows.append(f"{image}\tcells\t{{data}}/{file}\t{truth}\t{split}\tof_{image}")
    (folder / "images.tsv").write_text("\n".join(rows) + "\n")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "probe.smk").write_text(PROBE)
    done = subprocess.run(
        ["snakemake", "all", "-s", "probe.smk", "--configfile", "config.yaml", "--summary"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    handed = json.loads((folder / "handed.json").read_text())
    outputs = [line.split("\t") for line in done.stdout.splitlines()[1:]]
    jobs = {
        stage: [file for file, _, rule, *_ in outputs if rule == name and file.endswith(end)]
        for stage, (name, end) in (RULES | OF_PARTS).items()
    }
    return Handed(**handed, jobs=jobs)


def of_job(receipt: str) -> str:
    """The output of the job that makes a receipt: of its bundle, where images share jobs."""
    path = Path(receipt)
    shared = path.parent.parent.name == "bundles"
    _, _, ending = path.name.partition(".")
    return str(path.parent.with_name(f"{path.parent.name}.{ending}")) if shared else receipt


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "export"),
    [
        ({"segment_with": "folds"}, {"formats": ["labels"], "splits": ["train", "predict"]}),
        ({"segment_with": "all"}, {}),
        ({"segment_with": "ensemble", "weighting": None}, {}),
    ],
    ids=["folds", "all", "ensemble"],
)
def test_the_receipts_of_all_jobs_are_handed_over(
    tmp_path: Path, experiment: dict[str, Any], export: dict[str, Any]
) -> None:
    handed = hand_over(tmp_path, FOLDS, experiment=experiment, export=export)
    assert list(handed.receipts) == list(RULES)
    for stage, receipts in handed.receipts.items():
        assert sorted(receipts) == sorted(handed.jobs[stage]), stage
    assert bool(handed.receipts["weights"]) == (experiment.get("weighting", "paper") == "paper")


@pytest.mark.slow
def test_slices_of_exported_stacks_count_as_predicted(tmp_path: Path) -> None:
    handed = hand_over(
        tmp_path,
        FOLDS,
        dataset={"truth": "interior"},
        experiment={"segment_with": "all"},
        export={"formats": ["stack"], "splits": ["train"]},
    )
    for stage, receipts in handed.receipts.items():
        assert sorted(receipts) == sorted(handed.jobs[stage]), stage
    assert "results/predictions/unet/foldall/foreground/a.json" in handed.receipts["predict"]


@pytest.mark.slow
def test_what_is_refined_is_handed_over_beside_what_is_predicted(tmp_path: Path) -> None:
    handed = hand_over(tmp_path, FOLDS, refine={"crf": {}})
    assert set(handed.receipts) == {*RULES, "refine"}
    predicted = handed.receipts["predict"]
    folder = "results/predictions/unet/fold"
    assert handed.receipts["refine"] == [
        of.replace("/foreground/", "/refined/") for of in predicted
    ]
    files = handed.runs[0]["images"]["a"]
    assert files["foreground"] == f"{folder}0/foreground/a.json"
    assert (handed.runs[0]["scored"], files["scored"]) == ("refined", f"{folder}0/refined/a.json")


@pytest.mark.slow
def test_images_that_share_jobs_have_their_own_receipts(tmp_path: Path) -> None:
    splits = dict.fromkeys("abc", "train") | {"v": "validation", "t": "test", "u": "test"}
    handed = hand_over(tmp_path, splits, dataset={"images_per_job": 2}, parts=2)
    for stage, receipts in handed.receipts.items():
        assert {of_job(receipt) for receipt in receipts} == set(handed.jobs[stage]), stage
    assert len(handed.receipts["predict parts"]) == 3 * 2  # v, t and u
    names = {Path(receipt).stem for receipt in handed.receipts["prepare image"]}
    assert names == set(splits)
    (run,) = handed.runs
    assert list(run["images"]) == ["t", "u"]
    truth, instances = run["images"]["t"]["truth"], run["images"]["t"]["instances"]
    assert Path(truth).parent.parent == Path("results/truth/bundles")
    assert Path(instances).parent.parent == Path("results/predictions/unet/fold0/instances/bundles")
    assert run["foreground"] == instances.replace("/instances/", "/foreground/")
    assert (run["scored"], run["images"]["t"]["scored"]) == ("foreground", run["foreground"])
    predictions = "results/predictions/unet/fold0"
    shared = Path(instances).relative_to(f"{predictions}/instances").with_suffix("")
    assert run["images"]["t"]["parts"] == [
        f"{predictions}/parts/{shared}.{part}of2.json" for part in range(2)
    ]
    assert (run["step_px"], run["before_px"], run["after_px"]) == (8, [44, 44], [44, 44])
    assert (run["why"], run["options"]) == ("", {"base_channels": 12, "depth": 3, "dropout": 0})
    assert run["weights"] == {
        "image": "a",
        "store": "results/images/a.ome.zarr",
        "map": "results/weights/paper/a.zarr",
    }


@pytest.fixture(scope="module")
def without_tests(tmp_path_factory: pytest.TempPathFactory) -> Handed:
    """Of a sheet without test images and an experiment without a weighting."""
    folder = tmp_path_factory.mktemp("without_tests")
    return hand_over(folder, {"a": "train", "b": "predict"}, experiment={"weighting": None})


@pytest.mark.slow
def test_without_test_images_a_run_is_handed_over_all_the_same(without_tests: Handed) -> None:
    (run,) = without_tests.runs
    assert (run["images"], run["foreground"], run["weights"]) == ({}, None, None)
    for stage, receipts in without_tests.receipts.items():
        assert sorted(receipts) == sorted(without_tests.jobs[stage]), stage


@pytest.mark.slow
def test_all_templates_count_in_the_digest_of_the_code(without_tests: Handed) -> None:
    folder = Path("unetflow/report/templates")
    there = sorted(path for path in (ROOT / folder).rglob("*") if path.is_file())
    assert without_tests.templates == [str(path.relative_to(ROOT)) for path in there]
    assert any(path.suffix == ".js" for path in there)


def test_the_demo_has_its_name_as_title(without_tests: Handed) -> None:
    assert without_tests.title == "unetflow demo"
