"""Part 1 of `gpu.py`: is a GPU's result the right one? PyTorch and NumPy are enough for most."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from gpu_rows import Row, Scale

from unetflow.networks import build
from unetflow.networks.network import Network
from unetflow.predict.forward import ready, tile_logits
from unetflow.predict.runners import Captured, Direct, orientations_of
from unetflow.predict.whole_image import predict_array

ROOT = Path(__file__).resolve().parents[1]


def network_of(base: int, depth: int = 4) -> Network:
    """The paper's, of a width, with the same random weights each time."""
    torch.manual_seed(0)
    return build("unet", base_channels=base, depth=depth).eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def tiled_is_whole(scale: Scale) -> Iterator[Row]:
    """Tiles of several sizes beside the image in one pass."""
    base, depth, side_px, sizes_px = scale.pick((64, 4, 2048, (512, 1024)), (4, 2, 96, (32,)))
    network, image = network_of(base, depth), noise(1, side_px, side_px).numpy()
    for precision in ("fp32", "bf16"):
        how = {"precision": precision, "device": scale.device}
        whole = predict_array(network, image, write_px=side_px, **how)
        for write_px in sizes_px:
            tiled = predict_array(network, image, write_px=write_px, **how)
            unlike = float((tiled.argmax(0) != whole.argmax(0)).mean())
            yield Row(
                f"tiles of {write_px} px, image of {side_px} px in one pass; base {base}, "
                f"{precision}, NHWC",
                float(np.abs(tiled - whole).max()),
                "largest difference of a probability",
                f"labels unlike: {unlike:.4%}",
            )


def gpu_is_cpu(scale: Scale) -> Iterator[Row]:
    """The same tile on both."""
    scale.on_gpu()
    network, tile = network_of(16), noise(1, 1, 700, 700)
    for precision in ("fp32", "bf16"):
        there, here = (
            tile_logits(ready(network, device=device, precision=precision), tile).cpu()
            for device in (scale.device, "cpu")
        )
        yield Row(
            f"logits of the GPU and of the CPU, base 16, {precision}",
            float((there - here).abs().max() / here.abs().max()),
            "of the largest logit",
            "goal in fp32: 1e-5",
        )


def formats_are_alike(scale: Scale) -> Iterator[Row]:
    """Channels last beside plane by plane."""
    base, depth, side_px = scale.pick((64, 4, 700), (4, 2, 108))
    last = ready(network_of(base, depth), device=scale.device, precision="fp32")
    first = network_of(base, depth).to(scale.device)
    tile = noise(1, 1, side_px, side_px).to(scale.device)
    with torch.inference_mode():
        wanted = first(tile)
    difference = (tile_logits(last, tile) - wanted).abs().max() / wanted.abs().max()
    yield Row(f"NHWC and NCHW, base {base}, fp32", float(difference), "of the largest logit")


def captured_is_not(scale: Scale) -> Iterator[Row]:
    """Captured graphs on and off, with test-time augmentation too."""
    scale.on_gpu()
    for precision in ("fp32", "bf16"):
        networks = [ready(network_of(64), device="cuda", precision=precision)]
        for count in (1, 8):
            orientations = orientations_of(count)
            graph = Captured(networks, orientations, (700, 700), slots=3)
            bare = Direct(networks, orientations, 1)
            tiles = [noise(1, 1, 700, 700) * (n + 1) for n in range(4)]
            unlike = max(float((graph([t]) - bare([t])).abs().max()) for t in tiles)
            yield Row(
                f"captured graph on and off, base 64, {precision}, {count} orientations",
                unlike,
                "largest difference of a probability",
            )


def tests_of_gpus(scale: Scale) -> Iterator[Row]:
    """Those that are skipped without a GPU."""
    scale.on_gpu()
    import pytest  # noqa: F401 - is it there?

    files = [p for p in (ROOT / "tests").glob("test_*.py") if "needs_gpu" in p.read_text()]
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *map(str, sorted(files))], cwd=ROOT, capture_output=True, text=True
    )
    counts = re.findall(r"\d+ (?:passed|failed|skipped|errors?)", done.stdout) or [
        (done.stdout + done.stderr).strip().splitlines()[-1][:200]
    ]
    failed = re.findall(r"^FAILED (\S+)", done.stdout, re.M)
    yield Row("tests that need a GPU", ", ".join(counts), note=" ".join(failed))


MEASURES = {
    "tiled is whole": tiled_is_whole,
    "the GPU is the CPU": gpu_is_cpu,
    "memory formats": formats_are_alike,
    "captured graphs": captured_is_not,
    "tests that need a GPU": tests_of_gpus,
}
