"""What several tests share: folders of real data, prepared stores, a finished pipeline.

Marks of tests: none is a unit test; `slow` ones run in `make test`, not in `make test-fast`; `more`
ones in `make test-more`; `gpu` ones where there is one.
"""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pipeline import Project, path_without_slurm, tiny_project

from unetflow.provenance.receipts import write_receipt
from unetflow.store.ome import PixelSize, ome_image, write_group, write_labels
from unetflow.store.shards import Layout, open_array

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

needs_gpu = pytest.mark.gpu


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without-torch", action="store_true", help="skip files of tests that import PyTorch"
    )


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With --without-torch a file that cannot be imported for lack of PyTorch counts as skipped."""
    report = yield
    lacks = "No module named 'torch'" in str(report.longrepr)
    if report.failed and lacks and collector.config.getoption("without_torch"):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, "Skipped: needs PyTorch")
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none; PyTorch is imported only if a test asks."""
    of_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if of_gpu and not _has_gpu():
        for item in of_gpu:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images beside the project; tests that need it are skipped without."""
    if not (SHARED / "data").is_dir():
        pytest.skip("no ../shared/data beside the project: real images are not tested")
    return SHARED / "data"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A tiny project after one whole run of its pipeline. Tests leave its results as they are."""
    path = path_without_slurm(tmp_path_factory.mktemp("path"))
    project = tiny_project(tmp_path_factory.mktemp("project"), path)
    done = project.snakemake("--resources", "gpu=1")
    assert done.status == 0, done.text
    return project


def predict(*, models: list[Path], **job: Any) -> None:
    """Rule predict: `predict_store` with these model files."""
    # here, so that tests that need no PyTorch start without it
    from unetflow.predict.ensemble import Ensemble
    from unetflow.stages.predict import predict_store

    predict_store(ensemble=Ensemble.load(models), **job)


def write_prepared(
    folder: Path, name: str, pixels: NDArray[Any], labels: NDArray[np.integer]
) -> Path:
    """A store and receipts as preparation leaves them: `pixels` (C, Y, X), `labels` (Y, X)."""
    store = folder / f"{name}.ome.zarr"
    axes = ("c", "y", "x")
    write_group(store, "", ome_image(name, axes, {"0": [1, 0.5, 0.5]}, unit="micrometer"))
    contents: dict[str, tuple[NDArray[Any], tuple[str, ...]]] = {"0": (pixels, axes)}
    for label, array in (
        ("truth", labels.astype(np.uint32)),
        ("ignore", np.zeros_like(labels, "u1")),
    ):
        write_labels(store, label, PixelSize.square(0.5))
        contents[f"labels/{label}/0"] = (array, ("y", "x"))
    for path, (array, names) in contents.items():
        stored = open_array(
            store, path, Layout(array.shape, str(array.dtype), names), decided_by={}
        )
        for index in stored.missing():
            stored.write(index, array[stored.region(index)])
    write_receipt(folder / f"{name}.json", {"levels": [{"digest": name, "shape": pixels.shape}]})
    write_receipt(folder / f"{name}-truth.json", {"digest": name})
    return store
