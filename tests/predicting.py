"""Networks, images and jobs that tests of prediction share."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unetflow.networks import build
from unetflow.networks.model_file import save_model
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.plan import Inference
from unetflow.predict.runners import ORIENTATIONS
from unetflow.predict.whole_image import predict_array
from unetflow.provenance.receipts import write_receipt
from unetflow.provenance.shard_lists import write_shard_list
from unetflow.store.ome import ome_image, write_group
from unetflow.store.shards import Layout, open_array
from unetflow.tiles.mirror import read_mirrored

PIXELS = {"mean": [127.0], "lowest": [0.0], "highest": [255.0]}  # of the receipt of `job_in`


def network_of(depth: int = 4, base_channels: int = 4, in_channels: int = 1) -> Any:
    torch.manual_seed(depth)
    return build("unet", in_channels=in_channels, base_channels=base_channels, depth=depth).eval()


def image_of(height: int, width: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(channels, height, width)).astype(np.float32)


@torch.inference_mode()
def whole_logits(network: Any, image_CYX: np.ndarray) -> torch.Tensor:
    """The network over the whole mirrored image in one pass, in our memory format."""
    height, width = image_CYX.shape[1:]
    halos = network.geometry.before_px
    sizes = [network.geometry.input_px(n, axis) for axis, n in enumerate((height, width))]
    region = tuple(slice(-halo, n - halo) for halo, n in zip(halos, sizes, strict=True))
    padded = torch.from_numpy(read_mirrored(image_CYX, region))[None]
    inferring = network.to(memory_format=torch.channels_last)
    logits: torch.Tensor = inferring(padded.contiguous(memory_format=torch.channels_last))
    return logits[0, :, :height, :width]


def difference(network: Any, image_CYX: np.ndarray, write_px: int) -> float:
    """Largest difference between tiled and whole, of the log odds, over the largest |logit|.

    Log odds are a difference of two logits; the logarithms of both probabilities keep their digits.
    """
    logits = whole_logits(network, image_CYX).double()
    tiled = torch.from_numpy(predict_array(network, image_CYX, write_px=write_px)).double()
    odds = tiled[1].log() - tiled[0].log()
    return float((odds - (logits[1] - logits[0])).abs().max() / logits.abs().max())


def ensemble_of(network: Any, memory_mb: int | None = None) -> Ensemble:
    description: Any = {}
    return Ensemble([(network, description)], memory_mb=memory_mb)


def how(precision: str = "fp32", device: str = "cpu") -> Inference:
    return Inference(device, precision, ORIENTATIONS[:1])


def job_in(tmp_path: Path, height_px: int, width_px: int) -> dict[str, Any]:
    pixels = np.random.default_rng(1).integers(0, 255, (1, height_px, width_px), dtype=np.uint8)
    axes = ("c", "y", "x")
    write_group(
        tmp_path / "i.ome.zarr", "", ome_image("i", axes, {"0": [1, 0.5, 0.5]}, unit="micrometer")
    )
    array = open_array(
        tmp_path / "i.ome.zarr", "0", Layout(pixels.shape, "uint8", axes), decided_by={}
    )
    for index in array.missing():
        array.write(index, pixels[array.region(index)])
    shards = write_shard_list(tmp_path / "i.json", tmp_path / "i.ome.zarr", ["0"])
    levels = [{"digest": "of the image", "shape": pixels.shape}]
    prepared = {"levels": levels, "tissue": None, "pixels": PIXELS}
    write_receipt(tmp_path / "i.json", {**prepared, "shards": shards})
    description: Any = {
        "network": {
            "name": "unet",
            "base_channels": 4,
            "depth": 3,
            "in_channels": 1,
            "num_classes": 2,
        },
        "classes": ["cell"],
        "channels": 1,
        "intensity": {"mean": [127.0], "deviation": [70.0]},
    }
    save_model(tmp_path / "model.safetensors", network_of(3), description)
    return {
        "image": tmp_path / "i.ome.zarr",
        "image_receipt": tmp_path / "i.json",
        "models": [tmp_path / "model.safetensors"],
        "store": tmp_path / "p" / "i.ome.zarr",
        "receipt": tmp_path / "p" / "i.json",
        "write_px": 256,
        "shard_px": 512,
        "dtype": "uint8",
        "test_time_augmentation": 1,
        "precision": "fp32",
        "threads": 1,
        "gpu": False,
        "require_gpu": False,
        "code": "c",
    }


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".run.json")
    }


def finished_shards(store: Path) -> dict[Path, int]:
    """When each was written; a shard being written has a suffix until it is whole."""
    shards = (store / "foreground" / "c" / "0").glob("*/*")
    return {path: path.stat().st_mtime_ns for path in shards if path.suffix == ""}


def run_in_process(job: dict[str, Any], *, slowly: bool) -> "subprocess.Popen[bytes]":
    program = (
        "import json, sys, time, unetflow.predict.runners as r\n"
        "from conftest import predict\n"
        "one = r.tile_logits\n"
        "def slow(*args):\n    time.sleep(0.2)\n    return one(*args)\n"
        f"r.tile_logits = slow if {slowly} else one\n"
        "predict(**json.loads(sys.argv[1]))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(job, default=str)], cwd=Path(__file__).parent
    )


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
