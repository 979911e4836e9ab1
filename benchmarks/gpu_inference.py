"""Part 2 of `gpu.py`: how fast, and what the GPU waits for. PyTorch alone runs the bare network."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from gpu_exact import network_of, noise
from gpu_rows import Row, Scale

from unetflow.networks.fitted import multiply_adds_per_px
from unetflow.networks.network import Network
from unetflow.predict.forward import ready, tile_logits
from unetflow.predict.runners import Captured, Direct, Runner, orientations_of
from unetflow.tiles.tiling import Tiling

READERS = (1, 2, 4, 8, 12)
WIDTHS = (64, 16)


def seconds_of(call: Callable[[], Any], device: str, least_s: float = 0.5) -> float:
    """Of one call, the mean of as many as fill `least_s`, after three that are not counted."""

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(3):
        call()
    wait()
    started_s, count = time.perf_counter(), 0
    while time.perf_counter() - started_s < least_s:
        call()
        count += 1
        if count % 8 == 0:
            wait()  # else it is given far more than it does in that time
    wait()
    return (time.perf_counter() - started_s) / count


def widths(scale: Scale) -> Iterator[tuple[int, Network]]:
    for base in scale.pick(WIDTHS, (4,)):
        yield base, network_of(base, scale.pick(4, 2))


def matrix_side(scale: Scale) -> int:
    return scale.pick(8192, 256)


def peak_flops(scale: Scale) -> float:
    """Of products of large matrices in bf16."""
    side = matrix_side(scale)
    a = torch.randn(side, side, device=scale.device, dtype=torch.bfloat16)
    return 2 * side**3 / seconds_of(lambda: a @ a, scale.device, scale.pick(0.5, 0.05))


def bare_network(scale: Scale) -> Iterator[Row]:
    """Tiles that are there already, of every size: useful output alone counts."""
    peak = peak_flops(scale)
    note = f"products of matrices of {matrix_side(scale)}"
    yield Row("bf16 matrix peak, measured", peak / 1e12, "TFLOP/s", note)
    for base, network in widths(scale):
        work = 2 * (multiply_adds_per_px(network) or 0)
        for precision, write_px in scale.pick(
            [("bf16", px) for px in (512, 1024, 2048, 4096)] + [("fp32", 512)], [("fp32", 32)]
        ):
            inferring = ready(network, device=scale.device, precision=precision)
            read_px = Tiling.square(network.geometry, write_px).read_px
            tile = noise(1, 1, *read_px).to(scale.device)
            each_s = seconds_of(
                lambda n=inferring, t=tile: tile_logits(n, t), scale.device, scale.pick(0.5, 0.05)
            )
            rate = write_px**2 / each_s
            yield Row(
                f"bare network, base {base}, {precision}, tiles of {write_px} px",
                rate / 1e6,
                "Mpx/s",
                f"{rate * work / peak:.0%} of the peak by work that no tile does twice",
            )


def one_small_image(scale: Scale) -> Iterator[Row]:
    """From an array in memory to an array in memory."""
    for base, network in widths(scale):
        tiling = Tiling.square(network.geometry, scale.pick(512, 32))
        networks = [ready(network, device=scale.device, precision="bf16")]
        tile = noise(1, 1, *tiling.read_px)
        for name, run in runners(networks, tiling, scale, at_once=1):
            run([tile])
            times = []
            for _ in range(scale.pick(50, 2)):
                started_s = time.perf_counter()
                run([tile])
                times.append(time.perf_counter() - started_s)
            each_ms = 1000 * statistics.median(times)
            yield Row(f"one image of {tiling.side_px} px, base {base}, bf16, {name}", each_ms, "ms")


def runners(
    networks: list[Network], tiling: Tiling, scale: Scale, at_once: int
) -> Iterator[tuple[str, Runner]]:
    """Tile after tile, and with graph, pinned memory and streams where there is a GPU."""
    one = orientations_of(1)
    yield "tile after tile", Direct(networks, one, scale.pick(1, at_once))
    if not scale.small:
        captured = Captured(networks, one, tiling.read_px, slots=at_once)
        yield "graph, pinned memory and streams", captured


def from_memory(scale: Scale) -> Iterator[Row]:
    """Tiles in memory to probabilities in memory, by several threads."""
    for base, network in widths(scale):
        tiling = Tiling.square(network.geometry, scale.pick(1024, 32))
        networks = [ready(network, device=scale.device, precision="bf16")]
        tiles = [noise(1, 1, *tiling.read_px) for _ in range(4)] * scale.pick(16, 1)
        for threads in scale.pick((1, 4, 12), (2,)):
            for name, run in runners(networks, tiling, scale, at_once=threads):
                run([tiles[0]])
                started_s = time.perf_counter()
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(lambda tile, run=run: run([tile]), tiles))
                elapsed_s = time.perf_counter() - started_s
                yield Row(
                    f"from memory to memory, base {base}, bf16, tiles of {tiling.side_px} px, "
                    f"{threads} threads, {name}",
                    len(tiles) * tiling.side_px**2 / elapsed_s / 1e6,
                    "Mpx/s",
                )


def stage(scale: Scale) -> Iterator[Row]:
    """The pipeline's prediction from Zarr to Zarr, beside the bare network."""
    from prediction import bare_seconds, draw_slide

    for base, network in widths(scale):
        side_px = scale.pick({64: 8192, 16: 16384}.get(base, 0), 96)
        with tempfile.TemporaryDirectory() as folder:
            draw_slide(Path(folder), side_px)
            for threads in scale.pick(READERS[::-1], (1,)):
                found = predicted(Path(folder), network, threads, scale)
                plan, elapsed_s, _ = found
                tiles = len(plan.tiling(network.geometry).grid((side_px, side_px)))
                busy = bare_seconds(network, plan) * tiles / elapsed_s
                yield Row(
                    f"stage from Zarr to Zarr, base {base}, {plan.precision}, {side_px} px, tiles "
                    f"of {plan.write_px} px, {threads} threads",
                    side_px**2 / elapsed_s / 1e6,
                    "Mpx/s",
                    f"{busy:.0%} of its time the bare network would take",
                )


def predicted(
    folder: Path, network: Network, threads: int, scale: Scale, profiled: bool = False
) -> tuple[Any, float, Any]:
    """The slide in a folder through the stage: its plan, seconds, and a trace where it is asked."""
    from torch.profiler import ProfilerActivity, profile

    from unetflow.engine.machine import Machine
    from unetflow.predict.ensemble import Ensemble
    from unetflow.predict.plan import Plan, PredictOptions
    from unetflow.predict.stored_foreground import write_foreground
    from unetflow.store.ome import PixelSize
    from unetflow.store.shards import read_array

    description: Any = {"intensity": {"mean": [128.0], "deviation": [8.0]}, "classes": ["cell"]}
    ensemble = Ensemble([(network, description | {"channels": 1})])
    activities = [ProfilerActivity.CPU, *([] if scale.small else [ProfilerActivity.CUDA])]

    def once() -> Any:
        return write_foreground(
            ensemble,
            read_array(folder / "i.ome.zarr", "0"),
            folder / f"{time.monotonic_ns()}.ome.zarr",
            size=PixelSize.square(0.5),
            tissue=None,
            decided_by={},
            options=PredictOptions(precision=scale.pick("bf16", "fp32")),
            machine=Machine(threads=threads, gpu=not scale.small, require_gpu=not scale.small),
        )

    started_s, trace = time.perf_counter(), None
    if profiled:
        with profile(activities=activities) as trace:
            found = once()
    else:
        found = once()
    return Plan.read(found.chosen), time.perf_counter() - started_s, trace


def what_it_waits_for(scale: Scale) -> Iterator[Row]:
    """A trace of the stage: how long the GPU computes and copies, and what takes longest."""
    from prediction import draw_slide

    for base, network in widths(scale):
        with tempfile.TemporaryDirectory() as folder:
            draw_slide(Path(folder), scale.pick(8192, 96))
            threads = scale.pick(8, 1)
            _, seconds, trace = predicted(Path(folder), network, threads, scale, profiled=True)
        kind = "self_cpu_time_total" if scale.small else "self_device_time_total"
        longest = rows_of_device(trace.key_averages(), kind, small=scale.small)
        spent_s = sum(getattr(of, kind) for of in longest) / 1e6
        first = [f"{of.key[:60]} {getattr(of, kind) / 1e6 / spent_s:.0%}" for of in longest[:6]]
        yield Row(
            f"the device is at work in a trace of the stage, base {base}, {threads} threads",
            spent_s / seconds,
            "of its time",
            "; ".join(first).replace("|", "/"),
        )


def rows_of_device(averages: Any, kind: str, *, small: bool) -> list[Any]:
    """The rows of a trace that are the device's own, longest first.

    A GPU's time stands in the row of its kernel, and once more in that of the call that began it.
    """
    rows = [of for of in averages if small or of.device_type != torch.autograd.DeviceType.CPU]
    return sorted(rows, key=lambda of: -getattr(of, kind))


def monai(scale: Scale) -> Iterator[Row]:
    """Its sliding window on an image in the device's memory, the same convolutions padded."""
    from monai.inferers import sliding_window_inference
    from peers import padded

    for base, network in widths(scale):
        side_px, patch_px = scale.pick((8192, 1024), (96, 32))
        inferring = ready(padded(network), device=scale.device, precision="bf16")
        image = noise(1, 1, side_px, side_px).to(scale.device)

        def once(inferring: Network = inferring, image: torch.Tensor = image) -> torch.Tensor:
            return sliding_window_inference(
                image,
                (scale.pick(1024, 32),) * 2,
                scale.pick(4, 1),
                lambda patch: tile_logits(inferring, patch).softmax(dim=1),
                overlap=0.25,
                mode="gaussian",
            )

        elapsed_s = seconds_of(once, scale.device, scale.pick(2, 0.05))
        rate = side_px**2 / elapsed_s / 1e6
        yield Row(f"MONAI, bf16, base {base}, patches of {patch_px} px, Gaussian", rate, "Mpx/s")


MEASURES = {
    "bare network": bare_network,
    "one small image": one_small_image,
    "from memory to memory": from_memory,
    "stage from Zarr to Zarr": stage,
    "MONAI": monai,
    "what it waits for": what_it_waits_for,
}
