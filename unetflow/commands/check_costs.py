"""What a case will take: seconds by a trial of a few steps, bytes by the sizes of its images."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unetflow import networks
from unetflow.engine.devices import cores, resolve_device, resolve_precision, use_threads
from unetflow.errors import UnetflowError
from unetflow.images.resampling import picked_channels, source_at
from unetflow.images.slide import Slide
from unetflow.jobs.settings import Settings
from unetflow.jobs.sheet import Image
from unetflow.networks.network import Network, channels_last
from unetflow.predict.forward import ready, tile_logits
from unetflow.tiles.regions import side_px
from unetflow.tiles.tiling import Tiling
from unetflow.train.losses import combined_loss
from unetflow.train.recipes import Recipe

TIMED = 2  # steps, and tiles; one before them is not counted
TRIAL_PX = 512  # of a tile that is written
PYRAMID = 4 / 3  # of the finest level
LABEL_BYTES, IGNORE_BYTES, WEIGHT_BYTES, INSTANCE_BYTES = 4, 1, 4, 4


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one experiment, all folds together."""

    step_s: float
    training_s: float
    predicting_s: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Of a case. Bytes are those of stores before they are compressed."""

    experiments: dict[str, Cost]
    disk_bytes: float


@dataclass(frozen=True, slots=True)
class Size:
    """Of an image as it is prepared, by the header of its file."""

    channels: int
    pixels: int
    value_bytes: int


def costs_of(settings: Settings) -> Costs:
    """What the trainings and predictions of a case take on this machine."""
    sizes = {name: _size(settings, image) for name, image in settings.images.items()}
    use_threads(cores())
    device = resolve_device(gpu=True)
    experiments = {
        name: _cost(settings, name, sizes, device) for name in settings.config["experiments"]
    }
    return Costs(experiments, sum(_bytes(settings, sizes)))


def _size(settings: Settings, image: Image) -> Size:
    """Zeros for what cannot be read, which is told elsewhere."""
    try:
        with Slide(image.path, **image.chosen, **image.resolution) as slide:
            channels = len(picked_channels(slide, image.channels))
            of = settings.config["datasets"][image.dataset]
            source = source_at(slide, image.level, of["spacing"] or of["mpp"])
            return Size(channels, math.prod(source.shape_px), slide.dtype.itemsize)
    except UnetflowError:
        return Size(0, 0, 1)


def _cost(settings: Settings, name: str, sizes: dict[str, Size], device: str) -> Cost:
    experiment = settings.config["experiments"][name]
    recipe, folds = settings.recipe(name), settings.folds(name)
    images = settings.of_experiment(name)
    channels = max((sizes[image.name].channels for image in images), default=1) or 1
    classes = len(settings.config["datasets"][experiment["dataset"]]["classes"]) + 1
    network: Network = networks.build(
        **experiment["network"], in_channels=channels, num_classes=classes
    )
    each_s = step_s(network, recipe, channels, device)
    predicted = sum(
        sizes[image].pixels
        for fold in folds
        for image in settings.images_of(name, fold, "validation", "test", "predict")
    )
    options = settings.config["predict"]
    precision = resolve_precision(options["precision"], device)
    rate = _px_per_s(network, channels, device, precision)
    return Cost(
        each_s,
        each_s * recipe.steps * len(folds),
        predicted * options["test_time_augmentation"] / rate,
    )


def step_s(network: Network, recipe: Recipe, channels: int, device: str) -> float:
    """Seconds of a training step on random pixels, in the precision that it will have."""
    layout = channels_last(len(network.geometry.axes))
    network.to(device, memory_format=layout)  # type: ignore[call-overload]
    in_bf16 = resolve_precision(recipe.precision, device) == "bf16"
    optimizer = torch.optim.AdamW(network.parameters())
    sides = recipe.input_px(len(network.geometry.axes))
    image_BCHW = torch.rand(recipe.batch, channels, *sides, device=device)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=in_bf16):
            logits_BKHW = network(image_BCHW)
        logits_BKHW = logits_BKHW.float()
        target_BHW = torch.zeros_like(logits_BKHW[:, 0], dtype=torch.int64)
        weight_BHW = torch.ones_like(logits_BKHW[:, 0])
        optimizer.zero_grad()
        combined_loss(recipe.loss, logits_BKHW, target_BHW, weight_BHW).backward()
        optimizer.step()

    return _seconds(step, device)


def _px_per_s(network: Network, channels: int, device: str, precision: str) -> float:
    """Pixels that prediction writes in a second."""
    tiling = Tiling.at_least(network.geometry, side_px(TRIAL_PX, len(network.geometry.axes)))
    predictor = ready(network, device=device, precision=precision)
    tile_BCHW: Tensor = torch.rand(1, channels, *tiling.read_px)
    return math.prod(tiling.write_px) / _seconds(lambda: tile_logits(predictor, tile_BCHW), device)


def _seconds(run: Callable[[], object], device: str) -> float:
    """The shortest of `TIMED` runs, after one that is not counted.

    On a CPU no more than the processor's time of all threads: what others take is not counted.
    """
    taken = []
    for _ in range(1 + TIMED):
        started, worked = time.perf_counter(), time.process_time()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        taken.append(min(seconds, time.process_time() - worked) if device == "cpu" else seconds)
    return min(taken[1:])


def _bytes(settings: Settings, sizes: dict[str, Size]) -> Iterator[float]:
    """Of each image: its store with truth and weight map, and what each network makes of it."""
    for name, image in settings.images.items():
        size = sizes[name]
        labels = LABEL_BYTES + IGNORE_BYTES + WEIGHT_BYTES if image.truth else 0
        yield size.pixels * (size.channels * size.value_bytes + labels) * PYRAMID
    for name, experiment in settings.config["experiments"].items():
        classes = len(settings.config["datasets"][experiment["dataset"]]["classes"])
        value_bytes = torch.empty(0, dtype=getattr(torch, settings.config["predict"]["dtype"]))
        for fold in settings.folds(name):
            for image_name in settings.images_of(name, fold, "validation", "test", "predict"):
                each = classes * value_bytes.element_size() + INSTANCE_BYTES
                yield sizes[image_name].pixels * each * PYRAMID
