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
from dataclasses import replace
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
from unetflow.store.foreground import read_foreground
from unetflow.store.ome import PixelSize
from unetflow.store.pixels import normalised
from unetflow.store.shards import SHARD_PX, read_array
from unetflow.tiles.tiling import Tiling


def padded(network: Any) -> UNet:
    """The same convolutions, zero-padded: the output is as large as the input."""
    first, last = network.contracting[0][0], network.classify
    twin = UNet(first.in_channels, last.out_channels, last.in_channels, network.depth)
    step_px, no_px = twin.geometry.step_px, (0, 0)
    twin.geometry = replace(
        twin.geometry, before_px=no_px, after_px=no_px, smallest_input_px=step_px
    )
    twin.load_state_dict(network.state_dict())
    for layer in twin.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.padding = (1, 1)
    return twin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, help="model.safetensors; else random weights")
    parser.add_argument("--base", type=int, default=16)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--write-px", type=int, help="default: ours, by the precision")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    network: Any = build("unet", base_channels=options.base)
    description: Any = {"intensity": {"mean": [128.0], "deviation": [8.0]}}
    if options.model:
        network, description = load_model(options.model)
    intensity = description["intensity"]
    description |= {"classes": ["cell"], "channels": 1}
    how = Inference("cpu", options.precision, orientations_of(1))
    usual = Ensemble([(network, description)]).usual_tiling(SHARD_PX, how, options.threads, 0)
    write_px = options.write_px or usual.side_px
    tile_px = Tiling.square(network.geometry, write_px).read_px[0]
    patch_px = tile_px // 16 * 16
    plain = padded(network).eval()
    fast = {
        kind: ready(plain, device="cpu", precision=kind) for kind in {"fp32", options.precision}
    }
    with tempfile.TemporaryDirectory() as folder:
        pixels = read_array(draw_slide(Path(folder), options.side), "0")
        image = as_batch(normalised(pixels[:], intensity))

        @torch.inference_mode()
        def theirs(predictor: nn.Module, mode: str, layout: torch.memory_format) -> np.ndarray:
            def probabilities(patch: Tensor) -> Tensor:
                dtype = next(predictor.parameters()).dtype
                found: Tensor = predictor(patch.to(dtype, memory_format=layout)).float().softmax(1)
                return found

            found = sliding_window_inference(
                image, (patch_px, patch_px), 1, probabilities, overlap=0.25, mode=mode
            )
            return np.asarray(found[0, 1])

        def ours() -> np.ndarray:
            store = Path(folder) / f"p{time.monotonic_ns()}.ome.zarr"
            write_foreground(
                Ensemble([(network, description)]),
                pixels,
                store,
                size=PixelSize((1, 1)),
                tissue=None,
                decided_by={},
                options=PredictOptions(
                    write_px=write_px,
                    shard_px=max(SHARD_PX, write_px),
                    precision=options.precision,
                ),
                machine=Machine(threads=options.threads),
            )
            return read_foreground(store)[0]

        last = torch.channels_last
        cases: dict[str, Callable[[], np.ndarray]] = {
            f"unetflow, {options.precision}, from Zarr to Zarr": ours,
            "MONAI, fp32, Gaussian": lambda: theirs(plain, "gaussian", torch.contiguous_format),
        }
        for precision, predictor in sorted(fast.items()):
            for mode in ("gaussian", "constant"):
                cases[f"MONAI, {precision}, {mode}, channels last"] = partial(
                    theirs, predictor, mode, last
                )
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        labels: dict[str, np.ndarray] = {}
        for _ in range(options.rounds):
            for name, run in cases.items():
                started = time.perf_counter()
                labels[name] = run() > 0.5
                seconds[name].append(time.perf_counter() - started)
        # the whole image in tiles as large as memory allows is the same as in one pass
        exact = predict_array(network, normalised(pixels[:], intensity), write_px=1024)[1] > 0.5
    best = min(next(iter(seconds.values())))
    print("| method | seconds | Mpx/s | ours is faster by | labels unlike the whole image's |")
    print("| --- | --- | --- | --- | --- |")
    for name, of in seconds.items():
        rate = options.side**2 / 1e6 / min(of)
        unlike = float((labels[name] != exact).mean())
        times = ", ".join(f"{each:.1f}" for each in of)
        print(f"| {name} | {times} | {rate:.2f} | {min(of) / best:.2f} | {unlike:.3%} |")


if __name__ == "__main__":
    main()
