"""Every job that reads stores is handed the receipts that tell of them, and looks."""

import shutil
from pathlib import Path

import pytest
from pipeline import Project

pytestmark = pytest.mark.more

RUN = "predictions/unet/fold0"
EXPORTS = ("export_geojson", "export_labels", "export_overlay")
# Shards that go, the rules that are run again, and the logs that name what is not there
CASES: list[tuple[str, tuple[str, ...], dict[str, str]]] = [
    (
        "labels/instances/0",
        ("evaluate", *EXPORTS),
        {
            "evaluate/unet/fold0/test_00": f"{RUN}/test_00.ome.zarr",
            **{f"{rule}/unet/fold0/unlabelled": f"{RUN}/unlabelled.ome.zarr" for rule in EXPORTS},
        },
    ),
    ("foreground", ("calibrate",), {"calibrate/unet/fold0": f"{RUN}/validation_00.ome.zarr"}),
    ("labels/truth/0", ("statistics",), {"statistics/unet/fold0": "images/train_00.ome.zarr"}),
    (".", ("train",), {"train/unet/fold0": "weights/paper/train_00.zarr"}),
    ("0", ("report",), {"report": "images/test_00.ome.zarr"}),
]


@pytest.mark.parametrize(("array", "rules", "reading"), CASES, ids=lambda of: str(of)[:30])
def test_a_job_that_reads_a_store_with_a_missing_shard_says_which(
    finished: Project,
    tmp_path: Path,
    array: str,
    rules: tuple[str, ...],
    reading: dict[str, str],
) -> None:
    project = finished.copied_to(tmp_path / "project")
    for store in {*reading.values()}:
        next(
            path for path in (project.results / store / array / "c").rglob("*") if path.is_file()
        ).unlink()
    shutil.rmtree(project.results / "models/unet/fold0/checkpoints")  # else training has ended
    done = project.snakemake("--keep-going", "--forcerun", *rules)
    assert done.status != 0
    for log, store in reading.items():
        said = (project.results / "logs" / f"{log}.log").read_text()
        assert f"{Path('results', store, array)}: 1 of 1 shards are not there" in said, done.text
