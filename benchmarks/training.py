"""Training: a step of the pipeline's loop beside the bare step of the same network.

    python benchmarks/training.py --base 16 --steps 40

All in one run, in turns, on images that are drawn; prints medians and ratios. The plain step is in
fp32 with the memory format and the optimizer that PyTorch has by default; with `--plain-memory` in
a process of its own that gives freed memory back, as processes do by default.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from unetflow.demo.planes import draw_region
from unetflow.engine.devices import resolve_device, resolve_precision
from unetflow.engine.memory import keep_freed_memory
from unetflow.networks import build
from unetflow.train.changed_recipes import recipe_from
from unetflow.train.checkpoints import Checkpoint
from unetflow.train.loop import TrainingRun
from unetflow.train.losses import combined_loss
from unetflow.train.patches import TrainingImage
from unetflow.train.process import launch

SIDE_PX = 1024
Backward = Callable[[Tensor], None]


def drawn_image(seed: int, side_px: int = SIDE_PX) -> TrainingImage:
    """An image with cells, in memory."""
    pixels, labels = draw_region(slice(0, side_px), slice(0, side_px), seed=seed)
    image = ((pixels[None].astype(np.float32) - 110) / 40).astype(np.float32)
    target = (labels != 0).astype(np.uint8)
    weight = np.ones(target.shape, np.float32)
    return TrainingImage(
        image, lambda region: (target[region], weight[region]), np.argwhere(target)[::50]
    )


def bare_steps(
    network: Any, optimizer: torch.optim.Optimizer, backward: Backward, tile_px: int, steps: int
) -> list[float]:
    """Seconds of forward, backward and optimizer step on one patch that is there already."""
    device = next(network.parameters()).device
    output_px = network.geometry.output_px(tile_px)
    image = torch.randn(1, 1, tile_px, tile_px, device=device)
    target = torch.randint(0, 2, (1, output_px, output_px), device=device)
    weight = torch.ones(1, output_px, output_px, device=device)
    network.train()
    seconds = []
    for _ in range(steps):
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        logits = network(image).float()
        backward(combined_loss({"cross_entropy": 1.0}, logits, target, weight))
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return seconds[2:]


def network_of(options: argparse.Namespace) -> dict[str, Any]:
    """Name and options: the paper's network of a width and depth, or another."""
    if options.network:
        name, *words = options.network
        pairs = (word.split("=") for word in words)
        return {"name": name, **{key: yaml.safe_load(value) for key, value in pairs}}
    return {"name": "unet", "base_channels": options.base, "depth": options.depth}


def plain_steps(options: argparse.Namespace) -> list[float]:
    """`bare_steps` as PyTorch comes."""
    device = resolve_device(gpu=options.gpu, require_gpu=options.gpu)
    network = build(**network_of(options)).to(device)
    adam = torch.optim.AdamW(network.parameters())
    return bare_steps(network, adam, Tensor.backward, options.tile, options.steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", type=int, default=16)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument(
        "--network", nargs="+", default=[], metavar="NAME OPTION=VALUE", help="instead of U-Net"
    )
    parser.add_argument("--tile", type=int, default=572)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="fp32")
    parser.add_argument("--workers", type=int, default=1, help="threads that draw patches")
    parser.add_argument("--plain-memory", action="store_true", help="for the plain step")
    parser.add_argument("--plain-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain_only:
        print(json.dumps(plain_steps(options)))
        return
    keep_freed_memory()
    device = resolve_device(gpu=options.gpu, require_gpu=options.gpu)
    precision = resolve_precision(options.precision, device)
    images = [drawn_image(seed) for seed in range(4)]
    ours: list[float] = []
    bare: list[float] = []
    plain: list[float] = []
    waited = 0.0
    for turn in range(options.rounds):
        recipe = recipe_from(
            tile_px=options.tile, steps=options.steps, validate_every=10**6, seed=turn
        )
        description: Any = {"network": network_of(options)}
        with tempfile.TemporaryDirectory() as folder:
            run = TrainingRun(
                description,
                recipe,
                fabric=launch(device, precision),
                precision=precision,
                threads=torch.get_num_threads(),
                checkpoint=Checkpoint(Path(folder) / "last.pt", digest=""),
            )
            run.train(images, [], workers=options.workers)
        elapsed = [row["elapsed_s"] for row in run.history]
        ours += np.diff(elapsed[2:]).tolist()
        waited += run.waited_s
        bare += bare_steps(
            run._wrapped, run.optimizer, run.fabric.backward, options.tile, options.steps
        )
        if options.plain_memory:
            command = [sys.executable, *sys.argv, "--plain-only"]
            plain += json.loads(subprocess.check_output(command, text=True))
        else:
            plain += plain_steps(options)
    total = sum(ours)
    print(f"plain step: {statistics.median(plain):.3f} s (median; fp32, plane by plane)")
    print(f"bare step: {statistics.median(bare):.3f} s (median)")
    print(f"our step:  {statistics.median(ours):.3f} s (median)")
    print(f"ours / bare, means:  {statistics.mean(ours) / statistics.mean(bare):.3f}")
    print(f"plain / bare, means: {statistics.mean(plain) / statistics.mean(bare):.3f}")
    print(f"waited for patches: {waited / total:.2%} of {total:.0f} s")


if __name__ == "__main__":
    main()
