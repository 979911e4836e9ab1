"""Threads that spin while they wait, against threads that sleep: python benchmarks/spinning.py.

The threads of OpenMP spin at each barrier before they sleep, which saves microseconds where cores
are free and burns them where other work waits for them. Bare training steps and passes of small
networks run in processes of their own, in bf16 where the processor has it, as jobs do, in turns
with each environment; with `--busy N` beside N processes that compute without a pause. Ratios are
to the first environment.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

ENVIRONMENTS = {
    "as it comes": {},
    "asleep": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"},
    **{
        f"{count:,} spins": {"GOMP_SPINCOUNT": str(count)}
        for count in (1000, 10_000, 30_000, 100_000)
    },
}
SIZES = ((8, 284, 30), (16, 364, 10))  # channels, side of the patch in px, steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", type=int, default=0, help="processes that compute beside")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measured(options.threads)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ENVIRONMENTS}
    names = list(ENVIRONMENTS)
    for number in range(options.rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            with busy(options.busy):
                found[name].append(of_a_process(ENVIRONMENTS[name], options.threads))
    print(f"{options.threads} threads, {options.busy} processes beside, {options.rounds} rounds")
    print(f"load at the end: {os.getloadavg()[0]:.1f}")
    print("| environment | " + " | ".join(found["as it comes"][0]) + " |")
    print("| --- " * (1 + len(found["as it comes"][0])) + "|")
    usual = medians(found["as it comes"])
    for name, each in found.items():
        own = medians(each)
        cells = (f"{own[key]:.1f} ({own[key] / usual[key]:.2f})" for key in own)
        print(f"| {name} | {' | '.join(cells)} |")


def measured(threads: int) -> dict[str, float]:
    """Wall and processor seconds of a training step and of a pass, without the first ones."""
    import torch

    from unetflow.engine.devices import resolve_precision

    torch.set_num_threads(threads)
    precision = resolve_precision("auto", "cpu")
    print(f"PyTorch {torch.__version__}, {precision}", file=sys.stderr)
    found: dict[str, float] = {}
    for channels, side_px, steps in SIZES:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            found |= of_a_network(channels, side_px, steps)
    return found


def of_a_network(channels: int, side_px: int, steps: int) -> dict[str, float]:
    """The same of one network and size of patch."""
    import torch

    from unetflow.networks import build

    torch.manual_seed(0)
    network = build("unet", base_channels=channels, depth=3)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    image_BCHW = torch.rand(1, 1, side_px, side_px)
    network.to(memory_format=torch.channels_last)
    image_BCHW = image_BCHW.contiguous(memory_format=torch.channels_last)
    out_px = network.geometry.output_px(side_px, 0)
    target_BHW = torch.randint(0, 2, (1, out_px, out_px))

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(image_BCHW).float(), target_BHW).backward()
        optimizer.step()

    @torch.no_grad()
    def forward() -> None:
        network(image_BCHW)

    found = {}
    for name, work in (("step", step), ("pass", forward)):
        work(), work()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(steps):
            work()
        of = f"{name}, {channels} channels, {side_px} px"
        found[f"{of} [ms]"] = 1e3 * (time.perf_counter() - wall) / steps
        found[f"{of} [CPU ms]"] = 1e3 * (time.process_time() - cpu) / steps
    return found


def of_a_process(environment: dict[str, str], threads: int) -> dict[str, float]:
    """`measured` in a process of its own: OpenMP reads its environment once."""
    usual = {key: value for key, value in os.environ.items() if key not in ENVIRONMENTS["asleep"]}
    command = [sys.executable, __file__, "--child", "--threads", str(threads)]
    told = subprocess.run(
        command, env=usual | environment, check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, float] = json.loads(told.stdout)
    return found


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}


@contextmanager
def busy(count: int) -> Iterator[None]:
    """As long as it is open, so many processes that compute."""
    command = [sys.executable, "-c", "while True: pass"]
    beside = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in beside:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
