"""What a job asks for: more for a larger image, and more after each failed attempt."""

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict

from unetflow.images.at_once import LEAST_BYTES
from unetflow.jobs.config import CrfConfig
from unetflow.jobs.signed import signed
from unetflow.tiles.geometry import Geometry
from unetflow.tiles.regions import PLANE, side_px, squares
from unetflow.tiles.tiling import Tiling

GIGA = 1e9
TILE_PX = 1024  # the largest that prediction takes by itself
BF16_BYTES = 2
FLOAT_BYTES = 4
PIECE_PX = 256  # as `unetflow.refine.refinement`
SHARE_OF_TILES = 0.78  # of a job's memory: a little less than they may take
SHARD_PX = 1024  # as `unetflow.store.shards`, which takes half a second to load
BARE_MB = 800  # of a job with an image of no size
WHOLE_PX = 4096**2  # from here on what a job takes hardly grows
TRAINER_MB = 2500  # libraries, weights, optimizer and checkpoint of a network, two validation tiles
ACTIVATIONS_HELD = 6  # for the backward pass, in tiles of inference
# multiply-adds in a second: a fifth of what two cores reached (benchmarks/results/training.md), and
# little for a GPU
CPU_RATE, GPU_RATE = 2e10, 5e11
LEAST_MINUTES, MOST_MINUTES = 60, 720
IN_MEMORY_PX = 1024  # as `unetflow.evaluate.image_scores`
# of NVIDIA, AMD, and either under WSL
GPU_FILES = ("dev/nvidia[0-9]*", "proc/driver/nvidia/gpus/*", "dev/kfd", "dev/dxg")


class _Sizes(TypedDict, total=False):
    """What a receipt says of sizes: of an image its levels or its shape, of a bundle its images."""

    shape: list[int]
    dtype: str  # of a foreground, whose shape begins with its classes
    levels: "list[_Sizes]"
    images: "dict[str, _Sizes]"
    spatial: int  # axes of a volume in a bundle
    failed: bool


def growing(
    least: float,
    *,
    each: float = 0,
    per_gpx: float = 0,
    of: str = "images",
    bundles: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Callable[..., int]:
    """A resource for Snakemake: `least`, and more by further image and gigapixel, per attempt.

    `each` is for one of the images that `bundles` has by name. `of` names the input whose receipt
    says how large they are. Before it is there none are counted; Snakemake asks again when the job
    is ready.
    """

    @signed
    def amount(wildcards: object, input: object, attempt: int) -> int:
        further = max(0, len(bundles.get(getattr(wildcards, "bundle", ""), ())) - 1)
        pixels = pixels_of(getattr(input, of)) if per_gpx else 0
        return math.ceil(attempt * (least + each * further + per_gpx * pixels / GIGA))

    return amount


def reading(
    least: int,
    peaks_bytes: Callable[[Any], Iterable[int]],
    *,
    pixels: Callable[[Any], int | None] = lambda wildcards: None,
) -> Callable[..., int]:
    """Memory [MB] for Snakemake: `least`, and what the largest file takes beyond, per attempt.

    `peaks_bytes` says by the wildcards what each file that is read takes at once, one after the
    other; `least` has room for some (`unetflow.images.at_once`). Less is asked for images that are
    small: `pixels` of the largest, None where that is not known.
    """

    @signed
    def amount(wildcards: object, attempt: int) -> int:
        beyond = max(peaks_bytes(wildcards), default=0) - LEAST_BYTES
        return attempt * (least_mb(least, pixels(wildcards)) + max(0, math.ceil(beyond / 1e6)))

    return amount


def least_mb(whole: int, pixels: int | None) -> int:
    """Of the memory [MB] that a job has at least what it needs for images of so many pixels.

    What takes memory by the shard and the object takes little of an image that has hardly any; the
    rest is Snakemake, Python and libraries.
    """
    if pixels is None:
        return whole
    return math.ceil(BARE_MB + max(0, whole - BARE_MB) * min(1, pixels / WHOLE_PX))


def training_mb(
    geometry: Geometry, *, tile_px: Sequence[int], patches: int, on_gpu: bool, processes: int = 1
) -> int:
    """Memory [MB] for a training, of which each process has `patches` in work at once.

    A GPU has the activations in its own memory. Where the training images do not fit beside, they
    are read patch by patch (`unetflow.train.patches.hold`).
    """
    activations = 0 if on_gpu else patches * geometry.tile_bytes(tile_px, FLOAT_BYTES)
    each = TRAINER_MB + math.ceil(ACTIVATIONS_HELD * activations / 1e6)
    return 500 + processes * each


def training_minutes(
    geometry: Geometry, *, tile_px: Sequence[int], batch: int, steps: int, on_gpu: bool
) -> int:
    """Minutes for a training, at most `MOST_MINUTES`: it goes on from its checkpoint after a kill.

    Multiply-adds grow with the square of the values that a network holds for a pixel: of the
    paper's network 2.8 times that are 733,888; those of a network of volumes have three times the
    taps. A step has three times those of the forward pass.
    """
    taps: int = 3 ** (len(geometry.axes) - 2)
    multiply_adds = 3 * 2.8 * taps * geometry.values_per_px**2 * math.prod(tile_px) * batch
    seconds = steps * multiply_adds / (GPU_RATE if on_gpu else CPU_RATE)
    return min(MOST_MINUTES, LEAST_MINUTES + math.ceil(seconds / 60))


def tiles_mb(geometry: Geometry, threads: int) -> int:
    """Memory for prediction on a CPU, where each thread has a tile that writes 1024 px, in bf16.

    The tiles take what the network's geometry says, and no more than 0.8 of what the job has
    (`unetflow.predict.ensemble`); 2 GB are for all else. Of volumes it is one tile of 128 px, in
    fp32, which has all threads: of smaller ones halos are most of what is read.
    """
    if len(geometry.axes) > PLANE:
        threads, side, value_bytes = min(threads, 1), side_px(TILE_PX, 3), FLOAT_BYTES
    else:
        side, value_bytes = TILE_PX, BF16_BYTES
    tile_bytes = geometry.tile_bytes(Tiling.at_least(geometry, side).read_px, value_bytes)
    return 2000 + math.ceil(threads * tile_bytes / SHARE_OF_TILES / 1e6)


def refining_mb(
    crf: CrfConfig | None, shape: Sequence[int], classes: int, *, shard_px: int, threads: int
) -> int:
    """Memory for a refined foreground: for each thread a shard, and the chunks around it.

    `shape` is that of the image, (C, Y, X). What a CRF computes at once is a piece of 256 px and
    its halo, with the kernel to each neighbour.
    """
    planes = shape[0] + 3 * classes  # read, refined, and as it is stored
    side_px = min(shard_px + SHARD_PX, max(shape[1:]))
    values = planes * side_px**2
    if crf is not None:
        wide_px = PIECE_PX + 2 * crf["iterations"] * crf["radius_px"]
        values += (_neighbours(crf) // 2 + 4 * classes + shape[0]) * wide_px**2
    return 1000 + math.ceil(threads * values * FLOAT_BYTES / 1e6)


def refining_minutes(crf: CrfConfig | None, classes: int) -> float:
    """Time that a gigapixel may take: a CRF's grows with neighbours, iterations and classes.

    Five to seven times what one thread needed (benchmarks/results/refine.md).
    """
    messages = _neighbours(crf) * crf["iterations"] * classes if crf is not None else 0
    return 10 + 0.2 * messages


def _neighbours(crf: CrfConfig) -> int:
    return (2 * crf["radius_px"] + 1) ** 2 - 1


def for_shards(most: int, *, of: str = "images") -> Callable[..., int]:
    """Threads for Snakemake: `most`, or one for each 1024 px square of a small image.

    So that many small images are done side by side. `of` is that of `growing`.
    """

    @signed
    def threads(wildcards: object, input: object) -> int:
        shapes = spatial_shapes_of(getattr(input, of))
        return min(most, max(map(shards_of, shapes), default=most))

    return threads


def shards_of(shape: Sequence[int], shard_px: int = SHARD_PX) -> int:
    """Shards of an image (Y, X), or a volume (Z, Y, X)."""
    return squares(shape, side_px(shard_px, len(shape)))


def gpus(count: int, *, elsewhere: Callable[[], bool]) -> Callable[..., int]:
    """GPUs for Snakemake: none where jobs run on this machine and it has none.

    Else they would wait for one another's GPU. `elsewhere` says that they need not run here.
    """
    return lambda wildcards: count if elsewhere() or has_gpu() else 0


def has_gpu(root: Path = Path("/")) -> bool:
    """Whether this machine has a GPU, asked without PyTorch, which takes seconds to load.

    `root` is where /dev and /proc are looked for.
    """
    return sys.platform == "darwin" or any(any(root.glob(name)) for name in GPU_FILES)


def are_in_memory(receipts: Iterable[str | Path]) -> bool:
    """Whether images are there, and so small that their membranes are scored whole."""
    shapes = [shapes_of(receipt) for receipt in receipts]
    return all(of and (len(of[0]) > 2 or max(of[0]) <= IN_MEMORY_PX) for of in shapes)


def pixels_of(receipt: str | Path) -> int:
    """Of all images that a receipt tells of; 0 where there is none yet."""
    return sum(math.prod(shape) for shape in spatial_shapes_of(receipt))


def shapes_of(receipt: str | Path) -> list[list[int]]:
    """Of the image, or a bundle's images, that a receipt tells of; empty before it is there."""
    return [shape for _, shape in _described(receipt)]


def spatial_shapes_of(receipt: str | Path) -> list[list[int]]:
    """The same without channels and classes: (Y, X), or (Z, Y, X) of a volume."""
    return [shape[-axes:] for axes, shape in _described(receipt)]


def _described(receipt: str | Path) -> list[tuple[int, list[int]]]:
    """Of each shape how many axes are spatial, and what it is."""
    path = Path(receipt)
    try:
        return _shapes(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return []


def _shapes(content: _Sizes) -> list[tuple[int, list[int]]]:
    if "images" in content:
        there = (each for each in content["images"].values() if "failed" not in each)
        return [
            (each.get("spatial", PLANE), shape)
            for each in there
            for _, shape in _shapes_of_one(each)
        ]
    return _shapes_of_one(content)


def _shapes_of_one(content: _Sizes) -> list[tuple[int, list[int]]]:
    of_image = "levels" in content
    shape = content["levels"][0]["shape"] if of_image else content["shape"]
    channels = of_image or "dtype" in content
    return [(len(shape) - channels, [int(size) for size in shape])]
