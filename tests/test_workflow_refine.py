"""A refined foreground: what runs for it, what is made of it, and what of a folder knows it."""

import numpy as np
import pandas as pd
import pytest
from pipeline import Project

from unetflow.commands import main
from unetflow.instances import label_instances
from unetflow.jobs.written import written_in
from unetflow.store.shards import read_array

RUN = "predictions/unet/fold0"
REFINE = {"smooth_px": 1.0, "crf": {"iterations": 2, "radius_px": 1}}


@pytest.fixture(scope="module")
def refining(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished project whose config wants the foreground refined, nothing of which is made."""
    copy = finished.copied_to(tmp_path_factory.mktemp("refining") / "copy")
    config = copy.config()
    foreground = read_array(copy.results / RUN / "test_00.ome.zarr", "foreground")[:]
    middle = np.median(np.asarray(foreground))  # after few steps no other threshold cuts it
    config.setdefault("instances", {})["threshold"] = float(middle + 0.5) / 255
    copy.write_config(config | {"refine": REFINE})
    return copy


@pytest.mark.slow
def test_thresholds_and_instances_are_made_of_what_is_refined(
    refining: Project, finished: Project
) -> None:
    jobs = refining.snakemake("-n").planned()
    assert (jobs["refine"], jobs["calibrate"], jobs["instances"], jobs["evaluate"]) == (5, 1, 4, 2)
    assert not {"prepare_image", "train", "predict", "statistics"} & set(jobs)
    target = f"results/{RUN}/instances/test_00.json"
    done = refining.snakemake(target)
    assert done.status == 0, done.text
    store = refining.results / RUN / "test_00.ome.zarr"
    foreground, refined = (np.asarray(read_array(store, of)[:]) for of in ("foreground", "refined"))
    assert refined.dtype == foreground.dtype == np.uint8
    assert foreground.std() > refined.std() > 0
    labels = np.asarray(read_array(store, "labels/instances/0"))
    made = refining.config()["instances"]
    assert (labels > 0).tolist() == (label_instances(refined[0] / 255, **made) > 0).tolist()
    assert (labels > 0).tolist() != (label_instances(foreground[0] / 255, **made) > 0).tolist()
    assert f"{RUN}/refined/test_00.json" in {
        path.relative_to(refining.results).as_posix() for path in written_in(refining.results)[0]
    }
    before = finished.results / RUN / "foreground/test_00.json"
    assert (refining.results / RUN / "foreground/test_00.json").read_bytes() == before.read_bytes()


@pytest.mark.more
def test_the_whole_pipeline_takes_what_is_refined(
    refining: Project, finished: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    config = refining.config()
    config["datasets"]["cells"]["images_per_job"] = 3
    refining.write_config(config)
    done = refining.snakemake()
    assert done.status == 0, done.text
    page = (refining.results / "report/index.html").read_text()
    assert "Of the foreground smoothed by a Gaussian of 1 px, then refined by a CRF (" in page
    assert "Of the foreground" not in (finished.results / "report/index.html").read_text()
    scores, before = (
        pd.read_csv(of.results / "evaluation/metrics.csv") for of in (refining, finished)
    )
    otsu = scores["method"] == "otsu"
    pd.testing.assert_frame_equal(scores[otsu], before[before["method"] == "otsu"])
    assert not scores[~otsu].equals(before[before["method"] != "otsu"])
    assert written_in(refining.results)[1] == []
    assert main(["verify", str(refining.results)]) == 0, capsys.readouterr()
    assert "Nothing to be done" in refining.snakemake("-n").text
