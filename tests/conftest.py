"""What several tests share: folders of real data, drawn images, prepared stores."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unetflow.engine.machine import Machine
from unetflow.labels.dataset import Dataset
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.plan import PredictOptions
from unetflow.provenance.receipts import write_receipt
from unetflow.stages.predict import predict_store
from unetflow.stages.train import TrainingInputs, TrainingJob, TrainingOutputs, train_network
from unetflow.store.ome import PixelSize, ome_image, write_group, write_labels
from unetflow.store.shards import Layout, open_array

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images beside the project; tests that need it are skipped without."""
    if not (SHARED / "data").is_dir():
        pytest.skip("no ../shared/data beside the project: real images are not tested")
    return SHARED / "data"


def predict(*, models: Sequence[Path] = (), ensemble: Ensemble | None = None, **job: Any) -> None:
    """Rule predict: `predict_store` with these model files; options and machine are given flat."""
    options, machine = taken(PredictOptions, job), taken(Machine, job)
    ensemble = ensemble or Ensemble.load(models)
    predict_store(ensemble=ensemble, options=options, machine=machine, **job)


def training_job(**job: Any) -> TrainingJob:
    """A job of rule train, all of whose values are given flat."""
    parts = {
        "inputs": taken(TrainingInputs, job),
        "outputs": taken(TrainingOutputs, job),
        "dataset": taken(Dataset, job),
        "machine": taken(Machine, job),
    }
    return TrainingJob(**parts, **job)


def train(**job: Any) -> None:
    """Rule train, in this process."""
    train_network(training_job(**job))


def taken(kind: Any, values: dict[str, Any]) -> Any:
    """A dataclass of those values that are its fields, which are taken away."""
    names = [field.name for field in fields(kind) if field.name in values]
    return kind(**{name: values.pop(name) for name in names})


def write_prepared(folder: Path, name: str, pixels: np.ndarray, labels: np.ndarray) -> Path:
    """A store and receipts as preparation leaves them: `pixels` (C, Y, X), `labels` (Y, X)."""
    store = folder / f"{name}.ome.zarr"
    axes = ("c", "y", "x")
    write_group(store, "", ome_image(name, axes, {"0": [1, 0.5, 0.5]}, unit="micrometer"))
    contents: dict[str, tuple[np.ndarray, tuple[str, ...]]] = {"0": (pixels, axes)}
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
