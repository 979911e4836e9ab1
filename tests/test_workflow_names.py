"""Names that pandas would take for missing are names like any other, in the whole pipeline."""

from pathlib import Path

import pytest
from pipeline import HEADER, Project

from unetflow.evaluate.pooling import read_scores

pytestmark = pytest.mark.more

NAMES = {"NA": "train", "null": "train", "None": "validation", "nan": "test", "NaN": "test"}
FILES = ("train_00", "train_01", "validation_00", "test_00", "test_00")


def test_no_image_is_lost_by_its_name(finished: Project, tmp_path: Path) -> None:
    copy = finished.copied_to(tmp_path / "copy")
    rows = [
        f"{name}\tNA\t{{data}}/{file}.tif\t{{data}}/{file}_truth.tif\t{split}\t{name}"
        for (name, split), file in zip(NAMES.items(), FILES, strict=True)
    ]
    rows.append("n-a\tNA\t{data}/test_00.tif\t\tpredict\t")
    config = copy.config()
    del config["demo"]
    config["datasets"] = {"NA": config["datasets"]["cells"] | {"classes": ["null"]}}
    experiment = next(iter(config["experiments"].values()))
    config["experiments"] = {"nan": experiment | {"dataset": "NA"}}
    config["results"] = "results/names"
    case = copy.write_case("names", config, rows, f"{HEADER}\tgroup")
    done = copy.snakemake("--configfile", case)
    assert done.status == 0, done.text
    folder = copy.folder / "results" / "names"
    scores = read_scores(folder / "evaluation" / "metrics.csv")
    assert set(scores["image"]) == set(scores["group"]) == {"nan", "NaN"}
    assert set(scores["experiment"]) == {"nan"} and "null" in set(scores["class"])
    summary = (folder / "evaluation" / "summary.csv").read_text().splitlines()
    (seg,) = [
        line
        for line in summary
        if line.startswith("nan,network,seg,,null,instances,") and ",mean," in line
    ]
    assert ",2,0,2" in seg  # two images, none left out, two groups
    assert "n-a" in (folder / "segmented.csv").read_text()
    assert "Nothing to be done" in copy.snakemake("--configfile", case).text
