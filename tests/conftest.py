"""What several tests share: folders of real data, drawn images, prepared stores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unetflow.predict.ensemble import Ensemble
from unetflow.provenance.receipts import write_receipt
from unetflow.stages.predict import predict_store
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


def predict(*, models: list[Path], **job: Any) -> None:
    """Rule predict: `predict_store` with these model files."""
    predict_store(ensemble=Ensemble.load(models), **job)


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
