"""What the public functions do without: libraries that a notebook or a metrics server has not."""

import subprocess
import sys

import pytest
from conftest import ROOT

NEVER = ("lightning_fabric", "pyarrow", "tensorstore")
NO_TORCH = (*NEVER, "torch", "zarr", "pandas", "h5py", "tifffile", "skimage")
NUMPY_ALONE = (*NO_TORCH, "scipy", "numba", "dask")

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({libraries!r}))  # None: the import raises ModuleNotFoundError
import numpy as np
"""

TILES = """
import unetflow.tiles as tiles
assert tiles.output_size_px(572) == 388 and tiles.halo_px() == 92
assert len(tiles.tile_grid((600, 300), 512, 92, 700)) == 2
assert tiles.mirror.mirror(np.arange(-2, 3), 3).tolist() == [2, 1, 0, 1, 2]
"""

LABELS = """
from unetflow.labels import separate_touching
assert separate_touching(np.array([[1, 1, 2, 2]])).tolist() == [[1, 0, 0, 2]]
"""

INSTANCES = """
from unetflow.instances import label_instances
from unetflow.weights import weight_map
labels = label_instances(np.kron(np.eye(2), np.ones((8, 8))), fill_holes=True, min_area_px=3)
assert labels.max() == 2
assert label_instances(labels != 0, split_px=4.0).max() == 2
assert weight_map(labels).shape == labels.shape
"""

METRICS = """
import unetflow.metrics as metrics
truth = np.kron(np.arange(9).reshape(3, 3) % 5, np.ones((8, 8), int))
proposal = np.linspace(0, 1, truth.size).reshape(truth.shape)
for name in ("pixel_error", "rand_score", "info_score", "warping_error", "isbi2012_scores"):
    getattr(metrics, name)(truth, proposal)
metrics.rand_score(truth, proposal, thinned=True)
metrics.splits_and_mergers(truth, proposal, [0.5])
for name in ("seg_score", "average_precision", "panoptic_quality", "aggregated_jaccard"):
    getattr(metrics, name)(truth, truth)
for name in ("boundary_f1", "hausdorff_distance_px", "det_score", "dsb2018_score"):
    getattr(metrics, name)(truth, truth)
"""

PREDICTION = """
from unetflow.networks import build
from unetflow.predict import predict_array
network = build("unet", base_channels=2, depth=1)
image = np.zeros((1, 40, 50), np.float32)
assert predict_array(network, image, write_px=32, average=8).shape == (2, 40, 50)
"""


def run_without(libraries: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Python code in a process that cannot import some libraries."""
    code = WITHOUT.format(libraries=libraries) + code
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("libraries", "code"),
    [(NUMPY_ALONE, TILES + LABELS), (NO_TORCH, INSTANCES + METRICS), (NEVER, PREDICTION)],
    ids=["tiles and labels", "instances, weights and metrics", "prediction"],
)
def test_public_functions_do_without_some_libraries(libraries: tuple[str, ...], code: str) -> None:
    if "torch" not in libraries:
        pytest.importorskip("torch")
    done = run_without(libraries, code)
    assert done.returncode == 0, done.stderr


def test_a_library_that_is_kept_away_is_missed() -> None:
    done = run_without(NEVER, "import unetflow.store.arrays")
    assert "ModuleNotFoundError: import of tensorstore halted" in done.stderr
