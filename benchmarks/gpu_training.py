"""Part 4 of `gpu.py`: steps, patches, a training. The bare step needs PyTorch and NumPy alone."""

import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_exact import network_of, noise
from gpu_inference import seconds_of, widths
from gpu_rows import Row, Scale

from unetflow.networks.network import Network
from unetflow.train.changed_recipes import recipe_from
from unetflow.train.losses import combined_loss
from unetflow.train.steps import optimizer_for

TILE_PX = 572
RESERVED_S = 20.0  # of the part's time, for what follows the training


def tile_of(scale: Scale) -> int:
    return scale.pick(TILE_PX, 60)


def bare_step_s(network: Network, scale: Scale, precision: str, *, compiled: bool) -> float:
    """Seconds of forward, backward and optimizer step on a patch that is there already."""
    device, tile_px = scale.device, tile_of(scale)
    network = network.to(device, memory_format=torch.channels_last).train()
    optimizer = optimizer_for(network, recipe_from())
    backend = "eager" if scale.small else "inductor"
    run: Any = torch.compile(network, backend=backend, dynamic=False) if compiled else network
    output_px = network.geometry.output_px(tile_px)
    image = noise(1, 1, tile_px, tile_px).to(device)
    target = torch.zeros(1, output_px, output_px, dtype=torch.long, device=device)
    weight = torch.ones(1, output_px, output_px, device=device)
    autocast = torch.autocast(device, torch.bfloat16, enabled=precision == "bf16")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            logits = run(image)
        combined_loss({"cross_entropy": 1.0}, logits.float(), target, weight).backward()
        optimizer.step()

    return seconds_of(step, device, scale.pick(1.0, 0.05))


def bare_steps(scale: Scale) -> Iterator[Row]:
    """In both precisions, compiled or not, as a training sets PyTorch."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    for base, _ in widths(scale):
        for precision, compiled in (("bf16", False), ("bf16", True), ("fp32", False)):
            network = network_of(base, scale.pick(4, 2))
            step_s = bare_step_s(network, scale, precision, compiled=compiled)
            how = f"base {base}, {precision}" + (", compiled" if compiled else "")
            yield Row(f"bare step, {how}, {tile_of(scale)} px", 1000 * step_s, "ms")


def our_steps(scale: Scale) -> Iterator[Row]:
    """The loop of the pipeline with its loader, augmentation, checks and history."""
    torch.backends.cudnn.benchmark = True
    steps = scale.pick(120, 4)
    for base, _ in widths(scale):
        for precision in scale.pick(("bf16", "fp32"), ("fp32",)):
            run = run_of(base, steps, precision, scale)
            started_s = time.perf_counter()
            run.train(images(scale), [], workers=workers(scale))
            if not scale.small:
                torch.cuda.synchronize()
            elapsed_s = time.perf_counter() - started_s
            first_s = run.history[9]["elapsed_s"] if steps > 10 else 0.0
            done = steps - (10 if steps > 10 else 0)
            yield Row(
                f"our step, base {base}, {precision}, {tile_of(scale)} px",
                1000 * (elapsed_s - first_s) / done,
                "ms",
                f"waited for patches: {run.waited_s / elapsed_s:.0%}; goal: within 10 % of bare",
            )


def waits(scale: Scale) -> Iterator[Row]:
    """How often the GPU is waited for, as PyTorch itself counts it."""
    scale.on_gpu()
    counts = []
    for steps in (5, 25):
        run = run_of(16, steps, "bf16", scale)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            run.train(images(scale), [], workers=workers(scale))
            torch.cuda.set_sync_debug_mode("default")
        counts.append(sum("synchroniz" in str(each.message) for each in caught))
    note = "the loss of the step before waits by an event, which this does not count"
    yield Row("the GPU is waited for", (counts[1] - counts[0]) / 20, "times a step", note)


def run_of(base: int, steps: int, precision: str, scale: Scale, **changes: Any) -> Any:
    """A training of the default recipe, in a folder that is gone with the process."""
    from unetflow.train.checkpoints import Checkpoint
    from unetflow.train.loop import TrainingRun
    from unetflow.train.process import launch

    folder = Path(tempfile.mkdtemp(prefix="unetflow-gpu-"))
    recipe = {"tile_px": tile_of(scale), "steps": steps, "validate_every": 10**6} | changes
    depth = scale.pick(4, 2)
    return TrainingRun(
        {"network": {"name": "unet", "base_channels": base, "depth": depth}},  # type: ignore
        recipe_from(**recipe),
        fabric=launch(scale.device, precision),
        precision=precision,
        threads=torch.get_num_threads(),
        checkpoint=Checkpoint(folder / "last.pt", digest="", every_s=1e9),
    )


def images(scale: Scale, count: int = 4) -> list[Any]:
    from training import drawn_image

    return [drawn_image(seed, scale.pick(1024, 96)) for seed in range(count)]


def workers(scale: Scale) -> int:
    return scale.pick(max(1, (os.cpu_count() or 1) - 1), 1)


def patches(scale: Scale) -> Iterator[Row]:
    """Patches of the loader alone, and of the same augmentation where the network is."""
    from unetflow.train.augment import draw_coordinates, mirrored, sample, vary_gray
    from unetflow.train.patches import Batches, generator

    drawing = run_of(4, 1, "fp32", scale).drawing
    held = images(scale)
    for threads in scale.pick((16, 8, 4, 1), (1,)):
        count = scale.pick(64 * threads, 3)
        batches = Batches(held, range(count), drawing, numbers=range(1), workers=threads)
        started_s = time.perf_counter()
        for _ in batches:
            pass
        rate = count / (time.perf_counter() - started_s)
        yield Row(f"patches of {tile_of(scale)} px by {threads} threads", rate, "a second")
    image = torch.from_numpy(held[0].image_CYX).to(scale.device)
    centre = torch.tensor([300.0, 300.0], device=scale.device)
    random = generator(1)

    def patch() -> None:
        where = draw_coordinates((tile_of(scale),) * 2, centre, drawing.augmentation, random)
        where = mirrored(where, tuple(image.shape[1:]))
        vary_gray(sample(image, where, "bilinear"), drawing.augmentation, random)

    rate = 1 / seconds_of(patch, scale.device, scale.pick(1.0, 0.05))
    yield Row("the augmentation of an image alone, on the device, one thread", rate, "a second")


def a_training(scale: Scale) -> Iterator[Row]:
    """The default recipe of ISBI 2012's case, in the time that is left: a score, not a speed."""
    training, validation, what = isbi2012(scale.data) if scale.data else drawn(scale)
    trial = run_of(scale.pick(64, 4), 30 if not scale.small else 2, "bf16", scale)
    started_s = time.perf_counter()
    trial.train(training, validation, workers=workers(scale))
    step_s = (time.perf_counter() - started_s) / trial.recipe.steps
    left_s = scale.deadline - time.monotonic() - RESERVED_S
    steps = scale.pick(max(20, int(0.8 * left_s / step_s)), 3)
    run = run_of(
        *(scale.pick(64, 4), steps, "bf16", scale), validate_every=scale.pick(max(1, steps // 8), 3)
    )
    started_s = time.perf_counter()
    run.train(training, validation, workers=workers(scale))
    elapsed_s = time.perf_counter() - started_s
    note = f"{what}; {steps} steps in {elapsed_s:.0f} s, best at step {run.best['step']}"
    iou = run.best["validation_iou"]
    yield Row("IoU on validation images, default recipe, bf16", float(iou or np.nan), "", note)


def drawn(scale: Scale) -> tuple[list[Any], list[Any], str]:
    every = images(scale, 6)
    return every[:4], every[4:], "drawn cells"


def isbi2012(folder: Path) -> tuple[list[Any], list[Any], str]:
    """Slices 0 to 19 and 20 to 23 of the training stack, as the shipped case has them."""
    import tifffile

    from unetflow.train.patches import TrainingImage

    volume = tifffile.imread(folder / "train-volume.tif").astype(np.float32)
    truth = (tifffile.imread(folder / "train-labels.tif") != 0).astype(np.uint8)
    volume = (volume - volume[:20].mean()) / volume[:20].std()
    weight = np.ones(truth.shape[1:], np.float32)
    every = [
        TrainingImage(
            slice_YX[None],
            lambda region, of=truth[number]: (of[region], weight[region]),
            np.zeros((0, 2), np.int32),
        )
        for number, slice_YX in enumerate(volume)
    ]
    return every[:20], every[20:24], "ISBI 2012, without the separation term"


MEASURES = {
    "bare steps": bare_steps,
    "our steps": our_steps,
    "waits": waits,
    "patches": patches,
    "a training": a_training,
}
