"""Our inference beside MONAI's sliding window: python benchmarks/peers.py --help.

Same weights, same image, in turns in one run; with --precision bf16 MONAI runs in both precisions.
It needs outputs as large as its patches, so it runs the same convolutions with zero padding, as its
own networks have it. Needs MONAI: pip install --no-deps monai==1.6.1 (it needs nothing that is not
here already), and MALLOC_ARENA_MAX=1 in the environment, as our jobs have it from their start.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from prediction import draw_slide
from torch import Tensor, nn

from unetflow.engine.machine import Machine
from unetflow.engine.memory import keep_freed_memory
from unetflow.networks import build
from unetflow.networks.model_file import load_model
from unetflow.networks.unet import UNet
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.forward import as_batch, ready
from unetflow.predict.plan import Inference, PredictOptions
from unetflow.predict.runners import orientations_of
from unetflow.predict.stored_foreground import write_foreground
from unetflow.predict.whole_image import predict_array
from unetflow.store.arrays import StoredArray
from unetflow.store.foreground import read_foreground
from unetflow.store.ome import PixelSize
from unetflow.store.pixels import normalised
from unetflow.store.shards import SHARD_PX, read_array
from unetflow.tiles.tiling import Tiling


def padded(network: Any) -> UNet:
    """The same convolutions, zero-padded: the output is as large as the input."""
    first, last = network.contracting[0][0], network.classify
    twin = build(
        "unet",
        in_channels=first.in_channels,
        num_classes=last.out_channels,
        base_channels=last.in_channels,
        depth=network.depth,
    )
    step_px, no_px = twin.geometry.step_px, (0, 0)
    twin.geometry = replace(
        twin.geometry, before_px=no_px, after_px=no_px, smallest_input_px=step_px
    )
    twin.load_state_dict(network.state_dict())
    for layer in twin.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.padding = (1, 1)
    return twin


@dataclass(frozen=True, slots=True)
class Bench:
    """What is compared: one network, one image in a folder, by two programs."""

    network: Any
    description: Any
    folder: Path
    pixels: StoredArray
    write_px: int
    precision: str
    threads: int

    @property
    def image(self) -> np.ndarray:
        """The image (C, Y, X) as the network takes it."""
        return normalised(self.pixels[:], self.description["intensity"])

    def ours(self) -> np.ndarray:
        """Foreground (Y, X), from Zarr to Zarr."""
        store = self.folder / f"p{time.monotonic_ns()}.ome.zarr"
        write_foreground(
            Ensemble([(self.network, self.description)]),
            self.pixels,
            store,
            size=PixelSize((1, 1)),
            tissue=None,
            decided_by={},
            options=PredictOptions(
                write_px=self.write_px,
                shard_px=max(SHARD_PX, self.write_px),
                precision=self.precision,
            ),
            machine=Machine(threads=self.threads),
        )
        return read_foreground(store)[0]

    def theirs(self) -> dict[str, Callable[[], np.ndarray]]:
        """MONAI's ways by name, in memory."""
        image = as_batch(self.image)
        patch_px = Tiling.square(self.network.geometry, self.write_px).read_px[0] // 16 * 16
        plain = padded(self.network).eval()
        contiguous, last = torch.contiguous_format, torch.channels_last
        run = partial(slide_window, image, patch_px)
        ways = {"MONAI, fp32, Gaussian": partial(run, plain, "gaussian", contiguous)}
        for precision in sorted({"fp32", self.precision}):
            predictor = ready(plain, device="cpu", precision=precision)
            for mode in ("gaussian", "constant"):
                name = f"MONAI, {precision}, {mode}, channels last"
                ways[name] = partial(run, predictor, mode, last)
        return ways


@torch.inference_mode()
def slide_window(
    image: Tensor, patch_px: int, predictor: nn.Module, mode: str, layout: torch.memory_format
) -> np.ndarray:
    """Foreground (Y, X) by MONAI, whose patches overlap by a quarter."""

    def probabilities(patch: Tensor) -> Tensor:
        dtype = next(predictor.parameters()).dtype
        found: Tensor = predictor(patch.to(dtype, memory_format=layout)).float().softmax(1)
        return found

    found = sliding_window_inference(
        image, (patch_px, patch_px), 1, probabilities, overlap=0.25, mode=mode
    )
    return np.asarray(found[0, 1])


def main() -> None:
    options = read_options()
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    network: Any = build("unet", base_channels=options.base)
    description: Any = {"intensity": {"mean": [128.0], "deviation": [8.0]}}
    if options.model:
        network, description = load_model(options.model)
    description |= {"classes": ["cell"], "channels": 1}
    how = Inference("cpu", options.precision, orientations_of(1))
    usual = Ensemble([(network, description)]).usual_tiling(SHARD_PX, how, options.threads, 0)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(
            network,
            description,
            folder=Path(name),
            pixels=read_array(draw_slide(Path(name), options.side), "0"),
            write_px=options.write_px or usual.side_px,
            precision=options.precision,
            threads=options.threads,
        )
        ways = {f"unetflow, {options.precision}, from Zarr to Zarr": bench.ours, **bench.theirs()}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        labels: dict[str, np.ndarray] = {}
        for _ in range(options.rounds):
            for name, run in ways.items():
                started = time.perf_counter()
                labels[name] = run() > 0.5
                seconds[name].append(time.perf_counter() - started)
        # the whole image in tiles as large as memory allows is the same as in one pass
        exact = predict_array(network, bench.image, write_px=1024)[1] > 0.5
    unlike = {name: float((of != exact).mean()) for name, of in labels.items()}
    print_table(seconds, unlike, options.side)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, help="model.safetensors; else random weights")
    parser.add_argument("--base", type=int, default=16)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--write-px", type=int, help="default: ours, by the precision")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    return parser.parse_args()


def print_table(seconds: dict[str, list[float]], unlike: dict[str, float], side_px: int) -> None:
    """A row for each way; ours is the first."""
    best = min(next(iter(seconds.values())))
    print("| method | seconds | Mpx/s | ours is faster by | labels unlike the whole image's |")
    print("| --- | --- | --- | --- | --- |")
    for name, of in seconds.items():
        rate = side_px**2 / 1e6 / min(of)
        times = ", ".join(f"{each:.1f}" for each in of)
        print(f"| {name} | {times} | {rate:.2f} | {min(of) / best:.2f} | {unlike[name]:.3%} |")


if __name__ == "__main__":
    main()
