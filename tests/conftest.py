"""What several tests share: folders of real data, prepared stores, a finished pipeline.

Marks of tests: none is a unit test; `slow` ones run in `make test`, not in `make test-fast`; `more`
ones in `make test-more`; `gpu` ones where there is one.
"""

import os
from collections.abc import Generator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from filelock import FileLock
from hypothesis import settings
from numpy.typing import NDArray
from pipeline import Project, path_without_slurm, tiny_project

from unetflow.engine.machine import Machine
from unetflow.labels.dataset import Dataset
from unetflow.provenance.receipts import write_receipt
from unetflow.store.ome import PixelSize, ome_image, write_group, write_labels
from unetflow.store.shards import Layout, open_array

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
HEADER = "image\tdataset\tpath\ttruth\tsplit\tgroup\n"  # of the sheet of `config`

needs_gpu = pytest.mark.gpu

# An example that takes long beside other work of the machine is slow, not wrong.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-torch", action="store_true", help="skip tests that import PyTorch")
    parser.addoption("--once", action="store_true", help="the first case of each test alone")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With --without-torch a file that cannot be imported for lack of PyTorch counts as skipped."""
    report = yield
    _skipped_for_lack_of_torch(report, collector)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The same of a test that asks for what imports PyTorch when it is asked for."""
    report = yield
    _skipped_for_lack_of_torch(report, item)
    return report


def _skipped_for_lack_of_torch(
    report: pytest.CollectReport | pytest.TestReport, of: pytest.Collector | pytest.Item
) -> None:
    lacks = "No module named 'torch'" in str(report.longrepr)
    if report.failed and lacks and of.config.getoption("without_torch"):
        report.outcome = "skipped"
        report.longrepr = (str(of.path), 0, "Skipped: needs PyTorch")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none; PyTorch is imported only if a test asks.

    Files whose tests need the finished pipeline start first: it takes longest.
    """
    if config.getoption("once"):
        cases = {item.nodeid.partition("[")[0]: item for item in reversed(items)}
        items[:] = reversed(cases.values())
    of_pipeline = {item.path for item in items if "finished" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path not in of_pipeline)
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
    """A tiny project after one whole run of its pipeline. Tests leave its results as they are.

    Several processes of tests run it once: the first does, the others wait. Each has a copy, since
    a test may change a file of it for a while.
    """
    several = "PYTEST_XDIST_WORKER" in os.environ
    path = path_without_slurm(tmp_path_factory.mktemp("path"))
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if several else folder) / "finished"
    failed = folder / "failed.txt"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            done = tiny_project(folder, path).snakemake("--resources", "gpu=1")
            failed.write_text(done.text if done.status else "")
    assert not failed.read_text(), failed.read_text()
    project = Project(folder, path)
    return project.copied_to(tmp_path_factory.mktemp("own") / "finished") if several else project


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A small valid config in a folder of its own, with three images."""
    monkeypatch.chdir(tmp_path)
    rows = []
    for name, split in (("a", "train"), ("b", "validation"), ("c", "test")):
        tifffile.imwrite(f"{name}.tif", np.zeros((9, 7), np.uint8))
        tifffile.imwrite(f"{name}-t.tif", np.zeros((9, 7), np.uint8))
        rows.append(
            f"{name}\tcells\t{{data}}/{name}.tif\t{{data}}/{name}-t.tif\t{split}\tg{name}\n"
        )
    Path("images.tsv").write_text(HEADER + "".join(rows))
    return {
        "results": "results",
        "images": "images.tsv",
        "data_dir": ".",
        "datasets": {"cells": {"truth": "instances"}},
        "experiments": {"unet": {"dataset": "cells", "network": {"name": "unet", "depth": 3}}},
    }


# PyTorch is imported where it is needed, so that tests that need none start without it


def predict(*, models: Sequence[Path] = (), ensemble: Any = None, **job: Any) -> None:
    """Rule predict: `predict_store` with these model files; options and machine are given flat."""
    from unetflow.predict.ensemble import Ensemble
    from unetflow.predict.plan import PredictOptions
    from unetflow.stages.predict import predict_store

    options, machine = taken(PredictOptions, job), taken(Machine, job)
    ensemble = ensemble or Ensemble.load(models)
    predict_store(ensemble=ensemble, options=options, machine=machine, **job)


def training_job(**job: Any) -> Any:
    """A `TrainingJob` of rule train, all of whose values are given flat."""
    from unetflow.stages.train import TrainingInputs, TrainingJob, TrainingOutputs

    parts = {
        "inputs": taken(TrainingInputs, job),
        "outputs": taken(TrainingOutputs, job),
        "dataset": taken(Dataset, job),
        "machine": taken(Machine, job),
    }
    return TrainingJob(**parts, **job)


def train(**job: Any) -> None:
    """Rule train, in this process."""
    from unetflow.stages.train import train_network

    train_network(training_job(**job))


def taken(kind: Any, values: dict[str, Any]) -> Any:
    """A dataclass of those values that are its fields, which are taken away."""
    names = [field.name for field in fields(kind) if field.name in values]
    return kind(**{name: values.pop(name) for name in names})


def write_prepared(
    folder: Path,
    name: str,
    pixels: NDArray[Any],
    labels: NDArray[np.integer],
    ignored: NDArray[Any] | None = None,
) -> Path:
    """A store and receipts as preparation leaves them: `pixels` (C, Y, X), `labels` (Y, X)."""
    store = folder / f"{name}.ome.zarr"
    axes = ("c", "y", "x")
    write_group(store, "", ome_image(name, axes, {"0": [1, 0.5, 0.5]}, unit="micrometer"))
    contents: dict[str, tuple[NDArray[Any], tuple[str, ...]]] = {"0": (pixels, axes)}
    for label, array in (
        ("truth", labels.astype(np.uint32)),
        ("ignore", np.zeros_like(labels, "u1") if ignored is None else ignored.astype("u1")),
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


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    """Arguments of `predict_store` for a 1300x1500 image, three by three shards of 512 px."""
    from predicting import job_in

    return job_in(tmp_path, 1300, 1500)
