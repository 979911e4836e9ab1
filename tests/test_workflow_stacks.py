"""The pipeline on stacks of membranes, as ISBI 2012: scores of stacks, and the stack it wanted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from pipeline import HEADER, Project, path_without_slurm, tiny_project

from unetflow.demo.planes import draw_region
from unetflow.labels import separate_touching

pytestmark = pytest.mark.more

SIZE_PX = 128
SPLITS = ("train", "train", "validation", "test", "test")  # of the annotated planes


def draw_stacks(folder: Path) -> None:
    """Five annotated planes, 255 inside of cells and 0 on what is between, and two more without."""
    side = slice(0, SIZE_PX)
    drawn = [draw_region(side, side, seed=seed) for seed in range(len(SPLITS) + 2)]
    pixels = np.stack([image for image, _ in drawn])
    interiors = np.stack([np.uint8(255) * (separate_touching(labels) != 0) for _, labels in drawn])
    folder.mkdir(parents=True)
    for name, planes in (
        ("volume", pixels[: len(SPLITS)]),
        ("labels", interiors[: len(SPLITS)]),
        ("new", pixels[len(SPLITS) :]),
    ):
        tifffile.imwrite(folder / f"{name}.tif", planes, photometric="minisblack")


def test_slices_are_scored_as_stacks_and_exported_as_one_file(tmp_path: Path) -> None:
    project: Project = tiny_project(tmp_path, path_without_slurm(tmp_path))
    draw_stacks(tmp_path / "data" / "em")
    rows = [
        f"slice_{plane}\tcells\t{{data}}/volume.tif\t{{data}}/labels.tif\t{split}\t{plane}\t{split}"
        for plane, split in enumerate(SPLITS)
    ]
    rows += [f"new_{k}\tcells\t{{data}}/new.tif\t\tpredict\t{k}\tnew" for k in range(2)]
    config = project.config()
    del config["demo"]
    config["data_dir"] = "data/em"
    config["datasets"]["cells"] |= {"truth": "interior", "images_per_job": 3}
    config["export"] = {"formats": ["stack"]}
    case = project.write_case("em", config, rows, f"{HEADER}\tplane\tgroup")
    done = project.snakemake("--configfile", case)
    assert done.status == 0, done.text
    stack = tifffile.imread(project.results / "exports/unet/fold0/new.stack.tif")
    assert (stack.shape, stack.dtype) == ((2, SIZE_PX, SIZE_PX), np.dtype(np.float32))
    scores = pd.read_csv(project.results / "evaluation" / "stacks.csv")
    assert set(scores["stack"]) == {"test"}
    assert set(scores["slices"]) == {2}
    assert scores["value"].between(0, 1).all()
    table = pd.read_csv(project.results / "evaluation" / "metrics.csv")
    assert set(table["image"]) == {"slice_3", "slice_4"}
    assert "Nothing to be done" in project.snakemake("--configfile", case).text
