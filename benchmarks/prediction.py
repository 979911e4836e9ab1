"""Inference and instances of large slides, or volumes: python benchmarks/prediction.py --help.

Each case runs in a process of its own, whose peak memory is read from the system. The network is
the paper's at any width; with --base 0 it copies its input, which leaves what the stage itself
costs: reading, tiling, writing. The share of the bare network is right for sides that whole tiles
fill: those at an image's end are smaller.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from unetflow.demo.planes import draw_region
from unetflow.engine.machine import Machine
from unetflow.instances.labelled_store import label_store
from unetflow.networks import build
from unetflow.networks.model_file import ModelDescription, load_model
from unetflow.networks.network import Network
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.forward import ready, tile_logits
from unetflow.predict.plan import Plan, PredictOptions
from unetflow.predict.stored_foreground import write_foreground
from unetflow.store.ome import PixelSize, image_axes, ome_image, write_group
from unetflow.store.shards import Layout, open_array, read_array
from unetflow.tiles.regions import PLANE
from unetflow.tiles.valid_sizes import unet_geometry

BLOCK_PX = {2: 1024, 3: 128}  # by axes


class Copying(Network):
    """Logits from the pixels themselves, cut as the paper's network cuts them."""

    geometry, in_channels = replace(unet_geometry(), values_per_px=4), 1

    def __init__(self) -> None:
        super().__init__()
        self.none = nn.Conv2d(1, 1, 1)
        self.register_buffer("signs", torch.tensor([-1.0, 1.0])[:, None, None])

    def forward(self, image_BCHW: Tensor) -> Tensor:
        rows, columns = self.geometry.output_region(image_BCHW.shape[-2:])
        inner = image_BCHW[..., rows, columns]
        both = inner.new_empty((len(inner), 2, *inner.shape[-2:]))
        both[:, :1], both[:, 1:] = inner, inner
        return both.mul_(self.signs)


def network_of(base: int, words: Sequence[str], axes: int) -> Network:
    """The paper's network of a width, of volumes one of depth 2, or another by name and options."""
    torch.manual_seed(0)
    if words:
        name, *options = words
        return build(
            name, **{key: yaml.safe_load(of) for key, of in (o.split("=") for o in options)}
        )
    if axes > PLANE:
        return build("unet3d", base_channels=base, depth=2)
    return build("unet", base_channels=base) if base else Copying()


def draw_slide(folder: Path, side_px: int, axes: int = PLANE) -> Path:
    """A slide of cells, or a volume of balls: one drawn block again and again."""
    store, size = folder / "i.ome.zarr", PixelSize.square(0.5, axes)
    names = image_axes(size)
    write_group(store, "", ome_image("i", names, {"0": [1, *size.scale]}, unit=size.unit))
    layout = Layout((1, *(side_px,) * axes), "uint8", names)
    array = open_array(store, "0", layout, decided_by={})
    side = slice(0, BLOCK_PX[axes])
    block = draw_region(side, side, seed=1)[0] if axes == PLANE else draw_balls(side.stop)
    for index in array.missing():
        _, *region = array.region(index)
        inner = tuple(slice(0, part.stop - part.start) for part in region)
        array.write(index, block[inner][None])
    return store


def draw_balls(side_px: int) -> np.ndarray:
    """Bright balls of 5 px, 16 px apart, with noise."""
    z, y, x = ((np.arange(side_px) % 16 - 8.0) ** 2 for _ in range(3))
    away = z[:, None, None] + y[:, None] + x
    noise = np.random.default_rng(1).normal(0, 8, (side_px,) * 3)
    return np.clip(90 + 80 * (away < 25) + noise, 0, 255).astype(np.uint8)


def run_case(folder: Path, options: argparse.Namespace) -> None:
    """Predict and label the slide in a folder; prints what it took as JSON."""
    torch.set_num_threads(options.threads)
    pixels = read_array(folder / "i.ome.zarr", "0")
    description: ModelDescription = {
        "network": {},
        "classes": ["cell"],
        "channels": 1,
        "intensity": {"mean": [128.0], "deviation": [8.0]},
    }
    if options.model:
        network, description = load_model(options.model)
    else:
        network = network_of(options.base, options.network, pixels.ndim - 1)
    started = time.perf_counter()
    foreground = write_foreground(
        Ensemble([(network, description)]),
        pixels,
        folder / "p.ome.zarr",
        size=PixelSize.square(0.5, pixels.ndim - 1),
        tissue=None,
        decided_by={},
        options=PredictOptions(
            write_px=options.write_px,
            shard_px=max(1024, options.write_px or 0),
            precision=options.precision,
        ),
        machine=Machine(threads=options.threads, gpu=options.gpu, require_gpu=options.gpu),
    )
    predicted = time.perf_counter()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    _, made = label_store(
        folder / "p.ome.zarr",
        dict.fromkeys(description["classes"], options.threshold),
        {
            **{"min_area_px": 20, "fill_holes": True, "connectivity": 1},
            "split_px": options.split_px,
        },
        table=folder / "objects.parquet",
        threads=options.threads,
        decided_by={},
    )
    labelled = time.perf_counter()
    plan, shape = Plan.read(foreground.chosen), foreground.array.shape[1:]
    found = {
        **{"predict_s": predicted - started, "predict_mb": peak_mb},
        **{
            "label_s": labelled - predicted,
            "objects": sum(of["instances"] for of in made.values()),
        },
        "label_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "tiles_s": bare_seconds(network, plan) * len(plan.tiling(network.geometry).grid(shape)),
    }
    print(json.dumps(found))


def bare_seconds(network: Network, plan: Plan) -> float:
    """Seconds per tile of the network alone, on a tile in its memory: the median of five."""
    device = plan.device
    inferring = ready(network, device=device, precision=plan.precision)
    tile = torch.randn(1, 1, *plan.tiling(network.geometry).read_px, device=device)
    repeats = 1 if device == "cpu" else 20  # as a GPU takes what it is given and goes on
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        for _ in range(repeats):
            found = tile_logits(inferring, tile).softmax(dim=1)
        found.flatten()[0].item()
        seconds.append((time.perf_counter() - started) / repeats)
    return float(np.median(seconds[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", type=int, default=16, help="0: a network that copies its input")
    parser.add_argument(
        "--network", nargs="+", default=[], metavar="NAME OPTION=VALUE", help="instead of U-Net"
    )
    parser.add_argument("--model", help="model.safetensors; else random weights")
    parser.add_argument("--threshold", type=float, default=0.6, help="of the instances")
    parser.add_argument("--split-px", type=float, help="take clumps apart")
    parser.add_argument("--axes", type=int, choices=(2, 3), default=2, help="3: volumes")
    parser.add_argument("--sides", type=int, nargs="+", default=[4096], metavar="PX")
    parser.add_argument("--write-px", type=int, help="default: ours, by the precision")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="fp32")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        run_case(Path(options.folder), options)
        return
    columns = ["side [px]", "predict [s]", "Mpx/s", "of the bare network", "peak [MB]"]
    columns += ["label [s]", "Mpx/s", "objects", "peak [MB]"]
    print(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|")
    for side_px in options.sides:
        with tempfile.TemporaryDirectory() as folder:
            draw_slide(Path(folder), side_px, options.axes)
            done = subprocess.run(
                [
                    *(sys.executable, __file__, "--folder", folder),
                    *("--base", str(options.base), "--threshold", str(options.threshold)),
                    *("--threads", str(options.threads), "--precision", options.precision),
                    *(("--write-px", str(options.write_px)) if options.write_px else ()),
                    *(("--gpu",) if options.gpu else ()),
                    *(("--network", *options.network) if options.network else ()),
                    *(("--model", options.model) if options.model else ()),
                    *(("--split-px", str(options.split_px)) if options.split_px else ()),
                ],
                env={**os.environ, "MALLOC_ARENA_MAX": "1"},  # as jobs have it from their start
                capture_output=True,
                text=True,
                check=True,
            )
        of = json.loads(done.stdout.splitlines()[-1])
        million = side_px**options.axes / 1e6
        print(
            f"| {side_px} | {of['predict_s']:.1f} | {million / of['predict_s']:.2f} | "
            f"{of['tiles_s'] / of['predict_s']:.0%} | {of['predict_mb']:.0f} | "
            f"{of['label_s']:.1f} | {million / of['label_s']:.1f} | {of['objects']} | "
            f"{of['label_mb']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
