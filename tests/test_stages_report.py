"""The page of all that was run: its numbers, its pictures, and nothing that was left over."""

import ast
import re
import shutil
from collections.abc import Sequence
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from drawn_results import (
    draw_weights,
    files_of_run,
    pictures_of,
    receipts_of_stages,
    table_of_scores,
    write_results,
)

from unetflow.errors import StoreError
from unetflow.evaluate.catalogue import SCORES
from unetflow.evaluate.pooling import read_scores
from unetflow.evaluate.tables import COLUMNS
from unetflow.provenance.receipts import read_receipt, write_receipt
from unetflow.report.crops import read_weight_crop
from unetflow.report.handed import (
    Config,
    ExperimentConfig,
    Repeating,
    RunFiles,
    TilesFile,
    WeightFiles,
)
from unetflow.report.run_results import open_run
from unetflow.report.score_lines import vanishing
from unetflow.stages.report import write_report

CONFIG: Config = {
    "experiments": {"net": {"dataset": "cells", "recipe": {"preset": "default"}}},
    "report": {"title": "Cells & walls", "overlays": 2},
}


REPEAT: Repeating = {
    "command": "snakemake --cores 2 --configfile config/cells.yaml",
    "changed": [
        {"key": "predict.dtype", "value": "float16", "default": "uint8", "has_default": True},
        {"key": "data_dir", "value": "data", "default": None, "has_default": False},
    ],
    "parts": [],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    write_results(folder)
    return folder


@pytest.fixture(scope="module")
def page(results: Path) -> str:
    return write(results, results / "report/index.html").read_text()


def write(
    results: Path,
    html: Path,
    config: Config = CONFIG,
    runs: Sequence[RunFiles] | None = None,
    tiles: Sequence[TilesFile] = (),
) -> Path:
    runs = [files_of_run(results)] if runs is None else runs
    write_report(
        config=config,
        runs=runs,
        receipts=receipts_of_stages(results, runs),
        pictures=[
            of
            for run in runs
            for of in pictures_of(results, run["experiment"], run["fold"])
            if Path(of["pictures"]).exists()
        ],
        tiles=tiles,
        scores=results / "evaluation/metrics.csv",
        stacks=results / "evaluation/stacks.csv",
        integrity=results / "integrity.csv",
        outcome=results / "outcome.tsv",
        repeat=REPEAT,
        html=html,
        headline=html.with_name("headline.txt"),
        provenance=html.with_name("provenance.json"),
    )
    return html


def rows_of(page: str, section: str) -> list[list[str]]:
    """Texts of the cells of all table rows of a section."""
    text = page[page.index(f'<section id="{section}">') :]
    text = text[: text.index("</section>")]
    return [
        [
            " ".join(unescape(re.sub(r"<[^>]+>", " ", cell)).split())
            for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", text, re.DOTALL)
    ]


@pytest.mark.slow
def test_scores_are_means_with_n_threshold_and_what_was_left_out(page: str) -> None:
    rows = {row[0]: row[1:] for row in rows_of(page, "scores")}
    assert rows["IoU, object pixels ↑"] == [
        "0.700 0.600 to 0.800",  # mean
        "0.583 0.462 to 0.727",  # pooled: 140 / (200 + 180 - 140)
        "2 1 undefined, left out",
        "0.5 (validation)",
        "0.800 at 0.25",  # best of the list
        "0.200 n = 3",  # Otsu
    ]
    assert rows["SEG (stored instances) ↑"] == [
        "0.510 0.410 to 0.610",
        "0.510 0.410 to 0.610",
        "3",
        "0.5 (validation, by SEG)",
        "",
        "0.400",
    ]
    assert "SEG ↑" not in rows  # each score once: instance scores of the stored instances


def test_variants_are_named_apart(page: str) -> None:
    rows = {row[0]: row[1:] for row in rows_of(page, "scores")}
    assert rows["V_Rand, thinned ↑"][0].startswith("0.940")
    assert rows["V_Rand, unthinned ↑"][0].startswith("0.840")
    for score in SCORES:
        assert f"<strong>{score.name}</strong>" in page


def test_each_image_has_a_row(page: str) -> None:
    rows = {row[0]: row[1:] for row in rows_of(page, "scores")}
    #                  SEG stored, IoU, V_Rand thinned, unthinned, splits and mergers
    assert rows["a"] == ["0.610", "0.800", "0.930", "0.830", "0.001000"]
    no = "not scored"
    assert rows["b"] == ["0.410", "0.600", no, "0.840", no]
    assert rows["c"] == ["0.510", "undefined", "0.950", "0.850", "0.002000"]


def test_zero_mergers_of_a_vanished_foreground_are_flagged(page: str) -> None:
    rows = {row[0]: row[1:] for row in rows_of(page, "scores")}
    best = rows["Splits and mergers ↓"][4]  # after mean, pooled, n, threshold
    assert best == "0.000000 at 0.75, where the foreground vanishes"
    assert "at threshold 0.75 the foreground vanishes in 1 of 3 images (c)." in page
    assert vanishing(table_of_scores()) == [(0.75, ["c"])]


def test_warnings_of_truths_are_shown(page: str) -> None:
    assert "Truth of c: no object in this image." in page
    assert "net, fold 0, validation: v: 40 objects of class cell are found and 3 annotated." in page


def test_what_was_run_is_told(page: str) -> None:
    rows = {row[0]: row[1:] for row in rows_of(page, "provenance")}
    assert rows["net, fold 0"][:4] == [
        "unet depth 3",
        "1,234,567",
        "16 training, 2 validation",
        "step 20 of 4321 validation IoU 0.875",
    ]
    assert rows["net, fold 0"][4] == "cpu fp32, 2 threads"
    assert rows["prepare image"][:4] == ["3", "9.0", "2.0", "6.0"]
    assert rows["train"] == ["1", "12.2", "12.2", "12.2", "cpu", ""]
    assert rows["commit"] == ["abc123"]
    assert rows["torch"] == ["2.13.0"]
    assert rows["steps"] == ["4321", "40000", "4000"]  # this run, preset paper, preset default
    assert "<strong>4321</strong>" in page
    assert "preset: default" in page  # the config as YAML
    assert "<h1>Cells &amp; walls</h1>" in page


def test_numbers_of_the_plots_stand_beside_them(page: str) -> None:
    rows = rows_of(page, "thresholds")
    assert ["0.25", "0.800", "2", "0.900", "0.700", "undefined"] in rows
    assert ["0.75", "0.067", "3", "0.100", "0.100", "0.000"] in rows
    # the mean of steps 11 to 20: losses fall evenly from 1.0 to 0.1 in 29 steps
    loss = np.linspace(1, 0.1, 30)[10:20].mean()
    assert ["20", "1.3", f"{loss:.4f}", "0.5000", "0.8750"] in rows_of(page, "training")


def test_overlays_go_from_worst_to_best_with_scale_bars(page: str) -> None:
    captions = re.findall(r"<figcaption>(?:(?!figcaption).)*from the worst.*?<", page, re.DOTALL)
    assert len(captions) == 2
    # the lowest SEG of stored instances, whatever the IoU of pixels is
    assert "<strong>b</strong>, 530 \u00d7 600 px" in captions[0]
    assert "Number 1 of 3 from the worst by SEG" in captions[0]
    assert "IoU, object pixels 0.600" in captions[0]
    assert "<strong>a</strong>, 40 \u00d7 50 px at 0.5 µm/px." in captions[1]
    of_crops = page[page.index('<section id="overlays">') :]
    assert re.findall(r'class="bar"[^>]*>([^<]+)<', of_crops) == ["100 px", "5 µm"]
    assert re.findall(r'alt="objects by kind: (\w)"', of_crops) == ["b", "a"]


@pytest.mark.slow
def test_an_image_without_objects_is_not_the_worst_of_the_crops(
    results: Path, tmp_path: Path
) -> None:
    """Its score is undefined: it was number 1 from the worst, and blank fields filled the crops."""
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    scores = table_of_scores()
    blank = scores["metric"].eq("seg") & scores["image"].eq("c")
    scores.assign(value=scores["value"].mask(blank)).to_csv(
        folder / "evaluation/metrics.csv", index=False
    )
    page = write(folder, folder / "report/index.html").read_text()
    ranks = re.findall(r"<strong>(\w)</strong>[^.]*?(?:at 0\.5[^.]*)?\. (Number \d of \d)", page)
    assert ranks == [("b", "Number 1 of 2"), ("a", "Number 2 of 2")]


@pytest.mark.slow
def test_of_a_large_image_the_crop_is_where_most_is_wrong(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    drawn = folder / "pictures/net/fold0/b.json"
    content = read_receipt(drawn)
    wrong = {"of_class": "cell", "kind": "missed", "wrong_px": 9, "side_px": 20}
    wrong |= {"top_px": 500, "left_px": 580, "panels": [content["thumbnail"]] * 3}
    config: Config = {**CONFIG, "report": {"title": "all", "overlays": 9}}
    for worst, worst_px, where in (
        ([], None, "rows 9 to 521, columns 44 to 556"),  # central
        ([], [0, 300], "rows 0 to 512, columns 44 to 556"),
        ([wrong], [0, 300], "rows 18 to 530, columns 88 to 600"),
    ):
        write_receipt(drawn, content | {"worst": worst, "worst_px": worst_px})
        page = write(folder, tmp_path / "index.html", config).read_text()
        assert f"530 \u00d7 600 px, here {where}" in page
    assert ">100 px<" in page  # resolution not known


@pytest.mark.slow
def test_the_page_is_the_same_to_the_byte(results: Path, page: str, tmp_path: Path) -> None:
    assert write(results, tmp_path / "index.html").read_text() == page


def test_the_headline_is_an_aligned_table_that_ends_with_the_report(
    results: Path, page: str
) -> None:
    lines = (results / "report/headline.txt").read_text().splitlines()
    assert lines[0] == "Cells & walls: means over the test images"
    assert [re.split("  +", line) for line in lines[1:-1]] == [
        ["experiment", "score", "network", "otsu", "n", "threshold"],
        ["net", "SEG (stored instances)", "0.510", "0.400", "3", "0.5 (validation, by SEG)"],
        [
            "net",
            "IoU, object pixels",
            "0.700",
            "0.200",
            "2 (1 undefined, left out)",
            "0.5 (validation)",
        ],
        ["net", "V_Rand, thinned", "0.940", "-", "2", "0.5 (validation)"],
    ]
    for column in ("network", "otsu", "threshold"):
        assert all(line[lines[1].index(column) - 1] == " " for line in lines[2:-1])
    assert lines[-1] == f"report: {results / 'report/index.html'}"


@pytest.mark.slow
def test_the_headline_is_over_all_folds_and_the_tables_over_each(
    results: Path, tmp_path: Path
) -> None:
    folds = tmp_path / "results"
    shutil.copytree(results, folds)
    for folder in ("models", "predictions"):
        shutil.copytree(folds / folder / "net/fold0", folds / folder / "net/fold1")
    shutil.copy(folds / "calibration/net/fold0.json", folds / "calibration/net/fold1.json")
    first = table_of_scores()
    second = first.assign(fold="1", value=first["value"] / 2)
    pd.concat([first, second]).to_csv(folds / "evaluation/metrics.csv", index=False)
    runs = [files_of_run(folds, fold=fold) for fold in ("0", "1")]
    page = write(folds, tmp_path / "index.html", runs=runs).read_text()
    lines = (tmp_path / "headline.txt").read_text().splitlines()
    # (0.8 + 0.6 + 0.4 + 0.3) / 4; one image of each fold is undefined
    assert re.split("  +", lines[3])[2:5] == ["0.525", "0.150", "4 (2 undefined, left out)"]
    means = [row[1] for row in rows_of(page, "scores") if row[0] == "IoU, object pixels ↑"]
    assert means == ["0.700 0.600 to 0.800", "0.350 0.300 to 0.400"]
    assert page.count("from the worst by SEG. Threshold") == 4
    spread = page.split("Spread over folds</caption>")[1].split("</table>")[0]
    assert "<strong>0.525</strong><small>0.350 to 0.700</small>" in spread  # IoU


@pytest.mark.slow
def test_experiments_that_differ_by_their_seed_stand_together(
    results: Path, tmp_path: Path
) -> None:
    gains = {"net-1": 0.0, "net-2": 0.1, "other": -0.2}
    for name in gains:
        for folder in ("predictions", "calibration", "models"):
            shutil.copytree(results / folder / "net", tmp_path / folder / name)
    for folder in ("images", "truth"):
        shutil.copytree(results / folder, tmp_path / folder)
    (tmp_path / "evaluation").mkdir()
    scores = pd.read_csv(results / "evaluation/metrics.csv")
    pd.concat(
        [
            scores.assign(experiment=name, value=scores["value"] + gain)
            for name, gain in gains.items()
        ]
    ).to_csv(tmp_path / "evaluation/metrics.csv", index=False)
    shutil.copy(results / "evaluation/stacks.csv", tmp_path / "evaluation")
    shutil.copy(results / "integrity.csv", tmp_path)
    shutil.copy(results / "outcome.tsv", tmp_path)
    experiments: dict[str, ExperimentConfig] = {
        "net-1": {"dataset": "cells", "weighting": "paper", "recipe": {"seed": 1, "steps": 9}},
        "net-2": {"dataset": "cells", "weighting": "paper", "recipe": {"seed": 2, "steps": 9}},
        "other": {"dataset": "cells", "weighting": None, "recipe": {"seed": 1, "steps": 9}},
    }
    runs = [files_of_run(tmp_path, name) for name in experiments]
    config: Config = {**CONFIG, "experiments": experiments}
    page = write(tmp_path, tmp_path / "index.html", config, runs).read_text()
    scores_of = page.split("Spread over seeds</caption>")[1].split("</table>")[0]
    assert re.findall(r"<tr><th scope=\"row\">(\S+)</th><td class=\"n\">(\d)</td>", scores_of) == [
        ("net", "2"),
        ("other", "1"),
    ]
    assert "<strong>0.560</strong><small>0.510 to 0.610</small>" in scores_of  # SEG of instances
    assert "Spread over seeds" not in write(results, tmp_path / "one.html").read_text()


def test_without_scores_the_report_says_so(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "results")
    empty = pd.DataFrame(columns=list(COLUMNS))
    empty.to_csv(tmp_path / "results/evaluation/metrics.csv", index=False)
    history = tmp_path / "results/models/net/fold0/training.csv"  # of a finished model
    pd.read_csv(history).iloc[:0].to_csv(history, index=False)
    html = write(tmp_path / "results", tmp_path / "index.html")
    assert "No image of the test split has a truth" in html.read_text()
    assert not {"training", "thresholds"} & {*re.findall(r'<section id="(\w+)"', html.read_text())}
    assert "no image of the test split has a score" in (tmp_path / "headline.txt").read_text()


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"metrics\.csv: not a readable table of scores"):
        write(tmp_path, tmp_path / "index.html")


def test_the_data_and_what_is_odd_in_them_are_shown(page: str) -> None:
    assert ["the same pixels as x of split train", "1", "c"] in rows_of(page, "data")
    rows = {row[0]: row[1:] for row in rows_of(page, "data")}
    assert rows["b"][:4] == ["cells", "test", "", "530"]


@pytest.mark.slow
def test_images_without_a_result_are_told_by_reason(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    table = pd.read_csv(folder / "outcome.tsv", sep="\t", dtype=str, keep_default_na=False)
    told = {"stage": "prepare_image", "log": "logs/x.log", "next": "Mend it.", "state": "failed"}
    for name in ("x", "y", "z"):
        reason = f"{name}.tif: cannot be opened" if name < "z" else "z.tif: has 3 channels"
        row = {"image": name, "dataset": "cells", "split": "test", "reason": reason, **told}
        table = pd.concat([table, pd.DataFrame([row])])
    table.to_csv(folder / "outcome.tsv", sep="\t", index=False)
    page = write(folder, tmp_path / "index.html").read_text()
    rows = rows_of(page, "outcome")[1:]
    assert [row[:5] for row in rows] == [
        ["failed", "prepare_image", "2", "x, y", "x.tif: cannot be opened"],
        ["failed", "prepare_image", "1", "z", "z.tif: has 3 channels"],
    ]
    assert '<a href="#outcome">3 of 6 images</a> have no result.' in page


def test_what_was_not_measured_is_said(page: str) -> None:
    text = unescape(page[page.index("What was not measured") :])
    assert "One seed alone in net" in text
    assert "One split alone in net" in text
    assert "No validation images" not in text  # there are two


def test_stacks_stand_at_both_thresholds(page: str) -> None:
    rows = {row[0]: row[1:] for row in rows_of(page, "stacks")}
    official = "V_Rand, thinned, mean over slices: official since 2015 ↑"
    assert rows[official] == ["0.9500 at 0.5", "0.9600 at 0.6"]
    errors = "Splits and mergers: the U-Net paper's warping error ↓"
    assert rows[errors] == ["0.000421 at 0.5", "0.000353 at 0.6"]
    rand = "Rand error of 2012: 1 - V_Rand, unthinned, pooled ↓"
    assert rows[rand] == ["not chosen by validation", "0.1200 at 0.3"]
    assert "net, fold 0, stack em, 6 slices" in page
    assert "At 1 of the 11 thresholds the foreground vanishes" in page


@pytest.mark.slow
def test_scores_by_regions_are_named_so(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "results")
    table = tmp_path / "results/evaluation/metrics.csv"
    scores = pd.read_csv(table)
    membranes = scores["metric"] == "splits_mergers"
    scores.loc[membranes, "variant"] = "regions of 1024 px"
    scores.loc[scores["variant"] == "thinned", "variant"] = "thinned, regions of 1024 px"
    scores.to_csv(table, index=False)
    page = write(tmp_path / "results", tmp_path / "index.html").read_text()
    names = {row[0] for row in rows_of(page, "scores")}
    assert "Splits and mergers, regions of 1024 px ↓" in names
    assert "V_Rand, thinned, regions of 1024 px ↑" in names


def test_each_link_to_a_file_beside_the_page_has_its_file(results: Path, page: str) -> None:
    links = re.findall(r'href="((?:figures|tables)/[^"]+)"', page)
    beside = [
        path for name in ("figures", "tables") for path in (results / "report" / name).iterdir()
    ]
    assert sorted(set(links)) == sorted(
        path.relative_to(results / "report").as_posix() for path in beside
    )
    assert len(links) == len(set(links)) > 20
    assert all(path.stat().st_size > 10 for path in beside)
    shown = pd.read_csv(results / "report/tables/threshold-net-fold-0-iou-object-pixels.csv")
    assert shown["a"].tolist() == [0.9, 0.8, 0.1]


def test_the_page_can_be_read_aloud(page: str) -> None:
    outline = _Outline()
    outline.feed(page)
    assert outline.headings[0] == 1 and outline.headings.count(1) == 1
    steps = zip(outline.headings, outline.headings[1:], strict=False)
    assert all(after <= before + 1 for before, after in steps)
    assert outline.without_scope == 0
    assert outline.tables == outline.captions > 5
    assert len(outline.ids) == len(set(outline.ids)) > 10
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page)) <= {
        pair for of in outline.ids for pair in ((of, ""), ("", of))
    }
    assert all(outline.alts)


class _Outline(HTMLParser):
    """What somebody has of a page who does not see it."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.alts: list[str] = []
        self.tables = self.captions = self.without_scope = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {key: value or "" for key, value in attrs}
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.without_scope += tag == "th" and of.get("scope") not in ("row", "col")
        if "id" in of:
            self.ids.append(of["id"])
        if tag == "img":
            self.alts.append(of.get("alt", ""))


# What the rule names, and nothing else


def leave_over(folder: Path) -> None:
    """What other configs left in a results folder: whole, half and broken."""
    shutil.copytree(folder / "models/net/fold0", folder / "models/net/fold1")
    shutil.copytree(folder / "predictions/net", folder / "predictions/other")
    shutil.copytree(folder / "models/net", folder / "models/other")
    (folder / "models/other/fold0/model.run.json").write_text("{")
    (folder / "models/other/fold1/model.json").unlink()
    shutil.copytree(folder / "weights/paper", folder / "weights/other")
    shutil.copytree(folder / "weights/paper/trained.zarr", folder / "weights/paper/gone.zarr")
    (folder / "weights/paper/again.zarr").mkdir()
    gone = {"seconds": 3600.0, "device": "cuda", "commit": "old", "ended": "2999-01-01T00:00:00"}
    for stage in ("images", "truth", "weights/paper", "statistics/other", "evaluation/other/fold0"):
        write_receipt(folder / stage / "gone.run.json", gone)
        (folder / stage / "broken.run.json").write_text("no record")
        # of a bundle that is no more, with an image that is
        write_receipt(folder / stage / "bundles/cells-test-0123456789/a.run.json", gone)
    for stage in ("truth", "predictions/net/fold0/instances", "predictions/net/fold0/foreground"):
        bundle = folder / stage / "bundles/cells-test-0123456789"
        bundle.mkdir(parents=True, exist_ok=True)
        (bundle / "a.json").write_text("no receipt")
        (bundle / "c.json").write_text('{"warnings": ["of yesterday"], "classes": {}}')


@pytest.mark.slow
def test_what_was_left_over_changes_nothing(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    draw_weights(folder)
    html, headline = tmp_path / "index.html", tmp_path / "headline.txt"
    runs = [with_weights(folder)]
    before = write(folder, html, runs=runs).read_bytes(), headline.read_bytes()
    leave_over(folder)
    assert (write(folder, html, runs=runs).read_bytes(), headline.read_bytes()) == before
    # they are such that they would be seen where they are named
    runs = [with_weights(folder), files_of_run(folder, fold="1")]
    assert write(folder, html, runs=[runs[0]]).read_bytes() == before[0]
    with pytest.raises(StoreError, match=r"calibration/net/fold1\.json: not a readable receipt"):
        write(folder, html, runs=runs)


def with_weights(folder: Path) -> RunFiles:
    """The files of the run with the weight map of a training image."""
    weights: WeightFiles = {
        "image": "trained",
        "store": str(folder / "images/trained.ome.zarr"),
        "map": str(folder / "weights/paper/trained.zarr"),
    }
    return {**files_of_run(folder), "weights": weights}


@pytest.mark.slow
def test_the_weight_map_is_shown_around_its_peak(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    draw_weights(folder)
    scores = read_scores(folder / "evaluation/metrics.csv")
    crop = read_weight_crop(open_run(with_weights(folder), scores), most_px=256)
    assert crop is not None
    assert crop.weight_YX.shape == (256, 256)
    # rows 44 to 300 and columns 0 to 256: the peak lies in background, whose class weighs 0.5
    assert crop.weight_YX[200 - 44, 100] == crop.weight_YX.max() == 6.5
    assert set(np.unique(crop.weight_YX)) == {0.5, 2.0, 6.5}
    page = write(folder, tmp_path / "index.html", runs=[with_weights(folder)]).read_text()
    assert "training image <strong>trained</strong> (256 \u00d7 256 px)" in page
    assert "weight from 0 (dark) to 6.5 (white)" in page


def test_without_class_balance_classes_weigh_alike_in_it(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    draw_weights(folder)
    model = read_receipt(folder / "models/net/fold0/model.json")
    model["recipe"]["class_balance"] = False
    write_receipt(folder / "models/net/fold0/model.json", model)
    scores = read_scores(folder / "evaluation/metrics.csv")
    crop = read_weight_crop(open_run(with_weights(folder), scores), most_px=256)
    assert crop is not None
    assert set(np.unique(crop.weight_YX)) == {1.0, 7.0}


@pytest.mark.slow
def test_a_weight_map_that_was_not_kept_is_not_shown(
    results: Path, page: str, tmp_path: Path
) -> None:
    runs = [with_weights(results)]
    assert write(results, tmp_path / "index.html", runs=runs).read_text() == page


def test_the_package_of_the_report_looks_for_no_file() -> None:
    modules = [*(ROOT / "unetflow/report").rglob("*.py"), ROOT / "unetflow/stages/report.py"]
    assert len(modules) > 15
    looking = re.compile(r"glob\(|iterdir\(|scandir\(|listdir\(|\bwalk\(")
    folders = "images|truth|weights|statistics|models|predictions|calibration|evaluation"
    pattern = re.compile(rf"\{{\w+\}}|^({folders})\b.*/")
    for path in modules:
        assert not looking.findall(path.read_text()), path
        assert [text for text in texts_in(path) if pattern.search(text)] == [], path


def texts_in(path: Path) -> list[str]:
    """Constants of a module that are text; of f-strings the parts between the fields."""
    constants = [of for of in ast.walk(ast.parse(path.read_text())) if isinstance(of, ast.Constant)]
    return [constant.value for constant in constants if isinstance(constant.value, str)]
