"""The pipeline on volumes: stacks, arrays and folders of slices, learnt and scored in space."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from pipeline import HEADER, Project, path_without_slurm, tiny_project

from unetflow.networks import geometry_of

pytestmark = pytest.mark.more

SHAPE = 20, 72, 68
NETWORK: dict[str, Any] = {"name": "unet3d", "base_channels": 4, "depth": 1}


def balls(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bright balls with noise, half as many planes as rows through each, and their numbers."""
    random = np.random.default_rng(seed)
    places = np.ogrid[tuple(slice(0, size) for size in SHAPE)]
    labels = np.zeros(SHAPE, np.uint16)
    grid = np.stack(np.meshgrid((5, 14), range(9, 66, 16), range(9, 62, 14), indexing="ij"), -1)
    for number, centre in enumerate(grid.reshape(-1, 3), start=1):
        moved = centre + random.integers(-1, 2, 3)
        away = sum((s * (p - c)) ** 2 for s, p, c in zip((2, 1, 1), places, moved, strict=True))
        labels[(away < 6.5**2) & (labels == 0)] = number
    noise = random.normal(0, 15, SHAPE)
    return np.clip(70 + 110 * (labels > 0) + noise, 0, 255).astype(np.uint8), labels


def draw(folder: Path) -> None:
    """Four volumes: a stack, a folder of slices, an array, and one without truth."""
    (folder / "slices").mkdir(parents=True)
    for seed, name in enumerate(("stack", "slices", "array", "new")):
        pixels, labels = balls(seed)
        tifffile.imwrite(folder / f"{name}-labels.tif", labels, photometric="minisblack")
        if name == "slices":
            for z, plane in enumerate(pixels):
                tifffile.imwrite(folder / "slices" / f"z{z + 1}.tif", plane)
        elif name == "array":
            np.save(folder / "array.npy", pixels)
        else:
            tifffile.imwrite(folder / f"{name}.tif", pixels, photometric="minisblack")


def test_volumes_are_learnt_and_scored_in_space(tmp_path: Path) -> None:
    project: Project = tiny_project(tmp_path, path_without_slurm(tmp_path))
    draw(tmp_path / "data" / "v")
    rows = [
        f"{name}\tcells\t{{data}}/{file}\t{{data}}/{name}-labels.tif\t{split}\tzyx\t0.4 0.2 0.2"
        for name, file, split in (
            ("stack", "stack.tif", "train"),
            ("slices", "slices", "validation"),
            ("array", "array.npy", "test"),
        )
    ]
    rows.append("new\tcells\t{data}/new.tif\t\tpredict\tzyx\t0.4 0.2 0.2")
    config, geometry = project.config(), geometry_of(**NETWORK)
    del config["demo"]
    config["data_dir"] = "data/v"
    config["datasets"]["cells"] |= {"as": "volume"}
    tile = [geometry.input_px(size, axis) for axis, size in enumerate((8, 24, 24))]
    experiment = config["experiments"]["unet"]
    experiment["network"] = NETWORK
    experiment["recipe"] |= {"tile_px": tile, "steps": 60, "validate_every": 20, "batch": 1}
    config["predict"] |= {"write_px": None, "shard_px": 512}
    config["export"] = {"formats": ["labels"], "splits": ["predict"]}
    case = project.write_case("v", config, rows, f"{HEADER}\taxes\tspacing")
    done = project.snakemake("--configfile", case)
    assert done.status == 0, done.text
    scores = pd.read_csv(project.results / "evaluation" / "metrics.csv", keep_default_na=False)
    seg = scores[(scores["metric"] == "seg") & (scores["chosen"] == "instances")]
    assert float(seg["value"].iloc[0]) > 0.5
    objects = pd.read_csv(project.results / "predictions/unet/fold0/objects/array.csv")
    np.testing.assert_allclose(objects["volume_um3"], objects["volume_px"] * 0.016)
    with tifffile.TiffFile(project.results / "exports/unet/fold0/new.labels.tif") as tiff:
        assert (tiff.series[0].axes, tiff.series[0].shape) == ("ZYX", SHAPE)
        assert 'PhysicalSizeZ="0.4"' in str(tiff.ome_metadata)
    page = (project.results / "report" / "index.html").read_text()
    assert (
        " \N{MULTIPLICATION SIGN} ".join(map(str, SHAPE)) in page and "right of it (y, z)" in page
    )
    assert project.snakemake("--configfile", case, "--dry-run").planned() == {}
