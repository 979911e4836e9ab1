"""Networks side by side: scores over seeds, work, rates and memory are those of the files."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from drawn_results import files_of_run, write_results
from test_stages_report import rows_of, write

from unetflow.evaluate.pooling import mean_over_images, read_scores
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.report.figures.plots import CostPoint, cost_plot
from unetflow.report.handed import Config, ExperimentConfig, RunFiles
from unetflow.report.run_results import lines_by_experiment, open_run
from unetflow.report.score_lines import common_name
from unetflow.report.sections.networks import Networks, Row, cost, networks
from unetflow.report.sections.provenance import making

GAINS = {"small-1": 0.0, "small-2": 0.1, "other": -0.2}  # of all scores
RECORDS: dict[str, dict[str, object]] = {  # of predictions, by image
    "a": {"computed_px": 2_000_000, "computing_s": 2.0, "peak_mib": 700.5, "gpu_peak_mib": 90.0},
    "b": {"computed_px": 1_000_000, "computing_s": 4.0, "peak_mib": 812.25},
    "c": {"computed_px": 0, "computing_s": 0.0, "peak_mib": 3000.0},  # all was there
}


def experiments(**changes: Mapping[str, object]) -> dict[str, ExperimentConfig]:
    made: dict[str, Any] = {
        name: {"dataset": "cells", "network": name[:5], "recipe": {"seed": seed}}
        for seed, name in enumerate(GAINS, start=1)
    }
    return {name: of | changes.get(name, {}) for name, of in made.items()}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a network, and another one that is not seamless."""
    folder = tmp_path_factory.mktemp("results")
    write_results(folder)
    table = pd.read_csv(folder / "evaluation/metrics.csv")
    for name in GAINS:
        for part in ("predictions", "calibration", "models"):
            shutil.copytree(folder / part / "net", folder / part / name)
        for image, record in RECORDS.items():
            path = folder / f"predictions/{name}/fold0/foreground/{image}.run.json"
            write_receipt(path, {"device": "cpu", "precision": "fp32", "threads": 2, **record})
    pd.concat(
        [table.assign(experiment=name, value=table["value"] + gain) for name, gain in GAINS.items()]
    ).to_csv(folder / "evaluation/metrics.csv", index=False)
    other = folder / "models/other/fold0/model.json"
    network = {"name": "their.network", "width": 3}
    write_receipt(other, read_receipt(other) | {"network": network, "multiply_adds_per_px": None})
    return folder


def files_of(results: Path) -> list[RunFiles]:
    first, second, other = (files_of_run(results, name) for name in GAINS)
    other |= {"why": "attention sees all of a tile", "options": {"width": 3, "norm": None}}
    return [first, second, other]


def section(
    results: Path, files: list[RunFiles], **changes: Mapping[str, object]
) -> list[Networks]:
    scores = read_scores(results / "evaluation/metrics.csv")
    runs = [open_run(each, scores) for each in files]
    config: Config = {
        "experiments": experiments(**changes),
        "report": {"title": "", "overlays": 0},
    }
    return networks(runs, lines_by_experiment(runs), config, making(config))


def rows(results: Path) -> list[Row]:
    (found,) = section(results, files_of(results))
    assert (found.dataset, found.svg) == ("cells", None)  # one alone has known multiply-adds
    return found.rows


@pytest.mark.slow
def test_seeds_are_one_row_with_their_mean_interval_and_range(results: Path) -> None:
    first, other = rows(results)
    assert (first.number, first.name, first.seeds) == (1, "small", 2)
    assert (other.number, other.name, other.seeds) == (2, "other", 1)
    (name,) = first.scores
    assert name == "SEG (stored instances)"
    found = first.scores[name]
    # 0.61, 0.41 and 0.51 of the images with the one seed, 0.1 more with the other
    assert found.mean.value == pytest.approx(0.56)
    assert found.mean.n == 3
    assert [found.mean.low, found.mean.high] == pytest.approx([0.46, 0.66])
    assert [found.least, found.greatest] == pytest.approx([0.51, 0.61])


def test_the_interval_of_one_seed_is_that_of_its_own_scores(results: Path) -> None:
    (_, other) = rows(results)
    table = read_scores(results / "evaluation/metrics.csv")
    of = table[(table["experiment"] == "other") & (table["chosen"] == "instances")]
    assert other.scores["SEG (stored instances)"].mean == mean_over_images(of)


def test_work_and_geometry_are_those_that_were_handed_over(results: Path) -> None:
    first, other = rows(results)
    assert (first.network, first.options, first.why) == ("unet", "depth 3", "")
    assert (first.parameters, first.multiply_adds_per_px) == (1234567, 20480.0)
    assert first.halo_px == "44 40"
    assert (other.network, other.options) == ("their.network", "width 3, norm none")
    assert (other.multiply_adds_per_px, other.why) == (None, "attention sees all of a tile")


def test_rates_are_pixels_over_the_seconds_in_which_they_were_computed(results: Path) -> None:
    (first, _) = rows(results)
    assert first.cost.training_s == [120.0, 120.0]
    # patches of 572 px less 88 and 84, one each 4 s; the steps with a validation left out
    assert first.cost.learnt_px_s == pytest.approx(484 * 488 / 4)
    assert first.cost.predicted_px_s == pytest.approx(3_000_000 / 6)
    assert (first.cost.peak_mib, first.cost.gpu_peak_mib) == (812.25, 90.0)
    assert (first.cost.trained_on, first.cost.predicted_on) == ("cpu fp32, 2 threads",) * 2


def test_a_training_that_went_on_counts_each_step_once(results: Path, tmp_path: Path) -> None:
    """Two steps a second, a validation of 30 s, then on another machine a step in 4 s."""
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    model = folder / "models/other/fold0/model.json"
    pd.DataFrame(
        {
            "step": [1, 2, 3, 4, 5],
            "loss": 1.0,
            "elapsed_s": [0.5, 1.0, 31.5, 35.5, 39.5],
            "validation_loss": [math.nan, math.nan, 0.5, math.nan, math.nan],
            "validation_iou": [math.nan, math.nan, 0.5, math.nan, math.nan],
        }
    ).to_csv(folder / "models/other/fold0/training.csv", index=False)
    machines = [{"device": "cuda", "precision": "bf16", "threads": 8}, {"device": "cpu"}]
    write_receipt(model.with_suffix(".run.json"), {"seconds": 9.0, "machines": machines})
    (_, other) = rows(folder)
    assert other.cost.training_s == [39.5]
    assert other.cost.learnt_px_s == pytest.approx(4 * 484 * 488 / 9)
    assert other.cost.trained_on == "cuda bf16, 8 threads, cpu"


def test_jobs_that_shared_an_image_count_as_predictions(results: Path) -> None:
    files = files_of_run(results, "other")
    parts = files["images"]["c"]["parts"]
    parts += [files["images"][image]["foreground"] for image in "ab"]
    run = open_run(files, read_scores(results / "evaluation/metrics.csv"))
    assert cost([run]).predicted_px_s == pytest.approx(6_000_000 / 12)
    del files["images"]["a"], files["images"]["b"]
    parts.clear()  # of what ended the image alone nothing is known
    found = cost([run])
    assert (found.predicted_px_s, found.peak_mib, found.gpu_peak_mib) == (None, None, None)


def test_what_no_record_says_is_not_known(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    for record in folder.glob("predictions/other/fold0/foreground/*.run.json"):
        record.unlink()
    scores = read_scores(folder / "evaluation/metrics.csv")
    found = cost([open_run(files_of_run(folder, "other"), scores)])
    assert (found.predicted_px_s, found.peak_mib, found.gpu_peak_mib) == (None, None, None)
    assert found.predicted_on == ""


@pytest.mark.slow
def test_each_dataset_with_several_networks_has_a_table(results: Path) -> None:
    files = files_of(results)
    assert section(results, files, other={"dataset": "nuclei"}) == []
    assert section(results, files[:2]) == []  # one network, two seeds
    (found,) = section(results, files, **{"small-1": {"dataset": "nuclei"}})
    assert [row.name for row in found.rows] == ["small-2", "other"]


@pytest.mark.slow
def test_the_page_shows_them_only_where_there_are_several(results: Path, tmp_path: Path) -> None:
    config: Config = {
        "experiments": experiments(),
        "report": {"title": "all", "overlays": 0},
    }
    page = write(results, tmp_path / "index.html", config, files_of(results)).read_text()
    assert '<a href="#networks">' in page
    head, first, other = rows_of(page, "networks")
    assert head[2:] == [
        "SEG (stored instances) 95 % interval",
        "seeds",
        "parameters",
        "multiply-adds per output px",
        "halo [px] tiles",
        "training [s]",
        "learnt [Mpx/s]",
        "prediction [Mpx/s]",
        "memory of prediction [MiB]",
    ]
    assert first == [
        *("1 small", "unet depth 3", "0.560 0.460 to 0.660 seeds 0.510 to 0.610", "2"),
        *("1,234,567", "20,480", "44 40 seamless", "120 120 to 120"),
        *("0.059 cpu fp32, 2 threads", "0.5 cpu fp32, 2 threads", "812 GPU 90"),
    ]
    assert other[3:6] == ["1", "1,234,567", "not known"]
    assert other[6] == "44 40 blended: attention sees all of a tile"
    alone: Config = {**config, "experiments": {"small-1": experiments()["small-1"]}}
    page = write(results, tmp_path / "one.html", alone, files_of(results)[:1]).read_text()
    assert "#networks" not in page and 'id="networks"' not in page


def test_a_number_is_left_out_of_a_name_only_where_seeds_share_it() -> None:
    assert common_name(["small-1", "small-2"]) == "small"
    assert common_name(["kernel-5"]) == "kernel-5"
    assert common_name(["one", "two"]) == "one, two"


def test_the_plot_numbers_each_network_and_says_what_it_shows() -> None:
    points = [CostPoint(1, 2e4, 0.5, 0.4, 0.6), CostPoint(12, 9e5, 0.7, math.nan, math.nan)]
    svg = cost_plot(points, name="SEG")
    assert 'aria-label="SEG against multiply-adds per output px, 2 networks"' in svg
    assert "multiply-adds per output px</text>" in svg
    assert ">1</text>" in svg and ">12</text>" in svg
    assert cost_plot(points, name="SEG") == svg
