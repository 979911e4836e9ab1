"""Volumes: prediction, weight maps, labelling: python benchmarks/volumes.py --help.

Each case runs in a process of its own, with the memory that a job of the pipeline is granted. The
volume is balls in noise, a block of 128 px again and again; the network has the work of any other
of its size, and weights that pass the image on, so that what is labelled are objects. Rates are of
CPU seconds too, which hold beside other work.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from prediction import draw_slide
from scipy import ndimage

from unetflow.components.objects_of_image import find_objects
from unetflow.components.pieces_of_block import Labelling
from unetflow.engine.each import for_each
from unetflow.engine.machine import Machine
from unetflow.instances.labelled_store import label_store
from unetflow.jobs.resources import tiles_mb
from unetflow.networks import build
from unetflow.networks.network import Network
from unetflow.predict.ensemble import Ensemble
from unetflow.predict.forward import ready, tile_logits
from unetflow.predict.plan import BEGIN, Plan, PredictOptions
from unetflow.predict.stored_foreground import write_foreground
from unetflow.store.ome import PixelSize
from unetflow.store.shards import ShardedArray, read_array
from unetflow.tiles.regions import Region, shard_grid, shard_region
from unetflow.weights.separation import reach_px, weight_map

SHARD_PX = 128
SIZE = PixelSize.square(0.5, 3)
INTENSITY = {"mean": [130.0], "deviation": [8.0]}
RADIUS_PX = 6  # of an object whose weight map is made


class Seconds(NamedTuple):
    """What something took."""

    wall: float
    cpu: float  # of all threads of this process


def timed(do: Callable[[], Any]) -> tuple[Any, Seconds]:
    """What a function gives, and the time that it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = do()
    return found, Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def peak_mb() -> float:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def passing_on(network: Network) -> Network:
    """The same layers, of which the first channel of the finest level is the image itself."""
    finest = [network.contracting[0], network.expanding[0]]  # type: ignore[index]
    with torch.no_grad():
        for layer in (each for level in finest for each in level):
            if isinstance(layer, torch.nn.Conv3d):
                layer.weight[0] = 0
                layer.weight[0, 0, 1, 1, 1] = 1
        network.classify.weight.zero_()  # type: ignore[union-attr, operator]
        network.classify.weight[1, 0] = 4  # type: ignore[union-attr, operator, index]
        network.classify.bias.copy_(torch.tensor([0.0, -4.0]))  # type: ignore[union-attr, operator]
    return network


def predict_and_label(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Every part-th shard of the foreground, and the labels of the whole."""
    torch.manual_seed(0)
    network = passing_on(build("unet3d", base_channels=options.base, depth=2).eval())
    description: Any = {"network": {}, "classes": ["c"], "channels": 1, "intensity": INTENSITY}
    granted = tiles_mb(network.geometry, options.threads)
    ensemble = Ensemble([(network, description)], memory_mb=granted)
    pixels = read_array(folder / "i.ome.zarr", "0")
    write = {
        **{"size": SIZE, "tissue": None, "decided_by": {}},
        "machine": Machine(threads=options.threads, gpu=False, require_gpu=False),
    }

    def predict(share: tuple[int, int]) -> ShardedArray:
        how = PredictOptions(precision=options.precision, share=share)
        return write_foreground(ensemble, pixels, folder / "p.ome.zarr", options=how, **write)

    begun = predict(BEGIN)
    plan = Plan.read(begun.chosen)
    bare = bare_seconds(network, plan)
    made, predicted = timed(lambda: predict((0, options.part)))
    after_mb, tiles = peak_mb(), len(made.shards()) - len(made.missing())
    copy_to_missing(made)
    del begun, made
    (_, classes), labelled = timed(lambda: label(folder, options.threads))
    million = tiles * SHARD_PX**3 / 1e6
    return {
        **{"write_px": plan.write_px, "networks": options.threads // plan.threads},
        **{"shards": tiles, "wall": predicted.wall, "rate": million / predicted.cpu},
        **{"of_bare": bare.cpu * tiles / predicted.cpu, "mb": after_mb, "granted_mb": granted},
        **{"label_rate": pixels.shape[1] ** 3 / 1e6 / labelled.cpu, "label_wall": labelled.wall},
        **{"objects": classes["c"]["instances"], "label_mb": peak_mb()},
    }


def label(folder: Path, threads: int) -> tuple[ShardedArray, dict[str, dict[str, Any]]]:
    """Instances of the foreground, with their table."""
    labelling = {"min_area_px": 20, "fill_holes": True, "connectivity": 1}
    table = folder / "o.parquet"
    store = folder / "p.ome.zarr"
    return label_store(store, {"c": 0.5}, labelling, table=table, threads=threads, decided_by={})


def bare_seconds(network: Network, plan: Plan) -> Seconds:
    """Of a tile in memory through the network alone: the medians of three after one."""
    inferring = ready(network, device=plan.device, precision=plan.precision)
    torch.set_num_threads(plan.threads)
    tile = torch.randn(1, 1, *plan.tiling(network.geometry).read_px)
    found = [timed(lambda: tile_logits(inferring, tile).softmax(dim=1))[1] for _ in range(4)]
    return Seconds(*(float(np.median(each)) for each in zip(*found[1:], strict=True)))


def copy_to_missing(array: ShardedArray) -> None:
    """Of an image that repeats itself: what was not predicted is that of another shard."""
    done = sorted({*array.shards()} - {*array.missing()})
    for index in array.missing():
        source = min(done, key=lambda own: sum(a != b for a, b in zip(own, index, strict=True)))
        target = array.path.joinpath("c", *map(str, index))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(array.path.joinpath("c", *map(str, source)), target)


def prediction(options: argparse.Namespace) -> None:
    """A row for each side, of a process for each."""
    print("| side [px] | shards | a tile writes | Mpx per CPU second | of the bare network |"
          " wall [s] | peak [MB] | granted [MB] | label: Mpx per CPU second | wall [s] | objects |"
          " peak [MB] |\n" + "| --- " * 12 + "|")  # fmt: skip
    for side_px in options.sides:
        with tempfile.TemporaryDirectory() as folder:
            draw_slide(Path(folder), side_px, 3)
            done = subprocess.run(
                [sys.executable, *sys.argv, "--folder", folder],
                env={**os.environ, "MALLOC_ARENA_MAX": "1"},  # as jobs have it
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        of = json.loads(done.stdout.splitlines()[-1])
        print(
            f"| {side_px} | {of['shards']} of {(side_px // SHARD_PX) ** 3} | {of['write_px']} px, "
            f"{of['networks']} at once | {of['rate']:.2f} | {of['of_bare']:.0%} | {of['wall']:.0f} "
            f"| {of['mb']:.0f} | {of['granted_mb']} | {of['label_rate']:.1f} | "
            f"{of['label_wall']:.0f} | {of['objects']} | {of['label_mb']:.0f} |",
            flush=True,
        )


def draw_objects(side_px: int, objects: int) -> np.ndarray:
    """Numbered balls at random places."""
    random, labels = np.random.default_rng(0), np.zeros((side_px,) * 3, np.uint32)
    ball = sum(np.square(each) for each in np.ogrid[(slice(-RADIUS_PX, RADIUS_PX + 1),) * 3])
    for number in range(1, objects + 1):
        at = random.integers(RADIUS_PX, side_px - RADIUS_PX, 3)
        part = tuple(slice(k - RADIUS_PX, k + RADIUS_PX + 1) for k in at)
        labels[part][ball <= RADIUS_PX**2] = number
    return labels


def by_transforms(labels: np.ndarray) -> np.ndarray:
    """The sum of both distances by SciPy: a transform for each object, in its window."""
    reach = int(reach_px(10, 5)) + 1
    nearest, second = (np.full(labels.shape, np.inf, np.float32) for _ in range(2))
    for number, box in enumerate(ndimage.find_objects(labels.astype(np.int64)), start=1):
        if box is None:
            continue
        window = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in box)
        found = ndimage.distance_transform_edt(labels[window] != number).astype(np.float32)
        farther = np.maximum(nearest[window], found)
        second[window] = np.minimum(second[window], farther)
        nearest[window] = np.minimum(nearest[window], found)
    return np.asarray(nearest + second)


def weights(options: argparse.Namespace) -> None:
    """The weight map beside SciPy's transforms, of which a part is made."""
    weight_map(draw_objects(40, 3))  # compiled or read from the cache
    print("| side [px] | objects | ours: wall [s] | Mpx/s | Mpx per CPU second | peak [MB] | SciPy,"
          " of a part: Mpx per CPU second | ours to that |\n" + "| --- " * 8 + "|")  # fmt: skip
    for side_px in options.sides:
        labels = draw_objects(side_px, round(5000 * (side_px / 512) ** 3))
        _, ours = timed(lambda: weight_map(labels, threads=options.threads))  # noqa: B023
        million, peak = labels.size / 1e6, peak_mb()
        part = labels[(slice(0, options.part_px),) * 3]
        _, theirs = timed(lambda: by_transforms(part))  # noqa: B023
        rates = million / ours.cpu, part.size / 1e6 / theirs.cpu
        print(
            f"| {side_px} | {labels.max()} | {ours.wall:.1f} | {million / ours.wall:.1f} | "
            f"{rates[0]:.2f} | {peak:.0f} | {rates[1]:.2f} ({options.part_px} px) | "
            f"{rates[0] / rates[1]:.1f} |",
            flush=True,
        )


def labelling(options: argparse.Namespace) -> None:
    """Labelling by blocks beside scipy.ndimage.label, in turns; ours measures every object too."""
    print("| side [px] | SciPy [CPU ns/px] | ours [CPU ns/px] | ours to SciPy's |\n"
          + "| --- " * 4 + "|")  # fmt: skip
    for side_px in options.sides:
        mask = draw_objects(side_px, round(5000 * (side_px / 512) ** 3)) != 0
        ours_on(mask[:130], options.threads)  # compiled or read from the cache
        each: dict[str, list[float]] = {"theirs": [], "ours": []}
        for _ in range(options.rounds):
            (theirs, _), seconds = timed(lambda: ndimage.label(mask))  # noqa: B023
            each["theirs"].append(seconds.cpu)
            ours, seconds = timed(lambda: ours_on(mask, options.threads))  # noqa: B023
            each["ours"].append(seconds.cpu)
            assert np.array_equal(theirs, ours)
        a, b = (1e9 * float(np.median(of)) / mask.size for of in each.values())
        print(f"| {side_px} | {a:.1f} | {b:.1f} | {b / a:.2f} |", flush=True)


def ours_on(mask: np.ndarray, threads: int) -> np.ndarray:
    """Labels of a mask, block by block."""
    block, labels = (SHARD_PX,) * 3, np.empty(mask.shape, np.uint32)

    def read(region: Region) -> tuple[np.ndarray, None, None]:
        return mask[region], None, None

    objects = find_objects(read, mask.shape, block, Labelling(), threads)

    def draw(index: tuple[int, ...]) -> None:
        region = shard_region(index, mask.shape, block)
        labels[region] = objects.draw(index, mask[region])

    for_each(draw, shard_grid(mask.shape, block), threads=threads)
    return labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("prediction", "weights", "labelling"))
    parser.add_argument("--sides", type=int, nargs="+", default=[256], help="multiples of 128 px")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--part", type=int, default=1, help="predict every so many-th shard")
    parser.add_argument("--base", type=int, default=8)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--part-px", type=int, default=128, help="that SciPy's transforms are of")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(predict_and_label(Path(options.folder), options)))
        return
    {"prediction": prediction, "weights": weights, "labelling": labelling}[options.what](options)


if __name__ == "__main__":
    main()
